//! A version that was uploaded with a source map shows its sources.

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::json;

use crate::{bindings, harness::Node};

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_shown_where_it_was_written() {
    let node = Node::start().await;
    let part =
        |text: &'static str, name: &'static str, mime: &str| Part::text(text).file_name(name).mime_str(mime).unwrap();
    let metadata = r#"{ "main_module": "index.js", "compatibility_date": "2026-01-01", "bindings": [] }"#;
    let code = "export default { fetch() {\n\n  throw new TypeError('no');\n} };\n//# sourceMappingURL=app.map\n";
    // The third line is from the eleventh of the only source.
    let map = r#"{ "version": 3, "sources": ["../src/worker.ts"], "names": [], "mappings": ";;AAUE" }"#;
    let form = Form::new()
        .part("metadata", part(metadata, "metadata.json", "application/json"))
        .part("index.js", part(code, "index.js", "application/javascript+module"))
        .part("app.map", part(map, "app.map", "application/source-map"));
    let path = "/accounts/ACCOUNT/workers/services/app/environments/production";
    let response = node.api(Method::PUT, path).multipart(form).send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    let mut socket = bindings::listen(&node).await;
    assert_eq!(node.get("app.workers.test", "/").send().await.unwrap().status(), 500);
    let item = bindings::next_item(&mut socket).await;
    assert_eq!(item["exceptions"][0]["name"], json!("TypeError"), "{item}");
    assert_eq!(item["exceptions"][0]["stack"].as_str().unwrap().trim(), "at fetch (src/worker.ts:11:3)", "{item}");
    node.stop().await;
}
