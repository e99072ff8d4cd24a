//! WebSockets live no longer than whoever they serve, and take no more room than they may.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use skerry_node::{
    bindings::outbound::SocketMessage,
    runtime::{
        websocket::{self, Accepted, Ends},
        worker::{Body, Limits, WorkerError},
    },
};

use crate::support::{Answer, World, eventually, fetch, get, impatient, read, runtime, spec, worker};

/// The caller's end of the socket that an answer carries.
fn accepted(mut response: Response<Body>) -> Ends {
    response.extensions_mut().remove::<Accepted>().unwrap().take().unwrap()
}

/// A world that answers every request with a socket, and the other ends of those.
fn world_of_sockets() -> (Arc<World>, Arc<Mutex<Vec<Ends>>>) {
    let ends: Arc<Mutex<Vec<Ends>>> = Arc::default();
    let kept = Arc::clone(&ends);
    let answer = move |_: Request<Body>| {
        let (ours, theirs) = websocket::pair();
        kept.lock().unwrap().push(ours);
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Answer::Now(Ok(Response::builder().status(101).extension(Accepted::new(theirs)).body(body).unwrap()))
    };
    (Arc::new(World { answer: Some(Box::new(answer)), ..World::default() }), ends)
}

fn text(text: &str) -> SocketMessage {
    SocketMessage::Text(text.to_owned())
}

#[tokio::test]
async fn a_socket_whose_queue_fills_is_closed_and_its_event_ends() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = worker(
        "export default { fetch() {
           const [client, server] = Object.values(new WebSocketPair());
           server.accept();
           server.addEventListener('message', () => {
             try { for (;;) server.send(new Uint8Array(1 << 20)) } catch (error) { console.log(error.message) }
             server.send('ignored');
           });
           server.addEventListener('close', (event) => console.log(`closed ${event.code}`));
           return new Response(null, { status: 101, webSocket: client });
         } }",
    );
    let mut ends = accepted(fetch(&runtime, &worker, &world, get("/")).await.unwrap());
    ends.outgoing.send(text("fill")).await.unwrap();
    eventually("the queue is full", || world.messages().iter().any(|line| line.contains("reads too slowly"))).await;
    for _ in 0..2 {
        assert!(matches!(ends.incoming.recv().await, Some(SocketMessage::Binary(_))));
    }
    assert_eq!(ends.incoming.recv().await, None);
    drop(ends);
    eventually("the event is over", || runtime.stats().events == 0).await;
    assert_eq!(world.messages().last().unwrap(), "closed 1006");
}

#[tokio::test]
async fn messages_of_a_socket_whose_answer_can_not_be_sent_are_let_go() {
    let runtime = runtime();
    let worker = worker(
        "export default { fetch(request) {
           const [client, server] = Object.values(new WebSocketPair());
           server.accept();
           for (let i = 0; i < 2; i++) server.send(new Uint8Array(1 << 20));
           const headers = request.url.endsWith('/good') ? {} : { 'x-long': 'x'.repeat(200_000) };
           return new Response(null, { status: 101, webSocket: client, headers });
         } }",
    );
    let world = Arc::new(World::default());
    // The sockets of an isolate have room for 64 MiB.
    for _ in 0..40 {
        let error = fetch(&runtime, &worker, &world, get("/")).await.unwrap_err();
        let WorkerError::Exception { message, .. } = &error else { panic!("{error}") };
        assert!(message.contains("128 KiB"), "{message}");
    }
    let mut ends = accepted(fetch(&runtime, &worker, &world, get("/good")).await.unwrap());
    for _ in 0..2 {
        assert!(matches!(ends.incoming.recv().await, Some(SocketMessage::Binary(_))));
    }
}

#[tokio::test]
async fn a_socket_that_a_worker_opened_lives_on_only_with_one_that_it_serves() {
    let runtime = impatient();
    let (world, opened) = world_of_sockets();
    let worker = worker(
        "export default { async fetch(request) {
           const { webSocket } = await fetch('https://example.com', { headers: { upgrade: 'websocket' } });
           if (request.url.endsWith('/relay')) return new Response(null, { status: 101, webSocket });
           webSocket.accept();
           return new Response('x');
         } }",
    );
    let mut client = accepted(fetch(&runtime, &worker, &world, get("/relay")).await.unwrap());
    assert_eq!(read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await, "x");
    // One look at both events ends that which serves nobody.
    eventually("one event is over", || runtime.stats().events == 1).await;
    let mut opened = std::mem::take(&mut *opened.lock().unwrap());
    assert_eq!(opened[1].incoming.recv().await, None);
    opened[0].outgoing.send(text("from afar")).await.unwrap();
    assert_eq!(client.incoming.recv().await, Some(text("from afar")));
    drop(client);
    eventually("all events are over", || runtime.stats().events == 0).await;
}

#[tokio::test]
async fn messages_of_a_socket_that_a_worker_opened_count_against_one_budget() {
    let runtime = runtime();
    let (world, opened) = world_of_sockets();
    let mut spec = spec(&[(
        "index.js",
        "export default { async fetch() {
           const { webSocket } = await fetch('https://example.com', { headers: { upgrade: 'websocket' } });
           webSocket.addEventListener('message', () => { for (let i = 0; i < 2e4; i++); webSocket.send('next') });
           webSocket.accept();
           webSocket.send('next');
           await new Promise((resolve) => webSocket.addEventListener('close', resolve));
           return new Response('closed');
         } }",
    )]);
    spec.limits.cpu = Limits::default().cpu;
    let worker = Arc::new(spec);
    let echo = async {
        eventually("the socket is open", || !opened.lock().unwrap().is_empty()).await;
        let mut ends = opened.lock().unwrap().pop().unwrap();
        while let Some(message) = ends.incoming.recv().await {
            if ends.outgoing.send(message).await.is_err() {
                break;
            }
        }
    };
    let (answer, ()) = tokio::join!(fetch(&runtime, &worker, &world, get("/")), echo);
    let error = answer.unwrap_err();
    assert!(matches!(error, WorkerError::CpuLimit { .. }), "{error}");
}
