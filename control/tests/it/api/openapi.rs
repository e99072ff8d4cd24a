//! The description of the API.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::Node;

#[tokio::test]
async fn the_document_is_openapi_3_1_and_resolves_every_reference() {
    let node = Node::start().await;
    let document: Value = serde_json::from_slice(&node.call("GET", "/openapi.json").await.body).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn every_described_call_is_routed_and_names_its_operation_once() {
    let node = Node::start().await;
    let document: Value = serde_json::from_slice(&node.call("GET", "/openapi.json").await.body).unwrap();
    let mut ids = BTreeSet::new();
    let mut calls = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "operationId {id} is used twice");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            // A path that no route has is answered with 7003, one without this method with 405.
            let concrete = path.replace(['{', '}'], "x");
            let reply = node.call(&method.to_uppercase(), &concrete).await;
            calls += 1;
            if reply.status.is_success() && reply.headers["content-type"] != "application/json" {
                continue;
            }
            let code = reply.envelope()["errors"][0]["code"].as_u64();
            let unrouted = code == Some(7003) && reply.envelope()["errors"].as_array().unwrap().len() == 2;
            assert!(!unrouted && code != Some(10405), "{method} {path} is described and not routed");
        }
    }
    assert!(calls > 100, "{calls}");
}

#[tokio::test]
async fn unknown_paths_and_methods_say_so() {
    let node = Node::start().await;
    node.call("GET", "/accounts/:a/nothing").await.fails(404, 7003, "/nothing");
    node.call("PATCH", "/user").await.fails(405, 10405, "PATCH");
}
