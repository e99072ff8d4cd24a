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
async fn kv_stores_the_text_of_what_is_no_object() {
    const WORKER: &str = "export default { async fetch(request, env) {
        const stored = [];
        for (const value of [1, -0.5, true, null, undefined, 12n]) {
            await env.KV.put('key', value);
            stored.push(await env.KV.get('key'));
        }
        return Response.json(stored);
    } }";
    let answer: serde_json::Value = serde_json::from_str(&Stage::of(WORKER, Syntax::Modules).text("").await).unwrap();
    assert_eq!(answer, serde_json::json!(["1", "-0.5", "true", "null", "undefined", "12"]));
}

#[tokio::test]
async fn a_value_that_is_streamed_past_the_limit_of_kv_fails_alone() {
    const WORKER: &str = "export default { async fetch(request, env) {
        const why = await env.KV.put('key', request.body).catch((error) => error);
        return new Response(`${why} ${await env.KV.get('key')}`);
    } }";
    let stage = Stage::of(WORKER, Syntax::Modules);
    let answer = stage.post("", &"x".repeat(70 << 20)).await;
    let length = answer
        .strip_prefix("Error: KV PUT failed: 413 Value length of ")
        .and_then(|rest| rest.strip_suffix(" exceeds limit of 26214400. null"))
        .unwrap_or_else(|| panic!("{answer}"));
    let length: usize = length.parse().unwrap();
    assert!((25 << 20..26 << 20).contains(&length), "as many as were seen: {length}");
    assert_eq!(stage.post("", "small").await, "undefined small");
}

#[tokio::test]
async fn a_bulk_read_of_json_says_that_a_value_is_none() {
    const WORKER: &str = "export default { async fetch(request, env) {
        await env.KV.put('json', '[1]');
        await env.KV.put('text', 'text');
        const one = await env.KV.get(['json', 'none'], 'json');
        const two = await env.KV.get(['json', 'text'], { type: 'json' }).catch((error) => error);
        return new Response(`${JSON.stringify([...one])} ${two}`);
    } }";
    let answer = Stage::of(WORKER, Syntax::Modules).text("").await;
    let why = "At least one of the requested keys corresponds to a non-json value";
    assert_eq!(answer, format!(r#"[["json",[1]],["none",null]] Error: KV GET_BULK failed: 400 {why}"#));
}

#[tokio::test]
async fn a_listing_without_a_positive_limit_has_none() {
    const WORKER: &str = "export default { async fetch(request, env) {
        for (const key of ['a', 'b']) await env.KV.put(key, '');
        const found = [];
        for (const limit of [undefined, null, 0, -5, 0.9, NaN, '1', 1.9]) found.push((await env.KV.list({ limit })).keys.length);
        return Response.json(found);
    } }";
    assert_eq!(Stage::of(WORKER, Syntax::Modules).text("").await, "[2,2,2,2,2,2,1,1]");
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
