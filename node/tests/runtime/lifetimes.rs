//! What belongs to an event goes with it, on both sides of the crossing.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use skerry_node::{
    bindings::outbound::{LogLevel, SocketMessage},
    runtime::{
        websocket::{self, Accepted, Ends},
        worker::{Body, BodyError, WorkerError, WorkerSpec},
    },
};
use tokio::sync::mpsc;

use crate::support::{Answer, World, eventually, fetch, get, impatient, post, read, runtime, spec, text, worker};

type Chunks = mpsc::Sender<Result<Bytes, BodyError>>;

/// A body that goes on for as long as the sender lives.
fn endless() -> (Chunks, Body) {
    let (sender, chunks) = mpsc::channel(1);
    let stream =
        futures_util::stream::unfold(chunks, |mut chunks: mpsc::Receiver<Result<Bytes, BodyError>>| async move {
            let chunk = chunks.recv().await?;
            Some((chunk.map(http_body::Frame::data), chunks))
        });
    (sender, StreamBody::new(stream).boxed_unsync())
}

/// Waits until nobody holds the body any more.
async fn released(sender: &Chunks) {
    tokio::time::timeout(Duration::from_secs(30), sender.closed()).await.expect("the body is let go of");
}

/// A world that answers every request with a body that never ends, of which `first` is there.
fn world_of_streams(first: &'static [u8]) -> (Arc<World>, Arc<Mutex<Vec<Chunks>>>) {
    let senders = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&senders);
    let answer = move |_: Request<Body>| {
        let (sender, body) = endless();
        if !first.is_empty() {
            sender.try_send(Ok(Bytes::from_static(first))).unwrap();
        }
        kept.lock().unwrap().push(sender);
        Answer::Now(Ok(Response::new(body)))
    };
    (Arc::new(World { answer: Some(Box::new(answer)), ..World::default() }), senders)
}

fn with_memory(source: &str, megabytes: usize) -> WorkerSpec {
    let mut spec = spec(&[("index.js", source)]);
    spec.limits.memory_bytes = megabytes << 20;
    spec
}

#[tokio::test]
async fn a_request_body_that_nobody_reads_is_let_go() {
    let runtime = runtime();
    let worker = worker("export default { fetch() { return new Response('ignored') } }");
    let (sender, body) = endless();
    let request = post("/", "").map(|_| body);
    let response = fetch(&runtime, &worker, &Arc::default(), request).await.unwrap();
    assert_eq!(read(response).await, "ignored");
    released(&sender).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_or_that_are_being_read_are_let_go() {
    let runtime = runtime();
    let (world, senders) = world_of_streams(b"");
    let worker = worker(
        "export default { async fetch() {
           await fetch('https://example.com/unread');
           const response = await fetch('https://example.com/read');
           response.body.getReader().read();
           return new Response('done');
         } }",
    );
    let response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(read(response).await, "done");
    let senders = std::mem::take(&mut *senders.lock().unwrap());
    assert_eq!(senders.len(), 2);
    for sender in &senders {
        released(sender).await;
    }
}

#[tokio::test]
async fn the_body_of_an_outgoing_request_breaks_with_its_event() {
    let runtime = runtime();
    let (sender, mut uploads) = mpsc::channel(1);
    let answer = move |request: Request<Body>| {
        sender.try_send(request.into_body()).unwrap();
        Answer::Never
    };
    let world = Arc::new(World { answer: Some(Box::new(answer)), ..World::default() });
    let worker = worker(
        "export default { fetch() {
           const { readable } = new IdentityTransformStream();
           fetch('https://example.com', { method: 'POST', body: readable });
           return new Promise((resolve) => setTimeout(() => resolve(new Response('done')), 1));
         } }",
    );
    let response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(read(response).await, "done");
    let upload = uploads.recv().await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(30), upload.collect()).await.expect("the body ends");
    assert!(end.is_err(), "a body that was cut off must not look whole");
}

#[tokio::test]
async fn a_signal_cuts_an_answers_body_off() {
    let runtime = runtime();
    let (world, senders) = world_of_streams(b"first");
    let worker = worker(
        "export default { async fetch() {
           const controller = new AbortController();
           const response = await fetch('https://example.com', { signal: controller.signal });
           const reader = response.body.getReader();
           await reader.read();
           const [next, reason] = [reader.read(), new Error('enough')];
           controller.abort(reason);
           const got = await next.catch((error) => error);
           const later = await reader.read().catch((error) => error);
           console.log(`${got === reason} ${later === reason}`);
           await scheduler.wait(600_000);
         } }",
    );
    let call = fetch(&runtime, &worker, &world, get("/"));
    tokio::pin!(call);
    tokio::select! {
        _ = &mut call => panic!("the handler answered"),
        () = eventually("the read has failed", || !world.messages().is_empty()) => {}
    }
    assert_eq!(world.messages(), ["true true"]);
    let sender = senders.lock().unwrap().pop().unwrap();
    // The event goes on: it is the signal that has let go of the body.
    released(&sender).await;
}

#[tokio::test]
async fn timers_that_nobody_waits_for_take_no_memory() {
    let runtime = runtime();
    let source = "export default { fetch() { setTimeout(() => {}, 600_000, new Uint8Array(1 << 20)); return new Response('x') } }";
    let worker = Arc::new(with_memory(source, 32));
    for _ in 0..60 {
        assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "x");
    }
}

#[tokio::test]
async fn events_that_the_host_ends_take_no_memory() {
    let runtime = runtime();
    let mut spec = with_memory(
        "export default { async fetch() {
           const kept = new Uint8Array(1 << 20);
           await scheduler.wait(600_000);
           return new Response(kept.length);
         } }",
        48,
    );
    spec.limits.wall = Duration::from_millis(1);
    let worker = Arc::new(spec);
    for _ in 0..3 {
        let calls = (0..20).map(|_| text(&runtime, &worker, "/"));
        for answer in futures_util::future::join_all(calls).await {
            assert!(matches!(answer, Err(WorkerError::WallLimit { .. })), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn sockets_that_nobody_accepts_take_no_memory() {
    let runtime = runtime();
    let ends: Arc<Mutex<Vec<Ends>>> = Arc::default();
    let kept = Arc::clone(&ends);
    let answer = move |_: Request<Body>| {
        let (ours, theirs) = websocket::pair();
        kept.lock().unwrap().push(ours);
        let (_, body) = endless();
        Answer::Now(Ok(Response::builder().status(101).extension(Accepted::new(theirs)).body(body).unwrap()))
    };
    let world = Arc::new(World { answer: Some(Box::new(answer)), ..World::default() });
    let source = "export default { async fetch() {
        const response = await fetch('https://example.com', { headers: { upgrade: 'websocket' } });
        response.webSocket.kept = new Uint8Array(1 << 20);
        return new Response('x');
    } }";
    let worker = Arc::new(with_memory(source, 32));
    for _ in 0..60 {
        assert_eq!(read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await, "x");
    }
}

#[tokio::test]
async fn compressors_are_bounded_and_go_with_their_event() {
    let runtime = runtime();
    let worker = worker(
        "const kept = [];
         export default { fetch(request) {
           const count = Number(new URL(request.url).pathname.slice(1));
           try { for (let i = 0; i < count; i++) kept.push(new CompressionStream('gzip')) } catch (e) { return new Response(e.message) }
           return new Response('made');
         } }",
    );
    for _ in 0..3 {
        assert_eq!(text(&runtime, &worker, "/200").await.unwrap(), "made");
    }
    assert!(text(&runtime, &worker, "/300").await.unwrap().starts_with("Too many"));
}

#[tokio::test]
async fn wait_until_is_bounded_after_a_streamed_answer() {
    let runtime = impatient();
    let world = Arc::new(World::default());
    let worker = worker(
        "export default { fetch(request, env, ctx) {
           ctx.waitUntil(scheduler.wait(600_000));
           let left = 3;
           return new Response(new ReadableStream({ pull(c) { if (left-- > 0) c.enqueue(new Uint8Array(1)); else c.close() } }));
         } }",
    );
    read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await;
    eventually("the event is over", || runtime.stats().events == 0).await;
    assert!(world.messages().iter().any(|line| line.starts_with("waitUntil() tasks did not complete")));
}

#[tokio::test]
async fn wait_until_is_bounded_after_an_answer_that_was_read_to_its_announced_length() {
    let runtime = impatient();
    let worker = worker(
        "export default { fetch(request, env, ctx) {
           ctx.waitUntil(scheduler.wait(600_000));
           const stream = new ReadableStream({ start(c) { c.enqueue(new Uint8Array(4)) } });
           return new Response(stream, { headers: { 'content-length': '4' } });
         } }",
    );
    let mut response = fetch(&runtime, &worker, &Arc::default(), get("/")).await.unwrap();
    assert_eq!(response.headers()["content-length"], "4");
    let piece = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(piece.into_data().unwrap().len(), 4);
    // As a connection does: the worker has not ended its stream, and there is nothing left to ask it for.
    drop(response);
    eventually("the event is over", || runtime.stats().events == 0).await;
}

#[tokio::test]
async fn wait_until_is_bounded_after_a_socket_was_closed() {
    let runtime = impatient();
    let worker = worker(
        "export default { fetch(request, env, ctx) {
           ctx.waitUntil(scheduler.wait(600_000));
           const [client, server] = Object.values(new WebSocketPair());
           server.accept();
           return new Response(null, { status: 101, webSocket: client });
         } }",
    );
    let mut response = fetch(&runtime, &worker, &Arc::default(), get("/")).await.unwrap();
    let mut ends = response.extensions_mut().remove::<Accepted>().unwrap().take().unwrap();
    ends.outgoing.send(SocketMessage::Close { code: 1000, reason: String::new() }).await.unwrap();
    assert!(matches!(ends.incoming.recv().await, Some(SocketMessage::Close { .. })), "the close is answered");
    eventually("the event is over", || runtime.stats().events == 0).await;
}

#[tokio::test]
async fn a_reader_that_goes_away_cancels_the_stream_and_is_no_exception() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = worker(
        "export default { fetch() {
           return new Response(new ReadableStream({
             async pull(c) { c.enqueue(new Uint8Array(10)); await scheduler.wait(1) },
             cancel(reason) { console.log('cancelled: ' + reason.name) },
           }));
         } }",
    );
    let mut response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    eventually("the event is over", || runtime.stats().events == 0).await;
    assert_eq!(world.messages(), ["cancelled: AbortError"]);
}

#[tokio::test]
async fn what_fails_when_nobody_waits_any_more_is_logged() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let mut spec = spec(&[(
        "index.js",
        "export default { async fetch(request, env, ctx) {
           if (request.url.endsWith('/loop')) {
             ctx.waitUntil((async () => { await scheduler.wait(1); for (;;); })());
             return new Response('looping');
           }
           console.log('began');
           await scheduler.wait(20);
           throw new RangeError('too late');
         } }",
    )]);
    spec.limits.cpu = Duration::from_millis(50);
    let worker = Arc::new(spec);
    let exceptions = || -> Vec<String> {
        let log = world.log.lock().unwrap();
        log.iter().filter(|record| record.level == LogLevel::Exception).map(|record| record.message.clone()).collect()
    };
    {
        let call = fetch(&runtime, &worker, &world, get("/throw"));
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("the handler answered"),
            () = eventually("the handler has begun", || !world.messages().is_empty()) => {}
        }
    }
    eventually("the exception is logged", || exceptions() == ["RangeError: too late"]).await;
    assert_eq!(read(fetch(&runtime, &worker, &world, get("/loop")).await.unwrap()).await, "looping");
    eventually("the limit is logged", || exceptions().len() == 2).await;
    assert!(exceptions()[1].contains("CPU time limit of 50 ms"), "{:?}", exceptions());
}
