//! Why the control plane does not start, and why a proposal fails.
//!
//! **Owns** the errors of [`Control`](crate::control::Control). **Must not know** HTTP. **Enter at** [`ProposeError`].

use std::{io, net::SocketAddr};

use skerry_proto::id::{BundleHash, NodeId};

use crate::{
    bundles::BundleError,
    catalog::Rejection,
    gossip,
    identity::IssueError,
    mesh::{IdentityError, JoinError, JoinTokenError, MeshBuildError, SignError},
    seal::KeyError,
};

/// Why a proposal has no outcome that the caller wanted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProposeError {
    /// The catalog refused it. State: unchanged. Retry: as the rejection says.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The catalog of the leader refused it, for a reason that came as words. State: unchanged. Retry: as the words say.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// It is larger than a log entry may be. State: unchanged. Retry: in parts.
    #[error("the change has {size_bytes} bytes, more than {max_bytes}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// What is allowed.
        max_bytes: usize,
    },
    /// Another node leads, or none that this one knows. State: unchanged. Retry: there, or later.
    #[error("this node does not lead{}", .leader.map(|leader| format!("; node {leader} does")).unwrap_or_default())]
    NotLeader {
        /// Who leads.
        leader: Option<NodeId>,
    },
    /// No leader, or too many proposals wait. State: unchanged. Retry: yes, later.
    #[error("the control plane takes no changes now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// It was proposed, and its outcome is not known: it may yet be applied. State: unknown. Retry: with the same
    /// idempotency key, or after looking.
    #[error("the outcome of the change is unknown: {reason}")]
    Unknown {
        /// Why.
        reason: String,
    },
}

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file or folder can not be used. State: unchanged. Retry: after mending it.
    #[error("{path} can not be used")]
    Io {
        /// Which.
        path: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The directory holds no cluster and none may be made. State: unchanged. Retry: with bootstrap, or the right path.
    #[error("{path} holds no cluster; start once with --bootstrap to make one, or join one")]
    NotBootstrapped {
        /// The directory.
        path: String,
    },
    /// The cluster's key can not be used. State: unchanged. Retry: after restoring it.
    #[error("the cluster's key can not be used")]
    Key(#[from] KeyError),
    /// The cluster's CA could not be made. State: unchanged. Retry: yes.
    #[error("the cluster's certificates can not be made")]
    Issue(#[from] IssueError),
    /// The machine did not become a node. State: unchanged, or unknown where said. Retry: as the source says.
    #[error("this machine can not join the cluster")]
    Join(#[from] JoinFailure),
    /// The node does not know who it is. State: unchanged. Retry: after mending it.
    #[error("this node can not be itself again")]
    Identity(#[from] IdentityError),
    /// The mesh does not start. State: unchanged. Retry: as the source says.
    #[error("the mesh can not start")]
    Mesh(#[from] MeshBuildError),
    /// A voter's log is gone, and with it its votes: under its old id it could vote twice. State: unchanged. Retry: no.
    #[error(
        "{path} is missing, but this is node {node}, which may vote: what it voted is lost, so it can not come back \
         under this id. Run `skerry cluster remove {node}` at another node, empty the data directory and join again"
    )]
    LostLog {
        /// The file.
        path: String,
        /// This node.
        node: NodeId,
    },
    /// The cluster relies on what this build does not know. State: unchanged. Retry: with a newer build.
    #[error(
        "the cluster is at feature level {cluster}, this build knows {known} at most: update Skerry on this machine \
         (levels never go back)"
    )]
    OldBuild {
        /// The cluster's level.
        cluster: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// Gossip does not start. State: unchanged. Retry: as the source says.
    #[error("gossip can not start")]
    Gossip(#[from] gossip::BuildError),
    /// The mesh's address can not be used. State: unchanged. Retry: with another one.
    #[error("mesh: {address} can not be used")]
    MeshAddress {
        /// As configured.
        address: SocketAddr,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// A node of a cluster needs the mesh. State: unchanged. Retry: with `mesh` set.
    #[error(
        "mesh: this node belongs to a cluster; give it an address that other nodes can reach, such as 10.0.0.1:8701"
    )]
    NoMesh,
    /// The node is a member, but nobody gave it the catalog. State: advanced; the next start goes on. Retry: yes.
    #[error("no voter has sent the catalog within {waited_s} s; check that the mesh's UDP port can be reached")]
    NoCatalog {
        /// How long it was waited for.
        waited_s: u64,
    },
    /// Raft does not start, or its storage is damaged. State: unchanged. Retry: no.
    #[error("raft can not start: {reason}")]
    Raft {
        /// Why.
        reason: String,
    },
    /// The cluster could not be set up. State: advanced; the next start goes on where this one stopped. Retry: yes.
    #[error("the cluster can not be set up")]
    Bootstrap(#[from] ProposeError),
}

impl BuildError {
    pub(crate) fn io(path: &std::path::Path, source: io::Error) -> Self {
        Self::Io { path: path.display().to_string(), source }
    }
}

/// Why a machine did not become a node.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// The token is no join token. State: unchanged. Retry: with one.
    #[error("the join token can not be used")]
    Token(#[source] JoinTokenError),
    /// The machine can not make its key. State: unchanged. Retry: no.
    #[error("the node's key can not be made")]
    Key(#[source] SignError),
    /// Nobody made it a node. State: as the source says. Retry: as the source says.
    #[error("it was not admitted")]
    Asked(#[source] JoinError),
    /// The cluster's answer lacks something. State: advanced. Retry: yes.
    #[error("{at} made this machine a node, but its answer lacks {what}")]
    Answer {
        /// Who answered.
        at: String,
        /// What is missing.
        what: &'static str,
    },
    /// What it was given can not be kept. State: advanced; asking again gives the same. Retry: after mending it.
    #[error("the node's identity can not be kept")]
    Identity(#[source] IdentityError),
}

/// Why a bundle is not stored safely.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// This node can not store it. State: as the source says. Retry: yes.
    #[error(transparent)]
    Here(#[from] BundleError),
    /// Too few voters have it. State: advanced; nothing names it, so it is removed again. Retry: yes, later.
    #[error("bundle {hash} is stored on {stored} voters, {needed} are needed")]
    TooFew {
        /// Which.
        hash: BundleHash,
        /// How many have it.
        stored: usize,
        /// How many must.
        needed: usize,
    },
}
