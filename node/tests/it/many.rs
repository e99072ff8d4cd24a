//! Two nodes of one cluster, whole.

use std::{net::SocketAddr, path::PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use skerry_control::{
    config::{Bootstrap, ControlConfig, MeshSettings},
    control::{self, Control},
};
use skerry_node::{config::Settings, triggers};
use skerry_proto::id::Hostname;
use tempfile::TempDir;

use crate::harness::{DOMAIN, Node, PATIENCE, until};

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

/// A node of `first`'s cluster that only votes.
async fn voter(first: &Node, name: &str, data_dir: PathBuf) -> Control {
    let invited = first.call(Method::POST, "/cluster/join-tokens", json!({ "role": "voter" })).await;
    let token = invited["token"].as_str().unwrap().to_owned();
    let bootstrap = Bootstrap::Join { at: first.mesh(), token };
    let mesh = MeshSettings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), advertise: None };
    let config = ControlConfig::new(data_dir, name.to_owned(), Hostname::new(DOMAIN).unwrap(), bootstrap);
    control::build(ControlConfig { mesh: Some(mesh), ..config }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_no_majority_confirms_fires_no_triggers() {
    let first = Node::start_with(Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    let folder = TempDir::new().unwrap();
    let two = voter(&first, "two", folder.path().join("two")).await;
    let three = voter(&first, "three", folder.path().join("three")).await;
    let vote = |node: &Control| node.status().is_some_and(|status| status.voters.len() == 3);
    until("all three vote", || async { (vote(&two) && vote(&three)).then_some(()) }).await;
    first.stop().await;
    let leads = || async { [&two, &three].into_iter().position(Control::leads) };
    let leader = until("another one leads", leads).await;
    let (leader, other) = if leader == 0 { (two, three) } else { (three, two) };
    until("the leader fires triggers", || async { triggers::fires_here(&leader).await.then_some(()) }).await;
    assert!(!triggers::fires_here(&other).await, "so nobody else does");
    other.shutdown().await;
    assert!(!triggers::fires_here(&leader).await, "another one may lead by now");
    leader.shutdown().await;
}
