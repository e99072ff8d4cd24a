//! What this node answers to other voters.
//!
//! **Owns** the way from a question to openraft and back. **Must not know** how questions travel. **Enter at**
//! [`Raft::answer`].

use bytes::Bytes;
use openraft::{
    errors::{Fatal, RaftError},
    raft::AppendEntriesResponse,
};
use skerry_proto::raft as pb;

use super::{
    Answer, Question, Raft, TypeConfig, rpc,
    type_config::Snapshot,
    wire::{RaftWireError, decode_snapshot, vote},
};

/// Why a question has no answer. State: unchanged, or as raft left it. Retry: as the variant says.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The question can not be read. State: unchanged. Retry: no.
    #[error("the {question} can not be read")]
    Malformed {
        /// Which question.
        question: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This node does not take part any more: it stops, or its disk failed. State: unknown. Retry: later.
    #[error("this node takes no part in raft: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

impl From<Fatal<TypeConfig>> for AnswerError {
    fn from(error: Fatal<TypeConfig>) -> Self {
        Self::Stopped { reason: error.to_string() }
    }
}

impl From<RaftError<TypeConfig>> for AnswerError {
    fn from(error: RaftError<TypeConfig>) -> Self {
        Self::Stopped { reason: error.to_string() }
    }
}

impl Raft {
    /// Answers another voter. What it may have changed is on disk when this returns.
    pub async fn answer(&self, question: Question) -> Result<Answer, AnswerError> {
        let name = question.name();
        let malformed = |source: RaftWireError| AnswerError::Malformed { question: name, source: Box::new(source) };
        Ok(match question {
            Question::Append(message) => {
                let request = rpc::append_request(message).map_err(malformed)?;
                let response = self.raft.append_entries(request).await?;
                if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                    self.heard.now();
                }
                Answer::Append(rpc::append_answer(&response))
            }
            Question::Vote(message) => {
                let request = rpc::vote_request(message).map_err(malformed)?;
                Answer::Vote(rpc::vote_answer(&self.raft.vote(request).await?))
            }
            Question::PreVote(message) => {
                let request = rpc::vote_request(message).map_err(malformed)?;
                Answer::Vote(rpc::vote_answer(&self.raft.pre_vote(request).await?))
            }
            Question::Snapshot { vote: from, snapshot } => {
                self.install(from, snapshot).await.map_err(|error| error.unwrap_or_else(malformed))?
            }
            Question::Transfer(message) => {
                let request = rpc::transfer_request(message).map_err(malformed)?;
                Answer::Transfer(rpc::transfer_answer(&self.raft.handle_transfer_leader(request).await?))
            }
        })
    }

    async fn install(&self, from: pb::Vote, bytes: Bytes) -> Result<Answer, InstallError> {
        let (meta, _) = decode_snapshot(&bytes)?;
        let response = self.raft.install_full_snapshot(vote(from)?, Snapshot { meta, snapshot: bytes }).await?;
        Ok(Answer::Snapshot(rpc::snapshot_answer(&response)))
    }
}

enum InstallError {
    Wire(RaftWireError),
    Raft(Fatal<TypeConfig>),
}

impl From<RaftWireError> for InstallError {
    fn from(error: RaftWireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Fatal<TypeConfig>> for InstallError {
    fn from(error: Fatal<TypeConfig>) -> Self {
        Self::Raft(error)
    }
}

impl InstallError {
    fn unwrap_or_else(self, malformed: impl FnOnce(RaftWireError) -> AnswerError) -> AnswerError {
        match self {
            Self::Wire(error) => malformed(error),
            Self::Raft(error) => error.into(),
        }
    }
}
