//! Components made by other people's toolchains, run unmodified. `node/tests/components/build.sh` makes them.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::world::{World, request, runtime, spec, target, text};
use crate::{
    bindings::outbound::LogLevel,
    worker::{Limits, WorkerError, WorkerSpec},
};

/// The component called `name`, compiled.
async fn made(name: &str) -> Arc<WorkerSpec> {
    let path = target().join("components").join(name);
    let wasm = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; run node/tests/components/build.sh (make test does)", path.display());
    });
    // The machine may be busy with a compiler, so the budget is not what is tested here.
    let limits = Limits { cpu: Duration::from_secs(10), memory_bytes: 256 << 20, ..Limits::default() };
    let worker = spec(wasm.into(), limits);
    // Tests run in processes of their own; the first compiles for all.
    let lock = std::fs::File::create(target().join("components/.compiling")).unwrap();
    lock.lock().unwrap();
    runtime().prepare(&worker).await.unwrap();
    worker
}

#[tokio::test]
async fn a_component_by_componentize_js_runs_unmodified() {
    let (world, worker) = (World::new(), made("echo-js.wasm").await);
    let hello = world.json(&worker, "/").await;
    assert_eq!(hello, json!({ "greeting": "hello from a variable", "made_with": "componentize-js" }));
    assert_eq!(world.json(&worker, "/config").await, json!({ "greeting": "hello from a variable" }));

    let response = world.send(&worker, request("POST", "/echo?a=1", "a body")).await.unwrap();
    let echo: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    let url = "https://test.workers.localhost/echo?a=1";
    assert_eq!(echo, json!({ "method": "POST", "url": url, "header": "42", "body": "a body" }));

    let response = world.send(&worker, request("POST", "/pipe", "streamed through")).await.unwrap();
    assert_eq!(text(response).await, "streamed through");

    assert_eq!(world.json(&worker, "/count").await, json!({ "count": 1 }));
    assert_eq!(world.json(&worker, "/count").await, json!({ "count": 2 }));
    let response = world.send(&worker, request("PUT", "/note", "kept")).await.unwrap();
    assert_eq!(text(response).await, r#"{"note":"kept","exists":true}"#);
    assert_eq!(world.json(&worker, "/missing-bucket").await, json!({ "tag": "no-such-store" }));

    assert_eq!(world.json(&worker, "/backend").await, json!({ "status": 202, "body": "greetings from backend" }));
    assert_eq!(world.backend_saw().len(), 1);
    assert!(world.backend_saw()[0].ends_with("/greet?from=component to the backend"), "{:?}", world.backend_saw());
}

#[tokio::test]
async fn a_component_by_componentize_js_logs_lines_and_meets_its_limits() {
    let (world, worker) = (World::new(), made("echo-js.wasm").await);
    assert_eq!(world.get(&worker, "/log").await.unwrap(), "logged");
    let lines = world.lines();
    assert!(lines.iter().any(|(level, line)| *level == LogLevel::Log && line.contains("a line from")), "{lines:?}");
    assert!(lines.iter().any(|(_, line)| line.contains("and one from stderr")), "{lines:?}");

    let limits = Limits { cpu: Duration::from_millis(200), ..worker.limits.clone() };
    let spinning = spec(worker.code.modules[0].bytes.clone(), limits);
    let error = world.get(&spinning, "/spin").await.unwrap_err();
    assert!(matches!(error, WorkerError::CpuLimit { limit_ms: 200 }), "{error:?}");
}

#[tokio::test]
async fn a_component_by_componentize_py_runs_unmodified() {
    let (world, worker) = (World::new(), made("echo-py.wasm").await);
    let hello = world.json(&worker, "/").await;
    assert_eq!(hello, json!({ "greeting": "hello from a variable", "made_with": "componentize-py" }));
    let config = world.json(&worker, "/config").await;
    assert_eq!(config["all"], json!({ "GREETING": "hello from a variable", "TOKEN": "s3cret" }));

    let response = world.send(&worker, request("POST", "/echo?a=1", "a body")).await.unwrap();
    let echo: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(echo, json!({ "method": "POST", "path": "/echo?a=1", "header": "42", "body": "a body" }));

    assert_eq!(world.json(&worker, "/count").await, json!({ "count": 1 }));
    let notes = world.json(&worker, "/notes").await;
    assert_eq!(notes["found"], json!([["a", "one"], null, ["b", "two"]]));
    assert_eq!(notes["keys"], json!(["a", "b", "visits"]));
    assert_eq!(notes["left"], json!([false, false]));
    assert_eq!(world.json(&worker, "/missing-bucket").await, json!({ "error": "Error_NoSuchStore" }));

    assert_eq!(world.json(&worker, "/backend").await, json!({ "status": 202, "body": "greetings from backend" }));
    assert!(world.backend_saw()[0].starts_with("POST http://BACKEND.binding/greet"), "{:?}", world.backend_saw());
}

#[tokio::test]
async fn a_component_by_componentize_py_that_raises_is_an_exception_and_says_so_in_the_log() {
    let (world, worker) = (World::new(), made("echo-py.wasm").await);
    let error = world.get(&worker, "/crash").await.unwrap_err();
    assert!(matches!(error, WorkerError::Exception { .. }), "{error:?}");
    let lines = world.lines();
    assert!(lines.iter().any(|(_, line)| line.contains("the component gave up")), "{lines:?}");
}
