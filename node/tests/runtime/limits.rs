//! Limits: what breaks them gets its documented error, and nobody else notices.

use std::{sync::Arc, time::Duration};

use skerry_node::bindings::outbound::CallContext;
use skerry_node::runtime::worker::{Event, Limits, Outcome, WorkerError, WorkerSpec};

use crate::support::{Answer, World, context, eventually, fetch, get, read, runtime, spec, text, worker};

/// A worker with the CPU time that services have when they ask for none.
fn hurried(source: &str) -> Arc<WorkerSpec> {
    let mut spec = spec(&[("index.js", source)]);
    spec.limits.cpu = Limits::default().cpu;
    Arc::new(spec)
}

fn looping() -> Arc<WorkerSpec> {
    hurried(
        "let n = 0;
         export default { async fetch(request) {
           n += 1;
           if (request.url.endsWith('/loop')) for (;;);
           if (request.url.endsWith('/wait')) await scheduler.wait(60_000);
           return new Response(String(n));
         } }",
    )
}

#[tokio::test]
async fn a_loop_ends_at_its_cpu_limit_and_the_isolate_is_replaced() {
    let runtime = runtime();
    let worker = looping();
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "1");
    assert!(matches!(text(&runtime, &worker, "/loop").await, Err(WorkerError::CpuLimit { limit_ms: 50 })));
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "1", "a new isolate has new state");
}

#[tokio::test]
async fn other_requests_of_a_discarded_isolate_are_told() {
    let runtime = runtime();
    let worker = looping();
    let waiting = {
        let (runtime, worker) = (runtime.clone(), Arc::clone(&worker));
        tokio::spawn(async move { text(&runtime, &worker, "/wait").await })
    };
    eventually("the first request is in the isolate", || runtime.stats().events == 1).await;
    assert!(matches!(text(&runtime, &worker, "/loop").await, Err(WorkerError::CpuLimit { .. })));
    assert!(matches!(waiting.await.unwrap(), Err(WorkerError::Reset { .. })));
}

#[tokio::test]
async fn many_short_turns_count_against_one_budget() {
    let runtime = runtime();
    let worker = hurried(
        "export default { async fetch() {
           for (;;) { for (let i = 0; i < 2e4; i++); await scheduler.wait(0) }
         } }",
    );
    assert!(matches!(text(&runtime, &worker, "/").await, Err(WorkerError::CpuLimit { .. })));
}

#[tokio::test]
async fn memory_without_end_is_a_memory_error() {
    let runtime = runtime();
    let worker = worker(
        "let n = 0; const kept = [];
         export default { fetch(request) {
           n += 1;
           try { while (request.url.endsWith('/fill')) kept.push(new Uint8Array(1 << 20).fill(1)) } catch (e) { return new Response(e.name) }
           return new Response(String(n));
         } }",
    );
    // The guest may catch its allocation failure and answer; the isolate goes all the same.
    let answer = text(&runtime, &worker, "/fill").await;
    assert!(
        matches!(&answer, Err(WorkerError::MemoryLimit { .. }))
            || matches!(&answer, Ok(name) if name == "InternalError"),
        "{answer:?}"
    );
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "1");
}

#[tokio::test]
async fn memory_that_is_not_caught_is_the_answer() {
    let runtime = runtime();
    let mut spec =
        spec(&[("index.js", "export default { fetch() { const a = []; for (;;) a.push(new Uint8Array(1 << 20)) } }")]);
    spec.limits.memory_bytes = 32 << 20;
    let error = text(&runtime, &Arc::new(spec), "/").await.unwrap_err();
    assert!(matches!(error, WorkerError::MemoryLimit { limit_bytes } if limit_bytes == 32 << 20), "{error}");
}

#[tokio::test]
async fn a_handler_that_can_never_settle_is_told_at_once() {
    let runtime = runtime();
    let worker = worker("export default { fetch() { return new Promise(() => {}) } }");
    assert!(matches!(text(&runtime, &worker, "/").await, Err(WorkerError::NeverResponds)));
}

#[tokio::test]
async fn a_handler_without_a_response_is_an_exception() {
    let runtime = runtime();
    for source in ["export default { fetch() {} }", "export default { fetch() { return 1 } }"] {
        let error = text(&runtime, &worker(source), "/").await.unwrap_err();
        assert!(matches!(error, WorkerError::Exception { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_wall_time_of_an_unanswered_request_is_bounded() {
    let runtime = runtime();
    let world = Arc::new(World { answer: Some(Box::new(|_| Answer::Never)), ..World::default() });
    let mut spec = spec(&[("index.js", "export default { fetch() { return fetch('https://example.com') } }")]);
    spec.limits.wall = Duration::from_millis(10);
    let error = fetch(&runtime, &Arc::new(spec), &world, get("/")).await.unwrap_err();
    assert!(matches!(error, WorkerError::WallLimit { limit_ms: 10 }), "{error}");
}

#[tokio::test]
async fn subrequests_are_counted() {
    let runtime = runtime();
    let mut spec = spec(&[(
        "index.js",
        "export default { async fetch() {
           let errors = [];
           for (let i = 0; i < 5; i++) { try { await fetch('https://example.com/') } catch (e) { errors.push(e.message) } }
           return new Response(errors.filter((m) => m.includes('Too many subrequests')).length);
         } }",
    )]);
    spec.limits.subrequests = 3;
    assert_eq!(text(&runtime, &Arc::new(spec), "/").await.unwrap(), "2");
}

#[tokio::test]
async fn a_full_queue_is_overload_and_not_growth() {
    let runtime = runtime();
    let mut spec = spec(&[(
        "index.js",
        "export default { async fetch() { await scheduler.wait(60_000); return new Response() } }",
    )]);
    spec.limits.in_flight = 2;
    spec.limits.queue = 1;
    let worker = Arc::new(spec);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (runtime, worker) = (runtime.clone(), Arc::clone(&worker));
            tokio::spawn(async move { text(&runtime, &worker, "/").await })
        })
        .collect();
    eventually("two run and one waits", || runtime.stats().events == 3).await;
    assert!(matches!(text(&runtime, &worker, "/").await, Err(WorkerError::Overloaded)));
    drop(waiting);
}

#[tokio::test]
async fn a_call_by_a_worker_waits_only_briefly_for_a_place_that_its_callers_may_hold() {
    let runtime = runtime();
    let mut spec = spec(&[(
        "index.js",
        "export default { async fetch() { await scheduler.wait(60_000); return new Response() } }",
    )]);
    spec.limits.in_flight = 1;
    let worker = Arc::new(spec);
    let caller = {
        let (runtime, worker) = (runtime.clone(), Arc::clone(&worker));
        tokio::spawn(async move { text(&runtime, &worker, "/").await })
    };
    eventually("the caller runs", || runtime.stats().events == 1).await;
    let nested = CallContext { depth: 1, ..context(&worker, &Arc::default()) };
    let refused =
        tokio::time::timeout(Duration::from_secs(60), runtime.call(&worker, Event::Fetch(get("/")), nested)).await;
    assert!(matches!(refused, Ok(Err(WorkerError::Overloaded))));
    drop(caller);
}

#[tokio::test]
async fn a_looping_worker_does_not_keep_its_neighbour_from_answering() {
    let runtime = runtime();
    let mut spec = spec(&[("index.js", "export default { fetch() { for (;;); } }")]);
    // The lane has the lowest priority: on a busy machine even this little takes a while.
    spec.limits.cpu = Duration::from_millis(200);
    let looping = Arc::new(spec);
    let neighbour = worker("export default { fetch() { return new Response('still here') } }");
    let running = {
        let (runtime, looping) = (runtime.clone(), Arc::clone(&looping));
        tokio::spawn(async move { text(&runtime, &looping, "/").await })
    };
    eventually("the loop runs", || runtime.stats().events == 1).await;
    // The test's runtime has one thread: the neighbour can answer only because the loop has left it.
    for _ in 0..10 {
        assert_eq!(text(&runtime, &neighbour, "/").await.unwrap(), "still here");
    }
    assert!(matches!(running.await.unwrap(), Err(WorkerError::CpuLimit { .. })));
}

#[tokio::test]
async fn idle_isolates_make_room_for_new_workers() {
    let mut config = crate::support::config();
    config.isolates_max = 16;
    let runtime = skerry_node::runtime::Runtime::build(config).unwrap();
    for _ in 0..20 {
        let worker = worker("export default { fetch() { return new Response('x') } }");
        assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "x");
    }
    assert!(runtime.stats().isolates <= 16);
}

#[tokio::test]
async fn a_node_full_of_busy_isolates_still_tries_uploads_out() {
    let mut config = crate::support::config();
    config.isolates_max = 1;
    let runtime = skerry_node::runtime::Runtime::build(config).unwrap();
    let busy =
        worker("export default { async fetch() { await scheduler.wait(600_000); return new Response('late') } }");
    let running = {
        let (runtime, busy) = (runtime.clone(), Arc::clone(&busy));
        tokio::spawn(async move { text(&runtime, &busy, "/").await })
    };
    eventually("the only isolate is taken", || runtime.stats().events == 1).await;
    let upload = worker("export default { fetch() { return new Response('x') } }");
    let validated = runtime.validate(&upload, context(&upload, &Arc::default())).await.unwrap();
    assert_eq!(validated.handlers, ["fetch"]);
    running.abort();
}

#[tokio::test]
async fn a_scheduled_event_has_a_wall_time_of_its_own() {
    let runtime = runtime();
    let scheduled = async |scheduled_wall: Option<Duration>| {
        let mut spec = spec(&[("index.js", "export default { async scheduled() { await scheduler.wait(2_500) } }")]);
        spec.limits.wall = Duration::from_millis(1);
        spec.limits.scheduled_wall = scheduled_wall.unwrap_or(spec.limits.scheduled_wall);
        let worker = Arc::new(spec);
        let event = Event::Scheduled { cron: "* * * * *".to_owned(), scheduled_time_ms: 0 };
        runtime.call(&worker, event, context(&worker, &Arc::default())).await
    };
    // It goes on for longer than the runtime takes to notice what is late.
    assert!(matches!(scheduled(None).await, Ok(Outcome::Done)));
    let error = scheduled(Some(Duration::from_millis(10))).await.err().unwrap();
    assert!(matches!(error, WorkerError::WallLimit { limit_ms: 10 }), "{error}");
}

#[tokio::test]
async fn a_caller_that_goes_away_aborts_the_requests_signal_and_wait_until_goes_on() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = worker(
        "export default { async fetch(request, env, ctx) {
           request.signal.addEventListener('abort', () => console.log('aborted'));
           ctx.waitUntil((async () => { await scheduler.wait(50); console.log('waited') })());
           console.log('began');
           await scheduler.wait(60_000);
         } }",
    );
    let call = tokio::spawn({
        let (runtime, world) = (runtime.clone(), Arc::clone(&world));
        async move { fetch(&runtime, &worker, &world, get("/")).await.map(drop) }
    });
    eventually("the handler has begun", || world.messages().iter().any(|message| message == "began")).await;
    call.abort();
    eventually("both are logged", || {
        let messages = world.messages();
        messages.iter().any(|m| m == "aborted") && messages.iter().any(|m| m == "waited")
    })
    .await;
}

#[tokio::test]
async fn errors_are_logged_with_the_workers_own_positions() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = Arc::new(spec(&[
        (
            "index.js",
            "import { fail } from './lib/fail.js';\nexport default { async fetch(r, e, ctx) { ctx.waitUntil(fail()); Promise.reject(new TypeError('unhandled')); return new Response('ok') } }",
        ),
        ("lib/fail.js", "export async function fail() {\n  throw new Error('late');\n}"),
    ]));
    let response = fetch(&runtime, &worker, &world, get("/")).await.unwrap();
    assert_eq!(read(response).await, "ok");
    eventually("both errors are logged", || world.log.lock().unwrap().len() >= 2).await;
    let log = world.log.lock().unwrap();
    let late = log.iter().find(|record| record.message.contains("late")).expect("waitUntil's rejection");
    assert!(late.position.as_ref().is_some_and(|at| at.contains("lib/fail.js:2")), "{late:?}");
    let unhandled = log.iter().find(|record| record.message.contains("unhandled")).expect("the unhandled rejection");
    assert!(unhandled.position.as_ref().is_some_and(|at| at.contains("index.js:2")), "{unhandled:?}");
    assert!(!log.iter().any(|record| record.position.as_ref().is_some_and(|at| at.contains("skerry:"))));
}
