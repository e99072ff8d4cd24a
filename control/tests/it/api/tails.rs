//! Live logs over a real socket.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::node::{HELLO, Node};

const APP: &str = "/accounts/:a/workers/services/app/environments/production";
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_session_streams_what_its_filter_wants_in_wranglers_protocol() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = skerry_control::task::spawn("test api", async move { axum::serve(listener, node.router).await });

    let body = json!({ "filters": [{ "outcome": ["exception"] }] }).to_string();
    let request = Request::builder()
        .method("POST")
        .uri(format!("/client/v4{}/tails", APP.replace(":a", &node.account)))
        .header("authorization", format!("Bearer {}", node.admin))
        .header("host", address.to_string())
        .header("content-length", body.len())
        .header("connection", "close")
        .body(Body::empty())
        .unwrap();
    let mut head = format!("POST {} HTTP/1.1\r\n", request.uri());
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let opened: serde_json::Value = serde_json::from_str(&answer[answer.find('{').unwrap()..]).unwrap();
    let url = opened["result"]["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("ws://{address}")).unwrap();

    let (mut socket, mut got) = follow(address, path).await;
    let head = String::from_utf8_lossy(&got).to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("trace-v1"), "{head}");
    // An unmasked text frame, as wrangler sends it.
    socket.write_all(b"\x81\x0f{\"debug\":false}").await.unwrap();
    node.tails.sender.send(Arc::new(json!({ "outcome": "ok", "logs": [] }))).unwrap();
    node.tails.sender.send(Arc::new(json!({ "outcome": "exception", "logs": [] }))).unwrap();
    read_until(&mut socket, &mut got, "exception").await;
    assert!(!String::from_utf8_lossy(&got).contains("\"ok\""));
    server.abort();
}

#[tokio::test]
async fn a_session_ends_with_the_token_that_opened_it() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = node.router.clone();
    let server = skerry_control::task::spawn("test api", async move { axum::serve(listener, router).await });
    let token = node.json("POST", "/accounts/:a/tokens", json!({ "name": "t", "scopes": ["tail:read"] })).await.ok();
    let request = Request::builder()
        .method("POST")
        .uri(format!("/client/v4{}/tails", APP.replace(":a", &node.account)))
        .header("authorization", format!("Bearer {}", token["value"].as_str().unwrap()))
        .header("host", address.to_string());
    let opened = node.send(request.body(Body::empty()).unwrap()).await.ok();
    let path = format!("/client/v4/tails/{}", opened["id"].as_str().unwrap());

    let (mut socket, mut got) = follow(address, &path).await;
    node.tails.sender.send(Arc::new(json!({ "outcome": "before" }))).unwrap();
    read_until(&mut socket, &mut got, "before").await;
    node.call("DELETE", &format!("/accounts/:a/tokens/{}", token["id"].as_str().unwrap())).await.ok();
    node.tails.sender.send(Arc::new(json!({ "outcome": "after" }))).unwrap();
    read_until(&mut socket, &mut got, "the session is over").await;
    assert!(!String::from_utf8_lossy(&got).contains("after"));
    let again = Request::builder().uri(path).body(Body::empty()).unwrap();
    node.send(again).await.fails(404, 10105, "tail");
    server.abort();
}

/// Opens the WebSocket of a log; it, and the answer's head.
async fn follow(address: SocketAddr, path: &str) -> (TcpStream, Vec<u8>) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: \
         13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: trace-v1\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    read_until(&mut socket, &mut got, "\r\n\r\n").await;
    (socket, got)
}

async fn read_until(socket: &mut TcpStream, got: &mut Vec<u8>, text: &str) {
    let wait = async {
        while !String::from_utf8_lossy(got).contains(text) {
            let mut chunk = [0; 4096];
            let count = socket.read(&mut chunk).await.unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(got));
            got.extend_from_slice(&chunk[..count]);
        }
    };
    timeout(DEADLINE, wait).await.expect("the text arrives in time");
}

#[tokio::test]
async fn a_closed_or_unknown_session_can_not_be_listened_to() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let open = || {
        let request = node.request("POST", &format!("{APP}/tails")).header("host", "127.0.0.1:1");
        node.send(request.body(Body::empty()).unwrap())
    };
    let id = open().await.ok()["id"].as_str().unwrap().to_owned();
    node.call("GET", &format!("/tails/{id}")).await.fails(400, 10001, "Upgrade");
    node.call("DELETE", &format!("{APP}/tails/{id}")).await.ok();
    node.call("GET", &format!("/tails/{id}")).await.fails(404, 10105, "tail");
    let id = open().await.ok()["id"].as_str().unwrap().to_owned();
    node.advance(7 * 3_600_000);
    node.call("GET", &format!("/tails/{id}")).await.fails(404, 10105, "tail");
    let body = json!({ "filters": [{ "colour": "red" }] }).to_string();
    let request = node.request("POST", &format!("{APP}/tails")).header("host", "127.0.0.1:1");
    node.send(request.body(Body::from(body)).unwrap()).await.fails(400, 10001, "colour");
}
