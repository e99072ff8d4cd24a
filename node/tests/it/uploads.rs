//! Uploads that a real node refuses.

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::harness::{Node, says};

const APP: &str = "/accounts/ACCOUNT/workers/services/app/environments/production";

/// An upload of the entry module and, beside it, one more file.
fn form(code: &str, other: Option<(&'static str, &'static str, &'static [u8])>) -> Form {
    let part = |text: String, name: &'static str, mime: &str| Part::text(text).file_name(name).mime_str(mime).unwrap();
    let metadata = json!({ "main_module": "index.js", "compatibility_date": "2026-01-01" });
    let form = Form::new()
        .part("metadata", part(metadata.to_string(), "metadata.json", "application/json"))
        .part("index.js", part(code.to_owned(), "index.js", "application/javascript+module"));
    match other {
        // A slash stays one in a part's name, as other clients write it.
        Some((name, mime, bytes)) => {
            form.percent_encode_noop().part(name, Part::bytes(bytes).file_name(name).mime_str(mime).unwrap())
        }
        None => form,
    }
}

/// The status, code and message of an upload that must be refused.
async fn refused(node: &Node, form: Form) -> (u16, u64, String) {
    let response = node.api(Method::PUT, APP).multipart(form).send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let error = &body["errors"][0];
    (status, error["code"].as_u64().unwrap(), error["message"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn code_without_handlers_is_refused_by_the_name_of_its_module() {
    let node = Node::start().await;
    let (status, code, message) = refused(&node, form("export const x = 1", None)).await;
    assert_eq!((status, code), (400, 10068), "{message}");
    assert!(message.starts_with("index.js: "), "{message}");
    let (status, code, message) = refused(&node, form("export default {", None)).await;
    assert_eq!((status, code), (400, 10021), "{message}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webassembly_in_a_javascript_worker_is_refused_before_it_can_fail() {
    let node = Node::start().await;
    let module = ("lib/add.wasm", "application/wasm", &b"\0asm\x01\0\0\0"[..]);
    let (status, code, message) = refused(&node, form(&says("x"), Some(module))).await;
    assert_eq!((status, code), (400, 10099), "{message}");
    assert!(message.starts_with("lib/add.wasm: ") && message.contains("component"), "{message}");
    node.stop().await;
}
