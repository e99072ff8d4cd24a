//! Starting, draining, restarting, and living beside bad neighbours.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::json;
use skerry_node::{
    app::App,
    config::{Config, Settings},
    ingress::Sockets,
    task,
};

use crate::harness::{Node, PATIENCE, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_serves_what_was_deployed() {
    let node = Node::start().await;
    let namespace = node.namespace("things").await;
    let code =
        "export default { async fetch(r, env) { return new Response(`${env.SECRET} ${await env.KV.get('k')}`) } };";
    let bindings = json!([
        { "type": "kv_namespace", "name": "KV", "namespace_id": namespace },
        { "type": "secret_text", "name": "SECRET", "text": "hush" },
    ]);
    node.deploy("app", "production", code, bindings).await;
    let value = format!("/accounts/ACCOUNT/storage/kv/namespaces/{namespace}/values/k");
    assert!(node.api(Method::PUT, &value).body("kept").send().await.unwrap().status().is_success());
    assert_eq!(node.text("app.workers.test", "/").await, "hush kept");
    let account = node.account.clone();
    let dir = node.stop().await;
    let node = Node::start_in(dir, Settings { bootstrap: Some(false), ..Settings::default() }).await;
    assert_eq!(node.account, account);
    assert_eq!(node.text("app.workers.test", "/").await, "hush kept");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_can_not_share_a_directory() {
    let node = Node::start().await;
    let settings = Settings {
        data_dir: Some(node.dir.path().to_owned()),
        http: Some("off".into()),
        https: Some("off".into()),
        api: Some("off".into()),
        metrics: Some("off".into()),
        ..Settings::default()
    };
    let error = App::build(Config::resolve(None, settings).unwrap(), &mut Sockets::default()).await.err().unwrap();
    assert!(error.to_string().contains("in use"), "{error}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_node_finishes_what_it_has_begun() {
    let node = Node::start().await;
    let code = r#"export default { async fetch() {
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        (async () => {
            for (const piece of ["a", "b", "c"]) {
                await writer.write(new TextEncoder().encode(piece));
                await scheduler.wait(100);
            }
            await writer.close();
        })();
        return new Response(readable);
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    let (client, address) = (node.client.clone(), node.http());
    let response = node.get("app.workers.test", "/").send().await.unwrap();
    let stopping = task::spawn("stop", node.stop());
    assert_eq!(response.text().await.unwrap(), "abc");
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert!(client.get(format!("http://{address}/")).send().await.is_err(), "a stopped node does not accept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gives_notice_before_it_stops_accepting() {
    let settings = Settings { drain_notice_ms: Some(3000), ..Settings::default() };
    let node = Node::start_with(settings).await;
    node.deploy("app", "production", &says("still here"), json!([])).await;
    let (client, http) = (node.client.clone(), format!("http://{}/", node.http()));
    let ready = format!("http://{}/readyz", node.addresses.metrics.unwrap());
    let stopping = task::spawn("stop", node.stop());
    let noticed = async { while client.get(&ready).send().await.unwrap().status() != 503 {} };
    tokio::time::timeout(PATIENCE, noticed).await.unwrap();
    let answer = client.get(&http).header("host", "app.workers.test").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "still here");
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert!(client.get(&http).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loops_does_not_stop_its_neighbour() {
    let node = Arc::new(Node::start().await);
    node.deploy("spin", "production", "export default { fetch() { for (;;) {} } };", json!([])).await;
    node.deploy("calm", "production", &says("calm"), json!([])).await;
    let spinning: Vec<_> = (0..8)
        .map(|_| {
            let node = Arc::clone(&node);
            task::spawn("spin", async move {
                for _ in 0..4 {
                    let status = node.get("spin.workers.test", "/").send().await.unwrap().status();
                    assert_eq!(status, 503);
                }
            })
        })
        .collect();
    let mut answers = 0;
    while spinning.iter().any(|task| !task.is_finished()) {
        let answer = tokio::time::timeout(Duration::from_secs(10), node.text("calm.workers.test", "/")).await;
        assert_eq!(answer.unwrap(), "calm");
        answers += 1;
    }
    for task in spinning {
        task.await.unwrap();
    }
    assert!(answers > 10, "the neighbour was answered {answers} times meanwhile");
}
