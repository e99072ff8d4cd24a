//! WebSockets, from the end user through ingress to a worker.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use skerry_node::{config::Settings, task};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        handshake::{client::Response, derive_accept_key},
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use crate::harness::{Node, until};

/// A WebSocket of the test.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    pub(crate) async fn next_text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.as_str().to_owned(),
            Message::Binary(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?} is no text"),
        }
    }
}

/// Opens a WebSocket at a URL whose host is an address.
pub(crate) async fn connect_url(url: &str, headers: &[(&'static str, &str)]) -> (Socket, Response) {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let address = request.uri().authority().unwrap().to_string();
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    (Socket(socket), response)
}

const ECHO: &str = r#"export default { fetch(request) {
    if (request.headers.get("Upgrade") !== "websocket") return new Response("no socket", { status: 426 });
    const [client, server] = Object.values(new WebSocketPair());
    server.accept();
    server.addEventListener("message", (event) => {
        if (event.data === "close") return server.close(4000, "done");
        server.send(typeof event.data === "string" ? `echo ${event.data}` : event.data);
    });
    return new Response(null, { status: 101, webSocket: client });
} };"#;

#[tokio::test(flavor = "multi_thread")]
async fn messages_pass_both_ways_and_the_worker_closes() {
    let node = Node::start().await;
    node.deploy("app", "production", ECHO, json!([])).await;
    assert_eq!(node.get("app.workers.test", "/").send().await.unwrap().status(), 426);
    let url = format!("ws://{}/", node.http());
    let (mut socket, response) = connect_url(&url, &[("host", "app.workers.test")]).await;
    assert_eq!(response.headers()["x-skerry-request-id"].len(), 32);
    socket.send(Message::text("hello")).await;
    assert_eq!(socket.next().await, Message::text("echo hello"));
    socket.send(Message::binary(vec![0, 1, 255])).await;
    assert_eq!(socket.next().await, Message::binary(vec![0, 1, 255]));
    socket.send(Message::text("close")).await;
    let Message::Close(Some(frame)) = socket.next().await else { panic!("the worker closes") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Library(4000), "done"));
    drop(socket);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_is_answered_with_its_code() {
    let node = Node::start().await;
    node.deploy("app", "production", ECHO, json!([])).await;
    let url = format!("ws://{}/", node.http());
    let (mut socket, _) = connect_url(&url, &[("host", "app.workers.test")]).await;
    let goodbye = Message::Close(Some(CloseFrame { code: CloseCode::Library(4001), reason: "bye".into() }));
    socket.send(goodbye.clone()).await;
    assert_eq!(socket.next().await, goodbye);
    assert!(socket.0.next().await.is_none(), "the node ends the connection");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_a_rule_is_told_which() {
    let node = Node::start().await;
    node.deploy("app", "production", ECHO, json!([])).await;
    let url = format!("ws://{}/", node.http());
    let no_text = Frame::message(vec![0xff], OpCode::Data(Data::Text), true);
    let too_large = Message::binary(vec![0; (1 << 20) + 1]);
    for (message, code) in [(too_large, CloseCode::Size), (Message::Frame(no_text), CloseCode::Invalid)] {
        let (mut socket, _) = connect_url(&url, &[("host", "app.workers.test")]).await;
        socket.send(message).await;
        let Message::Close(Some(frame)) = socket.next().await else { panic!("the node closes") };
        assert_eq!(frame.code, code);
    }
    node.stop().await;
}

/// Whether the metrics have a line.
async fn counts(node: &Node, line: &str) -> Option<()> {
    let url = format!("http://{}/metrics", node.addresses.metrics.unwrap());
    let metrics = node.client.get(url).send().await.unwrap().text().await.unwrap();
    metrics.contains(line).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_socket_counts_as_a_connection() {
    let node = Node::start().await;
    node.deploy("app", "production", ECHO, json!([])).await;
    let (mut socket, _) = connect_url(&format!("ws://{}/", node.http()), &[("host", "app.workers.test")]).await;
    socket.send(Message::text("hello")).await;
    assert_eq!(socket.next().await, Message::text("echo hello"));
    assert!(counts(&node, "skerry_connections 1\n").await.is_some());
    drop(socket);
    until("the connection is over", || counts(&node, "skerry_connections 0\n")).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_extension_is_agreed_on_with_a_client() {
    let node = Node::start().await;
    let headers = r#"{ "sec-websocket-extensions": "permessage-deflate", "x-own": "1" }"#;
    let code = ECHO.replace("webSocket: client }", &format!("webSocket: client, headers: {headers} }}"));
    node.deploy("app", "production", &code, json!([])).await;
    let offer = [("host", "app.workers.test"), ("sec-websocket-extensions", "permessage-deflate")];
    let (mut socket, response) = connect_url(&format!("ws://{}/", node.http()), &offer).await;
    assert_eq!(response.headers()["x-own"], "1");
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    socket.send(Message::text("hello")).await;
    assert_eq!(socket.next().await, Message::text("echo hello"));
    drop(socket);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_says_goodbye() {
    let node = Node::start().await;
    node.deploy("app", "production", ECHO, json!([])).await;
    let url = format!("ws://{}/", node.http());
    let (mut socket, _) = connect_url(&url, &[("host", "app.workers.test")]).await;
    socket.send(Message::text("hello")).await;
    assert_eq!(socket.next().await, Message::text("echo hello"));
    let stopping = task::spawn("stop", node.stop());
    let Message::Close(Some(frame)) = socket.next().await else { panic!("the node closes") };
    assert_eq!(frame.code, CloseCode::Away);
    drop(socket);
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_passes_through_a_service_binding() {
    let node = Node::start().await;
    node.deploy("echo", "production", ECHO, json!([])).await;
    let front = "export default { fetch(request, env) { return env.ECHO.fetch(request) } };";
    let binding = json!([{ "type": "service", "name": "ECHO", "service": "echo" }]);
    node.deploy("front", "production", front, binding).await;
    let url = format!("ws://{}/", node.http());
    let (mut socket, _) = connect_url(&url, &[("host", "front.workers.test")]).await;
    socket.send(Message::text("through")).await;
    assert_eq!(socket.next().await, Message::text("echo through"));
    drop(socket);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_opens_a_socket_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = task::spawn("echo server", async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("a text is sent") };
        socket.send(Message::text(format!("server heard {text}"))).await.unwrap();
    });
    let node =
        Node::start_with(Settings { egress_allow: Some(vec!["127.0.0.0/8".into()]), ..Settings::default() }).await;
    let code = format!(
        r#"export default {{ async fetch() {{
            const {{ webSocket }} = await fetch("http://{address}/", {{ headers: {{ Upgrade: "websocket" }} }});
            webSocket.accept();
            const heard = new Promise((resolve) => webSocket.addEventListener("message", (event) => resolve(event.data)));
            webSocket.send("hello");
            return new Response(await heard);
        }} }};"#
    );
    node.deploy("app", "production", &code, json!([])).await;
    assert_eq!(node.text("app.workers.test", "/").await, "server heard hello");
    server.await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_agrees_to_an_extension_that_nobody_offered_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = task::spawn("server", async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let request = String::from_utf8(request).unwrap();
        let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {}\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    });
    let node =
        Node::start_with(Settings { egress_allow: Some(vec!["127.0.0.0/8".into()]), ..Settings::default() }).await;
    let code = format!(
        r#"export default {{ async fetch() {{
            const headers = {{ Upgrade: "websocket", "Sec-WebSocket-Extensions": "permessage-deflate" }};
            try {{
                await fetch("http://{address}/", {{ headers }});
                return new Response("opened");
            }} catch (error) {{
                return new Response("refused");
            }}
        }} }};"#
    );
    node.deploy("app", "production", &code, json!([])).await;
    assert_eq!(node.text("app.workers.test", "/").await, "refused");
    let request = server.await.unwrap();
    assert!(!request.contains("sec-websocket-extensions"), "{request}");
    node.stop().await;
}
