//! Bodies in both directions, WebSockets, and many requests in one isolate.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use skerry_node::{
    bindings::outbound::SocketMessage,
    runtime::{websocket::Accepted, worker::BodyError},
};
use tokio::sync::mpsc;

use crate::support::{Answer, World, eventually, fetch, get, post, read, runtime, worker};

fn body_of(chunks: mpsc::Receiver<Result<Bytes, BodyError>>) -> skerry_node::runtime::worker::Body {
    let stream = futures_util::stream::unfold(chunks, |mut chunks| async move {
        let chunk = chunks.recv().await?;
        Some((chunk.map(http_body::Frame::data), chunks))
    });
    StreamBody::new(stream).boxed_unsync()
}

#[tokio::test]
async fn bodies_go_both_ways() {
    let runtime = runtime();
    let world = Arc::default();
    let worker = worker("export default { async fetch(r) { return new Response((await r.text()).toUpperCase()) } }");
    let small = fetch(&runtime, &worker, &world, post("/", "hello")).await.unwrap();
    assert_eq!(read(small).await, "HELLO");
    let large = fetch(&runtime, &worker, &world, post("/", "x".repeat(1 << 20))).await.unwrap();
    assert_eq!(read(large).await, "X".repeat(1 << 20));
}

#[tokio::test]
async fn a_streamed_body_passes_through_a_transform_piece_by_piece() {
    let runtime = runtime();
    let worker = worker(
        "export default { fetch(r) {
           const up = new TransformStream({ transform(chunk, c) { c.enqueue(new TextDecoder().decode(chunk).toUpperCase()) } });
           return new Response(r.body.pipeThrough(up).pipeThrough(new TextEncoderStream()));
         } }",
    );
    let (sender, chunks) = mpsc::channel(1);
    let (mut parts, _) = post("/", "").into_parts();
    parts.headers.clear();
    let request = http::Request::from_parts(parts, body_of(chunks));
    let world = Arc::default();
    let mut response = fetch(&runtime, &worker, &world, request).await.unwrap();
    for piece in ["one ", "two ", "three"] {
        sender.send(Ok(Bytes::from(piece))).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece.to_uppercase());
    }
    drop(sender);
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn a_body_that_breaks_half_way_breaks_the_answer() {
    let runtime = runtime();
    let worker = worker(
        "export default { fetch() {
           let n = 0;
           return new Response(new ReadableStream({ async pull(c) { if (n++ === 3) throw new Error('half way'); c.enqueue(new TextEncoder().encode('x')) } }));
         } }",
    );
    let response = fetch(&runtime, &worker, &Arc::default(), get("/")).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_reader_that_is_slow_holds_the_worker_back() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = worker(
        "let made = 0;
         export default { async fetch(r) {
           if (r.url.endsWith('/made')) { await scheduler.wait(0); return new Response(made) }
           return new Response(new ReadableStream({ async pull(c) { made++; c.enqueue(new Uint8Array(1000)); await scheduler.wait(0) } }));
         } }",
    );
    let response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    let made =
        async || -> u32 { read(fetch(&runtime, &worker, &world, get("/made")).await.unwrap()).await.parse().unwrap() };
    // The pipe is filled, and then nothing more is made, however often the stream gets its turn: each question waits for a
    // timer as the stream does.
    let filled = async { while made().await < 8 {} };
    tokio::time::timeout(Duration::from_secs(60), filled).await.expect("the pipe is filled");
    for _ in 0..200 {
        made().await;
    }
    let made = made().await;
    assert!(made < 50, "{made} chunks were made for a reader that takes none");
    drop(response);
}

#[tokio::test]
async fn an_upstream_answer_can_be_handed_on() {
    let runtime = runtime();
    let world = Arc::new(World {
        answer: Some(Box::new(|request| {
            assert_eq!(request.headers()["x-test"], "1");
            let body =
                http_body_util::Full::new(Bytes::from("upstream")).map_err(|never| match never {}).boxed_unsync();
            Answer::Now(Ok(Response::builder().status(203).header("x-up", "yes").body(body).unwrap()))
        })),
        ..World::default()
    });
    let worker = worker(
        "export default { fetch() { return fetch('https://example.com/a?b=c#d', { headers: { 'x-test': '1' } }) } }",
    );
    let response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(response.status(), 203);
    assert_eq!(response.headers()["x-up"], "yes");
    assert_eq!(read(response).await, "upstream");
}

#[tokio::test]
async fn many_requests_share_one_isolate_and_keep_their_contexts() {
    let runtime = runtime();
    let worker = worker(
        "let open = 0, most = 0;
         export default { async fetch(request) {
           open++; most = Math.max(most, open);
           const id = new URL(request.url).pathname;
           for (let i = 0; i < 5; i++) { await scheduler.wait(1 + Math.random() * 5); console.log(id); }
           open--;
           return Response.json([id, most]);
         } }",
    );
    let worlds: Vec<Arc<World>> = (0..20).map(|_| Arc::default()).collect();
    let calls = worlds.iter().enumerate().map(|(n, world)| {
        let (runtime, worker) = (&runtime, &worker);
        async move { read(fetch(runtime, worker, world, get(&format!("/{n}"))).await.unwrap()).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().any(|answer| answer.ends_with(",20]")), "they were not in the isolate at once: {answers:?}");
    for (n, world) in worlds.iter().enumerate() {
        assert_eq!(world.messages(), vec![format!("/{n}"); 5], "each line is logged for its own request");
    }
    assert_eq!(runtime.stats().isolates, 1);
}

#[tokio::test]
async fn a_websocket_goes_both_ways_until_it_is_closed() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = worker(
        "export default { fetch() {
           const [client, server] = Object.values(new WebSocketPair());
           server.accept();
           server.send('welcome');
           server.addEventListener('message', (e) => server.send('echo ' + (typeof e.data === 'string' ? e.data : e.data.byteLength)));
           server.addEventListener('close', (e) => { console.log('closed ' + e.code); server.close(1000, 'bye') });
           return new Response(null, { status: 101, webSocket: client });
         } }",
    );
    let mut response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut ends = response.extensions_mut().remove::<Accepted>().unwrap().take().unwrap();
    let text = |text: &str| SocketMessage::Text(text.to_owned());
    assert_eq!(ends.incoming.recv().await, Some(text("welcome")));
    ends.outgoing.send(text("hi")).await.unwrap();
    assert_eq!(ends.incoming.recv().await, Some(text("echo hi")));
    ends.outgoing.send(SocketMessage::Binary(Bytes::from_static(b"123"))).await.unwrap();
    assert_eq!(ends.incoming.recv().await, Some(text("echo 3")));
    ends.outgoing.send(SocketMessage::Close { code: 1001, reason: String::new() }).await.unwrap();
    assert!(matches!(ends.incoming.recv().await, Some(SocketMessage::Close { .. })));
    eventually("the close event", || world.messages().iter().any(|m| m == "closed 1001")).await;
    eventually("the event is over", || runtime.stats().events == 0).await;
}

#[tokio::test]
async fn events_end_and_contexts_are_dropped() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker =
        worker("export default { fetch(r, e, ctx) { ctx.waitUntil(scheduler.wait(5)); return new Response('x') } }");
    assert_eq!(read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await, "x");
    eventually("the event is over", || runtime.stats().events == 0).await;
    // One here; the isolate keeps one for what happens outside requests.
    eventually("the request's context is gone", || Arc::strong_count(&world) <= 2).await;
}
