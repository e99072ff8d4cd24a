//! Loading: modules, scripts, and what is wrong with them.

use std::sync::Arc;

use skerry_node::runtime::worker::{EnvValue, LoadError, Syntax, WorkerError};

use crate::support::{context, env, runtime, spec, text, worker};

#[tokio::test]
async fn modules_of_every_kind_can_be_imported() {
    let runtime = runtime();
    let worker = Arc::new(spec(&[
        (
            "src/index.js",
            "import { hello } from './lib/hello.js'; import text from '../a.txt'; import data from '../b.bin';
             import json from '../c.json'; import { WorkerEntrypoint } from 'cloudflare:workers';
             export default { async fetch() {
               const later = await import('./lib/later.js');
               return Response.json([hello(), text, data.byteLength, json.n, later.default, typeof WorkerEntrypoint]);
             } }",
        ),
        ("src/lib/hello.js", "export * from '../../deep/hello.js'"),
        ("deep/hello.js", "export const hello = () => 'hello'"),
        ("src/lib/later.js", "export default 'later'"),
        ("a.txt", "text"),
        ("b.bin", "123"),
        ("c.json", "{\"n\": 7}"),
    ]));
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), r#"["hello","text",3,7,"later","function"]"#);
}

#[tokio::test]
async fn scripts_listen_for_fetch() {
    let runtime = runtime();
    let mut spec =
        spec(&[("worker.js", "addEventListener('fetch', (event) => event.respondWith(new Response(GREETING)))")]);
    spec.env = env("GREETING", EnvValue::Text("from a script".to_owned()));
    let code = Arc::get_mut(&mut spec.code).unwrap();
    code.syntax = Syntax::ServiceWorker;
    assert_eq!(text(&runtime, &Arc::new(spec), "/").await.unwrap(), "from a script");
}

async fn load_error(files: &[(&str, &str)]) -> LoadError {
    let runtime = runtime();
    let worker = Arc::new(spec(files));
    let validated = runtime.validate(&worker, context(&worker, &Arc::default())).await.unwrap_err();
    match text(&runtime, &worker, "/").await {
        Err(WorkerError::Load(error)) => assert_eq!(error, validated, "a call says the same as validation"),
        other => panic!("loaded: {other:?}"),
    }
    validated
}

#[tokio::test]
async fn a_syntax_error_has_file_line_and_column() {
    let error =
        load_error(&[("index.js", "import './b.js'; export default { fetch() {} }"), ("b.js", "\nlet x = ;\n")]).await;
    assert_eq!((error.file.as_deref(), error.line), (Some("b.js"), Some(2)));
    assert_eq!(error.column, Some(9));
    assert!(error.message.starts_with("SyntaxError"), "{error}");
}

#[tokio::test]
async fn an_error_of_the_top_level_scope_has_its_position() {
    let error = load_error(&[(
        "index.js",
        "function f() {\n  throw new Error('at start');\n}\nf(); export default { fetch() {} }",
    )])
    .await;
    assert_eq!((error.file.as_deref(), error.line), (Some("index.js"), Some(2)));
    assert_eq!(error.message, "Error: at start");
}

#[tokio::test]
async fn a_missing_module_is_named() {
    let error = load_error(&[("index.js", "import './nowhere.js'; export default { fetch() {} }")]).await;
    assert!(error.message.contains("No such module \"nowhere.js\", imported from \"index.js\""), "{error}");
}

#[tokio::test]
async fn invalid_json_is_a_load_error() {
    let error =
        load_error(&[("index.js", "import j from './j.json'; export default { fetch() {} }"), ("j.json", "{,}")]).await;
    assert_eq!(error.file.as_deref(), Some("j.json"));
}

#[tokio::test]
async fn validation_names_the_handlers_and_refuses_a_worker_without_any() {
    let runtime = runtime();
    let both = worker("export default { fetch() {}, scheduled() {} }");
    let validated = runtime.validate(&both, context(&both, &Arc::default())).await.unwrap();
    assert_eq!(validated.handlers, ["fetch", "scheduled"]);
    let none = worker("export const x = 1");
    let error = runtime.validate(&none, context(&none, &Arc::default())).await.unwrap_err();
    assert!(error.message.contains("no registered event handlers"), "{error}");
}

#[tokio::test]
async fn a_top_level_loop_is_a_load_error() {
    let runtime = runtime();
    let mut spec = spec(&[("index.js", "for (;;);")]);
    spec.limits.startup_cpu = std::time::Duration::from_millis(20);
    let worker = Arc::new(spec);
    let error = runtime.validate(&worker, context(&worker, &Arc::default())).await.unwrap_err();
    assert!(error.message.contains("CPU time limit of 20 ms"), "{error}");
    assert!(matches!(text(&runtime, &worker, "/").await, Err(WorkerError::Load(_))));
}

#[tokio::test]
async fn a_top_level_promise_that_never_settles_is_a_load_error() {
    let error = load_error(&[("index.js", "await new Promise(() => {}); export default { fetch() {} }")]).await;
    assert!(error.message.contains("never settles"), "{error}");
}

#[tokio::test]
async fn the_world_can_not_be_reached_from_the_top_level_scope() {
    let error = load_error(&[("index.js", "await fetch('https://example.com'); export default { fetch() {} }")]).await;
    assert!(error.message.contains("global scope"), "{error}");
}

#[tokio::test]
async fn the_prelude_can_not_be_imported_by_workers() {
    let error =
        load_error(&[("index.js", "import { op } from 'skerry:internal/host.js'; export default { fetch() {} }")])
            .await;
    assert!(error.message.contains("No such module"), "{error}");
}

#[tokio::test]
async fn isolates_of_one_image_have_random_numbers_of_their_own() {
    let runtime = runtime();
    let source = "export default { fetch() { return new Response(Math.random()) } }";
    let first = text(&runtime, &worker(source), "/").await.unwrap();
    let second = text(&runtime, &worker(source), "/").await.unwrap();
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_worker_that_only_schedules_has_no_fetch_handler() {
    let runtime = runtime();
    let worker = worker("export default { scheduled() {} }");
    assert!(matches!(text(&runtime, &worker, "/").await, Err(WorkerError::NoHandler { handler: "fetch" })));
}
