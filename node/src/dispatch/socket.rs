//! A WebSocket on the wire, joined with a worker's end: an end user's, or one that the worker opened.
//!
//! **Owns** RFC 6455 on the wire. **Must not know** what the messages mean. **Enter at** [`serve`].

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderMap, HeaderValue, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{MissedTickBehavior, interval, timeout},
};
pub use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    bindings::outbound::SocketMessage,
    runtime::websocket::{Ends, Incoming, Outgoing},
};

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

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Between two pings.
    ping: Duration,
    /// Without a sign of life: pongs count.
    silence: Duration,
    /// For one message to leave.
    send: Duration,
}

/// BOUND: a peer that misses three pings is gone, as NAT and power cuts leave it; one that takes nothing for half a minute
/// only holds what waits for it. Pings also keep connections open through proxies that close idle ones after a minute.
const PACE: Pace =
    Pace { ping: Duration::from_secs(30), silence: Duration::from_secs(100), send: Duration::from_secs(30) };

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
    // Whoever the worker speaks for may have offered some; none is spoken here.
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
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

/// Carries messages both ways until both sides have closed, or the peer shows no life. `role` is ours on the wire. A stopping node
/// closes with 1001.
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
    carry(socket, ends, stopping, PACE).await;
}

/// How the way from the peer to the worker ended.
enum Inward {
    /// The peer has closed.
    Closed(Option<CloseFrame>),
    /// The peer broke a rule, and is to be told which.
    Failed(CloseCode),
    /// The peer is gone, or shows no life.
    Gone,
    /// The worker is gone. What it has said may not have left yet.
    Unheard,
}

async fn carry<S>(socket: WebSocketStream<S>, ends: Ends, stopping: CancellationToken, pace: Pace)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut stream) = socket.split();
    let Ends { outgoing: worker, incoming } = ends;
    let end = {
        let inward = to_worker(&mut stream, &worker, pace);
        let outward = to_wire(&mut sink, incoming, stopping, pace);
        tokio::pin!(inward, outward);
        tokio::select! {
            end = &mut inward => {
                // Otherwise nothing that the worker says reaches the peer any more.
                if matches!(end, Inward::Unheard) {
                    let _late = timeout(CLOSE_TIMEOUT, outward).await;
                }
                end
            }
            told = &mut outward => {
                if !told {
                    return;
                }
                timeout(CLOSE_TIMEOUT, inward).await.unwrap_or(Inward::Gone)
            }
        }
    };
    // A worker that is slow to hear of the end keeps no connection open.
    let ((), _late) = tokio::join!(tell(&worker, &end), timeout(CLOSE_TIMEOUT, part(sink, stream, &end)));
}

async fn to_worker<S>(stream: &mut SplitStream<WebSocketStream<S>>, worker: &Outgoing, pace: Pace) -> Inward
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = match timeout(pace.silence, stream.next()).await.unwrap_or(None) {
            Some(Ok(Message::Text(text))) => SocketMessage::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => SocketMessage::Binary(bytes),
            // Answered by tungstenite.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(frame))) => return Inward::Closed(frame),
            Some(Err(error)) => return broken_rule(&error).map_or(Inward::Gone, Inward::Failed),
            None => return Inward::Gone,
        };
        if worker.send(message).await.is_err() {
            return Inward::Unheard;
        }
    }
}

/// The code of RFC 6455 section 7.4.1 for what the peer did wrong; `None` when it is merely gone.
fn broken_rule(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// Tells the worker how its socket ended.
async fn tell(worker: &Outgoing, end: &Inward) {
    let message = match end {
        Inward::Closed(frame) => close(frame.as_ref()),
        Inward::Failed(code) => SocketMessage::Close { code: (*code).into(), reason: String::new() },
        Inward::Gone => SocketMessage::Close { code: ABNORMAL, reason: String::new() },
        Inward::Unheard => return,
    };
    let _gone = worker.send(message).await;
}

/// Says the last word to the peer and closes the connection.
async fn part<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut stream: SplitStream<WebSocketStream<S>>,
    end: &Inward,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match end {
        // tungstenite has its answer ready, and writes it when it is asked for more.
        Inward::Closed(_) => {
            let _nothing = stream.next().await;
        }
        Inward::Failed(code) => {
            let _sent = sink.send(close_frame((*code).into(), "")).await;
        }
        Inward::Unheard => {}
        Inward::Gone => return,
    }
    let Ok(socket) = stream.reunite(sink) else { return };
    let mut wire = socket.into_inner();
    if wire.shutdown().await.is_ok() {
        // A connection that ends while its peer still sends is reset, and the last word with it (RFC 6455 section 7.1.1).
        let _rest = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
    }
}

/// Whether the peer has been told of the end; otherwise nothing reaches it any more.
async fn to_wire<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    mut worker: Incoming,
    stopping: CancellationToken,
    pace: Pace,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = interval(pace.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once.
    pings.tick().await;
    loop {
        let message = tokio::select! {
            message = worker.recv() => on_the_wire(message),
            () = stopping.cancelled() => close_frame(GOING_AWAY, "the node is stopping"),
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        let last = matches!(message, Message::Close(_));
        let sent = timeout(pace.send, sink.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return false;
        }
        if last {
            return true;
        }
    }
}

fn on_the_wire(message: Option<SocketMessage>) -> Message {
    match message {
        Some(SocketMessage::Text(text)) => Message::Text(text.into()),
        Some(SocketMessage::Binary(bytes)) => Message::Binary(bytes),
        Some(SocketMessage::Close { code, reason }) => close_frame(code, &reason),
        None => close_frame(INTERNAL_ERROR, ""),
    }
}

fn close(frame: Option<&CloseFrame>) -> SocketMessage {
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
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::runtime::websocket;

    const NEVER: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_millis(20);

    async fn socket(stream: DuplexStream, role: Role) -> WebSocketStream<DuplexStream> {
        WebSocketStream::from_raw_socket(stream, role, None).await
    }

    #[tokio::test]
    async fn a_peer_without_a_sign_of_life_is_given_up() {
        let (_peer, ours) = duplex(1024);
        let (wire, mut worker) = websocket::pair();
        let pace = Pace { ping: NEVER, silence: SOON, send: NEVER };
        let carrying = carry(socket(ours, Role::Server).await, wire, CancellationToken::new(), pace);
        let hearing = async {
            let heard = worker.incoming.recv().await;
            drop(worker);
            heard
        };
        let ((), heard) = tokio::join!(carrying, hearing);
        assert!(matches!(heard, Some(SocketMessage::Close { code: ABNORMAL, .. })), "{heard:?}");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (_peer, ours) = duplex(64);
        let (wire, worker) = websocket::pair();
        worker.outgoing.send(SocketMessage::Binary(Bytes::from(vec![0; 1000]))).await.unwrap();
        let pace = Pace { ping: NEVER, silence: NEVER, send: SOON };
        carry(socket(ours, Role::Server).await, wire, CancellationToken::new(), pace).await;
        let refused = worker.outgoing.send(SocketMessage::Text("late".into())).await;
        assert!(refused.is_err(), "nobody carries any more");
    }

    #[tokio::test]
    async fn a_quiet_socket_is_pinged() {
        let (peer, ours) = duplex(1024);
        let (wire, worker) = websocket::pair();
        let pace = Pace { ping: SOON, silence: NEVER, send: NEVER };
        let mut peer = socket(peer, Role::Client).await;
        let carrying = carry(socket(ours, Role::Server).await, wire, CancellationToken::new(), pace);
        let pinged = async {
            for _ in 0..3 {
                assert!(matches!(peer.next().await, Some(Ok(Message::Ping(_)))));
            }
            drop((peer, worker));
        };
        tokio::join!(carrying, pinged);
    }

    #[tokio::test]
    async fn a_peer_that_closes_is_answered_with_its_code() {
        for (role, theirs) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
            let (peer, ours) = duplex(1024);
            let (wire, mut worker) = websocket::pair();
            let mut peer = socket(peer, theirs).await;
            let carrying = carry(socket(ours, role).await, wire, CancellationToken::new(), PACE);
            let closing = async {
                let goodbye = close_frame(4001, "bye");
                peer.send(goodbye.clone()).await.unwrap();
                assert_eq!(peer.next().await.unwrap().unwrap(), goodbye, "{role:?}");
                drop(peer);
            };
            tokio::join!(carrying, closing);
            let heard = worker.incoming.recv().await;
            assert_eq!(heard, Some(SocketMessage::Close { code: 4001, reason: "bye".into() }), "{role:?}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_breaks_a_rule_is_told_which() {
        // A client masks its frames; zeros change nothing.
        for (what, frame, code) in [
            ("a text that is not UTF-8", &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff][..], 1007),
            ("a bit that only an extension gives a meaning", &[0xc1, 0x80, 0, 0, 0, 0][..], 1002),
            ("a message of 1 GiB", &[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0][..], 1009),
        ] {
            let (mut peer, ours) = duplex(1024);
            let (wire, mut worker) = websocket::pair();
            let carrying = carry(socket(ours, Role::Server).await, wire, CancellationToken::new(), PACE);
            let breaking = async {
                peer.write_all(frame).await.unwrap();
                let mut answer = Vec::new();
                peer.read_to_end(&mut answer).await.unwrap();
                drop(peer);
                answer
            };
            let ((), answer) = tokio::join!(carrying, breaking);
            let heard = worker.incoming.recv().await;
            assert_eq!(heard, Some(SocketMessage::Close { code, reason: String::new() }), "{what}");
            assert_eq!(answer, [&[0x88, 2][..], &code.to_be_bytes()[..]].concat(), "{what}");
        }
    }

    #[test]
    fn no_extension_is_offered_whatever_the_worker_wrote() {
        let mut headers = HeaderMap::new();
        headers.append(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("permessage-deflate"));
        let _key = begin(&mut headers);
        assert!(!headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS));
    }

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
