//! Bodies piece by piece: several go in one turn of the isolate, and nobody can tell.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use skerry_node::{
    bindings::outbound::OutboundError,
    runtime::worker::{Body, BodyError},
};

use crate::support::{Answer, World, eventually, fetch, get, post, read, runtime, worker};

/// A body of these pieces, which have all arrived.
fn pieces(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    StreamBody::new(futures_util::stream::iter(frames)).map_err(|never| match never {}).boxed_unsync()
}

fn upload(body: Body) -> Request<Body> {
    let (mut parts, _) = post("/", "").into_parts();
    parts.headers.clear();
    Request::from_parts(parts, body)
}

#[tokio::test]
async fn a_body_that_never_ends_leaves_turns_to_others() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = worker(
        "export default { async fetch(request) {
           if (request.method === 'GET') return new Response('here');
           const before = Date.now();
           let late = false, pieces = 0;
           setTimeout(() => { late = true }, 20);
           for await (const piece of request.body) {
             pieces++;
             if (late) return new Response(Date.now() - before >= 20 && pieces > 16 ? 'in time' : 'too early');
           }
         } }",
    );
    let endless = upload(pieces(std::iter::repeat_with(|| Bytes::from_static(b"piece"))));
    let reading = fetch(&runtime, &worker, &world, endless);
    let (long, short) = tokio::join!(reading, async { fetch(&runtime, &worker, &world, get("/")).await });
    assert_eq!(read(long.unwrap()).await, "in time");
    assert_eq!(read(short.unwrap()).await, "here");
}

#[tokio::test]
async fn what_is_enqueued_and_closed_after_the_reader_went_throws_nothing() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = worker(
        "export default { fetch(request, env, ctx) {
           const gone = new Promise((resolve) => request.signal.addEventListener('abort', resolve));
           // Something must be able to happen, or the host ends the event.
           const beat = setInterval(() => {}, 5);
           ctx.waitUntil(gone.then(async () => {
             await scheduler.wait(10);
             controller.enqueue(new Uint8Array(10));
             controller.enqueue(new Uint8Array(10));
             controller.close();
             console.log('closed');
             await scheduler.wait(10);
             clearInterval(beat);
           }));
           let controller;
           const stream = new ReadableStream({ start(c) { controller = c; c.enqueue(new Uint8Array(10)) }, cancel() { console.log('canceled') } });
           return new Response(stream);
         } }",
    );
    let mut response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().len(), 10);
    drop(response);
    eventually("the event is over", || runtime.stats().events == 0).await;
    assert_eq!(world.messages(), ["closed", "canceled"]);
}

#[tokio::test]
async fn a_stream_may_end_and_fail_in_the_call_that_makes_its_last_piece() {
    let runtime = runtime();
    let worker = worker(
        "export default { fetch(request) {
           const end = request.url.endsWith('/end');
           return new Response(new ReadableStream({ pull(c) {
             c.enqueue(new TextEncoder().encode('all of it'));
             if (end) c.close(); else c.error(new Error('on purpose'));
           } }, { highWaterMark: 0 }));
         } }",
    );
    let world = Arc::default();
    let whole = fetch(&runtime, &worker, &world, get("/end")).await.unwrap();
    assert_eq!(read(whole).await, "all of it");
    let mut broken = fetch(&runtime, &worker, &world, get("/fail")).await.unwrap().into_body();
    assert_eq!(broken.frame().await.unwrap().unwrap().into_data().unwrap(), "all of it");
    assert!(broken.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn a_piece_from_another_event_goes_into_its_own_stream() {
    let runtime = runtime();
    let (world, other) = (Arc::new(World::default()), Arc::new(World::default()));
    let worker = worker(
        "let controller;
         export default { async fetch(request, env, ctx) {
           if (request.method === 'GET') {
             ctx.waitUntil(scheduler.wait(1000));
             return new Response(new ReadableStream({ start(c) { controller = c; c.enqueue(new TextEncoder().encode('mine ')) } }));
           }
           controller.enqueue(new TextEncoder().encode('theirs'));
           console.log('enqueued');
           await scheduler.wait(1);
           controller.close();
           console.log('closed');
           return new Response('done');
         } }",
    );
    let first = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    let second = fetch(&runtime, &worker, &other, post("/", "")).await.unwrap();
    assert_eq!(read(second).await, "done");
    assert_eq!(read(first).await, "mine theirs");
    assert_eq!(other.messages(), ["enqueued", "closed"], "its context is its own again");
    assert_eq!(world.messages(), [""; 0]);
}

#[tokio::test]
async fn two_branches_and_a_lent_buffer_see_every_byte() {
    let runtime = runtime();
    let worker = worker(
        "export default { async fetch(request) {
           const [one, two] = request.body.tee();
           const whole = new Response(one).text();
           const reader = two.getReader({ mode: 'byob' });
           let text = '';
           for (;;) {
             const { value, done } = await reader.readAtLeast(4, new Uint8Array(4));
             text += new TextDecoder().decode(value);
             if (done) return new Response((await whole === text) + ' ' + text);
           }
         } }",
    );
    let body = pieces(["ab", "cdefg", "h", "", "ijklmnop"].into_iter().map(Bytes::from));
    let response = fetch(&runtime, &worker, &Arc::default(), upload(body)).await.unwrap();
    assert_eq!(read(response).await, "true abcdefghijklmnop");
}

#[tokio::test]
async fn a_read_that_a_signal_cuts_off_fails_with_the_signals_reason() {
    let runtime = runtime();
    let world = Arc::new(World { answer: Some(Box::new(|_| Answer::Now(Ok(stalling())))), ..World::default() });
    let worker = worker(
        "const reasonOf = (promise) => promise.then((value) => 'fulfilled: ' + value, (reason) => reason);
         export default { async fetch() {
           const seen = [];
           for (const reason of ['stop', 5, null]) {
             const controller = new AbortController();
             const { body } = await fetch('https://example.com/', { signal: controller.signal });
             const reader = body.getReader();
             await reader.read();
             const reading = reasonOf(reader.read());
             controller.abort(reason);
             seen.push(await reading);
           }
           const controller = new AbortController();
           const reading = reasonOf((await fetch('https://example.com/', { signal: controller.signal })).text());
           await scheduler.wait(5);
           controller.abort('enough');
           return Response.json([...seen, await reading]);
         } }",
    );
    let response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(read(response).await, r#"["stop",5,null,"enough"]"#);
}

/// An answer whose body stops after one piece.
fn stalling() -> Response<Body> {
    let first = futures_util::stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"first")))]);
    let body = StreamBody::new(futures_util::StreamExt::chain(first, futures_util::stream::pending()));
    Response::new(body.boxed_unsync())
}

#[tokio::test]
async fn a_request_body_whose_reader_is_gone_ends_its_stream() {
    let runtime = runtime();
    let refuse = |_| Answer::Now(Err(OutboundError::Refused("not today".to_owned())));
    let world = Arc::new(World { answer: Some(Box::new(refuse)), ..World::default() });
    let worker = worker(
        "export default { async fetch() {
           let canceled = false;
           const body = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(200_000)) }, cancel() { canceled = true } });
           const error = await fetch('https://example.com/', { method: 'POST', body }).catch((error) => error);
           await scheduler.wait(5);
           return new Response(error.name + ' ' + canceled);
         } }",
    );
    let response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(read(response).await, "TypeError true");
}
