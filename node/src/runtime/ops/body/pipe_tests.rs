use std::task::Waker;

use super::*;
use crate::runtime::ops::pending::Work;

static CHUNK: [u8; limits::BODY_CHUNK_BYTES_MAX] = [7; limits::BODY_CHUNK_BYTES_MAX];

fn room(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes))
}

fn poll(work: &mut Work) -> Poll<Done> {
    work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether the pipe takes the chunk.
fn takes(pipe: &Pipe, chunk: &[u8]) -> bool {
    matches!(pipe.write(chunk, None), Begun::AtOnce(Done::Taken))
}

/// The wait for a place.
fn wait(pipe: &Pipe, chunk: &[u8]) -> Work {
    match pipe.write(chunk, None) {
        Begun::Wait(work) => work,
        _ => panic!("the pipe has room"),
    }
}

async fn take(reader: &mut Body) -> Bytes {
    reader.frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn a_pipe_holds_two_of_the_largest_chunks_or_a_few_small_ones() {
    let (pipe, mut reader) = pipe(None, room(limits::BODY_BYTES_MAX));
    assert!(takes(&pipe, &CHUNK) && takes(&pipe, &CHUNK) && !takes(&pipe, b"x"));
    take(&mut reader).await;
    take(&mut reader).await;
    let small = (0..100).take_while(|_| takes(&pipe, b"x")).count();
    assert_eq!(small, limits::BODY_CHUNKS_MAX);
}

#[tokio::test]
async fn a_write_that_waited_finds_its_place() {
    let (pipe, mut reader) = pipe(None, room(limits::BODY_BYTES_MAX));
    assert!(takes(&pipe, &CHUNK) && takes(&pipe, &CHUNK));
    let mut waiting = wait(&pipe, &CHUNK);
    assert!(poll(&mut waiting).is_pending());
    take(&mut reader).await;
    let Done::Again(Granted::Chunk(place)) = waiting.await else { panic!("a place was waited for") };
    assert!(!takes(&pipe, b"x"), "the place is taken");
    assert!(matches!(pipe.write(&CHUNK, Some(place)), Begun::AtOnce(Done::Taken)));
}

#[tokio::test]
async fn pipes_share_the_room_of_their_isolate_until_the_bytes_are_gone() {
    let shared = room(CHUNK.len() + 10);
    let (slow, mut slow_reader) = pipe(None, Arc::clone(&shared));
    let (other, _other_reader) = pipe(None, Arc::clone(&shared));
    assert!(takes(&slow, &CHUNK) && takes(&other, &[1; 10]));
    let mut waiting = wait(&other, b"x");
    let bytes = take(&mut slow_reader).await;
    assert!(poll(&mut waiting).is_pending(), "the connection still has the bytes");
    drop(bytes);
    assert!(matches!(waiting.await, Done::Again(_)));
    drop((slow_reader, slow));
    assert_eq!(shared.available_permits(), CHUNK.len());
}

#[tokio::test]
async fn a_write_that_waits_is_told_that_the_reader_is_gone() {
    let shared = room(10);
    let (first, _first_reader) = pipe(None, Arc::clone(&shared));
    let (second, second_reader) = pipe(None, shared);
    assert!(takes(&first, &[1; 10]));
    let mut waiting = wait(&second, b"x");
    assert!(poll(&mut waiting).is_pending());
    drop(second_reader);
    assert!(matches!(waiting.await, Done::Failed { name: "AbortError", .. }));
}
