//! How long a component may take: to be compiled, to get a place, to answer, and afterwards.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;

use super::{
    behaviour::wait_until,
    guest,
    world::{World, request, runtime, runtime_with, spec, text},
};
use crate::{
    clock,
    worker::{Event, Limits, Outcome, PrepareError, WorkerError, WorkerSpec},
};

/// Enough to begin on a busy machine.
const WALL: Duration = Duration::from_secs(2);

/// A worker that is compiled, with CPU time to spare.
async fn ready(body: &str, limits: Limits) -> Arc<WorkerSpec> {
    let limits = Limits { cpu: Duration::from_secs(30), ..limits };
    let worker = spec(guest::component(body), limits);
    runtime().prepare(&worker).await.unwrap();
    worker
}

fn get() -> Event {
    Event::Fetch(request("GET", "/", ""))
}

#[tokio::test]
async fn a_component_that_does_not_answer_in_time_meets_its_wall_limit() {
    let limits = Limits { wall: Duration::from_millis(100), ..Limits::default() };
    let (world, worker) = (World::new(), ready(guest::LOOP_FOR_EVER, limits).await);
    let error = world.get(&worker, "/").await.unwrap_err();
    assert!(matches!(error, WorkerError::WallLimit { limit_ms: 100 }), "{error:?}");
    assert!(world.lines()[0].1.contains("wall time limit of 100 ms"), "{:?}", world.lines());
    // The world is free again once the guest has let go of it.
    wait_until(|| Arc::strong_count(&world) == 1).await;
}

#[tokio::test]
async fn a_body_may_take_longer_than_the_wall_limit() {
    let limits = Limits { wall: WALL, ..Limits::default() };
    let (world, worker) = (World::new(), ready(guest::STREAM_FOR_EVER, limits).await);
    let response = world.send(&worker, request("GET", "/", "")).await.unwrap();
    // Nobody reads meanwhile: the guest waits for its body to be taken.
    let late = clock::monotonic() + WALL + WALL / 4;
    tokio::time::sleep_until(late.into()).await;
    let mut body = response.into_body();
    for _ in 0..100 {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    assert!(world.lines().is_empty(), "{:?}", world.lines());
}

#[tokio::test]
async fn a_component_that_goes_on_after_its_answer_is_stopped() {
    let runtime = runtime_with(|config| config.wait_until = Duration::from_millis(50));
    let (world, worker) = (World::new(), ready(guest::LOOP_AFTER_THE_ANSWER, Limits::default()).await);
    let outcome = world.event_in(&runtime, &worker, get()).await.unwrap();
    let Outcome::Response(response) = outcome else { panic!("a fetch is answered with a response") };
    assert_eq!(text(response).await, "hello, wasi!\n");
    wait_until(|| Arc::strong_count(&world) == 1).await;
    assert!(world.lines()[0].1.contains("went on for 50 ms after its answer"), "{:?}", world.lines());
}

#[tokio::test]
async fn the_wait_for_a_place_is_a_part_of_the_wall_time() {
    let limits = Limits { isolates: 1, in_flight: 1, queue: 1, wall: WALL, ..Limits::default() };
    let (world, worker) = (World::new(), ready(guest::STREAM_FOR_EVER, limits).await);
    let mut first = world.send(&worker, request("GET", "/", "")).await.unwrap();
    first.body_mut().frame().await.unwrap().unwrap();
    let began = clock::monotonic();
    let error = world.get(&worker, "/").await.unwrap_err();
    assert!(matches!(error, WorkerError::WallLimit { limit_ms: 2000 }), "{error:?}");
    assert!(clock::monotonic().duration_since(began) >= WALL, "it has waited for all of it");
    drop(first);
}

#[tokio::test]
async fn the_wait_for_the_compiler_is_not_the_codes_fault() {
    let runtime = runtime_with(|config| {
        config.load_wait = Duration::from_millis(20);
        config.compile_time = Duration::from_millis(20);
    });
    let turn = runtime.shared.library.compiler.turn.clone().acquire_owned().await.unwrap();
    let (world, worker) = (World::new(), spec(guest::component(guest::HELLO), Limits::default()));
    let error = world.event_in(&runtime, &worker, get()).await.err().unwrap();
    assert!(matches!(error, WorkerError::Overloaded), "{error:?}");
    let error = runtime.validate(&worker.code).await.unwrap_err();
    assert!(matches!(error, PrepareError::Busy(_)), "{error:?}");
    drop(turn);
}

#[tokio::test]
async fn the_compilers_time_begins_with_its_turn() {
    let runtime = runtime_with(|config| config.compile_time = WALL);
    let turn = runtime.shared.library.compiler.turn.clone().acquire_owned().await.unwrap();
    let worker = spec(guest::component(guest::HELLO), Limits::default());
    let late = clock::monotonic() + WALL + WALL / 4;
    let (prepared, ()) = tokio::join!(runtime.prepare(&worker), async {
        tokio::time::sleep_until(late.into()).await;
        drop(turn);
    });
    prepared.unwrap();
}
