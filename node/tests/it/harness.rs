//! A node under test and its client.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Response,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use skerry_node::{
    app::App,
    config::{Config, Settings},
    ingress::{Addresses, Sockets},
    telemetry,
};
use tempfile::TempDir;

/// How long a condition may take to come true on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const DOMAIN: &str = "workers.test";

/// A node that stops when the test ends.
pub(crate) struct Node {
    app: Option<App>,
    pub dir: Arc<TempDir>,
    pub addresses: Addresses,
    pub account: String,
    pub token: String,
    pub client: Client,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        Self::start_in(Arc::new(TempDir::new().unwrap()), settings).await
    }

    /// On a directory that another node may have used before. With an API that only TLS reaches, [`Node::account`] stays empty.
    pub(crate) async fn start_in(dir: Arc<TempDir>, settings: Settings) -> Self {
        // Several nodes of one process share it.
        let _already = rustls::crypto::ring::default_provider().install_default();
        // Lines are captured by the test runner and shown for a test that fails.
        std::mem::forget(telemetry::start(skerry_node::config::LogFormat::Text, "info,openraft=warn").unwrap());
        let app =
            App::build(Config::resolve(None, settings.or(defaults(dir.path()))).unwrap(), &mut Sockets::default())
                .await
                .unwrap();
        // Only the founder of a cluster has one; whoever starts another node gives it the founder's.
        let token = std::fs::read_to_string(dir.path().join("admin.token")).unwrap_or_default().trim().to_owned();
        let addresses = app.ready().addresses;
        let client = Client::builder().no_proxy().build().unwrap();
        let mut node = Self { app: Some(app), dir, addresses, account: String::new(), token, client };
        if !addresses.api.unwrap().ip().is_loopback() || node.token.is_empty() {
            return node;
        }
        let accounts = node.api(Method::GET, "/accounts").send().await.unwrap().json::<Value>().await.unwrap();
        node.account = accounts["result"][0]["id"].as_str().unwrap().to_owned();
        node
    }

    /// Another node of this one's cluster, which has a mesh.
    pub(crate) async fn joined(&self, name: &str, role: &str) -> Self {
        self.joined_with(name, role, Settings::default()).await
    }

    /// The same, with settings.
    pub(crate) async fn joined_with(&self, name: &str, role: &str, settings: Settings) -> Self {
        let invited = self.call(Method::POST, "/cluster/join-tokens", json!({ "role": role })).await;
        let dir = Arc::new(TempDir::new().unwrap());
        let token_file = dir.path().join("join.token");
        std::fs::write(&token_file, invited["token"].as_str().unwrap()).unwrap();
        let settings = Settings { join: Some(self.mesh()), join_token_file: Some(token_file), ..settings };
        let settings = member(&dir, name, role, settings);
        let mut node = Self::start_in(dir, settings).await;
        (node.token, node.account) = (self.token.clone(), self.account.clone());
        node
    }

    /// A node that has joined, started again in its directory.
    pub(crate) async fn again(dir: Arc<TempDir>, name: &str, role: &str) -> Self {
        let settings = member(&dir, name, role, Settings::default());
        Self::start_in(dir, settings).await
    }

    /// Where others join it.
    pub(crate) fn mesh(&self) -> String {
        self.app.as_ref().unwrap().ready().mesh.unwrap().to_string()
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.addresses.http.unwrap()
    }

    /// A call of the API; `path` is below `/client/v4`, with `ACCOUNT` for the account.
    pub(crate) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.replace("ACCOUNT", &self.account);
        let url = format!("http://{}/client/v4{path}", self.addresses.api.unwrap());
        self.client.request(method, url).bearer_auth(&self.token)
    }

    /// A call that must succeed; its `result`.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let response = self.api(method, path).json(&body).send().await.unwrap();
        result(response, path).await
    }

    /// Makes another account, which [`Node::account`] is from now on.
    pub(crate) async fn tenant(&mut self, label: &str) {
        let made = self.call(Method::POST, "/accounts", json!({ "name": label, "label": label })).await;
        self.account = made["id"].as_str().unwrap().to_owned();
    }

    /// Deploys a module to an environment; the id of the version.
    pub(crate) async fn deploy(&self, service: &str, environment: &str, code: &str, bindings: Value) -> String {
        let path = format!("/accounts/ACCOUNT/workers/services/{service}/environments/{environment}");
        let response = self.api(Method::PUT, &path).multipart(upload(code, bindings)).send().await.unwrap();
        result(response, &path).await["version_id"].as_str().unwrap().to_owned()
    }

    /// Uploads a version without deploying it; its id.
    pub(crate) async fn upload(&self, service: &str, code: &str) -> String {
        let path = format!("/accounts/ACCOUNT/workers/services/{service}/environments/production/versions");
        let response = self.api(Method::POST, &path).multipart(upload(code, json!([]))).send().await.unwrap();
        result(response, &path).await["id"].as_str().unwrap().to_owned()
    }

    /// Shares requests between versions of a production environment.
    pub(crate) async fn split(&self, service: &str, shares: &[(&str, u32)]) {
        let path = format!("/accounts/ACCOUNT/workers/services/{service}/environments/production/deployments");
        let shares: Vec<_> =
            shares.iter().map(|(id, percentage)| json!({ "version_id": id, "percentage": percentage })).collect();
        self.call(Method::POST, &path, json!({ "strategy": "percentage", "versions": shares })).await;
    }

    /// A request to a host of this node.
    pub(crate) fn get(&self, host: &str, path: &str) -> RequestBuilder {
        self.request(Method::GET, host, path)
    }

    pub(crate) fn request(&self, method: Method, host: &str, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.http())).header("host", host)
    }

    /// The text that a host answers with 200.
    pub(crate) async fn text(&self, host: &str, path: &str) -> String {
        let response = self.get(host, path).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{host}{path}: {text}");
        text
    }

    /// Makes a KV namespace; its id.
    pub(crate) async fn namespace(&self, title: &str) -> String {
        let result =
            self.call(Method::POST, "/accounts/ACCOUNT/storage/kv/namespaces", json!({ "title": title })).await;
        result["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn stop(mut self) -> Arc<TempDir> {
        self.app.take().unwrap().stop().await;
        Arc::clone(&self.dir)
    }
}

/// The settings of a node that founds no cluster.
fn member(dir: &TempDir, name: &str, role: &str, settings: Settings) -> Settings {
    Settings {
        data_dir: Some(dir.path().join("data")),
        node_name: Some(name.into()),
        role: Some(role.into()),
        mesh: Some("127.0.0.1:0".into()),
        bootstrap: Some(false),
        ..settings
    }
}

fn defaults(dir: &Path) -> Settings {
    let free = || Some("127.0.0.1:0".to_owned());
    Settings {
        data_dir: Some(dir.to_owned()),
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine-cache")),
        node_name: Some("test".into()),
        domain: Some(DOMAIN.into()),
        http: free(),
        https: free(),
        api: free(),
        metrics: free(),
        bootstrap: Some(true),
        ..Settings::default()
    }
}

fn upload(code: &str, bindings: Value) -> Form {
    let metadata = json!({ "main_module": "index.js", "compatibility_date": "2026-01-01", "bindings": bindings });
    let part = |text: String, name: &'static str, mime: &str| Part::text(text).file_name(name).mime_str(mime).unwrap();
    Form::new()
        .part("metadata", part(metadata.to_string(), "metadata.json", "application/json"))
        .part("index.js", part(code.to_owned(), "index.js", "application/javascript+module"))
}

async fn result(response: Response, what: &str) -> Value {
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert!(status.is_success(), "{what}: {status} {body}");
    body["result"].clone()
}

/// Waits until it is so.
pub(crate) async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A worker that answers every request with one text.
pub(crate) fn says(text: &str) -> String {
    format!("export default {{ fetch() {{ return new Response({text:?}) }} }};")
}
