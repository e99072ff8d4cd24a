//! Logs as they happen.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;

use serde_json::json;

use crate::fake::{Fake, Reply};
use crate::run::Workspace;

/// A WebSocket that sends one event to whoever comes, and stays open.
fn events() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/tail", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            use axum::extract::ws::{Message, WebSocketUpgrade};
            listener.set_nonblocking(true).unwrap();
            let app = axum::Router::new().fallback(async |upgrade: WebSocketUpgrade| {
                upgrade.protocols(["trace-v1"]).on_upgrade(async |mut socket| {
                    let event = json!({
                        "event": { "request": { "method": "GET", "url": "http://shop.workers.localhost/" }, "response": { "status": 200 } },
                        "outcome": "ok", "logs": [{ "level": "log", "message": ["hello", 1], "timestamp": 0 }], "exceptions": [],
                    });
                    socket.send(Message::Binary(event.to_string().into())).await.unwrap();
                    while socket.recv().await.is_some() {}
                })
            });
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
        });
    });
    url
}

fn first_lines(args: &[&str], count: usize) -> (Vec<String>, Fake) {
    let url = events();
    let fake =
        Fake::start(move |call| call.path.ends_with("/tails").then(|| Reply::Result(json!({ "id": "t", "url": url }))));
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", "name = \"shop\"")]);
    let mut child = workspace.command(args).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.take(count).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    (found, fake)
}

#[test]
fn tail_prints_events_while_they_happen() {
    let (lines, fake) = first_lines(&["tail", "--status", "error", "--search", "hello"], 2);
    assert!(lines[0].ends_with("GET http://shop.workers.localhost/ 200 - ok"), "{lines:?}");
    assert!(lines[1].ends_with("[log] hello 1"), "{lines:?}");
    let sent = fake.call("POST /workers/services/shop/environments/production/tails").json();
    assert_eq!(sent["filters"][1], json!({ "query": "hello" }));
    assert_eq!(sent["filters"][0]["outcome"][0], "exception");
}

#[test]
fn tail_prints_json_lines_for_programs() {
    let (lines, _) = first_lines(&["tail", "--json"], 1);
    let event: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(event["outcome"], "ok");
}
