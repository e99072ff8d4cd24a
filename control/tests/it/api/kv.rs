//! KV over REST.

use std::{pin::pin, sync::atomic::Ordering, time::Duration};

use axum::{body::Body, response::Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::node::{Form, Node, Reply};

async fn space(node: &Node) -> String {
    let made = node.json("POST", "/accounts/:a/storage/kv/namespaces", json!({ "title": "cache" })).await.ok();
    format!("/accounts/:a/storage/kv/namespaces/{}", made["id"].as_str().unwrap())
}

async fn put(node: &Node, path: &str, value: &str) -> Reply {
    node.send(node.request("PUT", path).body(Body::from(value.to_owned())).unwrap()).await
}

#[tokio::test]
async fn namespaces_are_made_renamed_listed_and_removed() {
    let node = Node::start().await;
    let path = space(&node).await;
    let all = "/accounts/:a/storage/kv/namespaces";
    node.json("POST", all, json!({ "title": "cache" })).await.fails(409, 10014, "cache");
    node.json("POST", all, json!({ "title": "" })).await.fails(400, 10001, "title");
    node.json("POST", all, json!({ "name": "x" })).await.fails(400, 10001, "name");
    node.json("PUT", &path, json!({ "title": "store" })).await.ok();
    assert_eq!(node.get(all).await[0]["title"], "store");
    put(&node, &format!("{path}/values/k"), "v").await.ok();
    node.call("DELETE", &path).await.ok();
    node.call("GET", &format!("{path}/values/k")).await.fails(404, 10013, "namespace");
}

#[tokio::test]
async fn a_value_comes_back_byte_for_byte_with_what_stands_beside_it() {
    let node = Node::start().await;
    let path = space(&node).await;
    let bytes: Vec<u8> = (0..=255).collect();
    let value = format!("{path}/values/dir%2Fkey%20%C3%A9?expiration_ttl=120");
    let form =
        Form::new().part("value", "application/octet-stream", &bytes).part("metadata", "text/plain", b"{\"m\":1}");
    node.form("PUT", &value, form).await.ok();
    let reply = node.call("GET", &format!("{path}/values/dir%2Fkey%20%C3%A9")).await;
    assert_eq!(reply.body, bytes);
    assert!(reply.headers.contains_key("expiration"));
    assert_eq!(node.get(&format!("{path}/metadata/dir/key%20%C3%A9")).await, json!({ "m": 1 }));
    node.call("DELETE", &format!("{path}/values/dir%2Fkey%20%C3%A9")).await.ok();
    node.call("GET", &format!("{path}/values/dir%2Fkey%20%C3%A9")).await.fails(404, 10009, "key");
}

#[tokio::test]
async fn limits_are_refused_in_the_words_of_workers_kv() {
    let node = Node::start().await;
    let path = space(&node).await;
    let text = "Invalid expiration_ttl of 30. Expiration TTL must be at least 60.";
    put(&node, &format!("{path}/values/k?expiration_ttl=30"), "v").await.fails(400, 10033, text);
    put(&node, &format!("{path}/values/k?expiration_ttl=soon"), "v").await.fails(400, 10001, "expiration_ttl");
    put(&node, &format!("{path}/values/k?expiration=5"), "v").await.fails(400, 10033, "Invalid expiration of 5.");
    let long = "k".repeat(513);
    let text = "UTF-8 encoded length of 513 exceeds key length limit of 512.";
    put(&node, &format!("{path}/values/{long}"), "v").await.fails(414, 10033, text);
    let metadata = format!("\"{}\"", "m".repeat(1023));
    let form = Form::new().part("value", "text/plain", b"v").part("metadata", "text/plain", metadata.as_bytes());
    let text = "Metadata length of 1025 exceeds limit of 1024.";
    node.form("PUT", &format!("{path}/values/k"), form).await.fails(413, 10033, text);
    let form = Form::new().part("value", "text/plain", b"v").part("metadata", "text/plain", b"{");
    node.form("PUT", &format!("{path}/values/k"), form).await.fails(400, 10001, "metadata");
    let form = Form::new().part("metadata", "text/plain", b"{}");
    node.form("PUT", &format!("{path}/values/k"), form).await.fails(400, 10001, "value");
    let big = vec![0_u8; (25 << 20) + 1];
    let request = node.request("PUT", &format!("{path}/values/k")).body(Body::from(big)).unwrap();
    node.send(request).await.fails(413, 10027, "value");
    node.call("GET", &format!("{path}/values/k")).await.fails(404, 10009, "k");
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let node = Node::start().await;
    let path = space(&node).await;
    let pairs: Vec<Value> = (0..5).map(|n| json!({ "key": format!("a{n}"), "value": "v" })).collect();
    let made = node.json("PUT", &format!("{path}/bulk"), json!(pairs)).await.ok();
    assert_eq!(made["successful_key_count"], 5);
    put(&node, &format!("{path}/values/b"), "v").await.ok();
    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let reply = node.call("GET", &format!("{path}/keys?prefix=a&limit=2&cursor={cursor}")).await;
        let envelope = reply.envelope();
        seen.extend(envelope["result"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()));
        cursor = envelope["result_info"]["cursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["a0", "a1", "a2", "a3", "a4"]);
    node.call("GET", &format!("{path}/keys?limit=0")).await.fails(400, 10001, "limit");
    node.call("GET", &format!("{path}/keys?limit=1001")).await.fails(400, 10001, "limit");
}

#[tokio::test]
async fn a_bulk_read_stops_before_it_fills_the_memory() {
    let node = Node::start().await;
    let path = space(&node).await;
    let half = "v".repeat(13 << 20);
    for key in ["a", "b"] {
        put(&node, &format!("{path}/values/{key}"), &half).await.ok();
    }
    let bulk = format!("{path}/bulk/get");
    let read = |keys: Value| node.json("POST", &bulk, json!({ "keys": keys }));
    read(json!(["a", "b"])).await.fails(413, 10027, "26214400 bytes");
    read(json!(["a"])).await.ok();
}

#[tokio::test]
async fn a_write_that_was_not_answered_may_have_happened() {
    let node = Node::start().await;
    let path = space(&node).await;
    node.kv.is_down.store(true, Ordering::Relaxed);
    put(&node, &format!("{path}/values/k"), "v").await.fails(504, 10998, "unknown");
    node.call("DELETE", &format!("{path}/values/k")).await.fails(504, 10998, "unknown");
    let pairs = json!([{ "key": "k", "value": "v" }]);
    node.json("PUT", &format!("{path}/bulk"), pairs).await.fails(504, 10998, "unknown");
    node.json("POST", &format!("{path}/bulk/delete"), json!(["k"])).await.fails(504, 10998, "unknown");
    node.call("GET", &format!("{path}/values/k")).await.fails(503, 10997, "unavailable");
}

#[tokio::test]
async fn a_bulk_call_is_all_or_nothing() {
    let node = Node::start().await;
    let path = space(&node).await;
    let bulk = format!("{path}/bulk");
    let bad = json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "!!", "base64": true }]);
    node.json("PUT", &bulk, bad).await.fails(400, 10001, "[1].value");
    let bad = json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "2", "expiration_ttl": 1 }]);
    node.json("PUT", &bulk, bad).await.fails(400, 10033, "expiration_ttl");
    node.json("PUT", &bulk, json!([{ "key": "a", "value": "1", "ttl": 5 }])).await.fails(400, 10001, "ttl");
    assert_eq!(node.get(&format!("{path}/keys")).await, json!([]));

    let good = json!([{ "key": "a", "value": "{\"x\":1}", "metadata": { "m": 1 } }, { "key": "b", "value": "aGk=", "base64": true }]);
    node.json("PUT", &bulk, good).await.ok();
    let got = node.json("POST", &format!("{bulk}/get"), json!({ "keys": ["a", "b", "c"] })).await.ok();
    assert_eq!(got["values"], json!({ "a": "{\"x\":1}", "b": "hi", "c": null }));
    let ask = json!({ "keys": ["a"], "type": "json", "withMetadata": true });
    let got = node.json("POST", &format!("{bulk}/get"), ask).await.ok();
    assert_eq!(got["values"]["a"], json!({ "value": { "x": 1 }, "metadata": { "m": 1 } }));
    node.json("POST", &format!("{bulk}/get"), json!({ "keys": [] })).await.fails(400, 10001, "keys");
    node.json("DELETE", &bulk, json!(["a", "c"])).await.ok();
    node.json("POST", &format!("{bulk}/delete"), json!(["b"])).await.ok();
    assert_eq!(node.get(&format!("{path}/keys")).await, json!([]));
}

#[tokio::test]
async fn a_bulk_list_is_read_no_further_than_one_entry_too_many() {
    let node = Node::start().await;
    let bulk = format!("{}/bulk", space(&node).await);
    for (method, entry) in [("PUT", r#"{"key":"k","value":"v"}"#), ("DELETE", "\"k\"")] {
        let first = format!("{entry},").repeat(9_999);
        let all = node.with(method, &bulk, &[], &format!("[{first}{entry}]")).await.ok();
        assert_eq!(all["successful_key_count"], 10_000);
        // What follows is not JSON, which nobody finds out any more.
        let more = format!("[{first}{entry},{entry},nonsense");
        node.with(method, &bulk, &[], &more).await.fails(400, 10001, "body: has more than 10000 entries");
    }
}

#[tokio::test]
async fn metadata_is_shown_as_it_was_written() {
    let node = Node::start().await;
    let path = space(&node).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for metadata in [r#"{"z": 1,"a": "\ud83d", "n":1.0e2}"#, deep.as_str(), "\"text\"", "7"] {
        let pairs = format!(r#"[{{"key":"bulk","value":"v","metadata": {metadata} }}]"#);
        node.with("PUT", &format!("{path}/bulk"), &[], &pairs).await.ok();
        let form = Form::new().part("value", "text/plain", b"v").part("metadata", "text/plain", metadata.as_bytes());
        node.form("PUT", &format!("{path}/values/form"), form).await.ok();
        let shows = |reply: Reply, text: String| {
            let body = String::from_utf8(reply.body).unwrap();
            assert!(reply.status.is_success() && body.contains(&text), "{text} is not in {body}");
        };
        for key in ["bulk", "form"] {
            let alone = node.call("GET", &format!("{path}/metadata/{key}")).await;
            shows(alone, format!(r#""result":{metadata}}}"#));
            let listed = node.call("GET", &format!("{path}/keys?prefix={key}")).await;
            shows(listed, format!(r#"{{"name":"{key}","metadata":{metadata}}}"#));
            let ask = json!({ "keys": [key], "withMetadata": true });
            let read = node.json("POST", &format!("{path}/bulk/get"), ask).await;
            shows(read, format!(r#""{key}":{{"value":"v","metadata":{metadata}}}"#));
        }
    }
}

#[tokio::test]
async fn metadata_of_a_bulk_write_keeps_its_limit_and_null_is_none() {
    let node = Node::start().await;
    let path = space(&node).await;
    let bulk = format!("{path}/bulk");
    let long = json!([{ "key": "k", "value": "v", "metadata": "m".repeat(1023) }]);
    let text = "Metadata length of 1025 exceeds limit of 1024.";
    node.json("PUT", &bulk, long).await.fails(413, 10033, text);
    node.json("PUT", &bulk, json!([{ "key": "k", "value": "v", "metadata": null }])).await.ok();
    assert_eq!(node.get(&format!("{path}/keys")).await, json!([{ "name": "k" }]));
    assert_eq!(node.get(&format!("{path}/metadata/k")).await, Value::Null);
}

#[tokio::test]
async fn metadata_is_read_without_the_value() {
    let node = Node::start().await;
    let path = space(&node).await;
    let pairs = json!([{ "key": "key", "value": "v", "metadata": 1 }, { "key": "key2", "value": "v", "metadata": 2 }]);
    node.json("PUT", &format!("{path}/bulk"), pairs).await.ok();
    // The fake still lists when it is down; it reads no value any more.
    node.kv.is_down.store(true, Ordering::Relaxed);
    node.call("GET", &format!("{path}/values/key")).await.fails(503, 10997, "unavailable");
    assert_eq!(node.get(&format!("{path}/metadata/key")).await, 1);
    assert_eq!(node.get(&format!("{path}/metadata/key2")).await, 2);
    node.call("GET", &format!("{path}/metadata/ke")).await.fails(404, 10009, "key");
}

#[tokio::test]
async fn a_json_value_is_shown_as_it_was_written() {
    let node = Node::start().await;
    let path = space(&node).await;
    let value = r#"{"z":1,"a":"\ud83d","z":1e999}"#;
    put(&node, &format!("{path}/values/k"), value).await.ok();
    put(&node, &format!("{path}/values/broken"), "{").await.ok();
    let bulk = format!("{path}/bulk/get");
    let read = |key: &str| node.json("POST", &bulk, json!({ "keys": [key], "type": "json" }));
    let body = String::from_utf8(read("k").await.body).unwrap();
    assert!(body.contains(&format!(r#""values":{{"k":{value}}}"#)), "{body}");
    read("broken").await.fails(400, 10001, "the value of \"broken\" is not JSON");
}

/// A read of one key whose answer is not read yet.
fn open(node: &Node, method: &str, path: &str, key: &str) -> impl Future<Output = Response> {
    let (path, body) = match method {
        "GET" => (format!("{path}/values/{key}"), String::new()),
        _ => (format!("{path}/bulk/get"), json!({ "keys": [key] }).to_string()),
    };
    let answering = node.router.clone().oneshot(node.request(method, &path).body(Body::from(body)).unwrap());
    async move { answering.await.unwrap() }
}

#[tokio::test]
async fn large_answers_are_sent_a_few_at_a_time() {
    let node = Node::start().await;
    let path = space(&node).await;
    let large = "v".repeat((1 << 20) + 1);
    put(&node, &format!("{path}/values/large"), &large).await.ok();
    put(&node, &format!("{path}/values/small"), "v").await.ok();
    for method in ["GET", "POST"] {
        let mut unread = Vec::new();
        for _ in 0..8 {
            unread.push(open(&node, method, &path, "large").await);
        }
        let mut ninth = pin!(open(&node, method, &path, "large"));
        let early = tokio::time::timeout(Duration::from_millis(100), ninth.as_mut()).await;
        assert!(early.is_err(), "{method}: the ninth did not wait");
        assert_eq!(node.call("GET", &format!("{path}/values/small")).await.body, b"v");

        let answer = unread.pop().unwrap();
        let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), length);
        assert!(String::from_utf8_lossy(&body).contains(&large), "{method}: the value is not whole");
        let ninth = tokio::time::timeout(Duration::from_secs(20), ninth).await.expect("there is room again");
        assert!(ninth.status().is_success());
    }
}

#[tokio::test]
async fn small_answers_take_no_room_while_they_are_sent() {
    let node = Node::start().await;
    let path = space(&node).await;
    put(&node, &format!("{path}/values/small"), "v").await.ok();
    let mut unread = Vec::new();
    for method in ["GET", "POST"] {
        for _ in 0..9 {
            let answer = tokio::time::timeout(Duration::from_secs(20), open(&node, method, &path, "small")).await;
            unread.push(answer.expect("it does not wait"));
        }
    }
}
