//! A node's own proposal, carried to the leader.
//!
//! **Owns** what an edge or a voter that does not lead wants changed, such as its own address. **Must not know** API calls,
//! which go as requests. **Enter at** [`propose`] and [`ProposeService`].

use std::time::Duration;

use async_trait::async_trait;
use skerry_proto::{
    id::{NodeId, Revision},
    mesh::{self as pb, proposed::Outcome, refusal::Code},
};

use crate::{
    catalog::{Change, Command, wire::{decode_command, encode_command}},
    error::ProposeError,
    limits::COMMAND_BYTES_MAX,
    mesh::{CallError, Caller, FrameError, Incoming, Mesh, Service},
    raft::Raft,
};

/// What came of a proposal that was made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// This revision shows it.
    Applied(Revision),
    /// The catalog refused it, for this reason.
    Rejected(String),
}

/// Proposes at `leader`.
pub(crate) async fn propose(
    mesh: &Mesh,
    leader: NodeId,
    command: &Command,
    within: Duration,
) -> Result<Elsewhere, ProposeError> {
    let unknown = |reason: String| Err(ProposeError::Unknown { reason });
    let request = pb::Propose { command: encode_command(command).into() };
    match mesh.call(leader, &request, within).await {
        Ok(pb::Proposed { outcome: Some(Outcome::Applied(revision)) }) => Ok(Elsewhere::Applied(Revision(revision))),
        Ok(pb::Proposed { outcome: Some(Outcome::Rejected(reason)) }) => Ok(Elsewhere::Rejected(reason)),
        Ok(pb::Proposed { outcome: Some(Outcome::Unknown(reason)) }) => unknown(reason),
        Ok(pb::Proposed { outcome: None }) => unknown("the leader's answer says nothing".to_owned()),
        Err(error @ (CallError::Unsent { .. } | CallError::Refused { .. })) => {
            Err(ProposeError::Unavailable { reason: error.to_string() })
        }
        Err(error @ (CallError::Lost { .. } | CallError::Malformed { .. })) => unknown(error.to_string()),
    }
}

/// Takes proposals of other nodes: what a node may say of itself, and what a voter does for a joiner.
pub(crate) struct ProposeService {
    pub(crate) raft: Raft,
}

#[async_trait]
impl Service for ProposeService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a node's proposal was not answered");
        }
    }
}

impl ProposeService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::Propose = call.request(COMMAND_BYTES_MAX + 1024).await?;
        let command = match decode_command(&request.command) {
            Ok(command) => command,
            Err(error) => return call.refuse(Code::Invalid, &error.to_string()).await,
        };
        let Caller::Node(node) = from else {
            return call.refuse(Code::Forbidden, "only members propose").await;
        };
        if !command.changes.iter().all(|change| may_propose(node, change)) {
            return call.refuse(Code::Forbidden, "a node proposes only what it says of itself or of a joiner").await;
        }
        let outcome = match self.raft.propose(command).await {
            Ok(applied) => Outcome::Applied(applied.revision.0),
            Err(ProposeError::Rejected(rejection)) => Outcome::Rejected(rejection.to_string()),
            Err(ProposeError::Unknown { reason }) => Outcome::Unknown(reason),
            Err(error) => return call.refuse(Code::Unavailable, &error.to_string()).await,
        };
        call.answer(&pb::Proposed { outcome: Some(outcome) }).await
    }
}

/// An admission proves itself by its token, so any node may carry one.
fn may_propose(node: NodeId, change: &Change) -> bool {
    match change {
        Change::UpdateNode(update) => update.id == node,
        Change::AdmitNode(_) => true,
        _ => false,
    }
}
