//! Clients that do not do their part hold nothing for long.

use serde_json::json;
use skerry_node::config::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{Node, PATIENCE},
    http::raw,
};

/// A node of little patience.
async fn hasty() -> Node {
    Node::start_with(Settings { header_timeout_ms: Some(200), body_timeout_ms: Some(200), ..Settings::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dawdles_is_cut_off() {
    let node = hasty().await;
    let code = "export default { async fetch(request) { return new Response(await request.text()) } };";
    node.deploy("app", "production", code, json!([])).await;
    // All end without the client closing: `raw` would wait for ever otherwise.
    for beginning in ["", "G", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: app.work"] {
        let answer = raw(&node, beginning).await;
        assert!(!answer.contains("200 OK"), "{beginning:?}: {answer}");
    }
    let body = raw(&node, "POST / HTTP/1.1\r\nhost: app.workers.test\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(body.starts_with("HTTP/1.1 500 "), "{body}");
    node.stop().await;
}

/// A worker whose answer never ends.
const ENDLESS: &str = r#"export default { fetch() {
    const piece = new Uint8Array(64 * 1024);
    return new Response(new ReadableStream({ pull(controller) { controller.enqueue(piece) } }));
} };"#;

/// Waits until the metrics have both lines.
async fn counts(node: &Node, lines: [&str; 2]) {
    let metrics = format!("http://{}/metrics", node.addresses.metrics.unwrap());
    let there = async {
        loop {
            let text = node.client.get(&metrics).send().await.unwrap().text().await.unwrap();
            if lines.iter().all(|line| text.contains(&format!("{line}\n"))) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("never: {lines:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_does_not_hold_its_worker() {
    let node = hasty().await;
    node.deploy("app", "production", ENDLESS, json!([])).await;
    let mut deaf = TcpStream::connect(node.http()).await.unwrap();
    deaf.write_all(b"GET / HTTP/1.1\r\nhost: app.workers.test\r\n\r\n").await.unwrap();
    let mut beginning = [0; 12];
    deaf.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");
    counts(&node, ["skerry_events 0", "skerry_connections 0"]).await;
    // What lies in its buffers it may still read; the end of the body it never sees.
    let mut rest = Vec::new();
    let _reset = tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    node.stop().await;
}

/// A client of one HTTP/2 connection, and the URL of `app` at the node.
fn h2_client(node: &Node) -> (reqwest::Client, String) {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
    let client = client.resolve("app.workers.test", node.http()).build().unwrap();
    (client, format!("http://app.workers.test:{}", node.http().port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_no_window_does_not_hold_its_worker() {
    let node = hasty().await;
    node.deploy("app", "production", ENDLESS, json!([])).await;
    let (client, url) = h2_client(&node);
    // Whoever does not read the body opens no window for more of it.
    let mut deaf = client.get(&url).send().await.unwrap();
    assert_eq!(deaf.version(), reqwest::Version::HTTP_2);
    counts(&node, ["skerry_events 0", "skerry_connections 1"]).await;
    let error = loop {
        match deaf.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an answer that was cut must not look whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    // The connection goes on.
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    counts(&node, ["skerry_events 0", "skerry_connections 1"]).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_answer_that_its_worker_takes_long_over_is_not_cut() {
    let node = hasty().await;
    let code = r#"export default { fetch(request) {
        if (request.url.endsWith("/long")) return new Response("x".repeat(300_000));
        let left = 3;
        return new Response(new ReadableStream({ async pull(controller) {
            await scheduler.wait(300);
            controller.enqueue(new TextEncoder().encode("late "));
            if ((left -= 1) === 0) controller.close();
        } }));
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    let (client, url) = h2_client(&node);
    assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "late late late ");
    let long = client.get(format!("{url}/long")).send().await.unwrap();
    assert_eq!(long.content_length(), Some(300_000));
    assert!(long.text().await.unwrap() == "x".repeat(300_000));
    node.stop().await;
}
