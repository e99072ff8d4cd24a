//! Requests as handlers see them, and responses as callers do.

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use skerry_node::runtime::worker::Body;

use crate::{
    stage::{Stage, pieces, request},
    support::read,
};

fn streamed(route: &str) -> Request<Body> {
    Request::post(format!("http://test.workers.localhost/{route}")).body(pieces(&["h\u{e9}", "llo"])).unwrap()
}

#[tokio::test]
async fn a_response_arrives_as_it_was_made() {
    let stage = Stage::routes();
    let response = stage.send(request("json", &[], Bytes::new())).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-made"], "yes");
    assert_eq!(read(response).await, r#"{"hello":"world"}"#);
    assert_eq!(stage.text("text").await, "plain");
    let bytes = stage.send(request("bytes", &[], Bytes::new())).await.unwrap();
    assert_eq!(bytes.into_body().collect().await.unwrap().to_bytes().as_ref(), [0, 1, 255]);
    assert_eq!(stage.send(request("empty", &[], Bytes::new())).await.unwrap().status(), 204);
    assert_eq!(stage.send(request("nowhere", &[], Bytes::new())).await.unwrap().status(), 404);
    assert_eq!(stage.text("large").await.len(), 3_000_000);
}

#[tokio::test]
async fn cookies_stay_apart() {
    let stage = Stage::routes();
    let response = stage.send(request("cookies", &[], Bytes::new())).await.unwrap();
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[tokio::test]
async fn long_header_values_arrive_that_were_cut_out_of_a_text_with_other_characters() {
    let stage = Stage::routes();
    let response = stage.send(request("longHeader", &[], Bytes::new())).await.unwrap();
    assert_eq!(response.headers()["x-ascii"].as_bytes(), [b'a'; 3000]);
    assert_eq!(response.headers()["x-latin1"].as_bytes(), "é".repeat(3000).as_bytes());
}

#[tokio::test]
async fn header_values_are_read_and_sent_in_utf_8() {
    let stage = Stage::routes();
    let text = "“José”";
    let mut asked = request("echoHeader", &[], Bytes::new());
    asked.headers_mut().insert("x-test", HeaderValue::from_bytes(text.as_bytes()).unwrap());
    let response = stage.send(asked).await.unwrap();
    assert_eq!(response.headers()["x-test"].as_bytes(), text.as_bytes());
    assert_eq!(read(response).await, text);

    // What older clients send.
    let mut asked = request("echoHeader", &[], Bytes::new());
    asked.headers_mut().insert("x-test", HeaderValue::from_bytes(b"Jos\xe9").unwrap());
    assert_eq!(read(stage.send(asked).await.unwrap()).await, "José");
}

#[tokio::test]
async fn module_state_lives_across_requests() {
    let stage = Stage::routes();
    assert_eq!(stage.text("count").await, "1");
    assert_eq!(stage.text("count").await, "2");
}

#[tokio::test]
async fn a_handler_sees_the_head_of_the_request() {
    let stage = Stage::routes();
    let mut put = request("head?a=b", &[("x-test", "v")], Bytes::new());
    *put.method_mut() = Method::PUT;
    let expected = r#"{"method":"PUT","url":"http://test.workers.localhost/head?a=b","x":"v","redirect":"manual"}"#;
    assert_eq!(stage.text_of(put).await, expected);
    assert_eq!(stage.text("immutable").await, "TypeError: Can't modify immutable headers.");
    assert_eq!(stage.text_for("copyHeaders", "v").await, "changed");
}

#[tokio::test]
async fn a_body_is_read_whole_or_streamed() {
    let stage = Stage::routes();
    assert_eq!(stage.post("echo", "h\u{e9}llo").await, "h\u{e9}llo");
    assert_eq!(stage.text_of(streamed("echo")).await, "h\u{e9}llo");
    assert_eq!(stage.post("echoJson", r#"{"a":1}"#).await, r#"{"got":{"a":1}}"#);
    assert_eq!(stage.text_of(streamed("length")).await, "6");
    assert_eq!(stage.text_of(streamed("cloned")).await, "h\u{e9}llo+h\u{e9}llo");
    assert_eq!(stage.post("cloned", "x").await, "x+x");
}

#[tokio::test]
async fn a_body_passes_through_untouched_or_transformed() {
    let stage = Stage::routes();
    assert_eq!(stage.text_of(streamed("through")).await, "h\u{e9}llo");
    assert_eq!(stage.post("through", "whole").await, "whole");
    assert_eq!(stage.text_of(streamed("upper")).await, "H\u{c9}LLO");
}

#[tokio::test]
async fn a_form_is_parsed() {
    let stage = Stage::routes();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut post = request("form", &form, Bytes::from_static(b"a=1&b=x+y"));
    *post.method_mut() = Method::POST;
    assert_eq!(stage.text_of(post).await, r#"[["a","1"],["b","x y"]]"#);
}

#[tokio::test]
async fn a_stream_is_a_response_body() {
    let stage = Stage::routes();
    assert_eq!(stage.text("stream").await, "one two three");
    assert_eq!(stage.text("writer").await, "abc");
    let fixed = stage.send(request("fixed", &[], Bytes::new())).await.unwrap();
    assert_eq!(http_body::Body::size_hint(fixed.body()).exact(), Some(5), "it is sent with Content-Length");
    assert_eq!(read(fixed).await, "hello");
}

#[tokio::test]
async fn many_requests_in_one_isolate_keep_their_contexts() {
    let stage = Stage::routes();
    let names: Vec<String> = (0..50).map(|number| format!("r{number}")).collect();
    let answers = futures_util::future::join_all(names.iter().map(|name| stage.text_for("context", name))).await;
    assert_eq!(answers, names);
    let messages = stage.messages();
    for name in &names {
        let start = messages.iter().position(|line| *line == format!("start {name}")).unwrap();
        let end = messages.iter().position(|line| *line == format!("end {name}")).unwrap();
        assert!(start < end);
    }
}

#[tokio::test]
async fn content_encoding_compresses_unless_manual() {
    let stage = Stage::routes();
    let response = stage.send(request("compress", &[], Bytes::new())).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes.as_ref()), &mut text).unwrap();
    assert_eq!(text, "compress me ".repeat(100));
    let response = stage.send(request("compressed", &[], Bytes::new())).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().as_ref(), [31, 139]);
    assert_eq!(stage.text("compressNothing").await, "");
}
