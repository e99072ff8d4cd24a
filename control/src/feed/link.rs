//! What the feed needs of the mesh.
//!
//! **Owns** the traits that the mesh is fitted to. **Must not know** QUIC. **Enter at** [`Dial`].

use std::{fmt, io};

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};

use super::rank::Candidate;

/// The sending half of one subscription.
#[async_trait]
pub trait LinkSender: Send {
    /// Sends a frame; waits while the other side takes nothing.
    async fn send(&mut self, frame: Bytes) -> io::Result<()>;
}

/// The receiving half of one subscription.
#[async_trait]
pub trait LinkReceiver: Send {
    /// The next frame; `None` when the other side has ended. Must be safe to cancel: a frame is not lost when the future is
    /// dropped before it is ready.
    async fn receive(&mut self) -> io::Result<Option<Bytes>>;
}

/// Both halves of one subscription. Dropping them ends it.
pub struct Link {
    /// Towards the peer.
    pub sender: Box<dyn LinkSender>,
    /// From the peer.
    pub receiver: Box<dyn LinkReceiver>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Why a node can not be subscribed to.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It is not reached. State: unchanged. Retry: yes, or at another node.
    #[error("node {node} is not reached")]
    Unreachable {
        /// Which.
        node: NodeId,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// It does not take subscriptions from this node, or its address is not known. State: unchanged. Retry: at another node.
    #[error("node {node} refuses: {reason}")]
    Refused {
        /// Which.
        node: NodeId,
        /// Why.
        reason: String,
    },
}

/// The way to other nodes' feeds.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Opens a link to a node's publisher; nothing has been sent on it. The feed drops the future after two seconds.
    async fn subscribe(&self, to: NodeId) -> Result<Link, DialError>;

    /// Every other node that is not known to be dead. Asked twice a second.
    fn candidates(&self) -> Vec<Candidate>;

    /// The node that claims to serve the newest revision of all, as far as gossip has heard. Asked twice a second.
    fn newest(&self) -> Option<(NodeId, Revision)>;
}
