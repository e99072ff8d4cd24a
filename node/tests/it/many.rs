//! Two nodes of one cluster, whole.

use reqwest::Method;
use serde_json::{Value, json};
use skerry_node::config::Settings;

use crate::harness::{Node, PATIENCE};

/// Writes on PUT, and answers what it then reads.
const CODE: &str = r#"export default { async fetch(request, env) {
    const key = new URL(request.url).pathname.slice(1);
    try {
        if (request.method === "PUT") await env.KV.put(key, request.body, { metadata: { by: "worker" } });
        const { value, metadata } = await env.KV.getWithMetadata(key);
        const { keys } = await env.KV.list();
        return Response.json({ value, metadata, keys: keys.map((key) => key.name) });
    } catch (error) {
        return Response.json({ error: error.message });
    }
} };"#;

const HOST: &str = "app.workers.test";

async fn seen(node: &Node, method: Method, path: &str, body: &str) -> Value {
    let answer = node.request(method, HOST, path).body(body.to_owned()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// Until the node serves what the cluster has.
async fn until_served(node: &Node) {
    let asking = async {
        while node.get(HOST, "/").send().await.unwrap().status() != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the deploy reaches every node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_on_the_second_node_reads_what_the_first_wrote() {
    let first = Node::start_with(Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    let second = first.joined("second", "edge").await;
    let namespace = first.namespace("things").await;
    let binding = json!([{ "type": "kv_namespace", "name": "KV", "namespace_id": namespace }]);
    first.deploy("app", "production", CODE, binding).await;
    until_served(&second).await;

    seen(&first, Method::PUT, "/one", "from the first").await;
    let read = seen(&second, Method::GET, "/one", "").await;
    assert_eq!(read, json!({ "value": "from the first", "metadata": { "by": "worker" }, "keys": ["one"] }));
    let written = seen(&second, Method::PUT, "/two", "from the second").await;
    assert_eq!(written["value"], "from the second", "a node reads its own writes");
    let read = seen(&first, Method::GET, "/two", "").await;
    assert_eq!((&read["value"], &read["keys"]), (&json!("from the second"), &json!(["one", "two"])));
    let path = format!("/accounts/ACCOUNT/storage/kv/namespaces/{namespace}/values/two");
    let read = second.api(Method::GET, &path).send().await.unwrap();
    assert_eq!(read.text().await.unwrap(), "from the second", "the API of any node shows it");

    first.stop().await;
    let failed = seen(&second, Method::GET, "/one", "").await;
    assert!(failed["error"].as_str().unwrap().contains("the KV store is unavailable"), "{failed}");
    let read = second.api(Method::GET, &path).send().await.unwrap();
    assert_eq!(read.status(), 503);
    second.stop().await;
}
