//! A WebSocket on the wire, joined with a worker's end: an end user's, or one that the worker opened.
//!
//! **Owns** RFC 6455 on the wire. **Must not know** what the messages mean. **Enter at** [`serve`].

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderMap, HeaderValue, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::digest;
use tokio::sync::mpsc;
pub use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{bindings::outbound::SocketMessage, runtime::websocket::Ends};

/// BOUND: bytes of one WebSocket message; the runtime's limit, Cloudflare's documented one.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// BOUND: bytes that wait to be written to a WebSocket before its worker waits.
const BUFFER_BYTES_MAX: usize = 2 << 20;

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// BOUND: how long one side may take to close after the other has.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 6455 section 7.4.1: the endpoint goes away.
const GOING_AWAY: u16 = 1001;
/// The peer vanished without a close frame.
const ABNORMAL: u16 = 1006;
/// The worker ended without closing its socket.
const INTERNAL_ERROR: u16 = 1011;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The headers of a handshake that this node begins, and the answer's key that belongs to them.
#[must_use]
pub fn begin(headers: &mut HeaderMap) -> HeaderValue {
    let mut nonce = [0; 16];
    // The nonce keeps caches from answering; a poor one is not a secret lost.
    if let Err(error) = getrandom::fill(&mut nonce) {
        tracing::warn!(%error, "the system has no randomness for a WebSocket's nonce");
    }
    let key = HeaderValue::from_str(&STANDARD.encode(nonce)).expect("base64 is printable ASCII");
    let accept = accept_key(&key);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    accept
}

/// `Sec-WebSocket-Accept` for a request's key.
#[must_use]
pub fn accept_key(key: &HeaderValue) -> HeaderValue {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(GUID);
    HeaderValue::from_str(&STANDARD.encode(context.finish())).expect("base64 is printable ASCII")
}

/// Carries messages both ways until both sides have closed. `role` is ours on the wire. A stopping node closes with 1001.
pub async fn serve(upgrade: OnUpgrade, role: Role, ends: Ends, stopping: CancellationToken) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a WebSocket was not opened"),
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_write_buffer_size(BUFFER_BYTES_MAX);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, Some(config)).await;
    let (sink, stream) = socket.split();
    let Ends { outgoing, incoming } = ends;
    let inward = to_worker(stream, outgoing);
    let outward = to_wire(sink, incoming, stopping);
    tokio::pin!(inward, outward);
    // Whoever ends first leaves the other a while for its part of the closing handshake.
    tokio::select! {
        () = &mut inward => { let _late = tokio::time::timeout(CLOSE_TIMEOUT, outward).await; }
        () = &mut outward => { let _late = tokio::time::timeout(CLOSE_TIMEOUT, inward).await; }
    }
}

async fn to_worker(mut stream: SplitStream<Socket>, worker: mpsc::Sender<SocketMessage>) {
    loop {
        let message = match stream.next().await {
            Some(Ok(Message::Text(text))) => SocketMessage::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => SocketMessage::Binary(bytes),
            Some(Ok(Message::Close(frame))) => close(frame),
            // Answered by tungstenite.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Err(_)) | None => SocketMessage::Close { code: ABNORMAL, reason: String::new() },
        };
        let last = matches!(message, SocketMessage::Close { .. });
        if worker.send(message).await.is_err() || last {
            return;
        }
    }
}

async fn to_wire(
    mut sink: SplitSink<Socket, Message>,
    mut worker: mpsc::Receiver<SocketMessage>,
    stopping: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            message = worker.recv() => message,
            () = stopping.cancelled() => Some(SocketMessage::Close { code: GOING_AWAY, reason: "the node is stopping".into() }),
        };
        let message = match message {
            Some(SocketMessage::Text(text)) => Message::Text(text.into()),
            Some(SocketMessage::Binary(bytes)) => Message::Binary(bytes),
            Some(SocketMessage::Close { code, reason }) => close_frame(code, &reason),
            None => close_frame(INTERNAL_ERROR, ""),
        };
        let last = matches!(message, Message::Close(_));
        if sink.send(message).await.is_err() || last {
            return;
        }
    }
}

fn close(frame: Option<CloseFrame>) -> SocketMessage {
    match frame {
        Some(frame) => SocketMessage::Close { code: frame.code.into(), reason: frame.reason.as_str().to_owned() },
        // RFC 6455 section 7.1.5: no code was sent.
        None => SocketMessage::Close { code: 1005, reason: String::new() },
    }
}

/// 1005, 1006 and 1015 stand for what is never sent; they become a frame without a code.
fn close_frame(code: u16, reason: &str) -> Message {
    let code = CloseCode::from(code);
    Message::Close(code.is_allowed().then(|| CloseFrame { code, reason: reason.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_key(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_code_that_is_never_sent_is_left_out() {
        assert_eq!(close_frame(ABNORMAL, "x"), Message::Close(None));
        assert!(matches!(close_frame(1000, "x"), Message::Close(Some(frame)) if frame.reason.as_str() == "x"));
    }
}
