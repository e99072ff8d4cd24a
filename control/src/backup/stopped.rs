//! The backup of a node that does not run.
//!
//! **Owns** reading its directory, keys included. **Must not know** who makes sure that it does not run. **Enter at**
//! [`stopped`].

use std::{
    fs::{self, File},
    io::{self, BufReader, Write},
    path::Path,
};

use bytes::Bytes;
use skerry_proto::{
    archive::{Manifest, Part, PartKind, Reader},
    backup as pb,
    id::{BundleHash, NodeId},
    versioned::{self, Kind},
};

use super::{Backup, BackupError, FOUNDER};
use crate::{
    bundles::Bundles,
    catalog::NodeRole,
    clock, feed,
    limits::BUNDLES_BYTES_MAX,
    mesh::NodeIdentity,
    raft,
    seal::{KeyFile, Sealer, WhenMissing},
    state::Head,
    store::{Privacy, write_with},
};

/// Which node, and where to.
#[derive(Debug, Clone, Copy)]
pub struct StoppedConfig<'a> {
    /// The node's directory; nobody may be using it.
    pub data_dir: &'a Path,
    /// The name of the KV database in it.
    pub kv_file: &'a str,
    /// The file to make, mode 0600; what was there is replaced once the backup is whole.
    pub output: &'a Path,
}

/// Makes the backup. Blocks its thread: it is for a program that does nothing else.
pub async fn stopped(config: StoppedConfig<'_>) -> Result<Manifest, BackupError> {
    let wrong = |source: io::Error| BackupError::State { path: config.data_dir.to_owned(), source };
    let (node, head) = read(config.data_dir).await?;
    let bundles = Bundles::open(config.data_dir, BUNDLES_BYTES_MAX).map_err(wrong)?;
    let mut backup = Backup::of(head, node, bundles, clock::unix_ms()).await?;
    let keys = keys(config.data_dir)?;
    backup.manifest.parts.push(Part::of(PartKind::Keys, &keys));
    let kv = config.data_dir.join(config.kv_file);
    if kv.exists() {
        backup.manifest.parts.push(part_of_file(&kv).map_err(wrong)?);
    }
    let written = write_with(config.output, Privacy::Secret, |file| write(&backup, &keys, &kv, file));
    written.map_err(|source| BackupError::Write { path: config.output.to_owned(), source })?;
    let verified = File::open(config.output).map_err(skerry_proto::archive::ArchiveError::Io);
    let verified = verified.and_then(|file| Reader::open(BufReader::new(file))).and_then(Reader::finish);
    verified.map_err(|source| BackupError::Verify { path: config.output.to_owned(), source })
}

/// Who the node is, and its newest state.
async fn read(data_dir: &Path) -> Result<(NodeId, Head), BackupError> {
    let wrong = |source: io::Error| BackupError::State { path: data_dir.to_owned(), source };
    let identity = NodeIdentity::open(data_dir).map_err(|error| wrong(io::Error::other(error)))?;
    let node = identity.as_ref().map_or(FOUNDER, |identity| identity.node);
    let head = match identity {
        Some(identity) if identity.role == NodeRole::Edge.as_str() => feed::stopped::read(data_dir).map_err(wrong)?,
        _ if data_dir.join("raft.redb").exists() => raft::stopped::read(data_dir).await.map_err(wrong)?,
        _ => return Err(BackupError::NoNode(data_dir.to_owned())),
    };
    if head.catalog.cluster().is_none() {
        return Err(BackupError::NoNode(data_dir.to_owned()));
    }
    Ok((node, head))
}

/// Only what a restored cluster needs: the authority's key makes nodes of the old one and of no other.
fn keys(data_dir: &Path) -> Result<Bytes, BackupError> {
    let sealer = Sealer::open_key(data_dir, KeyFile::Cluster, WhenMissing::Fail)?;
    let admin_token = fs::read_to_string(data_dir.join("admin.token")).unwrap_or_default().trim().to_owned();
    let keys = pb::Keys { cluster_key: Bytes::copy_from_slice(&sealer.key()), admin_token };
    Ok(versioned::encode(Kind::Keys, &keys).into())
}

fn part_of_file(path: &Path) -> io::Result<Part> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    let hash = BundleHash(*hasher.finalize().as_bytes());
    Ok(Part { kind: PartKind::Kv, hash, size_bytes: fs::metadata(path)?.len() })
}

fn write(backup: &Backup, keys: &[u8], kv: &Path, file: &mut File) -> io::Result<()> {
    file.write_all(&backup.manifest.head())?;
    for part in &backup.manifest.parts {
        match part.kind {
            PartKind::Catalog => file.write_all(&backup.catalog)?,
            PartKind::Keys => file.write_all(keys)?,
            PartKind::Bundle => file.write_all(&backup.bundles.read(&part.hash)?)?,
            PartKind::Kv => {
                io::copy(&mut File::open(kv)?, file)?;
            }
        }
    }
    Ok(())
}
