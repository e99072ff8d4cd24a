//! The host's own mistakes, and workers that look for them: one isolate may be lost, nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use skerry_control::kv::KvError;
use skerry_node::{
    bindings::outbound::{CallContext, KvCall, KvReply, LogRecord, Outbound, OutboundError, SocketMessage},
    runtime::{
        Runtime,
        websocket::Accepted,
        worker::{Body, EnvValue, Event, Outcome, ServiceTarget, WorkerError, WorkerSpec},
    },
};
use skerry_proto::id::NamespaceId;

use crate::support::{World, config, context, env, eventually, fetch, get, read, runtime, spec, text, worker};

/// A door with a mistake in it: it panics when it is to log a line.
struct Broken;

#[async_trait::async_trait]
impl Outbound for Broken {
    async fn fetch(&self, _: &CallContext, _: Request<Body>) -> Result<Response<Body>, OutboundError> {
        panic!("a mistake in fetch")
    }

    async fn service(
        &self,
        _: &CallContext,
        _: &Arc<ServiceTarget>,
        _: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        panic!("a mistake in service")
    }

    async fn kv(&self, _: &CallContext, _: &NamespaceId, _: KvCall) -> Result<KvReply, KvError> {
        panic!("a mistake in kv")
    }

    fn log(&self, _: &CallContext, _: LogRecord) {
        panic!("a mistake in log")
    }
}

async fn through_broken_door(runtime: &Runtime, worker: &Arc<WorkerSpec>, path: &str) -> Result<String, WorkerError> {
    let context = CallContext { outbound: Arc::new(Broken), ..context(worker, &Arc::default()) };
    let call = runtime.call(worker, Event::Fetch(get(path)), context);
    match tokio::time::timeout(Duration::from_secs(60), call).await.expect("an answer in time")? {
        Outcome::Response(response) => Ok(read(response).await),
        Outcome::Done => panic!("a fetch ended without a response"),
    }
}

#[tokio::test]
async fn a_panic_costs_one_isolate_and_no_thread() {
    let mut config = config();
    config.heavy_threads = 1;
    let runtime = Runtime::build(config).unwrap();
    let worker = worker(
        "let n = 0;
         export default { async fetch(request) {
           n += 1;
           const { pathname } = new URL(request.url);
           if (pathname === '/long') for (let i = 0; i < 3e6; i++);
           if (pathname === '/fetch') await fetch('https://example.com');
           if (pathname !== '/') console.log('line');
           return new Response(n);
         } }",
    );
    for path in ["/line", "/fetch", "/long", "/long"] {
        let answer = through_broken_door(&runtime, &worker, path).await;
        assert!(matches!(answer, Err(WorkerError::Reset { .. })), "{path}: {answer:?}");
        assert_eq!(through_broken_door(&runtime, &worker, "/").await.unwrap(), "1", "a new isolate after {path}");
    }
}

#[tokio::test]
async fn headers_past_the_bounds_are_an_exception_of_the_worker() {
    let runtime = runtime();
    // Few bytes in more headers than a map takes, and many bytes.
    for (count, value) in [(25_000, ""), (100, "x".repeat(2000).as_str())] {
        let worker = worker(&format!(
            "export default {{ fetch() {{
               const headers = [];
               for (let i = 0; i < {count}; i++) headers.push([(i + 46656).toString(36).slice(1), '{value}']);
               return new Response('', {{ headers }});
             }} }}"
        ));
        let answer = text(&runtime, &worker, "/").await;
        let expected = "TypeError: The headers are larger than 128 KiB.";
        assert!(matches!(&answer, Err(WorkerError::Exception { message, .. }) if message == expected), "{answer:?}");
    }
}

/// A worker whose isolate takes one event at a time.
fn one_at_a_time(source: &str) -> WorkerSpec {
    let mut spec = spec(&[("index.js", source)]);
    spec.limits.in_flight = 1;
    spec
}

#[tokio::test]
async fn a_call_that_moved_to_another_isolate_can_be_cancelled_there() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let mut spec = one_at_a_time(
        "export default { async fetch(request) {
           console.log('began ' + new URL(request.url).pathname);
           if (request.url.endsWith('/first')) { await scheduler.wait(50); for (;;); }
           request.signal.addEventListener('abort', () => console.log('aborted'));
           await scheduler.wait(600_000);
         } }",
    );
    spec.limits.cpu = Duration::from_millis(50);
    let worker = Arc::new(spec);
    let call = |path: &'static str| {
        let (runtime, worker, world) = (runtime.clone(), Arc::clone(&worker), Arc::clone(&world));
        tokio::spawn(async move { fetch(&runtime, &worker, &world, get(path)).await.map(drop) })
    };
    let logged = |line: &'static str| world.messages().iter().any(|message| message == line);
    let first = call("/first");
    eventually("the first has begun", || logged("began /first")).await;
    let second = call("/second");
    assert!(matches!(first.await.unwrap(), Err(WorkerError::CpuLimit { .. })));
    eventually("the second has begun elsewhere", || logged("began /second")).await;
    second.abort();
    eventually("the second's signal aborts", || logged("aborted")).await;
}

#[tokio::test]
async fn calls_that_wait_for_an_isolate_are_answered_in_time_and_forgotten_with_their_callers() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let mut spec = one_at_a_time(
        "export default { fetch() {
           return new Response(new ReadableStream({ async pull(c) { c.enqueue(new Uint8Array(1)); await scheduler.wait(1) } }));
         } }",
    );
    spec.limits.wall = Duration::from_secs(1);
    let worker = Arc::new(spec);
    let streaming = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    let gone = tokio::spawn({
        let (runtime, worker, world) = (runtime.clone(), Arc::clone(&worker), Arc::clone(&world));
        async move { fetch(&runtime, &worker, &world, get("/")).await.map(drop) }
    });
    eventually("it waits", || runtime.stats().events == 2).await;
    gone.abort();
    eventually("it is forgotten", || runtime.stats().events == 1).await;
    let late = fetch(&runtime, &worker, &world, get("/")).await.map(drop);
    assert!(matches!(late, Err(WorkerError::WallLimit { limit_ms: 1000 })), "{late:?}");
    drop(streaming);
}

#[tokio::test]
async fn an_isolate_that_always_has_mail_lets_other_tasks_run() {
    let runtime = runtime();
    let mut spec = spec(&[(
        "index.js",
        "export default { async fetch(request, env) { for (let i = 0; i < 500; i++) await env.KV.get('a'); return new Response('x') } }",
    )]);
    spec.env = env("KV", EnvValue::Kv(NamespaceId::new("0123456789abcdef0123456789abcdef").unwrap()));
    let turns = Arc::new(AtomicUsize::new(0));
    let neighbour = tokio::spawn({
        let turns = Arc::clone(&turns);
        std::future::poll_fn(move |context| {
            turns.fetch_add(1, Ordering::Relaxed);
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        })
    });
    // One thread for both: the neighbour has run only if the isolate has left it.
    assert_eq!(text(&runtime, &Arc::new(spec), "/").await.unwrap(), "x");
    assert!(turns.load(Ordering::Relaxed) >= 5, "{turns:?}");
    neighbour.abort();
}

#[tokio::test]
async fn each_message_of_a_socket_has_a_cpu_budget_of_its_own() {
    let runtime = runtime();
    let mut spec = spec(&[(
        "index.js",
        "export default { fetch() {
           const [client, server] = Object.values(new WebSocketPair());
           server.accept();
           server.addEventListener('message', (e) => { for (let i = 0; i < 1e6; i++); server.send(e.data) });
           return new Response(null, { status: 101, webSocket: client });
         } }",
    )]);
    // Far more than one message takes, and less than all of them.
    spec.limits.cpu = Duration::from_millis(300);
    let mut response = fetch(&runtime, &Arc::new(spec), &Arc::default(), get("/")).await.unwrap();
    let mut ends = response.extensions_mut().remove::<Accepted>().unwrap().take().unwrap();
    for _ in 0..60 {
        let message = SocketMessage::Binary(Bytes::from_static(b"x"));
        ends.outgoing.send(message.clone()).await.unwrap();
        assert_eq!(ends.incoming.recv().await, Some(message));
    }
}

#[tokio::test]
async fn an_error_that_leaves_the_platforms_own_reaction_is_logged() {
    let mut config = config();
    config.internal_modules = true;
    let runtime = Runtime::build(config).unwrap();
    let world = Arc::new(World::default());
    let worker = worker(
        "import { host } from 'skerry:internal/host.js';
         export default { fetch() {
           host.react(1, (value) => { throw new Error('a mistake with ' + value) }, undefined);
           host.react({ then: (resolve) => resolve(2) }, (value) => { throw new Error('and with ' + value) }, undefined);
           return new Response('x');
         } }",
    );
    assert_eq!(read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await, "x");
    let messages = world.messages().join("\n");
    assert!(messages.contains("a mistake with 1") && messages.contains("and with 2"), "{messages}");
}
