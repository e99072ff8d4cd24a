//! A worker with its world, ready to be sent requests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use skerry_control::kv::{KvEntry, KvError, KvKey, KvPage};
use skerry_node::{
    bindings::outbound::{CallContext, KvCall, KvReply, LogLevel, LogRecord, Outbound, OutboundError},
    runtime::{
        Runtime,
        worker::{Body, BodyError, EnvValue, Event, Outcome, ServiceTarget, Syntax, WorkerError, WorkerSpec},
    },
};
use skerry_proto::id::{NamespaceId, ServiceName};

use crate::support;

/// Answers an outgoing request.
pub(crate) type Origin = Box<dyn Fn(http::request::Parts, Bytes) -> Option<Response<Body>> + Send + Sync>;

/// What a worker can reach: KV in memory, an origin, a log.
#[derive(Default)]
pub(crate) struct Surroundings {
    log: Mutex<Vec<LogRecord>>,
    kv: Mutex<BTreeMap<String, KvEntry>>,
    origin: Option<Origin>,
    slow: Slow,
}

/// Requests for `/slow`, which nobody answers.
#[derive(Default)]
struct Slow {
    began: AtomicUsize,
    given_up: AtomicUsize,
}

impl Slow {
    async fn answer(&self, path: &str) {
        if path == "/slow" {
            self.began.fetch_add(1, Ordering::SeqCst);
            let _waiting = Waiting(self);
            std::future::pending::<()>().await;
        }
    }
}

/// One of them, given up when it is dropped.
struct Waiting<'a>(&'a Slow);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Outbound for Surroundings {
    async fn fetch(&self, _: &CallContext, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| OutboundError::Network(error.to_string()))?.to_bytes();
        self.slow.answer(head.uri.path()).await;
        self.origin
            .as_ref()
            .and_then(|origin| origin(head, body))
            .ok_or_else(|| OutboundError::Network("connection refused".to_owned()))
    }

    async fn service(
        &self,
        _: &CallContext,
        target: &Arc<ServiceTarget>,
        request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| OutboundError::Network(error.to_string()))?.to_bytes();
        self.slow.answer(head.uri.path()).await;
        let text = format!("{} {} {} {}", target.binding, head.method, head.uri, String::from_utf8_lossy(&body));
        Ok(Response::builder().status(203).header("x-service", "yes").body(whole(text)).unwrap())
    }

    async fn kv(&self, _: &CallContext, _: &NamespaceId, call: KvCall) -> Result<KvReply, KvError> {
        let mut kv = self.kv.lock().unwrap();
        Ok(match call {
            KvCall::Get { keys, .. } => KvReply::Entries(keys.iter().map(|key| kv.get(key).cloned()).collect()),
            KvCall::Put { key, put } => {
                let entry = KvEntry { value: put.value, metadata: put.metadata, expiration: put.expiration };
                kv.insert(key, entry);
                KvReply::Done
            }
            KvCall::Delete { key } => {
                kv.remove(&key);
                KvReply::Done
            }
            KvCall::Increment { .. } => {
                return Err(KvError::Unavailable { reason: "JavaScript has no increment".to_owned() });
            }
            KvCall::List(options) => {
                let after = options.cursor.unwrap_or_default();
                let limit = options.limit.unwrap_or(1000);
                let mut keys: Vec<KvKey> = kv
                    .iter()
                    .filter(|(name, _)| name.starts_with(&options.prefix) && **name > after)
                    .map(|(name, entry)| KvKey {
                        name: name.clone(),
                        expiration: entry.expiration,
                        metadata: entry.metadata.clone(),
                    })
                    .collect();
                let cursor = (keys.len() > limit).then(|| keys[limit - 1].name.clone());
                keys.truncate(limit);
                KvReply::Page(KvPage { keys, cursor })
            }
        })
    }

    fn log(&self, _: &CallContext, record: LogRecord) {
        self.log.lock().unwrap().push(record);
    }
}

/// One worker, its isolates and its surroundings.
pub(crate) struct Stage {
    runtime: Runtime,
    worker: Arc<WorkerSpec>,
    surroundings: Arc<Surroundings>,
}

impl Stage {
    /// The worker with all routes.
    pub(crate) fn routes() -> Self {
        Self::with_origin(None)
    }

    pub(crate) fn with_origin(origin: Option<Origin>) -> Self {
        Self::build(include_str!("../../js/tests/requests/worker.js"), Syntax::Modules, origin)
    }

    pub(crate) fn of(source: &str, syntax: Syntax) -> Self {
        Self::build(source, syntax, None)
    }

    pub(crate) fn of_with_origin(source: &str, origin: Origin) -> Self {
        Self::build(source, Syntax::Modules, Some(origin))
    }

    fn build(source: &str, syntax: Syntax, origin: Option<Origin>) -> Self {
        let mut spec = support::spec(&[("index.js", source)]);
        let mut code = (*spec.code).clone();
        code.syntax = syntax;
        spec.code = Arc::new(code);
        spec.env = vec![
            ("TEXT".to_owned(), EnvValue::Text("hello".to_owned())),
            ("JSON".to_owned(), EnvValue::Json(r#"{"a":[1]}"#.to_owned())),
            ("SECRET".to_owned(), EnvValue::Secret("hidden".to_owned())),
            ("KV".to_owned(), EnvValue::Kv(NamespaceId::new("0123456789abcdef0123456789abcdef").unwrap())),
            (
                "SERVICE".to_owned(),
                EnvValue::Service(Arc::new(ServiceTarget {
                    binding: "SERVICE".to_owned(),
                    service: ServiceName::new("other").unwrap(),
                    environment: None,
                    entrypoint: None,
                    props: None,
                })),
            ),
        ];
        let surroundings = Arc::new(Surroundings { origin, ..Surroundings::default() });
        Self { runtime: support::runtime(), worker: Arc::new(spec), surroundings }
    }

    async fn call(&self, event: Event) -> Result<Outcome, WorkerError> {
        let context = CallContext {
            request_id: "0123456789abcdef0123456789abcdef".into(),
            worker: self.worker.key.clone(),
            depth: 0,
            invocations: Arc::default(),
            subrequests: Arc::default(),
            version_overrides: None,
            outbound: Arc::clone(&self.surroundings) as _,
        };
        let call = self.runtime.call(&self.worker, event, context);
        tokio::time::timeout(std::time::Duration::from_secs(60), call).await.expect("an answer within a minute")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, WorkerError> {
        match self.call(Event::Fetch(request)).await? {
            Outcome::Response(response) => Ok(response),
            Outcome::Done => panic!("a fetch ended without a response"),
        }
    }

    pub(crate) async fn schedule(&self, cron: &str) -> Result<(), WorkerError> {
        let event = Event::Scheduled { cron: cron.to_owned(), scheduled_time_ms: 5 };
        self.call(event).await.map(|_| ())
    }

    /// The text that `GET /route` answers.
    pub(crate) async fn text(&self, route: &str) -> String {
        self.text_of(request(route, &[], Bytes::new())).await
    }

    /// The text that `GET /route` with the header `x-test` answers.
    pub(crate) async fn text_for(&self, route: &str, x_test: &str) -> String {
        self.text_of(request(route, &[("x-test", x_test)], Bytes::new())).await
    }

    /// The text that `POST /route` answers.
    pub(crate) async fn post(&self, route: &str, body: &str) -> String {
        let mut request = request(route, &[], Bytes::copy_from_slice(body.as_bytes()));
        *request.method_mut() = http::Method::POST;
        self.text_of(request).await
    }

    pub(crate) async fn text_of(&self, request: Request<Body>) -> String {
        match self.send(request).await {
            Ok(response) => support::read(response).await,
            Err(error) => panic!("{error:?}; log: {:?}", self.messages()),
        }
    }

    /// How `GET /route` fails: the message and the stack.
    pub(crate) async fn failure(&self, route: &str) -> (String, String) {
        match self.send(request(route, &[], Bytes::new())).await {
            Err(WorkerError::Exception { message, stack }) => (message, stack),
            Err(other) => panic!("not an exception: {other}"),
            Ok(response) => panic!("answered {}", response.status()),
        }
    }

    /// Puts a value into KV.
    pub(crate) fn put(&self, key: &str, value: Bytes) {
        let entry = KvEntry { value, metadata: None, expiration: None };
        self.surroundings.kv.lock().unwrap().insert(key.to_owned(), entry);
    }

    /// Linear memory of the worker's isolate, once it has nothing to do.
    pub(crate) async fn memory_bytes(&self) -> usize {
        support::eventually("the events are over", || self.runtime.stats().events == 0).await;
        self.runtime.stats().memory_bytes
    }

    /// Waits until so many requests for `/slow` have begun.
    pub(crate) async fn slow_began(&self, count: usize) {
        support::eventually("a slow request", || self.surroundings.slow.began.load(Ordering::SeqCst) >= count).await;
    }

    /// Waits until so many requests for `/slow` are given up.
    pub(crate) async fn slow_given_up(&self, count: usize) {
        support::eventually("one given up", || self.surroundings.slow.given_up.load(Ordering::SeqCst) >= count).await;
    }

    /// Requests for `/slow` that are given up.
    pub(crate) fn slow_are_given_up(&self) -> usize {
        self.surroundings.slow.given_up.load(Ordering::SeqCst)
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.surroundings.log.lock().unwrap().iter().map(|record| record.message.clone()).collect()
    }

    pub(crate) fn records(&self) -> Vec<LogRecord> {
        self.surroundings.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log.
    pub(crate) async fn logs(&self, message: &str) {
        support::eventually(message, || self.messages().iter().any(|line| line == message)).await;
    }

    /// Waits for an exception in the log.
    pub(crate) async fn reports(&self, message: &str) {
        support::eventually(message, || {
            self.records().iter().any(|record| record.level == LogLevel::Exception && record.message == message)
        })
        .await;
    }
}

/// `GET /route`.
pub(crate) fn request(route: &str, headers: &[(&str, &str)], body: Bytes) -> Request<Body> {
    let mut builder = Request::get(format!("http://test.workers.localhost/{route}"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(whole(body)).unwrap()
}

/// A body of one piece.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of several pieces, whose length nobody knows beforehand.
pub(crate) fn pieces(pieces: &'static [&'static str]) -> Body {
    let frames =
        pieces.iter().map(|piece| Ok::<_, BodyError>(http_body::Frame::data(Bytes::from_static(piece.as_bytes()))));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}
