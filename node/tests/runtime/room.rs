//! What an isolate keeps in the host's memory is bounded, and whatever finds no room waits for it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use skerry_control::kv::KvEntry;
use skerry_node::{
    bindings::outbound::{KvCall, KvReply},
    runtime::worker::{EnvValue, WorkerSpec},
};
use skerry_proto::id::NamespaceId;
use tokio::sync::Semaphore;

use crate::support::{Store, World, env, eventually, fetch, get, read, runtime, spec, text, worker};

#[tokio::test]
async fn whole_answers_that_find_no_room_are_streamed() {
    let runtime = runtime();
    // 1 MiB in UTF-8.
    let worker = worker("const text = 'ä'.repeat(1 << 19); export default { fetch() { return new Response(text) } }");
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(fetch(&runtime, &worker, &Arc::default(), get("/")).await.unwrap());
    }
    // 32 MiB are there whole; the others are still being sent.
    eventually("the events of whole answers are over", || runtime.stats().events == 8).await;
    let expected = "ä".repeat(1 << 19);
    for answer in answers {
        assert!(read(answer).await == expected);
    }
    eventually("all events are over", || runtime.stats().events == 0).await;
}

#[tokio::test]
async fn a_large_answer_is_streamed_out_of_the_isolates_own_memory() {
    let runtime = runtime();
    let bytes = worker("export default { fetch() { return new Response(new Uint8Array(30 << 20).fill(97)) } }");
    assert!(text(&runtime, &bytes, "/").await.unwrap() == "a".repeat(30 << 20));
    let string = worker("export default { fetch() { return new Response('b'.repeat(30 << 20)) } }");
    assert!(text(&runtime, &string, "/").await.unwrap() == "b".repeat(30 << 20));
}

#[tokio::test]
async fn a_chunk_of_any_size_can_be_written() {
    let runtime = runtime();
    let worker = worker(
        "export default { fetch() {
           const { readable, writable } = new TransformStream();
           const writer = writable.getWriter();
           writer.write(new Uint8Array(20 << 20).fill(97));
           writer.close();
           return new Response(readable);
         } }",
    );
    assert!(text(&runtime, &worker, "/").await.unwrap() == "a".repeat(20 << 20));
}

/// How many calls are in a store that answers nothing until it is opened.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A store whose calls wait for `open`.
fn store(crowd: &Arc<Crowd>, open: &Arc<Semaphore>, value: Bytes) -> Store {
    let (crowd, open) = (Arc::clone(crowd), Arc::clone(open));
    Box::new(move |call| {
        let (crowd, open, value) = (Arc::clone(&crowd), Arc::clone(&open), value.clone());
        Box::pin(async move {
            let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
            crowd.most.fetch_max(now, Ordering::SeqCst);
            let _opened = open.acquire().await;
            crowd.now.fetch_sub(1, Ordering::SeqCst);
            match call {
                KvCall::Get { .. } => KvReply::Entries(vec![Some(KvEntry { value, metadata: None, expiration: None })]),
                KvCall::Put { put, .. } if put.value.len() == 10 << 20 => KvReply::Done,
                other => panic!("{other:?}"),
            }
        })
    })
}

fn with_kv(source: &str) -> Arc<WorkerSpec> {
    let mut spec = spec(&[("index.js", source)]);
    spec.env = env("KV", EnvValue::Kv(NamespaceId::new("0123456789abcdef0123456789abcdef").unwrap()));
    Arc::new(spec)
}

/// What the worker answers when `count` of its calls have been seen in a closed store, and how many were in it at most.
async fn crowded(source: &str, value: Bytes, count: usize) -> (String, usize) {
    let runtime = runtime();
    let (crowd, open) = (Arc::new(Crowd::default()), Arc::new(Semaphore::new(0)));
    let world = Arc::new(World { kv: Some(store(&crowd, &open, value)), ..World::default() });
    let worker = with_kv(source);
    let call = fetch(&runtime, &worker, &world, get("/"));
    let opened = async {
        eventually("the calls are in the store", || crowd.now.load(Ordering::SeqCst) == count).await;
        open.close();
    };
    let (answer, ()) = futures_util::future::join(call, opened).await;
    (read(answer.unwrap()).await, crowd.most.load(Ordering::SeqCst))
}

#[tokio::test]
async fn many_values_of_kv_are_read_at_once() {
    let source = "export default { async fetch(request, env) {
        const values = await Promise.all(Array.from({ length: 300 }, (_, i) => env.KV.get(`k${i}`, 'arrayBuffer')));
        return new Response(values.reduce((sum, value) => sum + value.byteLength, 0));
    } }";
    let (answer, most) = crowded(source, Bytes::from(vec![0; 1000]), 256).await;
    assert_eq!((answer.as_str(), most), ("300000", 256), "each has 256 KiB of 64 MiB until it is here");
}

#[tokio::test]
async fn large_values_of_kv_are_read_in_turn() {
    let source = "export default { async fetch(request, env) {
        let bytes = 0;
        const read = async (key) => {
            const value = await env.KV.get(key, 'arrayBuffer');
            bytes += value.byteLength;
        };
        await Promise.all(Array.from({ length: 20 }, (_, i) => read(`k${i}`)));
        return new Response(bytes);
    } }";
    let (answer, _) = crowded(source, Bytes::from(vec![0; 25 << 20]), 20).await;
    assert_eq!(answer, (20 * (25 << 20)).to_string());
}

#[tokio::test]
async fn a_value_of_kv_without_room_is_let_go_and_read_again() {
    let runtime = runtime();
    let (crowd, open) = (Arc::new(Crowd::default()), Arc::new(Semaphore::new(0)));
    let reads = Arc::new(AtomicUsize::new(0));
    let small = store(&crowd, &open, Bytes::new());
    let large = {
        let reads = Arc::clone(&reads);
        move || {
            reads.fetch_add(1, Ordering::SeqCst);
            let value = Bytes::from(vec![0; 10 << 20]);
            KvReply::Entries(vec![Some(KvEntry { value, metadata: None, expiration: None })])
        }
    };
    let kv: Store = Box::new(move |call| {
        if matches!(&call, KvCall::Get { keys, .. } if keys[0] == "large") {
            Box::pin(std::future::ready(large()))
        } else {
            small(call)
        }
    });
    let world = Arc::new(World { kv: Some(kv), ..World::default() });
    let worker = with_kv(
        "export default { async fetch(request, env) {
           const others = Array.from({ length: 240 }, (_, i) => env.KV.get(`k${i}`));
           const value = await env.KV.get('large', 'arrayBuffer');
           await Promise.all(others);
           return new Response(value.byteLength);
         } }",
    );
    let call = fetch(&runtime, &worker, &world, get("/"));
    let opened = async {
        let first = || crowd.now.load(Ordering::SeqCst) == 240 && reads.load(Ordering::SeqCst) == 1;
        eventually("the others have 60 MiB of the room", first).await;
        open.close();
    };
    let (answer, ()) = futures_util::future::join(call, opened).await;
    assert_eq!(read(answer.unwrap()).await, (10 << 20).to_string());
    assert_eq!(reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn writes_of_kv_wait_for_room_for_their_values() {
    let source = "export default { async fetch(request, env) {
        const value = 'x'.repeat(10 << 20);
        await Promise.all(Array.from({ length: 9 }, (_, i) => env.KV.put(`k${i}`, value)));
        return new Response('stored');
    } }";
    let (answer, most) = crowded(source, Bytes::new(), 3).await;
    assert_eq!((answer.as_str(), most), ("stored", 3), "there is room for 32 MiB");
}

#[tokio::test]
async fn what_waits_for_room_ends_with_its_event() {
    let runtime = runtime();
    let (crowd, open) = (Arc::new(Crowd::default()), Arc::new(Semaphore::new(0)));
    let world = Arc::new(World { kv: Some(store(&crowd, &open, Bytes::new())), ..World::default() });
    let worker = with_kv(
        "const value = 'x'.repeat(10 << 20);
         export default { async fetch(request, env) {
           if (request.url.endsWith('/put')) {
             await env.KV.put('k', value);
             return new Response('stored');
           }
           for (let i = 0; i < 9; i++) env.KV.put(`k${i}`, value);
           return new Response('answered');
         } }",
    );
    for _ in 0..3 {
        assert_eq!(read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await, "answered");
        eventually("the event is over", || runtime.stats().events == 0).await;
    }
    open.close();
    assert_eq!(read(fetch(&runtime, &worker, &world, get("/put")).await.unwrap()).await, "stored");
    assert_eq!(runtime.stats().isolates, 1, "it is the isolate that the others waited in");
}
