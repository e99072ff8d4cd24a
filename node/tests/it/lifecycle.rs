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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
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

/// What `/readyz` says, once it is the expected status.
async fn readyz(node: &Node, status: u16) -> String {
    let url = format!("http://{}/readyz", node.addresses.metrics.unwrap());
    let asking = async {
        loop {
            let answer = node.client.get(&url).send().await.unwrap();
            if answer.status() == status {
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("/readyz never says {status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_cluster_drains_is_not_ready_and_answers_what_comes() {
    let first = Node::start_with(Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    let second = first.joined("second", "edge").await;
    first.deploy("app", "production", &says("still here"), json!([])).await;
    assert_eq!(readyz(&second, 200).await, "ready\n");
    first.call(Method::POST, "/cluster/nodes/second/drain", json!({})).await;
    assert_eq!(readyz(&second, 503).await, "draining\n");
    assert_eq!(readyz(&first, 200).await, "ready\n", "the other one");
    first.call(Method::POST, "/cluster/nodes/1/drain", json!({})).await;
    assert_eq!(readyz(&first, 503).await, "draining\n");
    assert_eq!(first.text("app.workers.test", "/").await, "still here");
    first.deploy("app", "production", &says("changed"), json!([])).await;
    assert_eq!(first.text("app.workers.test", "/").await, "changed", "it shows the newest state");

    let dir = Arc::clone(&second.dir);
    second.stop().await;
    let second = Node::again(dir, "second", "edge").await;
    assert_eq!(readyz(&second, 503).await, "draining\n", "a start does not end it");
    first.call(Method::POST, "/cluster/nodes/second/undrain", json!({})).await;
    assert_eq!(readyz(&second, 200).await, "ready\n");
    first.call(Method::POST, "/cluster/nodes/1/undrain", json!({})).await;
    assert_eq!(readyz(&first, 200).await, "ready\n");
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_cluster_drains_lets_connections_go_after_their_answer() {
    let node = Node::start_with(Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    node.deploy("app", "production", &says("last"), json!([])).await;
    let h2 = reqwest::Client::builder().http2_prior_knowledge().resolve("app.workers.test", node.http());
    let (h2, url) = (h2.build().unwrap(), format!("http://app.workers.test:{}/", node.http().port()));
    let request = "GET / HTTP/1.1\r\nhost: app.workers.test\r\n\r\n";
    let mut h1 = TcpStream::connect(node.http()).await.unwrap();
    let answer = ask(&mut h1, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("connection: close"), "{answer}");
    assert_eq!(h2.get(&url).send().await.unwrap().text().await.unwrap(), "last");

    node.call(Method::POST, "/cluster/nodes/1/drain", json!({})).await;
    readyz(&node, 503).await;
    h1.write_all(request.as_bytes()).await.unwrap();
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, h1.read_to_string(&mut rest)).await.expect("the connection ends").unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.contains("connection: close"), "{rest}");
    assert!(rest.ends_with("last"), "{rest}");
    for _ in 0..3 {
        let answer = h2.get(&url).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "last", "a new connection is served, too");
    }
    // The client keeps a connection for longer than this, unless it is told to let it go.
    let metrics = format!("http://{}/metrics", node.addresses.metrics.unwrap());
    let counting = async {
        while !node.client.get(&metrics).send().await.unwrap().text().await.unwrap().contains("skerry_connections 0\n")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counting).await.expect("HTTP/2 connections end after their answer");
    node.stop().await;
}

/// Sends a request and reads its answer, which is short and comes with its length.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut read = 0;
    while !answer[..read].ends_with(b"last") {
        read += tokio::time::timeout(PATIENCE, stream.read(&mut answer[read..])).await.unwrap().unwrap();
    }
    String::from_utf8(answer[..read].to_vec()).unwrap()
}
