//! KV and service bindings.

use bytes::Bytes;
use skerry_node::runtime::worker::Syntax;

use crate::{
    stage::{Stage, request},
    support::read,
};

#[tokio::test]
async fn kv_stores_reads_lists_and_deletes() {
    let stage = Stage::routes();
    let answer: serde_json::Value = serde_json::from_str(&stage.text("kv").await).unwrap();
    let expected = serde_json::json!({
        "text": "stream",
        "json": {},
        "length": 2,
        "stream": "stream",
        "gone": null,
        "goneToo": { "value": null, "metadata": null, "cacheStatus": null },
        "bulk": [["a", "text"], ["none", null]],
        "metadata": { "m": 1 },
        "names": ["a", "b", "c"],
        "complete": [false, true],
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_large_value_leaves_its_memory_to_the_next_event() {
    let stage = Stage::routes();
    stage.put("large", Bytes::from(vec![7; 20 << 20]));
    assert_eq!(stage.text("kvLarge").await, (20 << 20).to_string());
    let used = stage.memory_bytes().await;
    assert_eq!(stage.text("fill").await, "filled");
    // What the frame and the value took was enough for what came next.
    assert_eq!(stage.memory_bytes().await, used);
}

#[tokio::test]
async fn a_service_binding_takes_and_gives_whole_requests() {
    let stage = Stage::routes();
    let response = stage.send(request("service", &[], Bytes::new())).await.unwrap();
    assert_eq!(response.status(), 203);
    assert_eq!(response.headers()["x-service"], "yes");
    assert_eq!(read(response).await, "SERVICE POST http://any.example/path ping");
}

#[tokio::test]
async fn rpc_on_a_service_binding_says_that_it_is_not_there() {
    let stage = Stage::routes();
    assert!(stage.text("rpc").await.starts_with("TypeError: RPC is not supported yet"));
}

#[tokio::test]
async fn a_service_binding_is_an_object_like_any_other() {
    const WORKER: &str = "export default { fetch(request, env) {
        console.log(env.SERVICE);
        return Response.json([env.SERVICE instanceof Object, `${env.SERVICE}`, JSON.stringify(env.SERVICE), 'x' in env.SERVICE]);
    } }";
    let stage = Stage::of(WORKER, Syntax::Modules);
    assert_eq!(stage.text("").await, r#"[true,"[object Fetcher]","{}",false]"#);
    stage.logs("Fetcher {}").await;
}
