//! KV over REST.

use axum::body::Body;
use serde_json::{Value, json};

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
    node.kv.is_down.store(true, std::sync::atomic::Ordering::Relaxed);
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
