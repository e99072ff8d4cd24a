//! What the mesh's tasks share, and the life of a connection that this node makes.
//!
//! **Owns** starting attempts to connect, one at a time for each peer and class. **Must not know** calls. **Enter at**
//! [`Shared::want`].

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use quinn::Endpoint;
use skerry_proto::id::NodeId;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Directory, MeshConfig, Services,
    class::Class,
    counters::{Counters, Reason, Tally},
    datagrams::Datagrams,
    guests::Guests,
    links::{Links, Outcome, Peer, Wanted},
    outgoing,
    tls::Credentials,
};
use crate::{
    clock,
    limits::{CALLS_MAX, HANDSHAKES_MAX},
    task,
};

/// What the mesh's tasks share.
pub(super) struct Shared {
    pub(super) config: MeshConfig,
    pub(super) node: NodeId,
    pub(super) cluster: String,
    pub(super) endpoint: Endpoint,
    pub(super) address: SocketAddr,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) credentials: ArcSwap<Credentials>,
    pub(super) services: ArcSwap<Services>,
    pub(super) links: Links,
    pub(super) guests: Arc<Guests>,
    pub(super) tally: Tally,
    /// Of callers that did not prove who they are.
    pub(super) strangers: Arc<Counters>,
    pub(super) datagrams: Arc<Datagrams>,
    pub(super) handshakes: Arc<Semaphore>,
    /// Places for calls, by class.
    pub(super) calls: [Arc<Semaphore>; Class::ALL.len()],
    pub(super) closing: CancellationToken,
}

impl Shared {
    pub(super) fn new(
        (node, cluster): (NodeId, String),
        (endpoint, address): (Endpoint, SocketAddr),
        config: MeshConfig,
        directory: Arc<dyn Directory>,
        credentials: Credentials,
    ) -> Self {
        Self {
            config,
            node,
            cluster,
            endpoint,
            address,
            directory,
            credentials: ArcSwap::from_pointee(credentials),
            services: ArcSwap::default(),
            links: Links::default(),
            guests: Arc::default(),
            tally: Tally::default(),
            strangers: Arc::new(Counters::new("stranger".to_owned())),
            datagrams: Arc::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            calls: std::array::from_fn(|_| Arc::new(Semaphore::new(CALLS_MAX))),
            closing: CancellationToken::new(),
        }
    }

    /// A connection, or who makes one: starts an attempt when it is time for one.
    pub(super) fn want(self: &Arc<Self>, peer: Peer) -> Wanted {
        if self.closing.is_cancelled() || !self.directory.is_member(peer.0) {
            return Wanted::Fail("this node is stopping, or the other is no member".to_owned());
        }
        // Before it is noted anywhere: whoever gossips may name ever new nodes that nobody can reach.
        if self.links.line(peer).is_none() && self.address_of(peer.0).is_none() {
            return Wanted::Fail(format!("no address of node {} is known", peer.0));
        }
        let (wanted, attempt) = self.links.want(peer, clock::monotonic());
        if let Some(attempt) = attempt {
            task::spawn("mesh attempt", Arc::clone(self).attempt(peer, attempt));
        }
        wanted
    }

    /// Where a node is reached; one that the directory can not place yet, where it called from.
    pub(super) fn address_of(&self, node: NodeId) -> Option<String> {
        let known = self.directory.address(node);
        known.or_else(|| self.guests.address(node).map(|address| address.to_string()))
    }

    /// One attempt and, when it succeeds, the life of its connection.
    async fn attempt(self: Arc<Self>, peer: Peer, attempt: watch::Sender<Outcome>) {
        let (node, class) = peer;
        let shared = Arc::clone(&self);
        // In its own task, so that nothing that happens there leaves the peer without an attempt for ever.
        let dialled = task::spawn("mesh dial", async move { outgoing::dial(&shared, node, class).await }).await;
        let line = match dialled {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => {
                self.tally.of(node, class).report(error.reason, &format_args!("no connection: {error}"));
                return self.links.failed(peer, error.text, attempt);
            }
            Err(error) => return self.links.failed(peer, error.to_string(), attempt),
        };
        let (connection, usage) = (line.connection.clone(), Arc::clone(&line.usage));
        tracing::debug!(peer = %node, class = %class, "mesh: connected");
        self.links.connected(peer, line, attempt);
        while class == Class::Feed
            && let Ok(datagram) = connection.read_datagram().await
        {
            usage.touch(clock::monotonic());
            if !self.datagrams.push(node, datagram) {
                self.tally.of(node, class).count(Reason::Busy);
            }
        }
        let error = connection.closed().await;
        self.links.lost(peer, connection.stable_id(), outgoing::broken(&error).text);
        tracing::debug!(peer = %node, class = %class, %error, "mesh: disconnected");
    }
}
