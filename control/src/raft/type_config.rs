//! The types that openraft works with here.
//!
//! **Owns** the type configuration. **Must not know** storage. **Enter at** [`TypeConfig`].

use std::fmt;

use bytes::Bytes;
use openraft::{BasicNode, alias};

use crate::catalog::{
    Applied, Command, Rejection,
    wire::{WireError, decode_command, encode_command},
};

openraft::declare_raft_types!(
    /// What openraft is instantiated with.
    pub TypeConfig:
        D = Proposal,
        R = Outcome,
        NodeId = u64,
        Node = BasicNode,
);

pub(super) type LogId = alias::LogIdOf<TypeConfig>;
pub(super) type Vote = alias::VoteOf<TypeConfig>;
pub(super) type Entry = alias::EntryOf<TypeConfig>;
pub(super) type Membership = openraft::Membership<u64, BasicNode>;
pub(super) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(super) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(super) type Snapshot = alias::SnapshotOf<TypeConfig, Bytes>;

/// A command with its bytes, so that it is encoded once for the log and the network.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal {
    command: Command,
    bytes: Bytes,
}

impl Proposal {
    /// Encodes the command.
    #[must_use]
    pub fn new(command: Command) -> Self {
        let bytes = encode_command(&command).into();
        Self { command, bytes }
    }

    /// From the log or the network.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        Ok(Self { command: decode_command(&bytes)?, bytes })
    }

    /// The command.
    #[must_use]
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Its framed message.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes by {}", self.command.changes.len(), self.command.actor.name)
    }
}

/// What came of a log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The entry was no command.
    Nothing,
    /// The command was applied.
    Applied(Applied),
    /// The command was refused.
    Rejected(Rejection),
}
