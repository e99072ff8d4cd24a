//! One node's API, and requests to it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use skerry_control::{
    api::{
        self, ApiConfig, ApiDeps,
        ports::{NodeView, Peer},
    },
    config::{Bootstrap, ControlConfig, MeshSettings},
    control::{self, Control},
};
use skerry_proto::id::{Hostname, NodeId};
use tower::ServiceExt;

use super::fakes::{FakeClock, FakeCluster, FakeKv, FakeTails, FakeValidator};

/// A node whose API can be called. Its folder goes with it.
pub(crate) struct Node {
    pub(crate) control: Control,
    pub(crate) router: Router,
    pub(crate) tails: Arc<FakeTails>,
    pub(crate) kv: Arc<FakeKv>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) cluster: Arc<FakeCluster>,
    pub(crate) admin: String,
    pub(crate) account: String,
    pub(crate) peer: Option<Peer>,
    _folder: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Node {
    /// A fresh cluster of one node.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same with a mesh, and so with a feed that hears of what the node refuses.
    pub(crate) async fn start_meshed() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_with(Some(MeshSettings { listen, advertise: None })).await
    }

    async fn start_with(mesh: Option<MeshSettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let domain = Hostname::new("workers.localhost").unwrap();
        let path = folder.path().join("data");
        let config = ControlConfig::new(path.clone(), "n1".into(), domain, Bootstrap::IfEmpty);
        let config = ControlConfig { mesh, ..config };
        let control = control::build(config).await.unwrap();
        let (tails, clock) = (Arc::new(FakeTails::default()), Arc::new(FakeClock::default()));
        let kv = Arc::new(FakeKv::default());
        let cluster = Arc::new(FakeCluster::new(control.clone()));
        let deps = ApiDeps {
            control: control.clone(),
            validator: Arc::new(FakeValidator),
            kv: kv.clone(),
            tails: tails.clone(),
            cluster: cluster.clone(),
            clock: clock.clone(),
        };
        let router = api::router(ApiConfig { http_port: Some(8080), https_port: None }, deps);
        let admin = std::fs::read_to_string(path.join("admin.token")).unwrap().trim().to_owned();
        let account = control.catalog().first_account().unwrap().to_string();
        Self { control, router, tails, kv, clock, cluster, admin, account, peer: None, _folder: folder }
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, by_ms: i64) {
        self.clock.0.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// What is known of a node from now on; nothing is known of the others but what was told.
    pub(crate) fn tell(&self, id: u64, view: NodeView) {
        self.cluster.told.lock().unwrap().insert(NodeId(id), view);
    }

    /// The connection that requests come over from now on.
    pub(crate) fn connect_from(&mut self, address: &str, is_encrypted: bool) {
        let address: SocketAddr = address.parse().unwrap();
        self.peer = Some(Peer { address, is_encrypted });
    }

    /// Sends a request as it is, but for the connection it comes over.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Reply {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// A request by the admin; `:a` stands for the account.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let path = path.replace(":a", &self.account);
        Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("/client/v4{path}"))
            .header("authorization", format!("Bearer {}", self.admin))
    }

    /// A call without a body.
    pub(crate) async fn call(&self, method: &str, path: &str) -> Reply {
        self.send(self.request(method, path).body(Body::empty()).unwrap()).await
    }

    /// A read that must succeed; its result.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call("GET", path).await.ok()
    }

    /// A call with a JSON body.
    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> Reply {
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A call with headers and a body.
    pub(crate) async fn with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let request =
            headers.iter().fold(self.request(method, path), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Deploys a module worker to an environment.
    pub(crate) async fn deploy(&self, service: &str, environment: &str, code: &str, metadata: Value) -> Reply {
        let path = format!("/accounts/:a/workers/services/{service}/environments/{environment}");
        self.upload("PUT", &path, code, metadata).await
    }

    /// Uploads a module worker of one file.
    pub(crate) async fn upload(&self, method: &str, path: &str, code: &str, mut metadata: Value) -> Reply {
        if metadata.get("main_module").is_none() {
            metadata["main_module"] = json!("index.js");
        }
        let form = Form::new().metadata(&metadata).part("index.js", "application/javascript+module", code.as_bytes());
        self.form(method, path, form).await
    }

    /// Sends a form.
    pub(crate) async fn form(&self, method: &str, path: &str, form: Form) -> Reply {
        let request = self.request(method, path).header("content-type", Form::CONTENT_TYPE);
        self.send(request.body(Body::from(form.finish())).unwrap()).await
    }
}

impl Reply {
    /// The whole envelope.
    pub(crate) fn envelope(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: not JSON: {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The result of a call that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        let envelope = self.envelope();
        assert!(self.status.is_success() && envelope["success"] == true, "{}: {envelope}", self.status);
        envelope["result"].clone()
    }

    /// The status, code and message of a call that must have failed.
    #[track_caller]
    pub(crate) fn failure(&self) -> (u16, u64, String) {
        let envelope = self.envelope();
        assert_eq!(envelope["success"], false, "{}: {envelope}", self.status);
        assert_eq!(envelope["result"], Value::Null);
        let error = &envelope["errors"][0];
        (self.status.as_u16(), error["code"].as_u64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    /// That a call failed so, with a message that names `field`.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, code: u64, field: &str) {
        let (got_status, got_code, message) = self.failure();
        assert_eq!((got_status, got_code), (status, code), "{message}");
        assert!(message.contains(field), "the message does not name {field:?}: {message}");
    }

    /// The ETag.
    pub(crate) fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }
}

/// A multipart form.
#[derive(Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    /// What its content type says.
    pub(crate) const CONTENT_TYPE: &str = "multipart/form-data; boundary=XXX";

    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn metadata(self, metadata: &Value) -> Self {
        self.part("metadata", "application/json", metadata.to_string().as_bytes())
    }

    pub(crate) fn part(mut self, name: &str, content_type: &str, content: &[u8]) -> Self {
        let head = format!(
            "--XXX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: \
             {content_type}\r\n\r\n"
        );
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(content);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"--XXX--\r\n");
        self.0
    }
}

/// A worker that handles fetch.
pub(crate) const HELLO: &str = "export default { fetch() { return new Response('hello') } }";
