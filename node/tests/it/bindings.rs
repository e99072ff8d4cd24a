//! What a worker can reach, and what it can not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use reqwest::Method;
use serde_json::{Value, json};
use skerry_node::{config::Settings, task};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Barrier,
};

use crate::{
    harness::{Node, PATIENCE, says},
    sockets::{Socket, connect_url},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_and_the_api_see_the_same_keys() {
    let node = Node::start().await;
    let namespace = node.namespace("things").await;
    let code = r#"export default { async fetch(request, env) {
        const key = new URL(request.url).pathname.slice(1);
        if (request.method === "PUT") await env.KV.put(key, request.body, { metadata: { by: "worker" } });
        const { value, metadata } = await env.KV.getWithMetadata(key);
        const { keys, list_complete } = await env.KV.list();
        return Response.json({ value, metadata, keys: keys.map((key) => key.name), list_complete });
    } };"#;
    let binding = json!([{ "type": "kv_namespace", "name": "KV", "namespace_id": namespace }]);
    node.deploy("app", "production", code, binding).await;

    let value = format!("/accounts/ACCOUNT/storage/kv/namespaces/{namespace}/values");
    let put = node.api(Method::PUT, &format!("{value}/rest")).body("from rest").send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    let seen: Value = node.get("app.workers.test", "/rest").send().await.unwrap().json().await.unwrap();
    assert_eq!(seen, json!({ "value": "from rest", "metadata": null, "keys": ["rest"], "list_complete": true }));
    let put = node.request(Method::PUT, "app.workers.test", "/worker").body("from worker").send().await.unwrap();
    let seen: Value = put.json().await.unwrap();
    assert_eq!(seen["metadata"], json!({ "by": "worker" }));
    assert_eq!(seen["keys"], json!(["rest", "worker"]));
    let read = node.api(Method::GET, &format!("{value}/worker")).send().await.unwrap();
    assert_eq!(read.text().await.unwrap(), "from worker");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_secrets_reach_the_worker_and_follow_the_parent() {
    let node = Node::start().await;
    let code = "export default { fetch(request, env) { return Response.json(env) } };";
    let binding = json!([
        { "type": "plain_text", "name": "PLAIN", "text": "text" },
        { "type": "json", "name": "JSON", "json": { "a": [1] } },
        { "type": "secret_text", "name": "SECRET", "text": "hush" },
    ]);
    node.deploy("app", "production", code, binding).await;
    node.deploy("app", "staging", code, json!([{ "type": "plain_text", "name": "OWN", "text": "own" }])).await;
    let seen: Value = node.get("app.workers.test", "/").send().await.unwrap().json().await.unwrap();
    assert_eq!(seen, json!({ "PLAIN": "text", "JSON": { "a": [1] }, "SECRET": "hush" }));
    let staging =
        async || -> Value { node.get("staging.app.workers.test", "/").send().await.unwrap().json().await.unwrap() };
    assert_eq!(staging().await, json!({ "PLAIN": "text", "JSON": { "a": [1] }, "OWN": "own" }));
    // The child's code and version stay; what it inherits is new at once.
    node.deploy("app", "production", code, json!([{ "type": "plain_text", "name": "PLAIN", "text": "changed" }])).await;
    assert_eq!(staging().await, json!({ "PLAIN": "changed", "OWN": "own" }));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_binding_prefers_the_environment_of_its_callers_name() {
    let node = Node::start().await;
    let caller = "export default { fetch(request, env) { return env.BACK.fetch('http://back/') } };";
    let binding = json!([{ "type": "service", "name": "BACK", "service": "back" }]);
    node.deploy("front", "production", caller, binding).await;
    node.deploy("front", "staging", caller, json!([])).await;
    node.deploy("front", "demo", caller, json!([])).await;
    let missing = node.get("front.workers.test", "/").send().await.unwrap();
    assert_eq!(missing.status(), 500, "a binding may point at a service that does not exist yet: only the call fails");
    node.deploy("back", "production", &says("production"), json!([])).await;
    node.deploy("back", "staging", &says("staging"), json!([])).await;
    assert_eq!(node.text("front.workers.test", "/").await, "production");
    assert_eq!(node.text("staging.front.workers.test", "/").await, "staging");
    assert_eq!(node.text("demo.front.workers.test", "/").await, "production");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_workers_ends_at_the_documented_depth() {
    let node = Node::start().await;
    let code = r#"export default { async fetch(request, env) {
        const hops = Number(request.headers.get("hops") ?? 0);
        try {
            return await env.SELF.fetch("http://self/", { headers: { hops: String(hops + 1) } });
        } catch (error) {
            return Response.json({ hops, message: error.message });
        }
    } };"#;
    let binding = json!([{ "type": "service", "name": "SELF", "service": "loop" }]);
    node.deploy("loop", "production", code, binding).await;
    let seen: Value = node.get("loop.workers.test", "/").send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["hops"], 31, "{seen}");
    assert!(seen["message"].as_str().unwrap().contains("depth limit"), "{seen}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostname_of_this_cluster_is_answered_without_a_socket() {
    let node = Node::start().await;
    let code = "export default { fetch() { return fetch('http://other.workers.test/') } };";
    node.deploy("app", "production", code, json!([])).await;
    node.deploy("other", "production", &says("other"), json!([])).await;
    assert_eq!(node.text("app.workers.test", "/").await, "other");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inner_addresses_are_out_of_reach_even_through_a_redirect() {
    let node = Node::start().await;
    let code = r#"export default { async fetch(request) {
        try {
            return await fetch(decodeURIComponent(new URL(request.url).search.slice(1)));
        } catch (error) {
            return new Response(`${error.name}: ${error.message}`);
        }
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    let target = format!("http://{}/healthz", node.addresses.metrics.unwrap());
    let redirect = format!("export default {{ fetch() {{ return Response.redirect({target:?}) }} }};");
    node.deploy("redirect", "production", &redirect, json!([])).await;
    for url in [&*target, "http://localhost:1/", "http://169.254.169.254/", "http://redirect.workers.test/"] {
        let text = node.text("app.workers.test", &format!("/?{}", url.replace('/', "%2F"))).await;
        assert!(text.contains("not a public address"), "{url}: {text}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_requests_of_one_event_wait_for_answers_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (waiting, most, together) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(6)));
    let seen = Arc::clone(&most);
    let _accepts = task::spawn("origin", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (waiting, most, together) = (Arc::clone(&waiting), Arc::clone(&seen), Arc::clone(&together));
            let _answers = task::spawn("origin connection", async move {
                let _request = stream.read(&mut [0; 4096]).await.unwrap();
                most.fetch_max(waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                together.wait().await;
                waiting.fetch_sub(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
            });
        }
    });
    let node =
        Node::start_with(Settings { egress_allow: Some(vec!["127.0.0.0/8".into()]), ..Settings::default() }).await;
    let code = format!(
        "export default {{ async fetch() {{
            const all = Array.from({{ length: 12 }}, () => fetch('http://{address}/'));
            return new Response((await Promise.all(all)).length);
        }} }};"
    );
    node.deploy("app", "production", &code, json!([])).await;
    assert_eq!(node.text("app.workers.test", "/").await, "12");
    assert_eq!(most.load(Ordering::SeqCst), 6);
    node.stop().await;
}

/// Live logs of `app`.
pub(crate) async fn listen(node: &Node) -> Socket {
    let path = "/accounts/ACCOUNT/workers/scripts/app/tails";
    let tail = node.call(Method::POST, path, json!({})).await;
    connect_url(tail["url"].as_str().unwrap(), &[("sec-websocket-protocol", "trace-v1")]).await.0
}

pub(crate) async fn next_item(socket: &mut Socket) -> Value {
    let item = tokio::time::timeout(PATIENCE, socket.next_text()).await.unwrap();
    serde_json::from_str(&item).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_an_event_reaches_its_listener() {
    let node = Node::start().await;
    let code = r#"export default { fetch(request, env, ctx) {
        console.log("one", { two: 2 });
        ctx.waitUntil(scheduler.wait(1).then(() => console.warn("late")));
        return new Response("ok");
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    let mut socket = listen(&node).await;
    node.text("app.workers.test", "/path").await;
    let mut lines = Vec::new();
    for _event_then_late_line in 0..2 {
        let item = next_item(&mut socket).await;
        assert!(item["event"]["request"]["url"].as_str().unwrap().ends_with("/path"), "{item}");
        lines.extend(item["logs"].as_array().unwrap().iter().map(|log| log["level"].clone()));
    }
    assert_eq!(lines, [json!("log"), json!("warn")]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_belongs_to_no_event_is_not_taken_for_one_of_the_first() {
    let node = Node::start().await;
    let code = r#"console.log("top level");
    let open;
    export default { fetch(request) {
        if (request.url.endsWith("/open")) open();
        else new Promise((resolve) => { open = resolve }).then(() => console.log("after its event"));
        return new Response("ok");
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    let mut socket = listen(&node).await;
    node.text("app.workers.test", "/wait").await;
    node.text("app.workers.test", "/open").await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let item = next_item(&mut socket).await;
        let path = item["event"]["request"]["url"].as_str().map(|url| url.rsplit('/').next().unwrap().to_owned());
        let line = item["logs"][0]["message"][0].as_str().map(str::to_owned);
        seen.push((path, line));
    }
    // The line and the end of the event in whose turn it was written leave from two threads.
    seen[2..].sort();
    let of = |path: Option<&str>, line: Option<&str>| (path.map(str::to_owned), line.map(str::to_owned));
    assert_eq!(
        seen,
        [
            of(None, Some("top level")),
            of(Some("wait"), None),
            of(None, Some("after its event")),
            of(Some("open"), None)
        ]
    );
    node.stop().await;
}
