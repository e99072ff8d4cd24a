//! Raft's way to other voters.
//!
//! **Owns** openraft's network traits over a [`Transport`]. **Must not know** how questions travel. **Enter at**
//! [`Network`].

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
};
use skerry_proto::id::NodeId;

use super::{
    log::bytes_of,
    rpc,
    silence::Silence,
    transport::{Answer, Question, Transport, TransportError},
    type_config::{Snapshot, TypeConfig, Vote},
    wire::RaftWireError,
};
use crate::limits::link_time;

/// Makes connections to peers.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) silence: Silence,
}

/// A connection to one peer.
#[derive(Clone)]
pub(super) struct Peer {
    id: NodeId,
    transport: Arc<dyn Transport>,
    silence: Silence,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.id)
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> Peer {
        Peer { id: NodeId(target), transport: Arc::clone(&self.transport), silence: self.silence.clone() }
    }
}

/// Why a peer gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the answer can not be read")]
    Wire(#[from] RaftWireError),
    #[error("the answer is to another question")]
    Mixed,
}

impl From<AskError> for RPCError<TypeConfig> {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Transport(TransportError::Unreachable { .. }) => Unreachable::new(&error).into(),
            _ => NetworkError::new(&error).into(),
        }
    }
}

impl From<AskError> for StreamingError<TypeConfig> {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Transport(TransportError::Unreachable { .. }) => Self::Unreachable(Unreachable::new(&error)),
            _ => Self::Network(NetworkError::new(&error)),
        }
    }
}

impl Peer {
    async fn ask(&self, question: Question, within: Duration) -> Result<Answer, AskError> {
        if self.silence.is_kept() && question.is_a_leaders() {
            return Err(TransportError::Unreachable { reason: "no majority answers this leader".to_owned() }.into());
        }
        Ok(self.transport.ask(self.id, question, within).await?)
    }

    async fn ask_vote(&self, question: Question, option: &RPCOption) -> Result<VoteResponse<TypeConfig>, AskError> {
        match self.ask(question, option.hard_ttl()).await? {
            Answer::Vote(answer) => Ok(rpc::vote_response(answer)?),
            _ => Err(AskError::Mixed),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // openraft's deadline is a heartbeat's, which a large entry on a slow link never keeps. Heartbeats go their own way meanwhile.
        let bytes: usize = request.entries.iter().map(bytes_of).sum();
        let within = option.hard_ttl() + link_time(bytes);
        let answer = self.ask(Question::Append(rpc::append_message(&request)), within).await?;
        match answer {
            Answer::Append(answer) => Ok(rpc::append_response(answer).map_err(AskError::Wire)?),
            _ => Err(AskError::Mixed.into()),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.ask_vote(Question::Vote(rpc::vote_message(&request)), &option).await?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.ask_vote(Question::PreVote(rpc::vote_message(&request)), &option).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let question = Question::Snapshot { vote: rpc::encode_vote(&vote), snapshot: snapshot.snapshot };
        let answer = tokio::select! {
            answer = self.ask(question, option.hard_ttl()) => answer?,
            closed = cancel => return Err(closed.into()),
        };
        match answer {
            Answer::Snapshot(answer) => Ok(rpc::snapshot_response(answer).map_err(AskError::Wire)?),
            _ => Err(AskError::Mixed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(Question::Transfer(rpc::transfer_message(&request)), option.hard_ttl()).await? {
            Answer::Transfer(answer) => Ok(rpc::transfer_response(answer).map_err(AskError::Wire)?),
            _ => Err(AskError::Mixed.into()),
        }
    }
}
