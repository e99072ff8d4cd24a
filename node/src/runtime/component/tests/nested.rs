//! Components that call other workers: places for both, and bodies that are cut off on the way.

use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, join_all};
use http::{Request, Response};
use http_body_util::BodyExt;
use skerry_control::kv::KvError;
use skerry_proto::id::NamespaceId;
use tokio::{sync::mpsc, time::timeout};

use super::{
    super::ComponentRuntime,
    behaviour::{DEADLINE, cut_off},
    guest,
    world::{request, runtime, runtime_with, spec, text},
};
use crate::{
    bindings::outbound::{CallContext, KvCall, KvReply, LogRecord, Outbound, OutboundError},
    task,
    worker::{Body, Event, Limits, Outcome, ServiceTarget, WorkerError, WorkerSpec},
};

type Answer = BoxFuture<'static, Result<Response<Body>, OutboundError>>;

/// A world of one service that components can call.
struct Callee(Box<dyn Fn(CallContext, Request<Body>) -> Answer + Send + Sync>);

impl Callee {
    fn new(answer: impl Fn(CallContext, Request<Body>) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(answer)))
    }

    /// One that takes requests and never answers, and the bodies that it gets.
    fn silent() -> (Arc<Self>, mpsc::Receiver<Body>) {
        let (bodies, arrived) = mpsc::channel(1);
        let callee = Self::new(move |_cx, request| {
            let bodies = bodies.clone();
            // The body outlives the call, as it does in a worker that goes on without its caller.
            Box::pin(async move {
                bodies.send(request.into_body()).await.unwrap();
                std::future::pending().await
            })
        });
        (callee, arrived)
    }

    /// A request to `worker` that came through `depth` others.
    async fn call(
        self: &Arc<Self>,
        runtime: &ComponentRuntime,
        worker: &Arc<WorkerSpec>,
        depth: u32,
    ) -> Result<Response<Body>, WorkerError> {
        let cx = CallContext {
            request_id: "00000000000000000000000000000000".into(),
            worker: worker.key.clone(),
            depth,
            invocations: Arc::default(),
            subrequests: Arc::default(),
            version_overrides: None,
            outbound: self.clone(),
        };
        respond(runtime, worker, request("GET", "/", ""), cx).await
    }
}

async fn respond(
    runtime: &ComponentRuntime,
    worker: &Arc<WorkerSpec>,
    request: Request<Body>,
    cx: CallContext,
) -> Result<Response<Body>, WorkerError> {
    match runtime.call(worker, Event::Fetch(request), cx).await? {
        Outcome::Response(response) => Ok(response),
        Outcome::Done => panic!("a fetch is answered with a response"),
    }
}

#[async_trait::async_trait]
impl Outbound for Callee {
    async fn fetch(&self, _: &CallContext, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Refused(format!("{} is not allowed", request.uri())))
    }

    async fn service(
        &self,
        cx: &CallContext,
        _: &Arc<ServiceTarget>,
        request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        (self.0)(CallContext { depth: cx.depth + 1, ..cx.clone() }, request).await
    }

    async fn kv(&self, _: &CallContext, _: &NamespaceId, _: KvCall) -> Result<KvReply, KvError> {
        Err(KvError::Invalid { status: 404, message: "there is no KV here".to_owned() })
    }

    fn log(&self, _: &CallContext, _: LogRecord) {}
}

/// A worker that is compiled in `runtime`, with CPU time to spare.
async fn ready(runtime: &ComponentRuntime, body: &str) -> Arc<WorkerSpec> {
    let limits = Limits { cpu: std::time::Duration::from_secs(30), ..Limits::default() };
    let worker = spec(guest::component(body), limits);
    runtime.prepare(&worker).await.unwrap();
    worker
}

#[tokio::test]
async fn components_that_wait_for_others_do_not_keep_them_from_running() {
    // Three of its four places are for one account.
    let runtime = runtime_with(|_config| {});
    let caller = ready(&runtime, guest::CALL_THEN_ANSWER).await;
    let callee = ready(&runtime, guest::HELLO).await;
    let refused: Arc<Mutex<Vec<WorkerError>>> = Arc::default();
    let world = Callee::new({
        let (runtime, refused) = (runtime.clone(), refused.clone());
        move |cx, request| {
            let (runtime, callee, refused) = (runtime.clone(), callee.clone(), refused.clone());
            Box::pin(async move {
                let answered = respond(&runtime, &callee, request, cx).await;
                answered.map_err(|error| {
                    let message = error.to_string();
                    refused.lock().unwrap().push(error);
                    OutboundError::Worker(message)
                })
            })
        }
    });
    let calls = join_all((0..6).map(|_| async { text(world.call(&runtime, &caller, 0).await.unwrap()).await }));
    let answers = timeout(DEADLINE, calls).await.expect("nobody waits until the wall limit");
    assert!(answers.iter().all(|answer| answer == "hello, wasi!\n"), "{answers:?}");
    let refused = refused.lock().unwrap();
    assert!(refused.len() >= 3, "the first three callers have all the places: {refused:?}");
    assert!(refused.iter().all(|error| matches!(error, WorkerError::Overloaded)), "{refused:?}");
}

#[tokio::test]
async fn an_account_leaves_a_quarter_of_the_places_to_others() {
    let runtime = runtime_with(|_config| {});
    let (world, _arrived) = Callee::silent();
    let greedy = ready(&runtime, guest::STREAM_FOR_EVER).await;
    let answers = join_all((0..3).map(|_| world.call(&runtime, &greedy, 0))).await;
    assert!(answers.iter().all(Result::is_ok), "{:?}", answers.iter().find(|answer| answer.is_err()));
    let error = world.call(&runtime, &greedy, 1).await.unwrap_err();
    assert!(matches!(error, WorkerError::Overloaded), "{error:?}");

    let mut other = Arc::into_inner(spec(guest::component(guest::HELLO), Limits::default())).unwrap();
    other.key.account = "fedcba9876543210fedcba9876543210".parse().unwrap();
    let answer = timeout(DEADLINE, world.call(&runtime, &Arc::new(other), 0)).await.unwrap().unwrap();
    assert_eq!(text(answer).await, "hello, wasi!\n");
    drop(answers);
}

#[tokio::test]
async fn an_upload_is_cut_off_when_the_client_leaves_before_the_answer() {
    let (world, mut arrived) = Callee::silent();
    let uploading = ready(&runtime(), guest::UPLOAD_FOR_EVER).await;
    let client = task::spawn("client", async move { world.call(&runtime(), &uploading, 0).await });
    let mut body = arrived.recv().await.unwrap();
    body.frame().await.unwrap().unwrap();
    client.abort();
    let (_seen, reason) = timeout(DEADLINE, cut_off(body)).await.unwrap();
    assert!(reason.contains("the worker was stopped"), "{reason}");
}

#[tokio::test]
async fn an_upload_is_cut_off_when_the_client_leaves_the_answer() {
    let (world, mut arrived) = Callee::silent();
    let uploading = ready(&runtime(), guest::UPLOAD_FOR_EVER_AFTER_A_CHUNK).await;
    let mut answer = world.call(&runtime(), &uploading, 0).await.unwrap().into_body();
    answer.frame().await.unwrap().unwrap();
    let mut body = arrived.recv().await.unwrap();
    body.frame().await.unwrap().unwrap();
    drop(answer);
    let (_seen, reason) = timeout(DEADLINE, cut_off(body)).await.unwrap();
    assert!(reason.contains("the worker was stopped"), "{reason}");
}

#[tokio::test]
async fn an_upload_that_its_component_finishes_is_whole() {
    let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
    let world = Callee::new({
        let bodies = bodies.clone();
        move |_cx, request| {
            let bodies = bodies.clone();
            Box::pin(async move {
                let body = text(Response::new(request.into_body())).await;
                bodies.lock().unwrap().push(body);
                Err(OutboundError::Network("it says nothing".to_owned()))
            })
        }
    });
    let uploading = ready(&runtime(), guest::UPLOAD_THEN_ANSWER).await;
    let answer = world.call(&runtime(), &uploading, 0).await.unwrap();
    assert_eq!(text(answer).await, "hello, wasi!\n");
    assert_eq!(*bodies.lock().unwrap(), ["hello, wasi!\n"]);
}
