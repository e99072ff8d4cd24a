//! A small world for guests: KV in memory, one backend, a log that is kept.
//!
//! **Owns** what tests look at afterwards. **Must not know** components. **Enter at** [`World`].

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU32},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use skerry_control::kv::{KvEntry, KvError, KvKey, KvPage};
use skerry_proto::id::NamespaceId;

use super::super::{ComponentConfig, ComponentRuntime};
use crate::{
    bindings::outbound::{CallContext, KvCall, KvReply, LogLevel, LogRecord, Outbound, OutboundError},
    worker::{
        Body, Code, Compatibility, EnvValue, Event, Limits, Module, ModuleKind, Outcome, ServiceTarget, Syntax,
        WorkerError, WorkerKey, WorkerSpec,
    },
};

/// What guests see and leave behind.
#[derive(Default)]
pub(super) struct World {
    entries: Mutex<BTreeMap<String, Bytes>>,
    lines: Mutex<Vec<(LogLevel, String)>>,
    backend_saw: Mutex<Vec<String>>,
}

/// One runtime for all tests of a process: its pool of address space is large.
pub(super) fn runtime() -> ComponentRuntime {
    static RUNTIME: std::sync::OnceLock<ComponentRuntime> = std::sync::OnceLock::new();
    let build = || {
        // Kept between test runs, so that the large test components are compiled once.
        let mut config = ComponentConfig::new(target().join("component-cache"));
        config.instances_max = 50;
        ComponentRuntime::build(&config).unwrap()
    };
    RUNTIME.get_or_init(build).clone()
}

/// A small runtime of a test's own, with the same cache.
pub(super) fn runtime_with(set: impl FnOnce(&mut ComponentConfig)) -> ComponentRuntime {
    let mut config = ComponentConfig::new(target().join("component-cache"));
    config.instances_max = 4;
    set(&mut config);
    ComponentRuntime::build(&config).unwrap()
}

/// Cargo's target directory.
pub(super) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target").into(), PathBuf::from)
}

/// A worker of `wasm` with the bindings that the test components expect.
pub(super) fn spec(wasm: Bytes, limits: Limits) -> Arc<WorkerSpec> {
    static SEQUENCE: AtomicU32 = AtomicU32::new(0);
    let sequence = SEQUENCE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let service = ServiceTarget {
        binding: "BACKEND".to_owned(),
        service: "backend".parse().unwrap(),
        environment: None,
        entrypoint: None,
        props: None,
    };
    Arc::new(WorkerSpec {
        key: WorkerKey {
            account: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            service: "test".parse().unwrap(),
            environment: "production".parse().unwrap(),
            version: format!("00000000-0000-4000-8000-{sequence:012}").parse().unwrap(),
            config_revision: skerry_proto::id::Revision(1),
        },
        code: Arc::new(Code {
            syntax: Syntax::Component,
            main_module: "worker.wasm".to_owned(),
            modules: vec![Module { name: "worker.wasm".to_owned(), kind: ModuleKind::Component, bytes: wasm }],
        }),
        env: vec![
            ("GREETING".to_owned(), EnvValue::Text("hello from a variable".to_owned())),
            ("TOKEN".to_owned(), EnvValue::Secret("s3cret".to_owned())),
            ("COUNTERS".to_owned(), EnvValue::Kv("fedcba9876543210fedcba9876543210".parse().unwrap())),
            ("BACKEND".to_owned(), EnvValue::Service(Arc::new(service))),
        ],
        limits,
        compatibility: Compatibility::default(),
    })
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One event.
    pub(super) async fn event(
        self: &Arc<Self>,
        worker: &Arc<WorkerSpec>,
        event: Event,
    ) -> Result<Outcome, WorkerError> {
        self.event_in(&runtime(), worker, event).await
    }

    /// One event in a runtime of the test's own.
    pub(super) async fn event_in(
        self: &Arc<Self>,
        runtime: &ComponentRuntime,
        worker: &Arc<WorkerSpec>,
        event: Event,
    ) -> Result<Outcome, WorkerError> {
        let cx = CallContext {
            request_id: "00000000000000000000000000000000".into(),
            worker: worker.key.clone(),
            depth: 0,
            invocations: Arc::default(),
            subrequests: Arc::default(),
            version_overrides: None,
            outbound: self.clone(),
        };
        runtime.call(worker, event, cx).await
    }

    /// One request, up to the answer's head.
    pub(super) async fn send(
        self: &Arc<Self>,
        worker: &Arc<WorkerSpec>,
        request: Request<Body>,
    ) -> Result<Response<Body>, WorkerError> {
        match self.event(worker, Event::Fetch(request)).await? {
            Outcome::Response(response) => Ok(response),
            Outcome::Done => panic!("a fetch is answered with a response"),
        }
    }

    /// A GET whose answer is read to its end.
    pub(super) async fn get(self: &Arc<Self>, worker: &Arc<WorkerSpec>, path: &str) -> Result<String, WorkerError> {
        let response = self.send(worker, request("GET", path, "")).await?;
        Ok(text(response).await)
    }

    /// A GET whose answer is JSON.
    pub(super) async fn json(self: &Arc<Self>, worker: &Arc<WorkerSpec>, path: &str) -> serde_json::Value {
        let body =
            self.get(worker, path).await.unwrap_or_else(|error| panic!("{path}: {error:?}; log: {:?}", self.lines()));
        serde_json::from_str(&body)
            .unwrap_or_else(|error| panic!("{path}: {error} in {body:?}; log: {:?}", self.lines()))
    }

    /// The log so far.
    pub(super) fn lines(&self) -> Vec<(LogLevel, String)> {
        self.lines.lock().unwrap().clone()
    }

    /// What the backend was asked: `METHOD URL BODY`.
    pub(super) fn backend_saw(&self) -> Vec<String> {
        self.backend_saw.lock().unwrap().clone()
    }
}

pub(super) fn request(method: &str, path: &str, body: &'static str) -> Request<Body> {
    let uri = format!("https://test.workers.localhost{path}");
    let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    Request::builder().method(method).uri(uri).header("x-test", "42").body(body).unwrap()
}

pub(super) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[async_trait::async_trait]
impl Outbound for World {
    async fn fetch(&self, _cx: &CallContext, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Refused(format!("{} is not allowed", request.uri())))
    }

    async fn service(
        &self,
        _: &CallContext,
        target: &Arc<ServiceTarget>,
        request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| OutboundError::Network(error.to_string()))?.to_bytes();
        let line = format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body));
        self.backend_saw.lock().unwrap().push(line);
        let answer = Full::new(format!("greetings from {}", target.service).into()).map_err(|never| match never {});
        Ok(Response::builder().status(202).body(answer.boxed_unsync()).unwrap())
    }

    async fn kv(&self, _: &CallContext, _: &NamespaceId, call: KvCall) -> Result<KvReply, KvError> {
        let mut entries = self.entries.lock().unwrap();
        let entry = |value: Bytes| KvEntry { value, metadata: None, expiration: None };
        Ok(match call {
            KvCall::Get { keys, .. } => {
                KvReply::Entries(keys.iter().map(|key| entries.get(key).cloned().map(entry)).collect())
            }
            KvCall::Put { key, put } => {
                entries.insert(key, put.value);
                KvReply::Done
            }
            KvCall::Delete { key } => {
                entries.remove(&key);
                KvReply::Done
            }
            KvCall::Increment { key, delta } => {
                let now = entries.get(&key).map_or(0, |value| String::from_utf8_lossy(value).parse().unwrap());
                entries.insert(key, (now + delta).to_string().into());
                KvReply::Count(now + delta)
            }
            KvCall::List(_) => {
                let key = |name: &String| KvKey { name: name.clone(), expiration: None, metadata: None };
                KvReply::Page(KvPage { keys: entries.keys().map(key).collect(), cursor: None })
            }
        })
    }

    fn log(&self, _cx: &CallContext, record: LogRecord) {
        self.lines.lock().unwrap().push((record.level, record.message));
    }
}
