//! Pure. What voters ask each other, as messages.
//!
//! **Owns** the translation between openraft's requests and `proto::raft`. **Must not know** how they travel. **Enter at**
//! [`append_message`].

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use skerry_proto::raft as pb;

use super::{
    type_config::{LogId, TypeConfig, Vote},
    wire::{
        RaftWireError, decode_entry, encode_entry, log_id, log_id_message, vote as decode_vote,
        vote_message as vote_part,
    },
};

/// A vote inside another message.
pub(super) fn encode_vote(vote: &Vote) -> pb::Vote {
    vote_part(vote)
}

pub(super) fn append_message(request: &AppendEntriesRequest<TypeConfig>) -> pb::AppendEntries {
    pb::AppendEntries {
        vote: Some(vote_part(&request.vote)),
        previous: place(request.prev_log_id.as_ref()),
        entries: request.entries.iter().map(|entry| encode_entry(entry).into()).collect(),
        leader_commit: place(request.leader_commit.as_ref()),
    }
}

pub(super) fn append_request(message: pb::AppendEntries) -> Result<AppendEntriesRequest<TypeConfig>, RaftWireError> {
    Ok(AppendEntriesRequest {
        vote: need_vote(message.vote)?,
        prev_log_id: log_id(message.previous)?,
        entries: message.entries.iter().map(|entry| decode_entry(entry)).collect::<Result<_, _>>()?,
        leader_commit: log_id(message.leader_commit)?,
    })
}

pub(super) fn append_answer(response: &AppendEntriesResponse<TypeConfig>) -> pb::AppendAnswer {
    use pb::append_answer::Result as Kind;
    let result = match response {
        AppendEntriesResponse::Success => Kind::Success(pb::Blank {}),
        AppendEntriesResponse::PartialSuccess(upto) => Kind::Partial(pb::Partial { upto: place(upto.as_ref()) }),
        AppendEntriesResponse::Conflict => Kind::Conflict(pb::Blank {}),
        AppendEntriesResponse::HigherVote(vote) => Kind::HigherVote(vote_part(vote)),
    };
    pb::AppendAnswer { result: Some(result) }
}

pub(super) fn append_response(answer: pb::AppendAnswer) -> Result<AppendEntriesResponse<TypeConfig>, RaftWireError> {
    use pb::append_answer::Result as Kind;
    Ok(match answer.result.ok_or(RaftWireError::Missing("result"))? {
        Kind::Success(_) => AppendEntriesResponse::Success,
        Kind::Partial(partial) => AppendEntriesResponse::PartialSuccess(log_id(partial.upto)?),
        Kind::Conflict(_) => AppendEntriesResponse::Conflict,
        Kind::HigherVote(vote) => AppendEntriesResponse::HigherVote(decode_vote(vote)?),
    })
}

pub(super) fn vote_message(request: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
    pb::VoteRequest {
        vote: Some(vote_part(&request.vote)),
        last_log_id: place(request.last_log_id.as_ref()),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(super) fn vote_request(message: pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, RaftWireError> {
    Ok(VoteRequest {
        vote: need_vote(message.vote)?,
        last_log_id: log_id(message.last_log_id)?,
        leadership_transfer: message.leadership_transfer,
    })
}

pub(super) fn vote_answer(response: &VoteResponse<TypeConfig>) -> pb::VoteAnswer {
    pb::VoteAnswer {
        vote: Some(vote_part(&response.vote)),
        last_log_id: place(response.last_log_id.as_ref()),
        granted: response.vote_granted,
    }
}

pub(super) fn vote_response(answer: pb::VoteAnswer) -> Result<VoteResponse<TypeConfig>, RaftWireError> {
    Ok(VoteResponse::new(need_vote(answer.vote)?, log_id(answer.last_log_id)?, answer.granted))
}

pub(super) fn snapshot_answer(response: &SnapshotResponse<TypeConfig>) -> pb::SnapshotAnswer {
    pb::SnapshotAnswer { vote: Some(vote_part(&response.vote)) }
}

pub(super) fn snapshot_response(answer: pb::SnapshotAnswer) -> Result<SnapshotResponse<TypeConfig>, RaftWireError> {
    Ok(SnapshotResponse::new(need_vote(answer.vote)?))
}

pub(super) fn transfer_message(request: &TransferLeaderRequest<TypeConfig>) -> pb::TransferLeader {
    pb::TransferLeader {
        from: Some(vote_part(request.from_leader())),
        to: *request.to_node_id(),
        last_log_id: place(request.last_log_id()),
    }
}

pub(super) fn transfer_request(
    message: pb::TransferLeader,
) -> Result<TransferLeaderRequest<TypeConfig>, RaftWireError> {
    Ok(TransferLeaderRequest::new(need_vote(message.from)?, message.to, log_id(message.last_log_id)?))
}

pub(super) fn transfer_answer(response: &TransferLeaderResponse<TypeConfig>) -> pb::TransferAnswer {
    use pb::transfer_answer::Result as Kind;
    let result = match response {
        Ok(()) => Kind::Accepted(pb::Blank {}),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            Kind::VoteChanged(pb::VoteChanged { expected: Some(vote_part(expected)), actual: Some(vote_part(actual)) })
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            let (expected, actual) = (place(expected.as_ref()), place(actual.as_ref()));
            Kind::LogNotFlushed(pb::LogNotFlushed { expected, actual })
        }
    };
    pb::TransferAnswer { result: Some(result) }
}

pub(super) fn transfer_response(
    answer: pb::TransferAnswer,
) -> Result<TransferLeaderResponse<TypeConfig>, RaftWireError> {
    use pb::transfer_answer::Result as Kind;
    Ok(match answer.result.ok_or(RaftWireError::Missing("result"))? {
        Kind::Accepted(_) => Ok(()),
        Kind::VoteChanged(changed) => Err(TransferLeaderError::VoteChanged {
            expected: need_vote(changed.expected)?,
            actual: need_vote(changed.actual)?,
        }),
        Kind::LogNotFlushed(behind) => Err(TransferLeaderError::LogNotFlushed {
            expected: log_id(behind.expected)?,
            actual: log_id(behind.actual)?,
        }),
    })
}

fn place(log_id: Option<&LogId>) -> Option<pb::LogId> {
    log_id.map(log_id_message)
}

fn need_vote(vote: Option<pb::Vote>) -> Result<Vote, RaftWireError> {
    decode_vote(vote.ok_or(RaftWireError::Missing("vote"))?)
}
