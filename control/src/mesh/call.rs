//! What one node asks another, and how that can fail.
//!
//! **Owns** which message is asked with which method and how it is answered. **Must not know** how it travels. **Enter
//! at** [`Call`] and [`CallError`].

use prost::Message;
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, Method, refusal::Code},
    raft,
};

use super::{code::StreamCode, stream::FrameError};

/// A message that is one call. A message that several methods ask, such as a vote, goes through
/// [`Mesh::ask`](super::Mesh::ask).
pub trait Call: Message {
    /// What comes back.
    type Answer: Message + Default;
    /// What is asked for.
    const METHOD: Method;
}

macro_rules! calls {
    ($($call:ty => $answer:ty, $method:ident;)*) => {$(
        impl Call for $call {
            type Answer = $answer;
            const METHOD: Method = Method::$method;
        }
    )*};
}

calls! {
    raft::AppendEntries => raft::AppendAnswer, RaftAppend;
    raft::TransferLeader => raft::TransferAnswer, RaftTransfer;
    pb::Propose => pb::Proposed, Propose;
    pb::Join => pb::Joined, Join;
    pb::Renew => pb::Renewed, Renew;
    pb::VoterKeys => pb::VoterKeysAnswer, VoterKeys;
    pb::RoleAsk => pb::RoleTold, Role;
    pb::BundlesLacking => pb::BundlesLackingAnswer, BundlesLacking;
    pb::Trust => pb::Trusted, Trust;
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request did not leave: no connection, no room, or not in time. State: unchanged. Retry: yes, later or elsewhere.
    #[error("node {node} was not asked: {reason}")]
    Unsent {
        /// Who should have been asked.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The request left and no answer came: it may have been done. State: unknown. Retry: when asking twice does no harm.
    #[error("the answer of node {node} was lost: {reason}")]
    Lost {
        /// Who was asked.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The other node did not do it. State: unchanged. Retry: as the code says.
    #[error("node {node} refused: {message}")]
    Refused {
        /// Who was asked.
        node: NodeId,
        /// The kind of refusal.
        code: Code,
        /// For people.
        message: String,
    },
    /// The answer can not be read. State: unknown. Retry: no.
    #[error("the answer of node {node} can not be read: {reason}")]
    Malformed {
        /// Who was asked.
        node: NodeId,
        /// What is wrong.
        reason: String,
    },
}

impl CallError {
    pub(super) fn unsent(node: NodeId, reason: impl Into<String>) -> Self {
        Self::Unsent { node, reason: reason.into() }
    }

    pub(super) fn lost(node: NodeId, reason: impl Into<String>) -> Self {
        Self::Lost { node, reason: reason.into() }
    }

    /// What a stream that broke while it waited for an answer to a whole request means for the call.
    pub(crate) fn unanswered(node: NodeId, error: FrameError) -> Self {
        let refused = |code, reset: StreamCode| Self::Refused { node, code, message: reset.meaning().to_owned() };
        match error {
            FrameError::Refused { code, message } => Self::Refused { node, code, message },
            FrameError::Reset { code: code @ (StreamCode::Malformed | StreamCode::TooLarge) } => {
                refused(Code::Invalid, code)
            }
            FrameError::Reset { code: code @ StreamCode::Busy } => refused(Code::Unavailable, code),
            FrameError::Reset { code: code @ StreamCode::Forbidden } => refused(Code::Forbidden, code),
            FrameError::Malformed { .. } | FrameError::TooLarge { .. } => {
                Self::Malformed { node, reason: error.to_string() }
            }
            FrameError::Reset { code: StreamCode::Abandoned } | FrameError::Lost { .. } => {
                Self::lost(node, error.to_string())
            }
        }
    }
}
