//! What ingress promises about requests, limits and pages.

use reqwest::Method;
use serde_json::{Value, json};
use skerry_node::config::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Node, PATIENCE, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_sees_the_request_as_it_was_sent() {
    let node = Node::start().await;
    let code = r#"export default { async fetch(request) {
        return Response.json({ url: request.url, method: request.method, body: await request.text(),
            ip: request.headers.get("cf-connecting-ip"), proto: request.headers.get("x-forwarded-proto"),
            claimed: request.headers.get("x-forwarded-for"), protocol: request.cf.httpProtocol });
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    let response = node
        .request(Method::POST, "App.Workers.Test:81", "/a%20b?c=d")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "https")
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-skerry-request-id"].len(), 32);
    let seen: Value = response.json().await.unwrap();
    assert_eq!(
        seen,
        json!({ "url": "http://app.workers.test:81/a%20b?c=d", "method": "POST", "body": "hello", "ip": "127.0.0.1",
            "proto": "http", "claimed": "127.0.0.1", "protocol": "HTTP/1.1" })
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_has_its_documented_page() {
    let node = Node::start().await;
    let code = r#"export default { fetch(request) {
        const path = new URL(request.url).pathname;
        if (path === "/throw") throw new Error("hunter2");
        if (path === "/never") return new Promise(() => {});
        if (path === "/loop") for (;;) {}
        return new Response("fine");
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    for (path, status, number) in [("/throw", 500, 1101), ("/never", 500, 1101), ("/loop", 503, 1102)] {
        let response = node.get("app.workers.test", path).header("accept", "application/json").send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let id = response.headers()["x-skerry-request-id"].to_str().unwrap().to_owned();
        let page = response.text().await.unwrap();
        assert!(!page.contains("hunter2"), "{page}");
        let page: Value = serde_json::from_str(&page).unwrap();
        assert_eq!((&page["error"]["code"], &page["error"]["request_id"]), (&json!(number), &json!(id)), "{path}");
    }
    let page = node.get("nobody.workers.test", "/").send().await.unwrap();
    assert_eq!(page.status(), 404);
    assert!(page.text().await.unwrap().starts_with("<!doctype html>"));
    assert_eq!(node.text("app.workers.test", "/").await, "fine");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_requests_are_refused_with_their_status() {
    let node = Node::start_with(Settings { body_bytes_max: Some(1000), ..Settings::default() }).await;
    let code = "export default { async fetch(request) { return new Response((await request.text()).length) } };";
    node.deploy("app", "production", code, json!([])).await;
    let post = |body: reqwest::Body| node.request(Method::POST, "app.workers.test", "/").body(body).send();
    assert_eq!(post(vec![b'x'; 1000].into()).await.unwrap().text().await.unwrap(), "1000");
    assert_eq!(post(vec![b'x'; 1001].into()).await.unwrap().status(), 413);
    let long = format!("/{}", "u".repeat(17_000));
    assert_eq!(node.get("app.workers.test", &long).send().await.unwrap().status(), 414);
    let header = "h".repeat(200_000);
    let refused = node.get("app.workers.test", "/").header("x-large", header).send().await.unwrap();
    assert_eq!(refused.status(), 431);

    // Without a length the limit shows only while the body comes in.
    let chunk = "x".repeat(600);
    let chunks = format!("258\r\n{chunk}\r\n258\r\n{chunk}\r\n0\r\n\r\n");
    let request = format!("POST / HTTP/1.1\r\nhost: app.workers.test\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    assert!(raw(&node, &request).await.starts_with("HTTP/1.1 413 "));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_host_is_refused() {
    let node = Node::start().await;
    assert!(raw(&node, "GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_is_asked_for_a_tunnel() {
    let node = Node::start().await;
    node.deploy("app", "production", &says("fine"), json!([])).await;
    let answer = raw(&node, "CONNECT app.workers.test:443 HTTP/1.1\r\nhost: app.workers.test:443\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_by_prior_knowledge() {
    let node = Node::start().await;
    node.deploy("app", "production", &says("h2"), json!([])).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().resolve("app.workers.test", node.http());
    let url = format!("http://app.workers.test:{}/", node.http().port());
    let response = client.build().unwrap().get(url).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.text().await.unwrap(), "h2");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_health_tell_what_happens() {
    let node = Node::start().await;
    node.deploy("app", "production", &says("x"), json!([])).await;
    node.text("app.workers.test", "/").await;
    let fetch = async |path: &str| {
        let url = format!("http://{}{path}", node.addresses.metrics.unwrap());
        let response = node.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(fetch("/healthz").await, (200, "ok\n".into()));
    assert_eq!(fetch("/readyz").await, (200, "ready\n".into()));
    let (_, metrics) = fetch("/metrics").await;
    assert!(metrics.contains("skerry_requests_total{outcome=\"answered\"} 1"), "{metrics}");
    assert!(metrics.contains("skerry_isolates 1"), "{metrics}");
    assert_eq!(fetch("/").await.0, 404);
    node.stop().await;
}

/// Sends bytes and returns what comes back until the node closes the connection, or its first answer is whole.
pub(crate) async fn raw(node: &Node, request: &str) -> String {
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("an end in time").unwrap_or(0);
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        if read == 0 || is_whole(&text) {
            return text.into_owned();
        }
    }
}

/// Whether an answer has come to the end that its `Content-Length` announces, or to that of its head.
pub(crate) fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}
