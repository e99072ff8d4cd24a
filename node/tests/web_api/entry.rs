//! How a worker's handlers are found.

use skerry_node::runtime::worker::Syntax;

use crate::{stage::Stage, support};

#[tokio::test]
async fn scheduled_runs_to_its_end_with_its_background_work() {
    let stage = Stage::routes();
    stage.schedule("*/5 * * * *").await.unwrap();
    assert_eq!(stage.messages()[0], "*/5 * * * * 5 scheduled");
    stage.logs("scheduled background done").await;
    assert!(stage.schedule("fail").await.unwrap_err().to_string().contains("scheduled failed"));
}

#[tokio::test]
async fn listeners_answer_where_there_are_no_exports() {
    let stage = Stage::of(include_str!("../../js/tests/requests/events.js"), Syntax::ServiceWorker);
    assert_eq!(stage.text("a").await, "event a");
    stage.logs("InvalidStateError").await;
    assert_eq!(stage.text("late").await, "late");
    stage.logs("event background done").await;
    assert!(stage.failure("silent").await.0.contains("respondWith"));
    assert_eq!(stage.failure("throws").await.0, "RangeError: thrown by a listener");
    stage.schedule("1 * * * *").await.unwrap();
    stage.logs("cron 1 * * * *").await;
}

#[tokio::test]
async fn a_class_is_an_entry_point_with_an_instance_for_each_event() {
    let stage = Stage::of(include_str!("../../js/tests/requests/class.js"), Syntax::Modules);
    for _ in 0..2 {
        assert_eq!(stage.text("a").await, r#"{"calls":1,"text":"hello","method":"GET"}"#);
    }
    stage.logs("class background done").await;
}

#[tokio::test]
async fn env_and_ctx_are_those_of_the_worker() {
    let stage = Stage::routes();
    let env: serde_json::Value = serde_json::from_str(&stage.text("env").await).unwrap();
    assert_eq!(env["env"]["TEXT"], "hello");
    assert_eq!(env["env"]["JSON"], serde_json::json!({ "a": [1] }));
    assert_eq!(env["same"], true);
    assert_eq!(env["keys"], serde_json::json!(["TEXT", "JSON", "SECRET", "KV", "SERVICE"]));
    assert_eq!(stage.text("ctx").await, r#"{"props":{},"tag":"[object ExecutionContext]"}"#);
}

#[tokio::test]
async fn text_data_and_json_modules_are_values() {
    let runtime = support::runtime();
    let main = "import text from './a.txt'; import data from './b.bin'; import json from './c.json';
        export default { fetch: () => Response.json([text, data instanceof ArrayBuffer, data.byteLength, json]) };";
    let spec = support::spec(&[("index.js", main), ("a.txt", "words"), ("b.bin", "xyz"), ("c.json", "{\"a\":1}")]);
    let answer = support::text(&runtime, &std::sync::Arc::new(spec), "/").await.unwrap();
    assert_eq!(answer, r#"["words",true,3,{"a":1}]"#);
}

#[tokio::test]
async fn a_load_error_names_the_file() {
    let runtime = support::runtime();
    for (modules, expected) in [
        (vec![("index.js", "import './none.js';")], "none.js"),
        (vec![("index.js", "import './c.json';"), ("c.json", "{")], "c.json"),
        (vec![("index.js", "import './lib.js';"), ("lib.js", "let = ;")], "lib.js"),
    ] {
        let error = support::text(&runtime, &std::sync::Arc::new(support::spec(&modules)), "/").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
