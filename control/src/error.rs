//! Why the control plane does not start, and why a proposal fails.
//!
//! **Owns** the errors of [`Control`](crate::control::Control). **Must not know** HTTP. **Enter at** [`ProposeError`].

use std::io;

use skerry_proto::id::NodeId;

use crate::{catalog::Rejection, identity::IssueError, seal::KeyError};

/// Why a proposal has no outcome that the caller wanted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProposeError {
    /// The catalog refused it. State: unchanged. Retry: as the rejection says.
    #[error(transparent)]
    Rejected(#[from] Rejection),
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
