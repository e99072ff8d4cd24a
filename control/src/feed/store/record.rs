//! Pure. Records as bytes.

use bytes::Bytes;
use skerry_proto::{
    feed as pb,
    id::Revision,
    versioned::{self, Kind},
};

use super::super::{limits::RECORD_BYTES_MAX, message::Position};
use crate::{catalog::Digest, state::LogEntry};

const LENGTH_BYTES: usize = 4;

/// A record with its length before it, as it lies in a segment.
pub(super) fn encode_entry(entry: &LogEntry) -> Vec<u8> {
    let record = pb::Record {
        revision: entry.revision.0,
        digest: Bytes::copy_from_slice(&entry.digest.to_bytes()),
        command: entry.command.clone(),
        at_ms: entry.at_ms,
        previous: entry.previous.0,
        catalog: Bytes::new(),
    };
    let framed = versioned::encode(Kind::FeedRecord, &record);
    let length = u32::try_from(framed.len()).expect("a command's size is bounded far below 4 GiB");
    [length.to_be_bytes().as_slice(), &framed].concat()
}

/// The first record and what follows it; `None` when the bytes do not begin with a whole one.
pub(super) fn decode_entry(bytes: &[u8]) -> Option<(LogEntry, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= RECORD_BYTES_MAX)?;
    let (framed, rest) = rest.split_at_checked(length)?;
    let record = versioned::decode::<pb::Record>(Kind::FeedRecord, framed).ok()?;
    let entry = LogEntry {
        previous: Revision(record.previous),
        revision: Revision(record.revision),
        command: record.command,
        digest: Digest::from_bytes(&record.digest)?,
        at_ms: record.at_ms,
    };
    Some((entry, rest))
}

/// A state as it lies in a snapshot file.
pub(super) fn encode_state(position: Position, catalog: Bytes) -> Vec<u8> {
    let digest = Bytes::copy_from_slice(&position.digest.to_bytes());
    let record = pb::Record { revision: position.revision.0, digest, catalog, ..pb::Record::default() };
    versioned::encode(Kind::FeedRecord, &record)
}

/// The state's name and its framed catalog.
pub(super) fn decode_state(bytes: &[u8]) -> Result<(Position, Bytes), String> {
    let record = versioned::decode::<pb::Record>(Kind::FeedRecord, bytes).map_err(|error| error.to_string())?;
    let digest = Digest::from_bytes(&record.digest).ok_or("the digest is not 16 bytes")?;
    Ok((Position { revision: Revision(record.revision), digest }, record.catalog))
}
