//! Answering connections and calls.
//!
//! **Owns** who is let in and which service gets a call. **Must not know** what a call means. **Enter at** [`run`].
//!
//! ```text
//! packet -> handshake (bounded, TLS) -> class by ALPN, node by certificate, member by directory -> welcome -> calls
//! ```
//! - No certificate: only the class `Join`, one stream, a short life.  - No member: closed with the reason.
//! - Every call: still a member, room for it, a method of the connection's class, a service. Otherwise it is refused.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use quinn::{Connection, VarInt};
use skerry_proto::mesh::{CallHead, Method, refusal::Code};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    WELCOME,
    class::{Class, class_of},
    code::{CloseCode, StreamCode},
    counters::{Counters, Reason},
    guests::{Guest, Place},
    incoming::{Caller, Incoming},
    outgoing::broken,
    shared::Shared,
    stream::Stream,
    tls::{self, Credentials},
    transport,
};
use crate::{
    clock,
    limits::{CALL_HEAD_BYTES_MAX, HANDSHAKES_MAX, HANDSHAKES_UNPROVEN_MAX, JOIN_TIMEOUT},
    task,
};

/// BOUND: how long a call's head may take; it comes with the stream.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts connections until the endpoint closes.
pub(super) async fn run(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        let Ok(place) = Arc::clone(&shared.handshakes).try_acquire_owned() else {
            shared.strangers.count(Reason::Busy);
            incoming.refuse();
            continue;
        };
        let running = HANDSHAKES_MAX - shared.handshakes.available_permits();
        if running > HANDSHAKES_UNPROVEN_MAX && incoming.may_retry() && !incoming.remote_address_validated() {
            // It may not be an error: the incoming connection is gone in any case.
            let _ = incoming.retry();
            continue;
        }
        task::spawn("mesh connection", connection(Arc::clone(&shared), incoming, place));
    }
}

/// One connection from its first packet to its end.
async fn connection(shared: Arc<Shared>, incoming: quinn::Incoming, handshake: OwnedSemaphorePermit) {
    let admitting = tokio::time::timeout(shared.config.dial_timeout, admit(&shared, incoming)).await;
    drop(handshake);
    let (guest, _place) = match admitting {
        Ok(Some(admitted)) => admitted,
        Ok(None) => return,
        Err(_) => return shared.strangers.count(Reason::Deadline),
    };
    match guest.caller {
        Caller::Node(node) => {
            shared.links.heard(node);
            calls(&shared, &guest, &shared.tally.of(node, guest.class)).await;
        }
        Caller::Stranger(_) => {
            // Its end is the connection's.
            let _ = tokio::time::timeout(JOIN_TIMEOUT, calls(&shared, &guest, &shared.strangers)).await;
            guest.close(CloseCode::Done);
        }
    }
}

/// Shakes hands and lets the caller in, or not.
async fn admit(shared: &Shared, incoming: quinn::Incoming) -> Option<(Guest, Place)> {
    let remote = incoming.remote_address();
    // Before the handshake, which may look at newer ones: then they are asked again.
    let believed_by = shared.credentials.load_full();
    let connection = match incoming.await {
        Ok(connection) => connection,
        Err(error) => {
            let error = broken(&error);
            shared.strangers.report(error.reason, &format_args!("a connection from {remote} failed: {error}"));
            return None;
        }
    };
    let admitted = guest(shared, connection.clone(), believed_by);
    let admitted = admitted.and_then(|guest| Ok((guest.clone(), shared.guests.admit(guest)?)));
    let (guest, place) = match admitted {
        Ok(admitted) => admitted,
        Err(code) => {
            let reason = match code {
                CloseCode::NotMember => Reason::NotMember,
                CloseCode::Busy => Reason::Busy,
                _ => Reason::Certificate,
            };
            shared.strangers.report(reason, &format_args!("refused a connection from {remote}: {}", code.text()));
            connection.close(VarInt::from_u32(code.number()), code.text().as_bytes());
            return None;
        }
    };
    transport::admit(&connection, guest.class);
    welcome(&connection).await.map(|()| (guest, place))
}

/// Who this is, or why it may not stay.
fn guest(shared: &Shared, connection: Connection, believed_by: Arc<Credentials>) -> Result<Guest, CloseCode> {
    let class = tls::class(&connection).ok_or(CloseCode::NoCertificate)?;
    let own_ends_ms = shared.credentials.load().ends_ms;
    if class == Class::Join {
        let caller = Caller::Stranger(connection.remote_address());
        return Ok(Guest { caller, class, ends_ms: own_ends_ms, believed_by, connection });
    }
    let leaf = tls::peer(&connection, &shared.cluster)?;
    if !shared.directory.is_member(leaf.name.node) {
        return Err(CloseCode::NotMember);
    }
    let ends_ms = own_ends_ms.min(leaf.life.ends_ms);
    Ok(Guest { caller: Caller::Node(leaf.name.node), class, ends_ms, believed_by, connection })
}

async fn welcome(connection: &Connection) -> Option<()> {
    let mut stream = connection.open_uni().await.ok()?;
    stream.write_all(WELCOME).await.ok()?;
    stream.finish().ok()
}

/// Everything that one connection asks, until it ends.
async fn calls(shared: &Arc<Shared>, guest: &Guest, counters: &Arc<Counters>) {
    loop {
        tokio::select! {
            streams = guest.connection.accept_bi() => match streams {
                Ok(streams) => take(shared, guest, counters, streams),
                Err(_) => return,
            },
            datagram = guest.connection.read_datagram(), if guest.class == Class::Feed => match datagram {
                Ok(datagram) => received(shared, guest, counters, datagram),
                Err(_) => return,
            },
        }
    }
}

fn received(shared: &Shared, guest: &Guest, counters: &Counters, datagram: Bytes) {
    if let Some(node) = guest.node()
        && !shared.datagrams.push(node, datagram)
    {
        counters.count(Reason::Busy);
    }
}

/// Takes one call on, if there is room.
fn take(
    shared: &Arc<Shared>,
    guest: &Guest,
    counters: &Arc<Counters>,
    streams: (quinn::SendStream, quinn::RecvStream),
) {
    let mut stream = Stream::answering(streams, Arc::clone(counters));
    if guest.node().is_some_and(|node| !shared.directory.is_member(node)) {
        counters.count(Reason::NotMember);
        // The sweep closes the connection; here that would overtake the answer.
        return stream.cut(StreamCode::Forbidden);
    }
    let place = Arc::clone(&shared.calls[guest.class.index()]).try_acquire_owned();
    let (Ok(place), false) = (place, shared.closing.is_cancelled()) else {
        counters.count(Reason::Busy);
        return stream.cut(StreamCode::Busy);
    };
    let (shared, guest, counters) = (Arc::clone(shared), guest.clone(), Arc::clone(counters));
    task::spawn("mesh call", async move {
        serve(&shared, &guest, &counters, stream).await;
        drop(place);
    });
}

async fn serve(shared: &Shared, guest: &Guest, counters: &Counters, mut stream: Stream) {
    let head = tokio::time::timeout(HEAD_TIMEOUT, stream.receive.next::<CallHead>(CALL_HEAD_BYTES_MAX)).await;
    let Ok(Ok(Some(head))) = head else { return };
    let method = head.method();
    let call = Incoming { method, traceparent: head.traceparent, stream };
    let service = match find(shared, guest, method) {
        Ok(service) => service,
        Err((reason, code, message)) => {
            counters.report(reason, &message);
            // The caller went away.
            let _ = call.refuse(code, &message).await;
            return;
        }
    };
    counters.served.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    service.serve(guest.caller, call).await;
}

/// Who answers this method on this connection.
fn find(shared: &Shared, guest: &Guest, method: Method) -> Result<Arc<dyn super::Service>, (Reason, Code, String)> {
    let unknown = || (Reason::Refused, Code::UnknownMethod, "this node does not know the method".to_owned());
    let class = class_of(method).ok_or_else(unknown)?;
    if class != guest.class {
        let message = format!("{} is not called on a connection of class {}", method.as_str_name(), guest.class);
        return Err((Reason::WrongClass, Code::Forbidden, message));
    }
    let services = shared.services.load();
    if services.is_empty() {
        return Err((Reason::Refused, Code::Unavailable, "the node is starting".to_owned()));
    }
    services.get(&method).cloned().ok_or_else(unknown)
}

/// Closes what lost its right, at intervals, until the mesh closes.
pub(super) async fn sweep(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.config.sweep_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.closing.cancelled() => return,
        }
        let is_member = |node| shared.directory.is_member(node);
        let current = shared.credentials.load_full();
        shared.guests.sweep(clock::unix_ms(), &current, is_member);
        shared.tally.retain(is_member);
        let outdated = shared.links.sweep(shared.config.rules(), is_member, |node, line| {
            let has_moved = shared.directory.address(node).is_some_and(|address| address != line.address);
            !has_moved && Arc::ptr_eq(&current, &line.credentials)
        });
        outdated.into_iter().for_each(|peer| drop(shared.want(peer)));
    }
}
