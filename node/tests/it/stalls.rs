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

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_does_not_hold_its_worker() {
    let node = hasty().await;
    let code = r#"export default { fetch() {
        const piece = new Uint8Array(64 * 1024);
        return new Response(new ReadableStream({ pull(controller) { controller.enqueue(piece) } }));
    } };"#;
    node.deploy("app", "production", code, json!([])).await;
    let mut deaf = TcpStream::connect(node.http()).await.unwrap();
    deaf.write_all(b"GET / HTTP/1.1\r\nhost: app.workers.test\r\n\r\n").await.unwrap();
    let mut beginning = [0; 12];
    deaf.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");
    let metrics = format!("http://{}/metrics", node.addresses.metrics.unwrap());
    let freed = async {
        loop {
            let text = node.client.get(&metrics).send().await.unwrap().text().await.unwrap();
            if text.contains("skerry_events 0\n") && text.contains("skerry_connections 0\n") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("the event and the connection of a deaf client end");
    // What lies in its buffers it may still read; the end of the body it never sees.
    let mut rest = Vec::new();
    let _reset = tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    node.stop().await;
}
