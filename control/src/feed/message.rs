//! Pure. What subscribers and publishers say to each other.
//!
//! **Owns** the translation between these messages and `proto::feed`. **Must not know** links. **Enter at** [`Up`] and
//! [`Down`].
//!
//! Decoding checks every field and never panics.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use skerry_proto::{
    feed::{self as pb, downward, upward},
    id::{NodeId, Revision},
};

use super::{
    acks::{Ack, Refusal},
    limits::{ACKS_MAX, REASON_BYTES_MAX, REDIRECTS_MAX},
};
use crate::{catalog::Digest, state::LogEntry};

/// A state by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Its revision.
    pub revision: Revision,
    /// Its digest.
    pub digest: Digest,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.revision, self.digest)
    }
}

/// What a subscriber sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// The first message of a link; later ones start again from another place.
    Subscribe(Subscribe),
    /// What is known of the subscriber and those behind it.
    Acks(Vec<Arc<Ack>>),
}

/// What a subscriber wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribe {
    /// Everything after this state; `None` when it has none.
    After(Option<Position>),
    /// A snapshot of at least this revision, once there is one, and everything after it.
    Snapshot(Revision),
    /// Heartbeats only: it passes acknowledgements.
    AcksOnly,
}

/// What a publisher sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// It takes no more subscribers; these may.
    Redirect(Vec<NodeId>),
    /// A whole state follows in chunks of this many bytes in all.
    Snapshot(Position, u64),
    /// A part of it.
    Chunk(Bytes),
    /// One log entry.
    Delta(Arc<LogEntry>),
    /// Where the publisher is.
    Heartbeat(Heartbeat),
}

/// Where a publisher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its newest state.
    pub position: Position,
    /// Its steps to a voter.
    pub depth: u32,
    /// How long ago its state was a voter's newest.
    pub age: Duration,
}

/// Why a peer's bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// They do not parse. State: unchanged. Retry: no.
    #[error("the message does not parse")]
    Parse(#[source] prost::DecodeError),
    /// A field is missing or wrong. State: unchanged. Retry: no.
    #[error("field {field} {rule}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        rule: &'static str,
    },
}

impl Up {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let message = match self {
            Self::Subscribe(subscribe) => upward::Message::Subscribe(encode_subscribe(*subscribe)),
            Self::Acks(acks) => {
                upward::Message::Acks(pb::Acks { acks: acks.iter().map(|ack| encode_ack(ack)).collect() })
            }
        };
        pb::Upward { message: Some(message) }.encode_to_vec().into()
    }

    /// The message in a frame.
    pub fn decode(frame: Bytes) -> Result<Self, MessageError> {
        match pb::Upward::decode(frame).map_err(MessageError::Parse)?.message {
            Some(upward::Message::Subscribe(subscribe)) => decode_subscribe(&subscribe).map(Self::Subscribe),
            Some(upward::Message::Acks(acks)) if acks.acks.len() > ACKS_MAX => Err(wrong("acks", "are too many")),
            Some(upward::Message::Acks(acks)) => Ok(Self::Acks(acks.acks.into_iter().map(decode_ack).collect())),
            None => Err(wrong("message", "is missing or of a newer kind")),
        }
    }
}

impl Down {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let message = match self {
            Self::Redirect(nodes) => {
                downward::Message::Redirect(pb::Redirect { nodes: nodes.iter().map(|node| node.0).collect() })
            }
            Self::Snapshot(position, size_bytes) => downward::Message::Snapshot(pb::SnapshotBegin {
                revision: position.revision.0,
                digest: digest_bytes(position.digest),
                size_bytes: *size_bytes,
            }),
            Self::Chunk(bytes) => downward::Message::Chunk(pb::SnapshotChunk { bytes: bytes.clone() }),
            Self::Delta(entry) => downward::Message::Delta(pb::Delta {
                previous: entry.previous.0,
                revision: entry.revision.0,
                command: entry.command.clone(),
                digest: digest_bytes(entry.digest),
                at_ms: entry.at_ms,
            }),
            Self::Heartbeat(heartbeat) => downward::Message::Heartbeat(pb::Heartbeat {
                revision: heartbeat.position.revision.0,
                digest: digest_bytes(heartbeat.position.digest),
                depth: heartbeat.depth,
                age_ms: u32::try_from(heartbeat.age.as_millis()).unwrap_or(u32::MAX),
            }),
        };
        pb::Downward { message: Some(message) }.encode_to_vec().into()
    }

    /// The message in a frame.
    pub fn decode(frame: Bytes) -> Result<Self, MessageError> {
        Ok(match pb::Downward::decode(frame).map_err(MessageError::Parse)?.message {
            Some(downward::Message::Redirect(redirect)) => {
                Self::Redirect(redirect.nodes.into_iter().take(REDIRECTS_MAX).map(NodeId).collect())
            }
            Some(downward::Message::Snapshot(begin)) => {
                Self::Snapshot(position(begin.revision, &begin.digest)?, begin.size_bytes)
            }
            Some(downward::Message::Chunk(chunk)) => Self::Chunk(chunk.bytes),
            Some(downward::Message::Delta(delta)) => Self::Delta(Arc::new(decode_delta(delta)?)),
            Some(downward::Message::Heartbeat(heartbeat)) => Self::Heartbeat(Heartbeat {
                position: position(heartbeat.revision, &heartbeat.digest)?,
                depth: heartbeat.depth,
                age: Duration::from_millis(heartbeat.age_ms.into()),
            }),
            None => return Err(wrong("message", "is missing or of a newer kind")),
        })
    }
}

fn encode_subscribe(subscribe: Subscribe) -> pb::Subscribe {
    match subscribe {
        Subscribe::After(None) => pb::Subscribe::default(),
        Subscribe::After(Some(have)) => {
            pb::Subscribe { revision: have.revision.0, digest: digest_bytes(have.digest), ..pb::Subscribe::default() }
        }
        Subscribe::Snapshot(least) => pb::Subscribe { snapshot_from: least.0, ..pb::Subscribe::default() },
        Subscribe::AcksOnly => pb::Subscribe { acks_only: true, ..pb::Subscribe::default() },
    }
}

fn decode_subscribe(subscribe: &pb::Subscribe) -> Result<Subscribe, MessageError> {
    Ok(match subscribe {
        pb::Subscribe { acks_only: true, .. } => Subscribe::AcksOnly,
        pb::Subscribe { snapshot_from: 1.., .. } => Subscribe::Snapshot(Revision(subscribe.snapshot_from)),
        pb::Subscribe { revision: 0, .. } => Subscribe::After(None),
        _ => Subscribe::After(Some(position(subscribe.revision, &subscribe.digest)?)),
    })
}

fn encode_ack(ack: &Ack) -> pb::Ack {
    pb::Ack {
        node_id: ack.node.0,
        revision: ack.revision.0,
        refused: ack.refused.as_ref().map_or(0, |refusal| refusal.revision.0),
        reason: ack.refused.as_ref().map_or_else(String::new, |refusal| refusal.reason.clone()),
        boot: ack.boot,
        sequence: ack.sequence,
    }
}

fn decode_ack(ack: pb::Ack) -> Arc<Ack> {
    let refused = (ack.refused > 0).then(|| Refusal::new(Revision(ack.refused), ack.reason));
    let (node, revision) = (NodeId(ack.node_id), Revision(ack.revision));
    Arc::new(Ack { node, revision, refused, boot: ack.boot, sequence: ack.sequence })
}

fn decode_delta(delta: pb::Delta) -> Result<LogEntry, MessageError> {
    if delta.revision <= delta.previous {
        return Err(wrong("delta.revision", "is not above the one before it"));
    }
    let Position { revision, digest } = position(delta.revision, &delta.digest)?;
    Ok(LogEntry { previous: Revision(delta.previous), revision, command: delta.command, digest, at_ms: delta.at_ms })
}

fn position(revision: u64, digest: &[u8]) -> Result<Position, MessageError> {
    match Digest::from_bytes(digest) {
        Some(digest) => Ok(Position { revision: Revision(revision), digest }),
        None => Err(wrong("digest", "is not 16 bytes")),
    }
}

fn digest_bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.to_bytes())
}

fn wrong(field: &'static str, rule: &'static str) -> MessageError {
    MessageError::Field { field, rule }
}

/// The text cut to the size that a reason may have.
pub(super) fn cut_reason(mut reason: String) -> String {
    if reason.len() > REASON_BYTES_MAX {
        let end = (0..=REASON_BYTES_MAX).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
    }
    reason
}
