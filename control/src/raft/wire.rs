//! Pure. Raft's own data as stored messages.
//!
//! **Owns** the translation between openraft's types and `proto::raft`. **Must not know** where they are kept. **Enter
//! at** [`encode_entry`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::{BasicNode, EntryPayload, impls::leader_id_adv::LeaderId};
use skerry_proto::{
    raft as pb,
    versioned::{self, DecodeError, Kind},
};

use super::type_config::{Entry, LogId, Membership, Proposal, SnapshotMeta, StoredMembership, Vote};
use crate::catalog::{
    Catalog,
    wire::{WireError, decode_catalog, encode_catalog},
};

/// Why what raft stored can not be read. State: unchanged. Retry: no.
#[derive(Debug, thiserror::Error)]
pub(super) enum RaftWireError {
    /// The frame or the message is broken.
    #[error("a raft record can not be read")]
    Frame(#[from] DecodeError),
    /// The command or catalog inside is broken.
    #[error("the content of a raft record can not be read")]
    Content(#[from] WireError),
    /// A field is missing.
    #[error("field {0} of a raft record is missing")]
    Missing(&'static str),
    /// The membership breaks a rule.
    #[error("a stored membership is invalid: {0}")]
    Membership(String),
}

/// A log entry, framed.
pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let payload = match &entry.payload {
        EntryPayload::Blank => pb::entry::Payload::Blank(pb::Blank {}),
        EntryPayload::Normal(proposal) => pb::entry::Payload::Command(proposal.bytes().clone()),
        EntryPayload::Membership(members) => pb::entry::Payload::Membership(membership_message(members)),
    };
    let message = pb::Entry { log_id: Some(log_id_message(&entry.log_id)), payload: Some(payload) };
    versioned::encode(Kind::Entry, &message)
}

/// A log entry from its frame.
pub(super) fn decode_entry(bytes: &[u8]) -> Result<Entry, RaftWireError> {
    let message: pb::Entry = versioned::decode(Kind::Entry, bytes)?;
    let payload = match message.payload.ok_or(RaftWireError::Missing("payload"))? {
        pb::entry::Payload::Blank(pb::Blank {}) => EntryPayload::Blank,
        pb::entry::Payload::Command(bytes) => EntryPayload::Normal(Proposal::decode(bytes)?),
        pb::entry::Payload::Membership(members) => EntryPayload::Membership(membership(members)?),
    };
    Ok(Entry { log_id: log_id(message.log_id)?.ok_or(RaftWireError::Missing("log_id"))?, payload })
}

/// A vote, framed.
pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    versioned::encode(Kind::Vote, &vote_message(vote))
}

/// A vote from its frame.
pub(super) fn decode_vote(bytes: &[u8]) -> Result<Vote, RaftWireError> {
    vote(versioned::decode(Kind::Vote, bytes)?)
}

/// A vote inside another message.
pub(super) fn vote_message(vote: &Vote) -> pb::Vote {
    pb::Vote { leader_id: Some(leader_message(&vote.leader_id)), committed: vote.committed }
}

/// A vote from another message.
pub(super) fn vote(message: pb::Vote) -> Result<Vote, RaftWireError> {
    let leader_id = leader(message.leader_id)?;
    Ok(Vote { leader_id, committed: message.committed })
}

/// A log id, framed.
pub(super) fn encode_log_id(log_id: &LogId) -> Vec<u8> {
    versioned::encode(Kind::LogId, &log_id_message(log_id))
}

/// A log id from its frame.
pub(super) fn decode_log_id(bytes: &[u8]) -> Result<LogId, RaftWireError> {
    let message: pb::LogId = versioned::decode(Kind::LogId, bytes)?;
    log_id(Some(message))?.ok_or(RaftWireError::Missing("log_id"))
}

/// A snapshot, framed.
pub(super) fn encode_snapshot(meta: &SnapshotMeta, catalog: &Catalog) -> Bytes {
    let message = pb::Snapshot {
        last_log_id: meta.last_log_id.as_ref().map(log_id_message),
        last_membership: Some(stored_membership_message(&meta.last_membership)),
        catalog: encode_catalog(catalog).into(),
    };
    versioned::encode(Kind::Snapshot, &message).into()
}

/// A snapshot from its frame.
pub(super) fn decode_snapshot(bytes: &[u8]) -> Result<(SnapshotMeta, Catalog), RaftWireError> {
    let message: pb::Snapshot = versioned::decode(Kind::Snapshot, bytes)?;
    let members = message.last_membership.ok_or(RaftWireError::Missing("last_membership"))?;
    let meta = SnapshotMeta { last_log_id: log_id(message.last_log_id)?, last_membership: stored_membership(members)? };
    Ok((meta, decode_catalog(&message.catalog)?))
}

fn leader_message(leader: &LeaderId<u64, u64>) -> pb::LeaderId {
    pb::LeaderId { term: leader.term, node_id: leader.node_id }
}

fn leader(message: Option<pb::LeaderId>) -> Result<LeaderId<u64, u64>, RaftWireError> {
    let message = message.ok_or(RaftWireError::Missing("leader_id"))?;
    Ok(LeaderId { term: message.term, node_id: message.node_id })
}

/// A log id inside another message.
pub(super) fn log_id_message(log_id: &LogId) -> pb::LogId {
    pb::LogId { leader_id: Some(leader_message(&log_id.leader_id)), index: log_id.index }
}

/// A log id from another message; absent means none.
pub(super) fn log_id(message: Option<pb::LogId>) -> Result<Option<LogId>, RaftWireError> {
    let Some(message) = message else { return Ok(None) };
    Ok(Some(LogId { leader_id: leader(message.leader_id)?, index: message.index }))
}

fn membership_message(members: &Membership) -> pb::Membership {
    let set = |ids: &BTreeSet<u64>| pb::VoterSet { ids: ids.iter().copied().collect() };
    let node = |(id, node): (&u64, &BasicNode)| pb::Node { id: *id, address: node.addr.clone() };
    pb::Membership {
        configs: members.get_joint_config().iter().map(set).collect(),
        nodes: members.nodes().map(node).collect(),
    }
}

fn membership(message: pb::Membership) -> Result<Membership, RaftWireError> {
    let configs = message.configs.into_iter().map(|set| set.ids.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, BasicNode> =
        message.nodes.into_iter().map(|node| (node.id, BasicNode { addr: node.address })).collect();
    Membership::new(configs, nodes).map_err(|error| RaftWireError::Membership(error.to_string()))
}

fn stored_membership_message(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id_message),
        membership: Some(membership_message(stored.membership())),
    }
}

fn stored_membership(message: pb::StoredMembership) -> Result<StoredMembership, RaftWireError> {
    let members = message.membership.unwrap_or_default();
    // An empty membership is what a node starts with; openraft refuses to make one explicitly.
    let members = if members.configs.is_empty() { Membership::default() } else { membership(members)? };
    Ok(StoredMembership::new(log_id(message.log_id)?, members))
}
