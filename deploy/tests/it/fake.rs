//! An API that the test plays: it records every call and answers what the test says.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// The account of every fake.
pub(crate) const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// One call as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// Below `/client/v4`.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The text of one part of a multipart body.
    pub(crate) fn part(&self, name: &str) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body);
        let head = format!("name=\"{name}\"");
        let part =
            body.split("\r\n--").find(|part| part.split("\r\n\r\n").next().unwrap_or_default().contains(&head))?;
        part.split_once("\r\n\r\n").map(|(_, text)| text.to_owned())
    }

    /// `METHOD /path`, with the account's and the service's part left out.
    pub(crate) fn what(&self) -> String {
        let path = self.path.replace(&format!("/accounts/{ACCOUNT}"), "");
        format!("{} {path}", self.method)
    }
}

/// What a fake answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Result(Value),
    /// With an `ETag`.
    Tagged(Value, &'static str),
    Error(u16, u32, &'static str),
    Raw(u16, &'static str),
    Bytes(Vec<u8>),
    /// Never answers.
    Silence,
}

type Player = dyn Fn(&Recorded) -> Option<Reply> + Send + Sync;

/// A running fake; it ends with the test's process.
pub(crate) struct Fake {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<Recorded>>>,
}

#[derive(Clone)]
struct Stage {
    player: Arc<Player>,
    calls: Arc<Mutex<Vec<Recorded>>>,
}

impl Fake {
    /// Starts it; what `player` leaves open is answered as an empty cluster would.
    pub(crate) fn start(player: impl Fn(&Recorded) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let stage = Stage { player: Arc::new(player), calls: calls.clone() };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // A thread with a runtime of its own: the test itself blocks on the program it runs.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let app = axum::Router::new().route("/client/v4/tails/{id}", axum::routing::get(tail));
                let app = app.fallback(answer).with_state(stage);
                let app = app.layer(axum::extract::DefaultBodyLimit::disable());
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
            });
        });
        Self { url, calls }
    }

    pub(crate) fn calls(&self) -> Vec<Recorded> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls that would change something, as [`Recorded::what`] names them.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.calls().iter().filter(|call| call.method != "GET").map(Recorded::what).collect()
    }

    /// The last call named so: of an upload and its rehearsal, the one that counts.
    #[track_caller]
    pub(crate) fn last(&self, what: &str) -> Recorded {
        self.calls().into_iter().rev().find(|call| call.what() == what).unwrap_or_else(|| panic!("no call {what:?}"))
    }

    /// The only call named so.
    #[track_caller]
    pub(crate) fn call(&self, what: &str) -> Recorded {
        let calls = self.calls();
        let found: Vec<_> = calls.iter().filter(|call| call.what() == what).collect();
        match found.as_slice() {
            [one] => (*one).clone(),
            other => panic!(
                "{} calls {what:?} among {:?}",
                other.len(),
                calls.iter().map(Recorded::what).collect::<Vec<_>>()
            ),
        }
    }
}

async fn answer(State(stage): State<Stage>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let call = Recorded {
        method: method.to_string(),
        path: uri.path().strip_prefix("/client/v4").unwrap_or(uri.path()).to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.to_vec(),
    };
    stage.calls.lock().unwrap().push(call.clone());
    let reply = (stage.player)(&call).unwrap_or_else(|| empty(&call));
    let envelope =
        |result: Value| json!({ "success": true, "errors": [], "messages": [], "result": result }).to_string();
    match reply {
        Reply::Result(result) => envelope(result).into_response(),
        Reply::Tagged(result, etag) => ([("etag", etag)], envelope(result)).into_response(),
        Reply::Error(status, code, message) => {
            let body = json!({ "success": false, "errors": [{ "code": code, "message": message }], "messages": [], "result": null });
            (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
        }
        Reply::Raw(status, text) => (StatusCode::from_u16(status).unwrap(), text).into_response(),
        Reply::Bytes(bytes) => bytes.into_response(),
        Reply::Silence => std::future::pending().await,
    }
}

/// The WebSocket of a tail. `one` sends one event and stays, `many` sends events for ever, `gone` ends at once.
async fn tail(
    State(stage): State<Stage>,
    Path(id): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let path = format!("/tails/{id}");
    let call = Recorded { method: "GET".to_owned(), path, query: String::new(), headers, body: Vec::new() };
    stage.calls.lock().unwrap().push(call);
    upgrade.protocols(["trace-v1"]).on_upgrade(move |socket| async move { events(socket, &id).await })
}

async fn events(mut socket: WebSocket, id: &str) {
    let event = json!({
        "event": { "request": { "method": "GET", "url": "http://shop.workers.localhost/" }, "response": { "status": 200 } },
        "outcome": "ok", "logs": [{ "level": "log", "message": ["hello", 1], "timestamp": 0 }], "exceptions": [],
    });
    let mut left = match id {
        "gone" => 0,
        "one" => 1,
        _ => u64::MAX,
    };
    while left > 0 && socket.send(Message::Binary(event.to_string().into())).await.is_ok() {
        left -= 1;
    }
    while id == "one" && socket.recv().await.is_some() {}
}

fn empty(call: &Recorded) -> Reply {
    match call.what().as_str() {
        "GET /accounts" => Reply::Result(json!([{ "id": ACCOUNT, "name": "test" }])),
        "GET /cluster" => Reply::Result(
            json!({ "domain": "workers.localhost", "revision": 1, "version": "0.1.0", "http_port": 8080, "https_port": 8443 }),
        ),
        "GET /user" => Reply::Result(json!({ "id": "u", "email": "admin" })),
        what if what.starts_with("GET ") => Reply::Error(404, 10090, "service not found"),
        _ => Reply::Result(Value::Null),
    }
}
