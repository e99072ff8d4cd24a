//! Where one message ends and the next begins, whatever a worker says about it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use skerry_node::{config::Settings, task};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    harness::{Node, PATIENCE, says},
    http::{is_whole, raw},
};

const LIAR: &str = r#"export default { fetch(request) {
    const path = new URL(request.url).pathname;
    if (path === "/none") return new Response(null, { headers: { "content-length": "9" } });
    if (path === "/modified") return new Response(null, { status: 304, headers: { "content-length": "9" } });
    if (path === "/stream") {
        const { readable, writable } = new FixedLengthStream(5);
        const writer = writable.getWriter();
        writer.write(new TextEncoder().encode("hello")).then(() => writer.close());
        return new Response(readable, { headers: { "content-length": "5" } });
    }
    const claims = { "/short": "2", "/long": "9", "/illegal": "five", "/list": "5, 5" };
    return new Response("hello", { headers: path in claims ? { "content-length": claims[path] } : {} });
} };"#;

/// Sends requests in one go over one connection; what comes back until the node closes it.
async fn pipelined(node: &Node, paths: &[&str]) -> String {
    let mut requests = String::new();
    for path in paths {
        requests.push_str(&format!("GET {path} HTTP/1.1\r\nhost: app.workers.test\r\n\r\n"));
    }
    requests.push_str("GET /last HTTP/1.1\r\nhost: app.workers.test\r\nconnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answers)).await.unwrap().unwrap();
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_a_worker_claims_does_not_frame_its_answer() {
    let node = Node::start().await;
    node.deploy("app", "production", LIAR, json!([])).await;
    let answers = pipelined(&node, &["/short", "/long", "/illegal", "/list", "/stream", "/none"]).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 7, "{answers}");
    assert_eq!(answers.matches("content-length: 5\r\n").count(), 6, "{answers}");
    assert_eq!(answers.matches("content-length: 0\r\n").count(), 1, "{answers}");
    assert_eq!(answers.matches("\r\n\r\nhello").count(), 6, "{answers}");
    node.stop().await;
}

/// Reads one answer that has a length.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        if text.contains("\r\n\r\n") && is_whole(&text) {
            return text.into_owned();
        }
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the connection was closed after {text:?}");
        answer.extend_from_slice(&piece[..read]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_its_worker_ignores_does_not_reach_into_the_next_request() {
    let node = Node::start().await;
    let code = "export default { fetch(request) { return new Response(`${request.method} ${new URL(request.url).pathname}`) } };";
    node.deploy("app", "production", code, json!([])).await;
    let inner = "POST /inner HTTP/1.1\r\nhost: app.workers.test\r\ncontent-length: 0\r\n\r\n";
    for repeated in [0, 1, 100, 2000] {
        // What follows looks like a request to whoever reads on.
        let body = inner.repeat(repeated);
        let mut stream = TcpStream::connect(node.http()).await.unwrap();
        for path in ["/one", "/two", "/three"] {
            let length = body.len();
            let head = format!("POST {path} HTTP/1.1\r\nhost: app.workers.test\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            let answer = answer(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("POST {path}")), "{answer}");
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_has_a_length_and_no_body_over_either_http() {
    let node = Node::start().await;
    node.deploy("app", "production", LIAR, json!([])).await;
    let client = || reqwest::Client::builder().no_proxy().resolve("app.workers.test", node.http());
    let (h1, h2) = (client().build().unwrap(), client().http2_prior_knowledge().build().unwrap());
    for (client, path, length) in
        [(&h1, "/", "5"), (&h1, "/short", "5"), (&h1, "/none", "9"), (&h2, "/", "5"), (&h2, "/none", "9")]
    {
        let url = format!("http://app.workers.test:{}{path}", node.http().port());
        let response = client.head(&url).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["content-length"].as_bytes()),
            (200, length.as_bytes()),
            "{path}"
        );
        assert_eq!(response.text().await.unwrap(), "", "{path}");
        // The connection is still in step.
        let whole = client.get(url.replace("/none", "/")).send().await.unwrap();
        assert_eq!(whole.text().await.unwrap(), "hello");
        let modified =
            client.get(format!("http://app.workers.test:{}/modified", node.http().port())).send().await.unwrap();
        assert_eq!((modified.status().as_u16(), modified.text().await.unwrap()), (304, String::new()));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_for_head_has_no_body_over_either_http() {
    let node = Node::start().await;
    let code = "export default { fetch() { throw new Error('on purpose') } };";
    node.deploy("app", "production", code, json!([])).await;
    let client = || reqwest::Client::builder().no_proxy().resolve("app.workers.test", node.http());
    let url = format!("http://app.workers.test:{}/", node.http().port());
    for client in [client().build().unwrap(), client().http2_prior_knowledge().build().unwrap()] {
        let head = client.head(&url).send().await.unwrap();
        let length: usize = head.headers()["content-length"].to_str().unwrap().parse().unwrap();
        assert_eq!((head.status().as_u16(), head.text().await.unwrap()), (500, String::new()));
        // The connection is still in step.
        let page = client.get(&url).send().await.unwrap();
        assert_eq!((page.status().as_u16(), page.text().await.unwrap().len()), (500, length));
    }
    node.stop().await;
}

/// A server that answers each of its connections with `answer` and remembers the requests.
async fn origin(answer: &'static [u8]) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let _accepts = task::spawn("origin", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            requests.lock().unwrap().push(String::from_utf8(request).unwrap().to_lowercase());
            stream.write_all(answer).await.unwrap();
        }
    });
    (address, seen)
}

/// A node whose workers may reach this machine.
async fn open_node() -> Node {
    Node::start_with(Settings { egress_allow: Some(vec!["127.0.0.0/8".into()]), ..Settings::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coded_answer_of_an_origin_is_handed_on_as_it_is() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\nconnection: close\r\n\r\n\x1f\x8bcode";
    let node = open_node().await;
    let (origin, _) = origin(ANSWER).await;
    let code = format!("export default {{ fetch() {{ return fetch('http://{origin}/') }} }};");
    node.deploy("app", "production", &code, json!([])).await;
    let response = node.get("app.workers.test", "/").send().await.unwrap();
    assert_eq!(
        (response.headers()["content-length"].as_bytes(), response.headers()["content-encoding"].as_bytes()),
        (&b"6"[..], &b"gzip"[..])
    );
    assert_eq!(&*response.bytes().await.unwrap(), b"\x1f\x8bcode");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outgoing_request_has_the_length_of_its_body_and_one_hop_more() {
    let node = open_node().await;
    let (origin, seen) = origin(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
    let code = format!(
        "export default {{ fetch() {{ return fetch('http://{origin}/', {{ method: 'POST', headers: {{ 'content-length': '20', 'cf-ew-via': '0' }} }}) }} }};"
    );
    node.deploy("app", "production", &code, json!([])).await;
    let response = node.get("app.workers.test", "/").header("cf-ew-via", "3").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
    let request = seen.lock().unwrap().pop().unwrap();
    assert!(request.contains("content-length: 0\r\n") && !request.contains("content-length: 20"), "{request}");
    assert!(request.contains("cf-ew-via: 4\r\n") && !request.contains("cf-ew-via: 0"), "{request}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_can_not_take_the_count_of_hops_away() {
    let node = open_node().await;
    let (origin, seen) = origin(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
    let code = format!(
        r#"export default {{ async fetch() {{
            const connection = "upgrade, cf-ew-via";
            for (const headers of [{{ connection }}, {{ connection, upgrade: "websocket" }}]) {{
                await (await fetch("http://{origin}/", {{ headers }})).text();
            }}
            return new Response("done");
        }} }};"#
    );
    node.deploy("app", "production", &code, json!([])).await;
    assert_eq!(node.text("app.workers.test", "/").await, "done");
    let requests = seen.lock().unwrap().clone();
    let [plain, socket] = &requests[..] else { panic!("{requests:?}") };
    assert!(plain.contains("cf-ew-via: 1\r\n") && !plain.contains("upgrade"), "{plain}");
    assert!(socket.contains("cf-ew-via: 1\r\n") && socket.contains("upgrade: websocket\r\n"), "{socket}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_went_round_in_circles_is_refused() {
    let node = Node::start().await;
    node.deploy("app", "production", &says("fine"), json!([])).await;
    let hops = |count: &'static str| node.get("app.workers.test", "/").header("cf-ew-via", count);
    assert_eq!(hops("16").send().await.unwrap().text().await.unwrap(), "fine");
    let refused = hops("17").header("accept", "application/json").send().await.unwrap();
    assert_eq!(refused.status(), 508);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], 1019);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_one_and_the_same_wherever_a_worker_looks() {
    let node = Node::start().await;
    let code = "export default { fetch(request) { return new Response(`${new URL(request.url).host} ${request.headers.get('host')}`) } };";
    node.deploy("app", "production", code, json!([])).await;
    for request in [
        "GET / HTTP/1.1\r\nhost: app.workers.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: APP.workers.test.:80\r\n\r\n",
        "GET http://app.workers.test/ HTTP/1.1\r\nhost: elsewhere.test\r\n\r\n",
    ] {
        let answer = raw(&node, request).await;
        assert!(answer.ends_with("\r\n\r\napp.workers.test app.workers.test"), "{request}: {answer}");
    }
    for host in ["app.workers.test\r\nhost: app.workers.test", "app.workers.test:abc", "app.workers.test:99999"] {
        let answer = raw(&node, &format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{host}: {answer}");
    }
    node.stop().await;
}
