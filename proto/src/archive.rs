//! Pure. A backup as a file: a manifest, then the parts that it names.
//!
//! **Owns** the layout, and that nothing of a cut off or changed file is believed. **Must not know** what the parts mean.
//! **Enter at** [`Manifest::head`] to write and [`Reader`] to read.
//!
//! ```text
//! "skerry backup\n" | bytes of the manifest (4, big-endian) | framed Manifest | part | part | ...
//! ```
//! The manifest's frame has a checksum and the manifest has the length and the BLAKE3 hash of every part, so a file is whole
//! when all of them fit and nothing follows.

use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::{
    backup as pb,
    id::{BundleHash, NodeId, Revision},
    versioned::{self, DecodeError, Kind},
};

/// How a backup begins.
pub const MAGIC: &[u8; 14] = b"skerry backup\n";
/// The format that this build writes. It reads every one up to this.
pub const FORMAT: u32 = 1;
/// BOUND: bytes of a manifest: a million bundles at 45 bytes each.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// BOUND: bytes copied at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The id of the cluster.
    pub cluster: String,
    /// Its domain.
    pub domain: String,
    /// The state of the catalog.
    pub revision: Revision,
    /// The digest of that state, 16 bytes.
    pub digest: Bytes,
    /// What a node must understand to serve it.
    pub feature_level: u32,
    /// Milliseconds since the Unix epoch.
    pub made_at_ms: i64,
    /// Which Skerry made it.
    pub build: String,
    /// The node that made it.
    pub node: NodeId,
    /// What follows, in this order.
    pub parts: Vec<Part>,
}

/// One part of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// BLAKE3 of its bytes; the name of a bundle.
    pub hash: BundleHash,
    /// Its length.
    pub size_bytes: u64,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// A framed catalog.
    Catalog,
    /// A bundle.
    Bundle,
    /// The keys that open sealed values.
    Keys,
    /// A node's KV database.
    Kv,
}

/// Why a file is not a backup that can be used. State: what was read before is thrown away. Retry: no, but for `Io`.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It begins with something else.
    #[error("this is not a Skerry backup")]
    Foreign,
    /// It ends too early.
    #[error("the backup is cut off: it ends in {0}")]
    CutOff(String),
    /// Bytes are not what they were.
    #[error("the backup is damaged: {0} is not what it was when it was made")]
    Damaged(String),
    /// The manifest says something that can not be.
    #[error("the backup's manifest is wrong: {0}")]
    Manifest(&'static str),
    /// A newer Skerry made it.
    #[error("the backup has format {found}, this build reads {FORMAT} at most: update Skerry")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// Something follows the last part.
    #[error("the backup is damaged: something follows its end")]
    Longer,
    /// It can not be read, or a part not be written.
    #[error("the backup can not be read or copied")]
    Io(#[source] io::Error),
}

impl Part {
    /// The part that these bytes are.
    #[must_use]
    pub fn of(kind: PartKind, bytes: &[u8]) -> Self {
        Self { kind, hash: BundleHash::of(bytes), size_bytes: bytes.len() as u64 }
    }

    fn name(&self) -> String {
        match self.kind {
            PartKind::Catalog => "the catalog".to_owned(),
            PartKind::Bundle => format!("bundle {}", self.hash),
            PartKind::Keys => "the keys".to_owned(),
            PartKind::Kv => "the KV database".to_owned(),
        }
    }
}

impl Manifest {
    /// How the file begins: everything before the first part.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let framed = versioned::encode(Kind::Manifest, &pb::Manifest::from(self));
        let length = u32::try_from(framed.len()).expect("a manifest has a few megabytes at most");
        [&MAGIC[..], &length.to_be_bytes(), &framed].concat()
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.head().len() as u64 + self.parts.iter().map(|part| part.size_bytes).sum::<u64>()
    }

    /// The parts of a kind.
    pub fn of_kind(&self, kind: PartKind) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.kind == kind)
    }
}

/// Reads a backup part by part, and believes nothing that does not fit the manifest.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    manifest: Manifest,
    at: usize,
}

impl<R: Read> Reader<R> {
    /// Reads the manifest.
    pub fn open(mut source: R) -> Result<Self, ArchiveError> {
        let mut magic = [0; MAGIC.len()];
        match source.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Ok(()) => return Err(ArchiveError::Foreign),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ArchiveError::Foreign),
            Err(error) => return Err(ArchiveError::Io(error)),
        }
        let mut length = [0; 4];
        source.read_exact(&mut length).map_err(|error| cut_off("the manifest", error))?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MANIFEST_BYTES_MAX {
            return Err(ArchiveError::Damaged("the manifest's length".to_owned()));
        }
        let mut framed = vec![0; length];
        source.read_exact(&mut framed).map_err(|error| cut_off("the manifest", error))?;
        Ok(Self { source, manifest: manifest(&framed)?, at: 0 })
    }

    /// What the backup holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The part that comes next; `None` behind the last one.
    #[must_use]
    pub fn next_part(&self) -> Option<Part> {
        self.manifest.parts.get(self.at).copied()
    }

    /// Copies the next part to `to`. What was copied counts only when this returns `Ok`.
    pub fn copy(&mut self, to: &mut impl Write) -> Result<(), ArchiveError> {
        let Some(part) = self.next_part() else { return Ok(()) };
        let (mut hasher, mut left) = (blake3::Hasher::new(), part.size_bytes);
        let mut block = vec![0; BLOCK_BYTES];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            self.source.read_exact(&mut block[..wanted]).map_err(|error| cut_off(&part.name(), error))?;
            hasher.update(&block[..wanted]);
            to.write_all(&block[..wanted]).map_err(ArchiveError::Io)?;
            left -= wanted as u64;
        }
        if hasher.finalize().as_bytes() != &part.hash.0 {
            return Err(ArchiveError::Damaged(part.name()));
        }
        self.at += 1;
        Ok(())
    }

    /// The next part's bytes.
    pub fn take(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        self.copy(&mut bytes)?;
        Ok(bytes)
    }

    /// Checks what is left: every part, and that nothing follows.
    pub fn finish(mut self) -> Result<Manifest, ArchiveError> {
        while self.next_part().is_some() {
            self.copy(&mut io::sink())?;
        }
        match self.source.read(&mut [0]) {
            Ok(0) => Ok(self.manifest),
            Ok(_) => Err(ArchiveError::Longer),
            Err(error) => Err(ArchiveError::Io(error)),
        }
    }
}

fn cut_off(what: &str, error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::CutOff(what.to_owned()),
        _ => ArchiveError::Io(error),
    }
}

fn manifest(framed: &[u8]) -> Result<Manifest, ArchiveError> {
    let message: pb::Manifest = versioned::decode(Kind::Manifest, framed).map_err(|error| match error {
        DecodeError::Newer { found } => ArchiveError::Newer { found: u32::from(found) },
        _ => ArchiveError::Damaged("the manifest".to_owned()),
    })?;
    if message.format > FORMAT {
        return Err(ArchiveError::Newer { found: message.format });
    }
    Manifest::try_from(message)
}

impl From<&Manifest> for pb::Manifest {
    fn from(manifest: &Manifest) -> Self {
        let part = |part: &Part| pb::Part {
            kind: pb::PartKind::from(part.kind).into(),
            hash: Bytes::copy_from_slice(&part.hash.0),
            size_bytes: part.size_bytes,
        };
        Self {
            format: FORMAT,
            cluster: manifest.cluster.clone(),
            domain: manifest.domain.clone(),
            revision: manifest.revision.0,
            digest: manifest.digest.clone(),
            feature_level: manifest.feature_level,
            made_at_ms: manifest.made_at_ms,
            build: manifest.build.clone(),
            node: manifest.node.0,
            parts: manifest.parts.iter().map(part).collect(),
        }
    }
}

impl TryFrom<pb::Manifest> for Manifest {
    type Error = ArchiveError;

    fn try_from(message: pb::Manifest) -> Result<Self, ArchiveError> {
        let part = |part: pb::Part| {
            let kind = match part.kind() {
                pb::PartKind::Catalog => PartKind::Catalog,
                pb::PartKind::Bundle => PartKind::Bundle,
                pb::PartKind::Keys => PartKind::Keys,
                pb::PartKind::Kv => PartKind::Kv,
                pb::PartKind::Unspecified => return Err(ArchiveError::Manifest("a part is of no known kind")),
            };
            let hash = BundleHash::try_from(&part.hash[..]);
            let hash = hash.ok().ok_or(ArchiveError::Manifest("a part's hash is not 32 bytes"))?;
            Ok(Part { kind, hash, size_bytes: part.size_bytes })
        };
        let manifest = Self {
            cluster: message.cluster,
            domain: message.domain,
            revision: Revision(message.revision),
            digest: message.digest,
            feature_level: message.feature_level,
            made_at_ms: message.made_at_ms,
            build: message.build,
            node: NodeId(message.node),
            parts: message.parts.into_iter().map(part).collect::<Result<_, _>>()?,
        };
        let total = manifest.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size_bytes));
        if total.is_none_or(|total| total > u64::MAX / 2) {
            return Err(ArchiveError::Manifest("its parts are longer than any file"));
        }
        if manifest.of_kind(PartKind::Catalog).count() != 1 {
            return Err(ArchiveError::Manifest("a backup has one catalog"));
        }
        Ok(manifest)
    }
}

impl From<PartKind> for pb::PartKind {
    fn from(kind: PartKind) -> Self {
        match kind {
            PartKind::Catalog => Self::Catalog,
            PartKind::Bundle => Self::Bundle,
            PartKind::Keys => Self::Keys,
            PartKind::Kv => Self::Kv,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let (catalog, bundle) = (&b"everything"[..], &b"code"[..]);
        let manifest = Manifest {
            cluster: "c".repeat(32),
            domain: "workers.test".to_owned(),
            revision: Revision(42),
            digest: vec![7; 16].into(),
            feature_level: 1,
            made_at_ms: 5,
            build: "0.1.0".to_owned(),
            node: NodeId(1),
            parts: vec![Part::of(PartKind::Catalog, catalog), Part::of(PartKind::Bundle, bundle)],
        };
        let file = [&manifest.head()[..], catalog, bundle].concat();
        assert_eq!(manifest.file_bytes(), file.len() as u64);
        file
    }

    fn refusal(file: &[u8]) -> Option<String> {
        Reader::open(file).and_then(Reader::finish).err().map(|error| error.to_string())
    }

    #[test]
    fn what_was_written_is_read_again_part_by_part() {
        let file = file();
        let mut reader = Reader::open(&file[..]).unwrap();
        assert_eq!(reader.next_part().unwrap().kind, PartKind::Catalog);
        assert_eq!(reader.take().unwrap(), b"everything");
        assert_eq!(reader.take().unwrap(), b"code");
        assert_eq!(reader.next_part(), None);
        assert_eq!(reader.finish().unwrap().revision, Revision(42));
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_refused() {
        let file = file();
        for length in 0..file.len() {
            let reason = refusal(&file[..length]).unwrap_or_else(|| panic!("{length} bytes are taken for the whole"));
            let says = if length < MAGIC.len() { "not a Skerry backup" } else { "cut off" };
            assert!(reason.contains(says), "{length}: {reason}");
        }
        assert!(refusal(&[&file[..], b"x"].concat()).unwrap().contains("something follows"));
        assert_eq!(refusal(&file), None);
    }

    #[test]
    fn a_file_with_a_changed_byte_is_refused() {
        let file = file();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(refusal(&changed).is_some(), "byte {at}");
        }
    }

    #[test]
    fn a_newer_format_says_what_to_do() {
        let file = file();
        let manifest = Reader::open(&file[..]).unwrap().manifest().clone();
        let message = pb::Manifest { format: FORMAT + 1, ..pb::Manifest::from(&manifest) };
        let framed = versioned::encode(Kind::Manifest, &message);
        let length = u32::try_from(framed.len()).unwrap().to_be_bytes();
        let reason = refusal(&[&MAGIC[..], &length, &framed].concat()).unwrap();
        assert_eq!(reason, "the backup has format 2, this build reads 1 at most: update Skerry");
    }
}
