//! How voters reach each other, as raft sees it.
//!
//! **Owns** the questions that voters ask and the trait that carries them. **Must not know** the mesh; a simulation carries
//! them too. **Enter at** [`Transport`].

use std::{fmt, time::Duration};

use bytes::Bytes;
use skerry_proto::{id::NodeId, raft as pb};

/// What one voter asks another.
#[derive(Debug, Clone)]
pub enum Question {
    /// Take these log entries; none for a heartbeat.
    Append(pb::AppendEntries),
    /// Vote for me.
    Vote(pb::VoteRequest),
    /// Would you vote for me?
    PreVote(pb::VoteRequest),
    /// Take this state instead of log entries.
    Snapshot {
        /// The leader's vote.
        vote: pb::Vote,
        /// A framed [`pb::Snapshot`].
        snapshot: Bytes,
    },
    /// The leader wants to hand over.
    Transfer(pb::TransferLeader),
}

/// The answer to the question of the same name.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To [`Question::Append`].
    Append(pb::AppendAnswer),
    /// To [`Question::Vote`] and [`Question::PreVote`].
    Vote(pb::VoteAnswer),
    /// To [`Question::Snapshot`].
    Snapshot(pb::SnapshotAnswer),
    /// To [`Question::Transfer`].
    Transfer(pb::TransferAnswer),
}

impl Question {
    /// Whether only a leader asks it; whoever hears it elects nobody else.
    pub(super) fn is_a_leaders(&self) -> bool {
        match self {
            Self::Append(_) | Self::Snapshot { .. } => true,
            Self::Vote(_) | Self::PreVote(_) | Self::Transfer(_) => false,
        }
    }

    /// Its kind, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Append(_) => "append",
            Self::Vote(_) => "vote",
            Self::PreVote(_) => "pre-vote",
            Self::Snapshot { .. } => "snapshot",
            Self::Transfer(_) => "transfer",
        }
    }
}

/// Why there is no answer. State: unknown; every question may be asked again. Retry: yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// The peer can not be reached now; asking again at once is no use.
    Unreachable {
        /// Why.
        reason: String,
    },
    /// The question or its answer was lost.
    Lost {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { reason } => write!(f, "the voter can not be reached: {reason}"),
            Self::Lost { reason } => write!(f, "the voter did not answer: {reason}"),
        }
    }
}

impl std::error::Error for TransportError {}

/// Carries questions to other voters.
#[async_trait::async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Asks `to`; gives up after `within`.
    async fn ask(&self, to: NodeId, question: Question, within: Duration) -> Result<Answer, TransportError>;
}

/// The transport of a node without a mesh: nobody can be reached.
#[derive(Debug, Clone, Copy)]
pub struct NoTransport;

#[async_trait::async_trait]
impl Transport for NoTransport {
    async fn ask(&self, _to: NodeId, _question: Question, _within: Duration) -> Result<Answer, TransportError> {
        Err(TransportError::Unreachable { reason: "this node has no mesh".to_owned() })
    }
}
