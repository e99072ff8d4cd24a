//! Calls between nodes: QUIC with mutual TLS.
//!
//! **Owns** connections, who is at their other end, calls and their frames. **Must not know** what a call means, nor who
//! may be a member; a [`Directory`] says that. **Enter at** [`Mesh`].
//!
//! One endpoint. A node makes one connection for each peer and [`Class`] that it calls, and answers those that others
//! make. A call is a stream: a head, a request, an answer's head, an answer; or a flow of messages. Read `dial.rs` for
//! when connections are made, `accept.rs` for who is let in, `lifetime.rs` for when they end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use prost::Message;
use quinn::{Endpoint, TokioRuntime, VarInt};
use skerry_proto::{
    id::NodeId,
    mesh::{CallHead, Method},
};
use tokio::sync::mpsc;

mod accept;
mod authority;
mod call;
mod certificate;
mod class;
mod code;
mod config;
mod counters;
mod datagrams;
mod dial;
mod error;
mod frame;
mod guests;
mod identity;
mod incoming;
mod join;
mod lifetime;
mod links;
mod name;
mod outgoing;
mod shared;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod transport;

pub use self::{
    authority::{
        Authority, SignError, authority_fingerprint, certificate_request, new_authority, new_key, not_after,
        renewal_due,
    },
    call::{Call, CallError},
    class::{Class, class_of},
    code::StreamCode,
    config::MeshConfig,
    counters::Reason,
    error::{DatagramError, MeshBuildError},
    identity::{IdentityError, NodeIdentity},
    incoming::{Caller, Incoming, Service, Services},
    join::{JoinError, join},
    stream::{FrameError, FrameReceiver, FrameSender, Stream},
    token::{JoinToken, JoinTokenError},
};
use self::{
    code::CloseCode,
    counters::Counters,
    links::{Line, Peer, Wanted},
    shared::Shared,
    tls::Credentials,
};
use crate::{
    clock,
    limits::{CALLS_MAX, FRAME_BYTES_MAX},
    task,
};

/// What a node says to a caller that it has let in.
const WELCOME: &[u8] = b"welcome";
/// BOUND: how long a stop waits until its peers have heard of it; they find out anyway.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who the other nodes are. Asked often, and while locks are held: answer from memory, and do not call the mesh.
pub trait Directory: Send + Sync {
    /// Where a node's mesh is reached, `host:port`. A name is looked up each time that the node is dialled. A member of which
    /// that is not known is reached where it called from.
    fn address(&self, node: NodeId) -> Option<String>;
    /// Whether it is a member. Those that are not are neither called nor answered, and their connections are closed.
    fn is_member(&self, node: NodeId) -> bool;
}

/// What this node knows of a peer in one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// The class.
    pub class: Class,
    /// The round trip on this node's connection to it; `None` without one.
    pub rtt: Option<Duration>,
    /// Calls to it.
    pub calls: u64,
    /// Calls from it.
    pub served: u64,
    /// What failed, in both directions.
    pub errors: BTreeMap<Reason, u64>,
}

/// This node's part of the mesh. Clones share it; [`Mesh::close`] ends it.
#[derive(Clone)]
pub struct Mesh {
    shared: Arc<Shared>,
    traceparent: Arc<str>,
}

impl Mesh {
    /// Listens, and dials when it is asked to. An IPv6 address of all interfaces takes IPv4 too, where the machine's
    /// `net.ipv6.bindv6only` is 0. Needs a tokio runtime.
    pub fn build(
        config: MeshConfig,
        identity: NodeIdentity,
        directory: Arc<dyn Directory>,
    ) -> Result<Self, MeshBuildError> {
        let bind = |source| MeshBuildError::Bind { address: config.listen, source };
        let (node, cluster, key) = (identity.node, identity.cluster.clone(), identity.key.clone());
        let credentials = Credentials::new(&config, identity)?;
        let socket = UdpSocket::bind(config.listen).map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        let server = Some(credentials.server.clone());
        let endpoint = Endpoint::new(transport::endpoint_config(&key), server, socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.map_err(bind)?;
        let shared = Arc::new(Shared::new((node, cluster), (endpoint, address), config, directory, credentials));
        task::spawn("mesh accept", accept::run(Arc::clone(&shared)));
        task::spawn("mesh sweep", accept::sweep(Arc::clone(&shared)));
        Ok(Self { shared, traceparent: "".into() })
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Who this node is now.
    pub(crate) fn identity(&self) -> NodeIdentity {
        self.shared.credentials.load().identity.clone()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The same mesh, whose calls carry this W3C traceparent.
    #[must_use]
    pub fn traced(&self, traceparent: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), traceparent: traceparent.into() }
    }

    /// Adds services. Until the first, calls are refused as unavailable.
    pub fn serve(&self, services: Services) {
        self.shared.services.rcu(|current| {
            let mut all = Services::clone(current);
            all.extend(services.clone());
            all
        });
    }

    /// Asks another node, this one included, and waits for the answer.
    pub async fn call<C: Call>(&self, to: NodeId, call: &C, within: Duration) -> Result<C::Answer, CallError> {
        self.ask(to, C::METHOD, call, within).await
    }

    /// As [`Mesh::call`], for a message that several methods ask.
    pub async fn ask<Q: Message, A: Message + Default>(
        &self,
        to: NodeId,
        method: Method,
        request: &Q,
        within: Duration,
    ) -> Result<A, CallError> {
        let asked_at = clock::monotonic();
        let mut frames = self.head(to, method)?;
        frame::append(&mut frames, request).map_err(|error| CallError::unsent(to, error.to_string()))?;
        let mut stream = self.begin(to, method, frames, within).await?;
        // An error says that the other side does not read on; its answer says why.
        let _ = stream.send.finish();
        let left = within.saturating_sub(clock::monotonic().saturating_duration_since(asked_at));
        let error = match tokio::time::timeout(left, stream.receive.next(FRAME_BYTES_MAX)).await {
            Ok(Ok(Some(answer))) => return Ok(answer),
            Ok(Ok(None)) => CallError::lost(to, "it ended without an answer"),
            Ok(Err(error)) => CallError::unanswered(to, error),
            Err(_) => {
                self.count(to, method, Reason::Deadline);
                return Err(CallError::lost(to, format!("no answer within {} ms", within.as_millis())));
            }
        };
        if matches!(error, CallError::Lost { .. }) {
            self.count(to, method, Reason::Lost);
        }
        Err(error)
    }

    /// Opens a flow of messages. `within` is for the connection; what follows has no deadline. The first message that is
    /// received says whether the other side took the flow on.
    pub async fn open(&self, to: NodeId, method: Method, within: Duration) -> Result<Stream, CallError> {
        let head = self.head(to, method)?;
        self.begin(to, method, head, within).await
    }

    /// Sends a datagram, or drops it: without a connection one is made in the background.
    pub fn send_datagram(&self, to: NodeId, bytes: Bytes) -> Result<(), DatagramError> {
        let unconnected = DatagramError::NotConnected { node: to };
        let connection = match self.shared.links.line((to, Class::Feed)) {
            Some(line) => {
                line.usage.touch(clock::monotonic());
                line.connection.clone()
            }
            None => match self.shared.guests.newest(to, Class::Feed) {
                Some(connection) => connection,
                None => match self.shared.want((to, Class::Feed)) {
                    Wanted::Use(line) => line.connection.clone(),
                    Wanted::Wait(_) | Wanted::Fail(_) => return Err(unconnected),
                },
            },
        };
        connection.send_datagram(bytes).map_err(|error| match error {
            quinn::SendDatagramError::TooLarge => {
                DatagramError::TooLarge { max_bytes: connection.max_datagram_size().unwrap_or(0) }
            }
            _ => unconnected,
        })
    }

    /// What others send. Taken once: a second receiver ends at once. When nobody reads, the oldest are dropped.
    #[must_use]
    pub fn datagrams(&self) -> mpsc::Receiver<(NodeId, Bytes)> {
        self.shared.datagrams.take()
    }

    /// Shows a new certificate from now on. Connections are replaced, calls that run on old ones end there.
    pub fn replace_identity(&self, identity: NodeIdentity) -> Result<(), MeshBuildError> {
        let ours = self.shared.credentials.load().identity.name();
        if identity.name() != ours {
            let (ours, theirs) = (ours.to_string(), identity.name().to_string());
            return Err(MeshBuildError::OtherNode { ours, theirs });
        }
        let credentials = Credentials::new(&self.shared.config, identity)?;
        self.shared.endpoint.set_server_config(Some(credentials.server.clone()));
        self.shared.credentials.store(Arc::new(credentials));
        let connected = self.shared.links.outdate();
        connected.into_iter().for_each(|peer| drop(self.shared.want(peer)));
        Ok(())
    }

    /// When the certificate that this node shows ends, milliseconds since the Unix epoch.
    #[must_use]
    pub fn certificate_ends_ms(&self) -> i64 {
        self.shared.credentials.load().identity.not_after_ms()
    }

    /// The peers that were called or have called.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        let status = |((node, class), counters): (Peer, Arc<Counters>)| PeerStatus {
            node,
            class,
            rtt: self.shared.links.line((node, class)).map(|line| line.connection.rtt()),
            calls: counters.calls.load(Ordering::Relaxed),
            served: counters.served.load(Ordering::Relaxed),
            errors: counters.errors(),
        };
        self.shared.tally.all().into_iter().map(status).collect()
    }

    /// The nodes that have a connection to this one open that they made.
    pub(crate) fn callers(&self) -> BTreeSet<NodeId> {
        self.shared.guests.nodes()
    }

    /// What failed with callers that did not prove who they are.
    #[must_use]
    pub fn stranger_errors(&self) -> BTreeMap<Reason, u64> {
        self.shared.strangers.errors()
    }

    /// Takes no more calls, waits for those that are being answered, then closes every connection. Flows end when their
    /// services end them; what runs after `within` is cut off.
    pub async fn close(&self, within: Duration) {
        self.shared.closing.cancel();
        let finished = async {
            for places in &self.shared.calls {
                // The semaphores are never closed, so this is `Ok` once every place is free.
                let _ = places.acquire_many(u32::try_from(CALLS_MAX).unwrap_or(u32::MAX)).await;
            }
        };
        if tokio::time::timeout(within, finished).await.is_err() {
            tracing::info!(within_ms = within.as_millis(), "mesh: calls were cut off");
        }
        let code = CloseCode::Stopping;
        self.shared.endpoint.close(VarInt::from_u32(code.number()), code.text().as_bytes());
        let _ = tokio::time::timeout(FAREWELL, self.shared.endpoint.wait_idle()).await;
        // Others may hold clones for a while; the port is free from now on, for a node that starts anew. Twice, because the
        // endpoint goes on reading the socket before the last one.
        for _ in 0..2 {
            let elsewhere = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
            if let Err(error) = elsewhere.and_then(|socket| self.shared.endpoint.rebind(socket)) {
                tracing::debug!(%error, "the mesh's port stays in use until the node has ended");
            }
        }
    }

    fn head(&self, to: NodeId, method: Method) -> Result<BytesMut, CallError> {
        let mut frames = BytesMut::new();
        let head = CallHead { method: method.into(), traceparent: self.traceparent.to_string() };
        frame::append(&mut frames, &head).map_err(|error| CallError::unsent(to, error.to_string()))?;
        Ok(frames)
    }

    /// A stream on which these frames are on their way, whole, or nothing has happened.
    async fn begin(&self, to: NodeId, method: Method, frames: BytesMut, within: Duration) -> Result<Stream, CallError> {
        let class = class_of(method).filter(|class| *class != Class::Join);
        let class = class.ok_or_else(|| CallError::unsent(to, "the method is not called between members"))?;
        if !self.shared.directory.is_member(to) {
            return Err(CallError::unsent(to, "it is no member"));
        }
        let counters = self.shared.tally.of(to, class);
        counters.calls.fetch_add(1, Ordering::Relaxed);
        match tokio::time::timeout(within, self.send((to, class), frames.freeze(), &counters)).await {
            Ok(sent) => sent,
            Err(_) => {
                counters.count(Reason::Deadline);
                Err(CallError::unsent(to, format!("not sent within {} ms", within.as_millis())))
            }
        }
    }

    async fn send(&self, peer: Peer, frames: Bytes, counters: &Arc<Counters>) -> Result<Stream, CallError> {
        let mut line = self.line(peer).await?;
        let mut streams = line.connection.open_bi().await;
        if streams.is_err() {
            // It broke while nobody used it: nothing was sent, so a new one may be tried.
            line = self.line(peer).await?;
            streams = line.connection.open_bi().await;
        }
        let streams = streams.map_err(|error| CallError::unsent(peer.0, error.to_string()))?;
        let mut stream = Stream::calling(streams, Arc::clone(counters), Some(line));
        match stream.send.write(&mut [frames]).await {
            // When the other side does not read on, its answer says why.
            Ok(()) | Err(FrameError::Reset { .. }) => Ok(stream),
            Err(error) => Err(CallError::unsent(peer.0, error.to_string())),
        }
    }

    /// A connection to the peer, old or new.
    async fn line(&self, peer: Peer) -> Result<Arc<Line>, CallError> {
        let mut attempt = match self.shared.want(peer) {
            Wanted::Use(line) => return Ok(line),
            Wanted::Fail(reason) => return Err(CallError::unsent(peer.0, reason)),
            Wanted::Wait(attempt) => attempt,
        };
        let outcome = attempt.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        match outcome {
            Some(Ok(line)) => Ok(line),
            Some(Err(reason)) => Err(CallError::unsent(peer.0, reason)),
            None => Err(CallError::unsent(peer.0, "the attempt to connect was given up")),
        }
    }

    fn count(&self, node: NodeId, method: Method, reason: Reason) {
        if let Some(class) = class_of(method) {
            self.shared.tally.of(node, class).count(reason);
        }
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mesh(node {}, {})", self.shared.node, self.shared.address)
    }
}
