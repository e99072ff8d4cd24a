//! Pure. The frame around every message on a disk: what it is, in which format version, and whether it is whole.
//!
//! **Owns** the magic, the format version and the checksum. **Must not know** what the messages mean. **Enter at**
//! [`encode`] and [`decode`].
//!
//! ```text
//! 'S' 'K' | kind (1) | format version (1) | first 8 bytes of BLAKE3(kind, version, body) | body: one prost message
//! ```
//!
//! # Raising the format
//! A field that older builds may ignore needs no new version: prost skips what it does not know. A change that an older build
//! would misread does, and nodes of two builds read each other's frames while a cluster is upgraded. So it takes two steps:
//! 1. One release reads the new version ([`FORMAT_VERSION`] is raised) and goes on writing the old one ([`SAFE_VERSION`] stays),
//!    except where the cluster's feature level says that every node reads the new one: there it writes [`encode_as`] that.
//! 2. The release after it, which no longer joins clusters below that level, raises [`SAFE_VERSION`].
//!
//! What is on a disk follows the same rule: a node may be started with the build before until the level is raised.

use prost::Message;

/// The first two bytes of everything that Skerry stores.
pub const MAGIC: [u8; 2] = *b"SK";
/// Bytes before the body.
pub const HEADER_BYTES: usize = 12;
/// The newest format version that this build reads. It reads every version up to this one.
pub const FORMAT_VERSION: u8 = 1;
/// The format version that [`encode`] writes: the newest that every build reads with which this one may share a cluster.
pub const SAFE_VERSION: u8 = 1;

/// What a stored message is, so that a file in the wrong place is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`crate::bundle::Bundle`]
    Bundle = b'B',
    /// [`crate::catalog::Catalog`]
    Catalog = b'C',
    /// [`crate::catalog::Command`]
    Command = b'c',
    /// [`crate::raft::Entry`]
    Entry = b'E',
    /// [`crate::raft::Vote`]
    Vote = b'V',
    /// [`crate::raft::LogId`]
    LogId = b'L',
    /// [`crate::raft::Snapshot`]
    Snapshot = b'S',
    /// [`crate::kv::Entry`]
    Kv = b'K',
    /// [`crate::kv::Mark`]
    KvMark = b'k',
    /// [`crate::mesh::Identity`]
    Identity = b'I',
    /// [`crate::feed::Record`]
    FeedRecord = b'F',
    /// [`crate::gossip::Boot`]
    Boot = b'b',
    /// [`crate::feed::Boots`]
    Boots = b'J',
    /// [`crate::feed::Shown`]
    Shown = b'h',
    /// [`crate::backup::Manifest`]
    Manifest = b'M',
    /// [`crate::backup::Keys`]
    Keys = b'Y',
}

/// Why stored bytes are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a header. State: unchanged. Retry: no.
    #[error("{length} bytes are too few to be a stored message")]
    Short {
        /// How many there are.
        length: usize,
    },
    /// The bytes begin with something else. State: unchanged. Retry: no.
    #[error("this is not a stored Skerry message")]
    Magic,
    /// A message of another kind. State: unchanged. Retry: no.
    #[error("a stored message of kind {found:?} stands where {expected:?} should")]
    Kind {
        /// What the reader wanted.
        expected: Kind,
        /// The kind byte.
        found: char,
    },
    /// Written by a newer Skerry. State: unchanged. Retry: with a newer build.
    #[error("format version {found} is newer than {FORMAT_VERSION}, the newest this build reads: update Skerry")]
    Newer {
        /// The version byte.
        found: u8,
    },
    /// The checksum does not fit the bytes. State: unchanged. Retry: no.
    #[error("a stored message is damaged: its checksum does not fit")]
    Damaged,
    /// The checksum fits but the message does not parse. State: unchanged. Retry: no.
    #[error("a stored message does not parse")]
    Parse(#[source] prost::DecodeError),
}

/// The message in its frame, as every build reads it with which this one may share a cluster.
#[must_use]
pub fn encode<M: Message>(kind: Kind, message: &M) -> Vec<u8> {
    encode_as(SAFE_VERSION, kind, message)
}

/// The message in a frame of this format version. Newer than [`SAFE_VERSION`] only where the cluster's feature level says that
/// every node reads it.
#[must_use]
pub fn encode_as<M: Message>(version: u8, kind: Kind, message: &M) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + message.encoded_len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(kind as u8);
    bytes.push(version);
    bytes.extend_from_slice(&[0; 8]);
    message.encode(&mut bytes).expect("a Vec grows as needed");
    let sum = checksum(bytes[2], bytes[3], &bytes[HEADER_BYTES..]);
    bytes[4..HEADER_BYTES].copy_from_slice(&sum);
    bytes
}

/// The message inside its frame. Never panics, whatever the bytes.
pub fn decode<M: Message + Default>(kind: Kind, bytes: &[u8]) -> Result<M, DecodeError> {
    let body = body(kind, bytes)?;
    M::decode(body).map_err(DecodeError::Parse)
}

fn body(kind: Kind, bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let (Some(header), Some(body)) = (bytes.get(..HEADER_BYTES), bytes.get(HEADER_BYTES..)) else {
        return Err(DecodeError::Short { length: bytes.len() });
    };
    if header[..2] != MAGIC {
        return Err(DecodeError::Magic);
    }
    if header[2] != kind as u8 {
        return Err(DecodeError::Kind { expected: kind, found: char::from(header[2]) });
    }
    if header[3] > FORMAT_VERSION {
        return Err(DecodeError::Newer { found: header[3] });
    }
    if header[4..] != checksum(header[2], header[3], body) {
        return Err(DecodeError::Damaged);
    }
    Ok(body)
}

fn checksum(kind: u8, version: u8, body: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind, version]);
    hasher.update(body);
    let mut sum = [0; 8];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    sum
}
