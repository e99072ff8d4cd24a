//! Hand-written guests that behave and misbehave.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use super::{
    guest,
    world::{World, request, runtime, spec, text},
};
use crate::{
    bindings::outbound::LogLevel,
    task,
    worker::{Body, Code, Event, Limits, Module, ModuleKind, Syntax, WorkerError, WorkerSpec},
};

/// Long enough for any machine; a promise is never measured by it.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

fn guest_worker(body: &str) -> Arc<WorkerSpec> {
    spec(guest::component(body), Limits::default())
}

/// Reads a body until it is cut off, and returns what came before and why it ended.
pub(super) async fn cut_off(mut body: Body) -> (Vec<u8>, String) {
    let mut seen = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => seen.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(error)) => return (seen, error.to_string()),
            None => panic!("the body ended as if it were whole, after {} bytes", seen.len()),
        }
    }
}

#[tokio::test]
async fn a_component_answers_each_request_in_a_fresh_instance() {
    let (world, worker) = (World::new(), guest_worker(guest::HELLO));
    for _ in 0..3 {
        assert_eq!(world.get(&worker, "/").await.unwrap(), "hello, wasi!\n");
    }
    assert!(world.lines().is_empty(), "{:?}", world.lines());
}

#[tokio::test]
async fn many_requests_run_at_once_and_wait_their_turn() {
    let (world, worker) = (World::new(), guest_worker(guest::HELLO));
    let answers = join_all((0..300).map(|_| world.get(&worker, "/"))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == "hello, wasi!\n"));
}

#[tokio::test]
async fn a_component_that_loops_is_stopped_at_its_cpu_limit() {
    let (world, worker) = (World::new(), guest_worker(guest::LOOP_FOR_EVER));
    let error = world.get(&worker, "/").await.unwrap_err();
    assert!(matches!(error, WorkerError::CpuLimit { limit_ms: 50 }), "{error:?}");
    assert_eq!(world.lines().last().unwrap().0, LogLevel::Exception);
}

#[tokio::test]
async fn neighbours_answer_while_components_loop() {
    let limits = Limits { cpu: Duration::from_secs(20), ..Limits::default() };
    let (world, looping) = (World::new(), spec(guest::component(guest::LOOP_FOR_EVER), limits));
    let mut loops = Vec::new();
    for _ in 0..8 {
        let (world, looping) = (world.clone(), looping.clone());
        loops.push(task::spawn("loop", async move { world.get(&looping, "/").await }));
    }
    let neighbour = guest_worker(guest::HELLO);
    for _ in 0..20 {
        tokio::time::timeout(DEADLINE, world.get(&neighbour, "/")).await.unwrap().unwrap();
    }
    assert!(loops.iter().all(|task| !task.is_finished()), "they still loop: 20 s of CPU time have not passed");
    loops.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn a_body_is_cut_off_when_its_component_loops() {
    let (world, worker) = (World::new(), guest_worker(guest::LOOP_AFTER_A_CHUNK));
    let response = world.send(&worker, request("GET", "/", "")).await.unwrap();
    let (seen, reason) = cut_off(response.into_body()).await;
    assert_eq!(seen, b"hello, wasi!\n");
    assert!(reason.contains("CPU time limit of 50 ms"), "{reason}");
}

#[tokio::test]
async fn a_trap_is_an_exception_with_its_stack() {
    let (world, worker) = (World::new(), guest_worker(guest::TRAP));
    let error = world.get(&worker, "/").await.unwrap_err();
    let WorkerError::Exception { message, stack } = error else { panic!("{error:?}") };
    assert!(message.contains("unreachable"), "{message}");
    assert!(stack.starts_with("    at "), "{stack}");
}

#[tokio::test]
async fn a_body_is_cut_off_when_its_component_traps_or_leaves() {
    for (body, reason) in
        [(guest::TRAP_AFTER_A_CHUNK, "unreachable"), (guest::RETURN_WITHOUT_FINISHING, "without finishing")]
    {
        let (world, worker) = (World::new(), guest_worker(body));
        let response = world.send(&worker, request("GET", "/", "")).await.unwrap();
        let (seen, told) = cut_off(response.into_body()).await;
        assert_eq!(seen, b"hello, wasi!\n");
        assert!(told.contains(reason), "{told}");
    }
}

#[tokio::test]
async fn a_component_that_never_answers_is_told_so() {
    let (world, worker) = (World::new(), guest_worker(guest::RETURN_WITHOUT_ANSWER));
    let error = world.get(&worker, "/").await.unwrap_err();
    assert!(matches!(error, WorkerError::NeverResponds), "{error:?}");
}

#[tokio::test]
async fn a_component_may_work_on_after_its_answer() {
    let (world, worker) = (World::new(), guest_worker(guest::WORK_AFTER_THE_ANSWER));
    assert_eq!(world.get(&worker, "/").await.unwrap(), "hello, wasi!\n");
    assert!(world.lines().is_empty(), "{:?}", world.lines());
}

#[tokio::test]
async fn a_component_that_allocates_for_ever_meets_its_memory_limit() {
    let limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
    let (world, worker) = (World::new(), spec(guest::component(guest::ALLOCATE_FOR_EVER), limits));
    let error = world.get(&worker, "/").await.unwrap_err();
    assert!(matches!(error, WorkerError::MemoryLimit { limit_bytes: 0x0100_0000 }), "{error:?}");
}

#[tokio::test]
async fn a_component_that_recurses_for_ever_is_an_exception() {
    let (world, worker) = (World::new(), guest_worker(guest::RECURSE_FOR_EVER));
    let error = world.get(&worker, "/").await.unwrap_err();
    let WorkerError::Exception { message, .. } = error else { panic!("{error:?}") };
    assert!(message.contains("call stack exhausted"), "{message}");
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_component() {
    let (world, worker) = (World::new(), guest_worker(guest::STREAM_FOR_EVER));
    let mut body = world.send(&worker, request("GET", "/", "")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    // The world is free again once the guest has let go of it.
    wait_until(|| Arc::strong_count(&world) == 1).await;
    assert!(world.lines().is_empty(), "{:?}", world.lines());
}

#[tokio::test]
async fn dropping_the_call_stops_the_component() {
    let limits = Limits { cpu: Duration::from_secs(30), ..Limits::default() };
    let (world, worker) = (World::new(), spec(guest::component(guest::LOOP_FOR_EVER), limits));
    let cut = tokio::time::timeout(Duration::from_millis(50), world.get(&worker, "/")).await;
    assert!(cut.is_err(), "it loops for ever");
    wait_until(|| Arc::strong_count(&world) == 1).await;
}

#[tokio::test]
async fn past_its_queue_a_worker_is_overloaded() {
    let limits = Limits { isolates: 1, in_flight: 1, queue: 0, cpu: Duration::from_secs(30), ..Limits::default() };
    let (world, worker) = (World::new(), spec(guest::component(guest::STREAM_FOR_EVER), limits));
    let first = world.send(&worker, request("GET", "/", "")).await.unwrap();
    let error = world.get(&worker, "/").await.unwrap_err();
    assert!(matches!(error, WorkerError::Overloaded), "{error:?}");
    drop(first);
}

#[tokio::test]
async fn what_can_not_run_is_refused_with_its_reason() {
    let refused = async |bytes: Bytes| {
        let module = Module { name: "app.wasm".to_owned(), kind: ModuleKind::Component, bytes };
        let code = Code { syntax: Syntax::Component, main_module: "app.wasm".to_owned(), modules: vec![module] };
        runtime().validate(&code).await.unwrap_err().to_string()
    };
    let unknown = refused(guest::stranger()).await;
    assert!(unknown.contains("acme:gpu/device@1.0.0") && unknown.ends_with("in app.wasm"), "{unknown}");
    assert!(refused(Bytes::from_static(b"no wasm")).await.contains("not WebAssembly"));
    assert!(refused(wat::parse_str("(module)").unwrap().into()).await.contains("core WebAssembly module"));
    let mut damaged = guest::component(guest::HELLO).to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    assert!(!refused(damaged.into()).await.is_empty());
}

#[tokio::test]
async fn a_cron_event_has_no_handler() {
    let event = Event::Scheduled { cron: "* * * * *".to_owned(), scheduled_time_ms: 0 };
    let (world, worker) = (World::new(), guest_worker(guest::HELLO));
    let error = world.event(&worker, event).await.err().unwrap();
    assert!(matches!(error, WorkerError::NoHandler { handler: "scheduled" }), "{error:?}");
    assert_eq!(text(world.send(&worker, request("GET", "/", "")).await.unwrap()).await, "hello, wasi!\n");
}

#[allow(clippy::disallowed_methods, reason = "a test's own deadline")]
pub(super) async fn wait_until(condition: impl Fn() -> bool) {
    let give_up = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < give_up, "the condition was never met");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
