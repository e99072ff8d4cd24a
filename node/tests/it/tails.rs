//! Live logs of a whole cluster, at any of its nodes.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use skerry_node::config::Settings;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::client::IntoClientRequest};

use crate::harness::{Node, PATIENCE};

const HOST: &str = "app.workers.test";
const CODE: &str =
    r#"export default { fetch(request) { console.log("seen", request.url); return new Response("ok"); } };"#;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A live log session at a node.
async fn tail(node: &Node, filters: Value) -> Socket {
    let path = "/accounts/ACCOUNT/workers/scripts/app/tails";
    let session = node.call(Method::POST, path, json!({ "filters": filters })).await;
    let mut request = session["url"].as_str().unwrap().into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "trace-v1".parse().unwrap());
    connect_async(request).await.unwrap().0
}

/// The path of the next event; `None` when none comes for a moment.
async fn next(socket: &mut Socket) -> Option<String> {
    let message = tokio::time::timeout(Duration::from_millis(200), socket.next()).await.ok()?.unwrap().unwrap();
    let event: Value = serde_json::from_str(message.to_text().ok()?).ok()?;
    assert_eq!(event["scriptName"], "app", "{event}");
    let url = event["event"]["request"]["url"].as_str()?;
    Some(url.rsplit_once('/')?.1.to_owned())
}

async fn visit(node: &Node, method: Method, path: &str) {
    let visited = async {
        while node.request(method.clone(), HOST, path).send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, visited).await.expect("the node serves");
}

/// Visits a node until the session hears of it.
async fn until_heard(socket: &mut Socket, node: &Node, path: &str) {
    let heard = async {
        loop {
            visit(node, Method::POST, &format!("/{path}")).await;
            while let Some(found) = next(socket).await {
                if found == path {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("{path} is not heard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_hears_every_node_also_those_that_come_and_go() {
    let first = Node::start_with(Settings { mesh: Some("127.0.0.1:0".into()), ..Settings::default() }).await;
    first.deploy("app", "production", CODE, json!([])).await;
    let mut at_first = tail(&first, json!([])).await;
    until_heard(&mut at_first, &first, "own").await;
    let second = first.joined("second", "edge").await;
    until_heard(&mut at_first, &second, "joined").await;

    let mut at_second = tail(&second, json!([{ "method": ["POST"] }])).await;
    until_heard(&mut at_second, &first, "other").await;
    // What is not wanted does not come before what is.
    visit(&first, Method::GET, "/unwanted").await;
    visit(&first, Method::POST, "/wanted").await;
    let heard = async {
        loop {
            if let Some(path) = next(&mut at_second).await
                && path.ends_with("wanted")
            {
                return path;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, heard).await.expect("an event of the first node"), "wanted");
    drop(at_second);

    let dir = second.stop().await;
    let again = Node::again(dir, "second", "edge").await;
    until_heard(&mut at_first, &again, "again").await;
    again.stop().await;
    first.stop().await;
}
