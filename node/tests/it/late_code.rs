//! New code that a node can not store.

use std::{fs, path::Path, sync::Arc};

use reqwest::Method;
use serde_json::{Value, json};
use skerry_node::config::Settings;

use crate::harness::{Node, says, until};

const HOST: &str = "app.workers.test";

/// Nothing can be stored under it: as good as a full disk, and what is in memory runs on.
fn block(bundles: &Path) {
    fs::rename(bundles, bundles.with_extension("aside")).unwrap();
    fs::write(bundles, b"").unwrap();
}

fn unblock(bundles: &Path) {
    fs::remove_file(bundles).unwrap();
    fs::rename(bundles.with_extension("aside"), bundles).unwrap();
}

async fn propagation(node: &Node) -> Value {
    let answer = node.api(Method::GET, "/cluster/propagation").send().await.unwrap();
    answer.json::<Value>().await.unwrap()["result"].clone()
}

/// Both nodes serve a first version.
async fn serve_before(first: &Node, second: &Node) {
    first.deploy("app", "production", &says("before"), json!([])).await;
    until("the second node serves", async || {
        let answer = second.get(HOST, "/").send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;
}

/// By the feed for an edge, by raft for the other.
async fn late_code_is_waited_for(role: &str) {
    let first = Node::start_with(Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    let second = first.joined("second", role).await;
    serve_before(&first, &second).await;

    let bundles = second.dir.path().join("data/bundles");
    block(&bundles);
    first.deploy("app", "production", &says("after"), json!([])).await;
    first.deploy("other", "production", &says("other"), json!([])).await;
    let refused = until("the second node refuses", async || {
        let found = propagation(&first).await;
        found["refused"].as_array().and_then(|refused| refused.first()).cloned()
    })
    .await;
    assert_eq!(refused["name"], "second");
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("app/production") && reason.contains("can not be stored"), "{reason}");
    assert_eq!(first.text(HOST, "/").await, "after");
    assert_eq!(second.text(HOST, "/").await, "before", "what was served is served on");
    assert_eq!(second.text("other.workers.test", "/").await, "other", "where nothing was served, code in memory does");

    unblock(&bundles);
    until("the second node goes over", async || (second.text(HOST, "/").await == "after").then_some(())).await;
    until("it acknowledges", async || {
        let found = propagation(&first).await;
        (found["acknowledged"] == 2 && found["refused"] == json!([])).then_some(())
    })
    .await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_serves_on_what_it_has_until_it_can_store_new_code() {
    late_code_is_waited_for("edge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_starts_without_the_new_code_and_with_nobody_to_ask_serves_what_it_served() {
    let first = Node::start_with(Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    let second = first.joined("second", "edge").await;
    serve_before(&first, &second).await;
    let bundles = second.dir.path().join("data/bundles");
    block(&bundles);
    first.deploy("app", "production", &says("after"), json!([])).await;
    until("the second node knows", async || {
        let found = propagation(&first).await;
        found["refused"].as_array().and_then(|refused| refused.first()).cloned()
    })
    .await;
    let dir = second.stop().await;
    let kept = first.stop().await;
    unblock(&bundles);

    let second = Node::again(dir, "second", "edge").await;
    assert_eq!(second.text(HOST, "/").await, "before");
    let first =
        Node::start_in(Arc::clone(&kept), Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    until("it goes over once there is somebody to ask", async || {
        (second.text(HOST, "/").await == "after").then_some(())
    })
    .await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_serves_on_what_it_has_until_it_can_store_new_code() {
    late_code_is_waited_for("voter").await;
}
