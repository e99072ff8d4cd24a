//! Workers from source text, and a world that answers nothing unless a test says so.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use skerry_control::kv::KvError;
use skerry_node::{
    bindings::outbound::{CallContext, KvCall, KvReply, LogRecord, Outbound, OutboundError},
    runtime::{
        Runtime,
        config::RuntimeConfig,
        worker::{
            Body, Code, Compatibility, EnvValue, Event, Limits, Module, ModuleKind, Outcome, ServiceTarget, Syntax,
            WorkerError, WorkerKey, WorkerSpec,
        },
    },
};
use skerry_proto::id::{AccountId, EnvironmentName, NamespaceId, Revision, ServiceName, VersionId};

/// Settings with a cache that all tests share, so that the image is made once.
pub(crate) fn config() -> RuntimeConfig {
    let mut config = RuntimeConfig::new(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engine-cache"));
    config.isolates_max = 64;
    config
}

pub(crate) fn runtime() -> Runtime {
    Runtime::build(config()).unwrap()
}

/// A runtime under which `waitUntil` ends at the next sweep.
pub(crate) fn impatient() -> Runtime {
    let mut config = config();
    config.wait_until = Duration::from_millis(1);
    Runtime::build(config).unwrap()
}

/// A worker of one module; each has a key of its own.
pub(crate) fn worker(source: &str) -> Arc<WorkerSpec> {
    Arc::new(spec(&[("index.js", source)]))
}

/// CPU time of a test's event. Hosts are not optimised in tests and machines are busy, so the default of 50 ms would be luck.
const CPU: Duration = Duration::from_secs(10);
/// How long an answer may take. Long events run at the lowest priority, so that 20 s of CPU time may be minutes.
const DEADLINE: Duration = Duration::from_secs(300);

pub(crate) fn spec(modules: &[(&str, &str)]) -> WorkerSpec {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    WorkerSpec {
        key: WorkerKey {
            account: AccountId::new("0123456789abcdef0123456789abcdef").unwrap(),
            service: ServiceName::new("test").unwrap(),
            environment: EnvironmentName::new("production").unwrap(),
            version: VersionId::new("00000000-0000-4000-8000-000000000000").unwrap(),
            config_revision: Revision(u64::from(number)),
        },
        code: Arc::new(Code {
            syntax: Syntax::Modules,
            main_module: modules[0].0.to_owned(),
            modules: modules.iter().map(|(name, source)| module(name, source)).collect(),
        }),
        env: Vec::new(),
        limits: Limits { isolates: 1, cpu: CPU, ..Limits::default() },
        compatibility: Compatibility::default(),
    }
}

fn module(name: &str, source: &str) -> Module {
    let kind = match name.rsplit('.').next() {
        Some("txt") => ModuleKind::Text,
        Some("bin") => ModuleKind::Data,
        Some("json") => ModuleKind::Json,
        _ => ModuleKind::EsModule,
    };
    Module { name: name.to_owned(), kind, bytes: Bytes::copy_from_slice(source.as_bytes()) }
}

/// A world for one test: what it logged, and what it answers.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) log: Mutex<Vec<LogRecord>>,
    pub(crate) answer: Option<Box<dyn Fn(Request<Body>) -> Answer + Send + Sync>>,
    pub(crate) kv: Option<Store>,
}

/// What a KV namespace answers.
pub(crate) type Store = Box<dyn Fn(KvCall) -> BoxFuture<'static, KvReply> + Send + Sync>;

pub(crate) enum Answer {
    Now(Result<Response<Body>, OutboundError>),
    Never,
}

#[async_trait::async_trait]
impl Outbound for World {
    async fn fetch(&self, _: &CallContext, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        match self.answer.as_ref().map(|answer| answer(request)) {
            Some(Answer::Now(response)) => response,
            Some(Answer::Never) => std::future::pending().await,
            None => Err(OutboundError::Refused("this world has no network".to_owned())),
        }
    }

    async fn service(
        &self,
        cx: &CallContext,
        _: &Arc<ServiceTarget>,
        request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        self.fetch(cx, request).await
    }

    async fn kv(&self, _: &CallContext, _: &NamespaceId, call: KvCall) -> Result<KvReply, KvError> {
        Ok(match &self.kv {
            Some(store) => store(call).await,
            None => KvReply::Entries(vec![None]),
        })
    }

    fn log(&self, _: &CallContext, record: LogRecord) {
        self.log.lock().unwrap().push(record);
    }
}

impl World {
    pub(crate) fn messages(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|record| record.message.clone()).collect()
    }
}

pub(crate) fn context(worker: &WorkerSpec, world: &Arc<World>) -> CallContext {
    CallContext {
        request_id: "0123456789abcdef0123456789abcdef".into(),
        worker: worker.key.clone(),
        depth: 0,
        invocations: Arc::default(),
        subrequests: Arc::default(),
        version_overrides: None,
        outbound: Arc::clone(world) as _,
    }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(format!("http://test.workers.localhost{path}")).body(body).unwrap()
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    Request::post(format!("http://test.workers.localhost{path}")).body(body).unwrap()
}

/// Sends a request and waits for the head of the answer.
pub(crate) async fn fetch(
    runtime: &Runtime,
    worker: &Arc<WorkerSpec>,
    world: &Arc<World>,
    request: Request<Body>,
) -> Result<Response<Body>, WorkerError> {
    let call = runtime.call(worker, Event::Fetch(request), context(worker, world));
    let outcome = tokio::time::timeout(DEADLINE, call).await.expect("an answer in time");
    match outcome? {
        Outcome::Response(response) => Ok(response),
        Outcome::Done => panic!("a fetch ended without a response"),
    }
}

/// Sends a GET and reads the whole answer.
pub(crate) async fn text(runtime: &Runtime, worker: &Arc<WorkerSpec>, path: &str) -> Result<String, WorkerError> {
    let response = fetch(runtime, worker, &Arc::default(), get(path)).await?;
    Ok(read(response).await)
}

pub(crate) async fn read(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// `env` of one value.
pub(crate) fn env(name: &str, value: EnvValue) -> Vec<(String, EnvValue)> {
    vec![(name.to_owned(), value)]
}
