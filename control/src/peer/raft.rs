//! Raft's questions over the mesh.
//!
//! **Owns** how a question becomes a call, and that only voter-role nodes ask. **Must not know** raft's rules. **Enter at**
//! [`MeshTransport`] and [`RaftService`].

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use skerry_proto::{
    id::NodeId,
    mesh::{Chunk, Method, refusal::Code},
    raft as pb,
};

use crate::{
    catalog::{Catalog, NodeRole},
    limits::{APPEND_BYTES_MAX, COMMAND_BYTES_MAX, FRAME_BYTES_MAX, SNAPSHOT_BYTES_MAX, SNAPSHOT_STALL_TIMEOUT},
    mesh::{CallError, Caller, FrameError, FrameReceiver, Incoming, Mesh, Service},
    raft::{Answer, Question, Raft, Transport, TransportError},
    seat::Seat,
};

/// BOUND: bytes in one message of a snapshot.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// Asks other voters over the mesh; nobody can be reached before there is one.
#[derive(Default)]
pub(crate) struct MeshTransport {
    mesh: OnceLock<Mesh>,
}

impl MeshTransport {
    /// Uses this mesh from now on.
    pub(crate) fn connect(&self, mesh: Mesh) {
        // A second mesh would be the same one.
        let _ = self.mesh.set(mesh);
    }
}

#[async_trait]
impl Transport for MeshTransport {
    async fn ask(&self, to: NodeId, question: Question, within: Duration) -> Result<Answer, TransportError> {
        let Some(mesh) = self.mesh.get() else {
            return Err(TransportError::Unreachable { reason: "this node has no mesh".to_owned() });
        };
        let answered = match question {
            Question::Append(message) => mesh.call(to, &message, within).await.map(Answer::Append),
            Question::Vote(message) => mesh.ask(to, Method::RaftVote, &message, within).await.map(Answer::Vote),
            Question::PreVote(message) => mesh.ask(to, Method::RaftPreVote, &message, within).await.map(Answer::Vote),
            Question::Transfer(message) => mesh.call(to, &message, within).await.map(Answer::Transfer),
            Question::Snapshot { vote, snapshot } => {
                let sent = tokio::time::timeout(within, send_snapshot(mesh, to, vote, snapshot)).await;
                return sent.unwrap_or_else(|_late| {
                    Err(TransportError::Lost { reason: "the snapshot took too long".to_owned() })
                });
            }
        };
        answered.map_err(TransportError::from)
    }
}

impl From<CallError> for TransportError {
    fn from(error: CallError) -> Self {
        let reason = error.to_string();
        match error {
            CallError::Unsent { .. } => Self::Unreachable { reason },
            CallError::Lost { .. } | CallError::Refused { .. } | CallError::Malformed { .. } => Self::Lost { reason },
        }
    }
}

impl From<FrameError> for TransportError {
    fn from(error: FrameError) -> Self {
        Self::Lost { reason: error.to_string() }
    }
}

async fn send_snapshot(mesh: &Mesh, to: NodeId, vote: pb::Vote, snapshot: Bytes) -> Result<Answer, TransportError> {
    let mut stream = mesh.open(to, Method::RaftSnapshot, SNAPSHOT_STALL_TIMEOUT).await?;
    stream.send.send(&pb::SnapshotOffer { vote: Some(vote), size_bytes: snapshot.len() as u64 }).await?;
    let mut rest = snapshot;
    while !rest.is_empty() {
        let bytes = rest.split_to(CHUNK_BYTES.min(rest.len()));
        moving(stream.send.send(&Chunk { bytes })).await?;
    }
    stream.send.finish()?;
    match moving(stream.receive.next(FRAME_BYTES_MAX)).await? {
        Some(answer) => Ok(Answer::Snapshot(answer)),
        None => Err(TransportError::Lost { reason: "it ended without an answer".to_owned() }),
    }
}

/// Gives up when nothing moves.
async fn moving<T>(step: impl Future<Output = Result<T, FrameError>>) -> Result<T, TransportError> {
    match tokio::time::timeout(SNAPSHOT_STALL_TIMEOUT, step).await {
        Ok(done) => Ok(done?),
        Err(_late) => Err(TransportError::Lost { reason: "the snapshot does not move".to_owned() }),
    }
}

/// Reads chunks of `size_bytes` in all.
pub(super) async fn read_chunks(receive: &mut FrameReceiver, size_bytes: usize) -> Result<Bytes, FrameError> {
    let mut whole = BytesMut::with_capacity(size_bytes.min(CHUNK_BYTES));
    while whole.len() < size_bytes {
        let Some(Chunk { bytes }) = receive.next(FRAME_BYTES_MAX).await? else {
            let reason = format!("it ended after {} of {size_bytes} bytes", whole.len());
            return Err(FrameError::Lost { reason });
        };
        if bytes.is_empty() || whole.len() + bytes.len() > size_bytes {
            return Err(FrameError::Malformed { reason: "a chunk does not fit the announced size".to_owned() });
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

/// Answers other voters.
pub(crate) struct RaftService {
    pub(crate) seat: Seat,
}

#[async_trait]
impl Service for RaftService {
    async fn serve(&self, from: Caller, call: Incoming) {
        let method = call.method();
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, ?method, "a voter's question was not answered");
        }
    }
}

impl RaftService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let Some(raft) = self.seat.raft() else {
            return call.refuse(Code::Unavailable, "this node takes no part in raft").await;
        };
        if !may_ask(&raft.catalog(), from) {
            return call.refuse(Code::Forbidden, "only nodes that may vote ask this").await;
        }
        // An append holds one command, or several up to a bound (`raft/log.rs`), and some bytes around each.
        let max_bytes = COMMAND_BYTES_MAX + APPEND_BYTES_MAX;
        let question = match call.method() {
            Method::RaftAppend => Question::Append(call.request(max_bytes).await?),
            Method::RaftVote => Question::Vote(call.request(max_bytes).await?),
            Method::RaftPreVote => Question::PreVote(call.request(max_bytes).await?),
            Method::RaftTransfer => Question::Transfer(call.request(max_bytes).await?),
            Method::RaftSnapshot => return take_snapshot(&raft, call).await,
            _ => return call.refuse(Code::UnknownMethod, "this is no question of raft").await,
        };
        match raft.answer(question).await {
            Ok(Answer::Append(answer)) => call.answer(&answer).await,
            Ok(Answer::Vote(answer)) => call.answer(&answer).await,
            Ok(Answer::Transfer(answer)) => call.answer(&answer).await,
            Ok(Answer::Snapshot(answer)) => call.answer(&answer).await,
            Err(error) => call.refuse(Code::Unavailable, &error.to_string()).await,
        }
    }
}

async fn take_snapshot(raft: &Raft, mut call: Incoming) -> Result<(), FrameError> {
    let offer: pb::SnapshotOffer = call.request(COMMAND_BYTES_MAX).await?;
    let size_bytes = usize::try_from(offer.size_bytes).unwrap_or(usize::MAX);
    let (Some(vote), true) = (offer.vote, size_bytes <= SNAPSHOT_BYTES_MAX) else {
        return call.refuse(Code::Invalid, "the snapshot has no vote or is too large").await;
    };
    let mut stream = call.accept_flow().await?;
    let snapshot = read_chunks(&mut stream.receive, size_bytes).await?;
    match raft.answer(Question::Snapshot { vote, snapshot }).await {
        Ok(Answer::Snapshot(answer)) => {
            stream.send.send(&answer).await?;
            stream.send.finish()
        }
        Ok(_) => Ok(()),
        // The stream is cut off, and the leader tries again.
        Err(error) => Err(FrameError::Lost { reason: error.to_string() }),
    }
}

/// Whether this node takes raft's questions from there. Before it has a catalog it can not know, and believes the mesh.
fn may_ask(catalog: &Catalog, from: Caller) -> bool {
    match from {
        Caller::Node(node) => match catalog.node(node) {
            Some(node) => node.role == NodeRole::Voter,
            None => catalog.nodes().next().is_none(),
        },
        Caller::Stranger(_) => false,
    }
}

/// The methods that [`RaftService`] answers.
pub(crate) fn methods(service: &Arc<RaftService>) -> [(Method, Arc<dyn Service>); 5] {
    let methods =
        [Method::RaftAppend, Method::RaftVote, Method::RaftPreVote, Method::RaftTransfer, Method::RaftSnapshot];
    methods.map(|method| (method, Arc::clone(service) as Arc<dyn Service>))
}
