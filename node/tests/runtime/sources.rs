//! Positions in logs and errors are those of the sources, where a worker came with source maps.

use std::sync::Arc;

use bytes::Bytes;
use skerry_node::{
    bindings::outbound::LogRecord,
    runtime::worker::{Code, Module, ModuleKind, PrepareError, WorkerError, WorkerSpec},
};

use crate::support::{World, context, eventually, fetch, get, read, runtime, spec};

/// A number as maps write it.
fn vlq(number: i64, out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut rest = if number < 0 { (-number << 1) | 1 } else { number << 1 };
    loop {
        let digit = rest & 31;
        rest >>= 5;
        out.push(char::from(DIGITS[(digit | if rest > 0 { 32 } else { 0 }) as usize]));
        if rest == 0 {
            return;
        }
    }
}

/// A map of `code` in which each of `names`, where it first stands, is in a line of its own of `src/worker.ts`, ten lines apart,
/// in its third column. What follows it is in another file.
fn map(code: &str, names: &[&str]) -> String {
    let mut places: Vec<(usize, i64, i64, i64)> = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let before = &code[..code.find(name).unwrap()];
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap().encode_utf16().count() as i64;
        places.push((line, column, 0, (number as i64 + 1) * 10 - 1));
        places.push((line, column + name.encode_utf16().count() as i64, 1, 0));
    }
    places.sort_unstable();
    let (mut mappings, mut line, mut column, mut from) = (String::new(), 0, 0, (0, 0, 0));
    for (at_line, at_column, source, original) in places {
        while line < at_line {
            mappings.push(';');
            (line, column) = (line + 1, 0);
        }
        mappings.push(',');
        let to = (source, original, if source == 0 { 2 } else { 0 });
        for delta in [at_column - column, to.0 - from.0, to.1 - from.1, to.2 - from.2] {
            vlq(delta, &mut mappings);
        }
        (column, from) = (at_column, to);
    }
    let sources = ["../src/worker.ts", "../src/elsewhere.ts"];
    serde_json::json!({ "version": 3, "sources": sources, "mappings": mappings, "names": [] }).to_string()
}

fn with_map(code: &str, map: String) -> WorkerSpec {
    let mut spec = spec(&[("index.js", code)]);
    let mut modules = spec.code.modules.clone();
    modules.push(Module { name: "index.js.map".to_owned(), kind: ModuleKind::SourceMap, bytes: Bytes::from(map) });
    spec.code = Arc::new(Code { modules, ..(*spec.code).clone() });
    spec
}

const CODE: &str = "export default { fetch(request, env, ctx) { if (request.url.endsWith('/throw')) deep();
    console.log('h\u{e9}llo \u{1d11e}'); console.error(new RangeError('shown')); console.trace('here');
    ctx.waitUntil(Promise.reject(made()));
    return new Response('ok') } };
/* \u{e9}\u{1d11e} */ function deep() { throw new TypeError('deep') }
function made() { return new SyntaxError('late') }";

const NAMES: [&str; 6] =
    ["deep();", "console.log", "console.trace", "new RangeError", "new TypeError", "new SyntaxError"];

#[tokio::test]
async fn stacks_and_positions_are_those_of_the_sources() {
    let runtime = runtime();
    let world = Arc::new(World::default());
    let worker = Arc::new(with_map(CODE, map(CODE, &NAMES)));
    let Err(WorkerError::Exception { stack, .. }) = fetch(&runtime, &worker, &world, get("/throw")).await else {
        panic!("the handler throws")
    };
    assert_eq!(
        stack.lines().map(str::trim).collect::<Vec<_>>(),
        ["at deep (src/worker.ts:50:3)", "at fetch (src/worker.ts:10:3)"]
    );
    assert_eq!(read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await, "ok");
    eventually("all four are logged", || world.log.lock().unwrap().len() == 4).await;
    let log: Vec<LogRecord> = world.log.lock().unwrap().clone();
    let of = |text: &str| log.iter().find(|record| record.message.contains(text)).unwrap();
    assert_eq!(of("h\u{e9}llo").position.as_deref(), Some("src/worker.ts:20:3"));
    assert!(of("shown").message.contains("at fetch (src/worker.ts:40:3)"), "{:?}", of("shown"));
    assert!(of("here").message.contains("at fetch (src/worker.ts:30:3)"), "{:?}", of("here"));
    assert!(of("late").position.as_ref().unwrap().contains("at made (src/worker.ts:60:3)"), "{:?}", of("late"));
}

#[tokio::test]
async fn a_broken_map_changes_nothing() {
    let runtime = runtime();
    for map in [
        "",
        "{",
        r#"{"version":3,"sources":["a"],"mappings":"!"}"#,
        r#"{"version":3,"sources":[null],"mappings":";;;;AAAA"}"#,
    ] {
        let world = Arc::new(World::default());
        let worker = Arc::new(with_map(CODE, map.to_owned()));
        let Err(WorkerError::Exception { stack, .. }) = fetch(&runtime, &worker, &world, get("/throw")).await else {
            panic!("the handler throws")
        };
        assert!(stack.contains("at deep (index.js:5:") && stack.contains("at fetch (index.js:1:"), "{stack}");
        assert_eq!(read(fetch(&runtime, &worker, &world, get("/")).await.unwrap()).await, "ok");
        eventually("all four are logged", || world.log.lock().unwrap().len() == 4).await;
    }
}

#[tokio::test]
async fn a_load_fails_at_its_place_in_the_sources() {
    let runtime = runtime();
    let code = "const first = 1;\nlet wrong = missing;\nexport default { fetch() {} }";
    let worker = Arc::new(with_map(code, map(code, &["missing"])));
    let error = runtime.validate(&worker, context(&worker, &Arc::default())).await.unwrap_err();
    let PrepareError::Code(error) = error else { panic!("not the code's fault: {error}") };
    assert_eq!((error.file.as_deref(), error.line, error.column), (Some("src/worker.ts"), Some(10), Some(3)));
}
