//! Loading: modules, scripts, and what is wrong with them.

use std::sync::Arc;

use skerry_node::runtime::worker::{EnvValue, LoadError, PrepareError, Syntax, WorkerError};

use crate::support::{context, env, eventually, runtime, spec, text, worker};

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
    let error = runtime.validate(&worker, context(&worker, &Arc::default())).await.unwrap_err();
    let PrepareError::Code(validated) = error else { panic!("not the code's fault: {error}") };
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
async fn validation_names_the_handlers_of_which_there_may_be_none() {
    let runtime = runtime();
    let both = worker("export default { fetch() {}, scheduled() {} }");
    let validated = runtime.validate(&both, context(&both, &Arc::default())).await.unwrap();
    assert_eq!(validated.handlers, ["fetch", "scheduled"]);
    let none = worker("export const x = 1");
    let validated = runtime.validate(&none, context(&none, &Arc::default())).await.unwrap();
    assert!(validated.handlers.is_empty(), "{validated:?}");
}

#[tokio::test]
async fn a_top_level_loop_is_a_load_error() {
    let runtime = runtime();
    let mut spec = spec(&[("index.js", "for (;;);")]);
    spec.limits.startup_cpu = std::time::Duration::from_millis(20);
    let worker = Arc::new(spec);
    let error = runtime.validate(&worker, context(&worker, &Arc::default())).await.unwrap_err();
    assert!(error.to_string().contains("CPU time limit of 20 ms"), "{error}");
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
async fn a_worker_can_not_pass_for_the_prelude() {
    let own = "import { op } from 'skerry:internal/host.js'; export const f = op";
    for files in [
        &[
            ("index.js", "import 'skerry:internal/own.js'; export default { fetch() {} }"),
            ("skerry:internal/own.js", own),
        ][..],
        &[
            ("index.js", "import 'skerry:internal/kv.js'; export default { fetch() {} }"),
            ("skerry:internal/kv.js", own),
        ],
        &[("index.js", own), ("skerry:internal/host.js", "export const op = 1")],
        &[("skerry:internal/kv.js", own)],
    ] {
        let error = load_error(files).await;
        assert!(error.message.contains("No such module"), "{error}");
    }
}

#[tokio::test]
async fn a_module_that_can_not_be_loaded_can_not_be_loaded_the_second_time_either() {
    let runtime = runtime();
    let worker = Arc::new(spec(&[
        (
            "index.js",
            "export default { async fetch() {
               const outcomes = [];
               for (const name of ['./syntax.js', './syntax.js', './missing.js', './missing.js']) {
                 outcomes.push(await import(name).then(() => 'loaded', (error) => error.name));
               }
               return new Response(outcomes.join());
             } }",
        ),
        ("syntax.js", "let x = ;"),
        ("missing.js", "import './nowhere.js'"),
    ]));
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "SyntaxError,SyntaxError,Error,Error");
}

#[tokio::test]
async fn the_text_of_the_entry_module_is_not_kept() {
    let runtime = runtime();
    let padding = "x".repeat(10 << 20);
    let source = format!(
        "/* {padding} */ const kept = [];
         export default {{ fetch(request) {{
           const count = Number(new URL(request.url).pathname.slice(1));
           for (let i = 0; i < count; i++) kept.push(new Uint8Array(9 << 20));
           return new Response('x');
         }} }}"
    );
    let worker = worker(&source);
    let memory_after = async |path: &str| {
        assert_eq!(text(&runtime, &worker, path).await.unwrap(), "x");
        eventually("the event is over", || runtime.stats().events == 0).await;
        runtime.stats().memory_bytes
    };
    // Loading takes the room of two such texts, all of which is there for what the worker makes.
    let loaded = memory_after("/0").await;
    assert_eq!(memory_after("/2").await, loaded);
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
