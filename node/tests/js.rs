//! Runs the prelude's own tests (`js/tests/*.test.js`) in real isolates, each file as a worker.
//!
//! `SKERRY_JS_TEST=url.test.js` runs one file. A failure names the test, what it said, and where.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "runtime/support.rs"]
#[allow(dead_code, reason = "shared with the runtime's tests, which use all of it")]
mod support;

use std::{fmt::Write, fs, path::Path, sync::Arc};

use serde::Deserialize;
use skerry_node::runtime::{Runtime, worker::WorkerSpec};

#[derive(Deserialize)]
struct Report {
    name: String,
    ok: bool,
    error: Option<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prelude_passes_its_own_tests() {
    let mut config = support::config();
    config.internal_modules = true;
    let runtime = Runtime::build(config).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js/tests");
    let only = std::env::var("SKERRY_JS_TEST").ok();
    let mut files: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".test.js") && only.as_ref().is_none_or(|only| only == name))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no such test file: {only:?}");
    let mut failures = String::new();
    let mut passed = 0;
    for file in &files {
        match run(&runtime, &folder, file).await {
            Ok(reports) => {
                assert!(!reports.is_empty(), "{file} has no tests");
                for report in reports {
                    if report.ok {
                        passed += 1;
                        println!("ok   {file}: {}", report.name);
                    } else {
                        let error = report.error.unwrap_or_default();
                        writeln!(failures, "FAIL {file}: {}\n     {}", report.name, error.replace('\n', "\n     "))
                            .unwrap();
                    }
                }
            }
            Err(error) => writeln!(failures, "FAIL {file}: {error}").unwrap(),
        }
    }
    assert!(failures.is_empty(), "{passed} tests passed, these did not:\n{failures}");
}

async fn run(runtime: &Runtime, folder: &Path, file: &str) -> Result<Vec<Report>, String> {
    let main = format!(
        "import \"./{file}\";\nimport {{ run }} from \"./harness.js\";\n\
         export default {{ async fetch() {{ return Response.json(await run()); }} }};\n"
    );
    let test = fs::read_to_string(folder.join(file)).unwrap();
    let harness = fs::read_to_string(folder.join("harness.js")).unwrap();
    let mut spec = support::spec(&[("main.js", &main), (file, &test), ("harness.js", &harness)]);
    spec.limits.cpu = std::time::Duration::from_secs(30);
    spec.env = support::env("GREETING", skerry_node::runtime::worker::EnvValue::Text("hello".to_owned()));
    let worker: Arc<WorkerSpec> = Arc::new(spec);
    let world = Arc::new(support::World::default());
    let answer = support::fetch(runtime, &worker, &world, support::get("/")).await;
    let log = world.messages().join("\n");
    let response = answer.map_err(|error| format!("{error} {}\n{log}", stack(&error)))?;
    let text = support::read(response).await;
    serde_json::from_str(&text).map_err(|error| format!("{error} in {text}\n{log}"))
}

fn stack(error: &skerry_node::runtime::worker::WorkerError) -> String {
    match error {
        skerry_node::runtime::worker::WorkerError::Exception { stack, .. } => stack.clone(),
        _ => String::new(),
    }
}
