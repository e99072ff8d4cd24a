//! Backups of a cluster: the whole catalog and every bundle that it names, at one revision.
//!
//! **Owns** what goes into a backup, out of a running node or a stopped one, and how a new cluster begins with one. **Must
//! not know** HTTP, or how the file is laid out; `skerry_proto::archive` does. **Enter at** [`Backup::of`], [`stopped()`] and
//! [`restore()`].
//!
//! A backup of a running node holds no keys: what is sealed in it stays sealed. KV entries are not part of the catalog; only a
//! stopped node's own are copied, as the file that they lie in.

use std::{collections::BTreeMap, io, path::PathBuf};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use skerry_proto::{
    archive::{ArchiveError, Manifest, Part, PartKind},
    id::{BundleHash, NodeId},
};

use crate::{
    bundles::{BundleError, Bundles},
    catalog::{Catalog, wire::encode_catalog},
    seal::KeyError,
    state::Head,
};

mod reborn;
mod restore;
mod staging;
mod stopped;

pub use self::{
    restore::{AdminToken, RestoreConfig, RestoreError, Restored, restore},
    stopped::{StoppedConfig, stopped},
};

/// The node that a restored cluster begins with.
const FOUNDER: NodeId = NodeId(1);

/// Why there is no backup. State: unchanged.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Code is missing. Retry: once a node that has it answers, or without the version.
    #[error("no node that answers has bundle {hash} of {of}; there is no backup without it")]
    Missing {
        /// Which.
        hash: BundleHash,
        /// A version that names it.
        of: String,
    },
    /// Code can not be read here and nobody else gives it. Retry: after mending it.
    #[error("bundle {hash} of {of} can not be had; there is no backup without it")]
    Bundle {
        /// Which.
        hash: BundleHash,
        /// A version that names it.
        of: String,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// There is no node in that directory. Retry: with another.
    #[error("{0} holds no node")]
    NoNode(PathBuf),
    /// The node's state can not be read. Retry: no.
    #[error("the state in {path} can not be read")]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The keys can not be read. Retry: after mending it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file can not be written. Retry: after mending it.
    #[error("{path} can not be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was written is not what should have been. Retry: after looking at the disk.
    #[error("{path} was written wrongly")]
    Verify {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
}

/// A backup that can be made: everything that it needs has been seen.
#[derive(Debug)]
pub struct Backup {
    manifest: Manifest,
    catalog: Bytes,
    bundles: Bundles,
}

impl Backup {
    /// Looks for everything that a state names. What this node lacks is fetched from others and kept.
    pub async fn of(head: Head, node: NodeId, bundles: Bundles, made_at_ms: i64) -> Result<Self, BackupError> {
        let encoded = std::sync::Arc::clone(&head.catalog);
        let encoded = tokio::task::spawn_blocking(move || Bytes::from(encode_catalog(&encoded))).await;
        let catalog = encoded.unwrap_or_else(|_cut_off| encode_catalog(&head.catalog).into());
        let mut parts = vec![Part::of(PartKind::Catalog, &catalog)];
        for hash in named(&head.catalog).into_keys() {
            let of = || version_with(&head.catalog, &hash);
            match bundles.get_or_fetch(&hash).await {
                Ok(Some(bytes)) => {
                    parts.push(Part { kind: PartKind::Bundle, hash, size_bytes: bytes.len() as u64 });
                }
                Ok(None) => return Err(BackupError::Missing { hash, of: of() }),
                Err(source) => return Err(BackupError::Bundle { hash, of: of(), source }),
            }
        }
        Ok(Self { manifest: manifest(&head, node, made_at_ms, parts), catalog, bundles })
    }

    /// What it holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The file, piece by piece; an error is the end of it.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let Self { manifest, catalog, bundles } = self;
        let hashes: Vec<BundleHash> = manifest.of_kind(PartKind::Bundle).map(|part| part.hash).collect();
        let code = stream::iter(hashes).then(move |hash| {
            let bundles = bundles.clone();
            async move { again(&bundles, &hash).await }
        });
        stream::iter([Ok(manifest.head().into()), Ok(catalog)]).chain(code)
    }
}

/// A bundle that has been seen a moment ago.
async fn again(bundles: &Bundles, hash: &BundleHash) -> io::Result<Bytes> {
    match bundles.get_or_fetch(hash).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            tracing::warn!(%hash, "a bundle went while it was backed up; the backup is broken off");
            Err(io::Error::new(io::ErrorKind::NotFound, format!("bundle {hash} is gone")))
        }
        Err(error) => {
            tracing::warn!(%hash, error = &error as &dyn std::error::Error, "a backup is broken off");
            Err(io::Error::other(error))
        }
    }
}

fn manifest(head: &Head, node: NodeId, made_at_ms: i64, parts: Vec<Part>) -> Manifest {
    let cluster = head.catalog.cluster();
    Manifest {
        cluster: cluster.map(|cluster| cluster.id.clone()).unwrap_or_default(),
        domain: cluster.map(|cluster| cluster.domain.to_string()).unwrap_or_default(),
        revision: head.catalog.revision(),
        digest: Bytes::copy_from_slice(&head.digest.to_bytes()),
        feature_level: head.catalog.feature_level(),
        made_at_ms,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        node,
        parts,
    }
}

/// The bundles that a state names, with their sizes.
fn named(catalog: &Catalog) -> BTreeMap<BundleHash, u64> {
    catalog.bundles().map(|bundle| (bundle.hash, bundle.size_bytes)).collect()
}

/// A version that has this code, for people.
fn version_with(catalog: &Catalog, hash: &BundleHash) -> String {
    let mut found = String::new();
    for service in catalog.all_services() {
        for environment in service.environments.values() {
            let named = environment.versions.iter().find(|(_, version)| version.code.bundle.hash == *hash);
            if let Some((number, _)) = named {
                found = format!("version {number} of {}/{}", service.key.name, environment.name);
            }
        }
    }
    found
}
