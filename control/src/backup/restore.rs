//! A new cluster out of a backup.
//!
//! **Owns** what is checked before anything is made, and the directory of the new cluster's founder. **Must not know** how a
//! node starts in it. **Enter at** [`restore()`].
//!
//! The file is read twice: once to see that all of it is whole and that its sealed values open, once to copy it. The directory
//! appears under its name when everything in it is on the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use skerry_proto::{
    archive::{ArchiveError, Manifest, PartKind, Reader},
    backup as pb,
    id::BundleHash,
    versioned::{self, DecodeError, Kind},
};

use super::{FOUNDER, named, reborn::reborn, staging::Staging};
use crate::{
    bundles::Bundles,
    catalog::{
        Access, Catalog, Cluster, Digest, Resource, Scope, Token, TokenHash,
        wire::{WireError, decode_catalog},
    },
    clock,
    limits::BUNDLES_BYTES_MAX,
    mint, raft,
    seal::{KeyError, KeyFile, Sealer, WhenMissing},
    store::{Privacy, write_file},
};

/// What is restored, and where.
#[derive(Debug, Clone, Copy)]
pub struct RestoreConfig<'a> {
    /// The backup.
    pub from: &'a Path,
    /// A directory with the old cluster's `cluster.key`, and perhaps its `admin.token`: any old node's. Needed when the backup
    /// holds no keys.
    pub keys: Option<&'a Path>,
    /// The new directory: empty, or not there yet.
    pub data_dir: &'a Path,
    /// The name of the KV database in it.
    pub kv_file: &'a str,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// The id of the new cluster.
    pub cluster: String,
    /// How many services there are.
    pub services: usize,
    /// The titles of KV namespaces whose entries are not in the backup.
    pub empty_namespaces: Vec<String>,
    /// Which token `admin.token` holds.
    pub admin: AdminToken,
}

/// The token in a restored directory's `admin.token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminToken {
    /// The one that the old node had.
    Kept,
    /// Another one, made now: the backup had none that is still good.
    New,
}

/// Why nothing was restored. State: unchanged; the new directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory has something in it. Retry: with another.
    #[error("{0} is not empty; a backup is restored into a new directory")]
    NotEmpty(PathBuf),
    /// The file is no whole backup. Retry: with another.
    #[error("{path} can not be restored")]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// The file is whole, and what is in it does not fit together or can not be understood. Retry: no.
    #[error("{path} can not be restored: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer Skerry's cluster. Retry: with a newer build.
    #[error("the backup is of a cluster at feature level {found}, this build knows {known} at most: update Skerry")]
    Newer {
        /// The cluster's.
        found: u32,
        /// This build's.
        known: u32,
    },
    /// The backup holds no keys, and none were given. Retry: with them.
    #[error(
        "the backup holds no keys, so its secrets stay sealed: give --keys DIR, the directory of any node of the old \
         cluster, or one that holds its cluster.key"
    )]
    NoKeys,
    /// The key can not be read. Retry: after mending it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is another cluster's. Retry: with the right one.
    #[error("the cluster.key in {0} does not open what is sealed in the backup: it is another cluster's")]
    WrongKeys(String),
    /// The new directory can not be made. Retry: after mending it.
    #[error("{path} can not be made")]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What the first reading found.
struct Seen {
    manifest: Manifest,
    catalog: Catalog,
    keys: Option<pb::Keys>,
}

/// Restores a backup. Blocks its thread: it is for a program that does nothing else.
pub async fn restore(config: RestoreConfig<'_>) -> Result<Restored, RestoreError> {
    let failed = |source: io::Error| RestoreError::Io { path: config.data_dir.to_owned(), source };
    check_empty(config.data_dir)?;
    let seen = look(config.from)?;
    let (sealer, token) = keys(&config, &seen)?;
    let (token, made) = admin(&seen.catalog, token);
    let cluster = hex::encode(mint::random::<16>());
    let catalog = reborn(&seen.catalog, &cluster, made.as_ref()).map_err(|error| content(config.from, &error))?;
    let staging = Staging::beside(config.data_dir).map_err(failed)?;
    let folder = staging.path();
    Sealer::keep_key(folder, KeyFile::Cluster, sealer.key())?;
    write_file(&folder.join("admin.token"), format!("{token}\n").as_bytes(), Privacy::Secret).map_err(failed)?;
    copy(&config, folder).await?;
    raft::stopped::found_at(folder, FOUNDER, &catalog).await.map_err(failed)?;
    staging.settle().map_err(|source| match source.kind() {
        io::ErrorKind::DirectoryNotEmpty => RestoreError::NotEmpty(config.data_dir.to_owned()),
        io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
            failed(io::Error::other("it is a mount point: give a directory below it, which need not exist"))
        }
        _ => failed(source),
    })?;
    Ok(Restored {
        cluster,
        services: catalog.all_services().count(),
        empty_namespaces: left_out(&seen),
        admin: if made.is_some() { AdminToken::New } else { AdminToken::Kept },
        manifest: seen.manifest,
    })
}

fn check_empty(path: &Path) -> Result<(), RestoreError> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(RestoreError::NotEmpty(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(RestoreError::Io { path: path.to_owned(), source }),
    }
}

fn content(path: &Path, reason: &dyn std::fmt::Display) -> RestoreError {
    RestoreError::Content { path: path.to_owned(), reason: reason.to_string() }
}

fn open(path: &Path) -> Result<Reader<BufReader<File>>, RestoreError> {
    let opened = File::open(path).map_err(ArchiveError::Io);
    let reader = opened.and_then(|file| Reader::open(BufReader::new(file)));
    reader.map_err(|source| RestoreError::Archive { path: path.to_owned(), source })
}

/// Reads everything once, and checks that it belongs together.
fn look(path: &Path) -> Result<Seen, RestoreError> {
    let broken = |source| RestoreError::Archive { path: path.to_owned(), source };
    let mut reader = open(path)?;
    let (found, known) = (reader.manifest().feature_level, Cluster::NEWEST_FEATURE_LEVEL);
    if found > known {
        return Err(RestoreError::Newer { found, known });
    }
    let (mut catalog, mut keys) = (Vec::new(), None);
    while let Some(part) = reader.next_part() {
        match part.kind {
            PartKind::Catalog => catalog = reader.take().map_err(broken)?,
            PartKind::Keys => keys = Some(reader.take().map_err(broken)?),
            PartKind::Bundle | PartKind::Kv => reader.copy(&mut io::sink()).map_err(broken)?,
        }
    }
    let manifest = reader.finish().map_err(broken)?;
    let catalog = decode_catalog(&catalog).map_err(|error: WireError| content(path, &error))?;
    let keys = keys.map(|bytes| versioned::decode(Kind::Keys, &bytes)).transpose();
    let keys = keys.map_err(|error: DecodeError| content(path, &error))?;
    let digest = Digest::of(&catalog).to_bytes();
    if manifest.digest != digest[..] || manifest.revision != catalog.revision() || catalog.cluster().is_none() {
        return Err(content(path, &"its catalog is not the one that its manifest names"));
    }
    let there: std::collections::BTreeSet<BundleHash> =
        manifest.of_kind(PartKind::Bundle).map(|part| part.hash).collect();
    if let Some(missing) = named(&catalog).into_keys().find(|hash| !there.contains(hash)) {
        return Err(content(path, &format!("it lacks bundle {missing}")));
    }
    Ok(Seen { manifest, catalog, keys })
}

/// The key that opens the backup, and the text of the old admin token where there is one. Keys that are given count.
fn keys(config: &RestoreConfig<'_>, seen: &Seen) -> Result<(Sealer, Option<String>), RestoreError> {
    let (sealer, token, place) = match (config.keys, &seen.keys) {
        (Some(folder), _) => {
            let sealer = Sealer::open_key(folder, KeyFile::Cluster, WhenMissing::Fail)?;
            (sealer, fs::read_to_string(folder.join("admin.token")).ok(), folder.display().to_string())
        }
        (None, Some(keys)) => {
            let key = keys.cluster_key[..].try_into();
            let key = key.ok().ok_or_else(|| content(config.from, &"its key is not 32 bytes"))?;
            (Sealer::from_key(key), Some(keys.admin_token.clone()), "the backup itself".to_owned())
        }
        (None, None) => return Err(RestoreError::NoKeys),
    };
    let opens = seen.catalog.cluster().is_some_and(|cluster| sealer.open(&cluster.ca_key).is_ok());
    if !opens {
        return Err(RestoreError::WrongKeys(place));
    }
    Ok((sealer, token.map(|text| text.trim().to_owned())))
}

/// The text for `admin.token`, and the token when it has to be made: the directory must never be one that nobody can enter.
fn admin(catalog: &Catalog, old: Option<String>) -> (String, Option<Token>) {
    let now_ms = clock::unix_ms();
    let is_good = |text: &String| {
        let token = catalog.token_by_hash(&TokenHash::of(text));
        token.is_some_and(|token| token.is_current(now_ms) && token.account.is_none())
    };
    if let Some(text) = old.filter(is_good) {
        return (text, None);
    }
    let made = mint::token();
    let token = Token {
        id: made.id,
        account: None,
        name: "admin (restored)".to_owned(),
        scopes: [Scope { resource: Resource::All, access: Access::Write }].into(),
        hash: made.hash,
        created_at_ms: now_ms,
        expires_at_ms: None,
    };
    (made.text, Some(token))
}

/// Copies code and KV entries.
async fn copy(config: &RestoreConfig<'_>, folder: &Path) -> Result<(), RestoreError> {
    let failed = |source: io::Error| RestoreError::Io { path: config.data_dir.to_owned(), source };
    let broken = |source| RestoreError::Archive { path: config.from.to_owned(), source };
    let bundles = Bundles::open(folder, BUNDLES_BYTES_MAX).map_err(failed)?;
    let mut reader = open(config.from)?;
    while let Some(part) = reader.next_part() {
        match part.kind {
            PartKind::Bundle => {
                let bytes = Bytes::from(reader.take().map_err(broken)?);
                bundles.put(bytes).await.map_err(|error| failed(io::Error::other(error)))?;
            }
            PartKind::Kv => {
                let path = folder.join(config.kv_file);
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
                let mut file = file.map_err(failed)?;
                reader.copy(&mut file).map_err(broken)?;
                file.sync_all().map_err(failed)?;
            }
            PartKind::Catalog | PartKind::Keys => reader.copy(&mut io::sink()).map_err(broken)?,
        }
    }
    Ok(())
}

/// The namespaces whose entries another node kept, or all of them when the backup has no entries.
fn left_out(seen: &Seen) -> Vec<String> {
    let has_entries = seen.manifest.of_kind(PartKind::Kv).next().is_some();
    let there: std::collections::BTreeSet<_> = match has_entries {
        true => seen.catalog.namespaces_at(seen.manifest.node).map(|namespace| namespace.id.clone()).collect(),
        false => std::collections::BTreeSet::new(),
    };
    let all = seen.catalog.all_namespaces().filter(|namespace| !there.contains(&namespace.id));
    all.map(|namespace| namespace.title.clone()).collect()
}
