//! Code, by the hash of its bytes.
//!
//! **Owns** the files under `DIR/bundles`. **Must not know** what a bundle contains. **Enter at** [`Bundles`].
//!
//! `DIR/bundles/ab/abcdef...` holds the bytes whose BLAKE3 is `abcdef...`. A file is complete before it gets that name,
//! and it is verified whenever it is read, so what can not be verified is never run. A bundle is stored before any version
//! names it. Its file's time says when it was last stored or read: which files go, and when, is the sweep's affair.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use skerry_proto::{
    bundle::Bundle,
    id::BundleHash,
    versioned::{self, DecodeError, Kind},
};

use crate::{
    limits::BUNDLE_BYTES_MAX,
    store::{Privacy, create_folder, read_file, remove_unfinished, write_file},
};

mod room;
#[cfg(test)]
mod tests;

pub(crate) use self::room::{Room, Stored};

/// Where bundles come from that this node does not have.
#[async_trait::async_trait]
pub trait BundleSource: Send + Sync {
    /// The bytes, when another node gave them. They are verified here.
    async fn fetch(&self, hash: &BundleHash) -> Option<Bytes>;
}

/// The bundles of one data directory. Clones share it.
#[derive(Clone)]
pub struct Bundles {
    folder: Arc<Path>,
    source: Arc<OnceLock<Arc<dyn BundleSource>>>,
    // Held while a file's time is set, and while it is looked at and the file removed: what was stored or read a moment ago
    // is never removed.
    times: Arc<Mutex<()>>,
    room: Arc<Room>,
}

impl fmt::Debug for Bundles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundles").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Why a bundle could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is larger than a bundle may be. State: unchanged. Retry: no.
    #[error("a bundle of {size_bytes} bytes is larger than {BUNDLE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// The file system failed. State: unknown for writes, unchanged for reads. Retry: yes.
    #[error("bundle {hash} can not be {action}")]
    Io {
        /// Which.
        hash: BundleHash,
        /// `stored` or `read`.
        action: &'static str,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The file's bytes are not the ones that were stored. It is never served. State: unchanged. Retry: no; upload again.
    #[error("bundle {hash} is damaged on this node's disk")]
    Damaged {
        /// Which.
        hash: BundleHash,
    },
    /// The bytes verify but are no bundle this build can read. State: unchanged. Retry: with a newer build.
    #[error("bundle {hash} can not be decoded")]
    Decode {
        /// Which.
        hash: BundleHash,
        /// Why.
        #[source]
        source: DecodeError,
    },
}

impl Bundles {
    /// The bundles under `data_dir`, which should take `bytes_max` at most. Blocking.
    pub fn open(data_dir: &Path, bytes_max: u64) -> io::Result<Self> {
        let folder = data_dir.join("bundles");
        create_folder(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                remove_unfinished(&entry.path())?;
            }
        }
        Ok(Self {
            folder: folder.into(),
            source: Arc::default(),
            times: Arc::default(),
            room: Arc::new(Room::new(bytes_max)),
        })
    }

    /// Asks there for what is missing, from now on.
    pub fn fetch_from(&self, source: Arc<dyn BundleSource>) {
        // A second source would be the same one.
        let _ = self.source.set(source);
    }

    /// The bytes under which a bundle is stored; equal bundles have equal bytes.
    #[must_use]
    pub fn encode(bundle: &Bundle) -> Bytes {
        versioned::encode(Kind::Bundle, bundle).into()
    }

    /// Stores a bundle's bytes; durable when this returns. Storing the same bytes again costs one look, and counts as new.
    pub async fn put(&self, bytes: Bytes) -> Result<BundleHash, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge { size_bytes: bytes.len() });
        }
        let hash = BundleHash::of(&bytes);
        let (path, bundles) = (self.path(&hash), self.clone());
        let stored = tokio::task::spawn_blocking(move || {
            bundles.touch(&path)?;
            if read_verified(&path, &hash)?.is_some() {
                return Ok(());
            }
            create_folder(path.parent().expect("a bundle's path has a folder"))?;
            write_file(&path, &bytes, Privacy::Secret)?;
            bundles.room.took(bytes.len());
            Ok(())
        });
        match stored.await.map_err(io::Error::from).and_then(|stored| stored) {
            Ok(()) => Ok(hash),
            Err(source) => Err(BundleError::Io { hash, action: "stored", source }),
        }
    }

    /// The bytes of that hash, verified; `None` when this node does not have them.
    pub async fn get(&self, hash: &BundleHash) -> Result<Option<Bytes>, BundleError> {
        let (bundles, hash) = (self.clone(), *hash);
        let read = tokio::task::spawn_blocking(move || {
            let path = bundles.path(&hash);
            let found = read_file(&path)?.map(Bytes::from);
            if found.is_some() {
                // Without the new time it goes earlier from a full folder, and is fetched again.
                let _ = bundles.touch(&path);
            }
            Ok(found)
        });
        match read.await.map_err(io::Error::from).and_then(|read| read) {
            Ok(Some(bytes)) if BundleHash::of(&bytes) != hash => Err(BundleError::Damaged { hash }),
            Ok(found) => Ok(found),
            Err(source) => Err(BundleError::Io { hash, action: "read", source }),
        }
    }

    /// The bytes of that hash, verified, from this node's disk; anything else is an error. Blocking.
    pub(crate) fn read(&self, hash: &BundleHash) -> io::Result<Bytes> {
        let found = read_verified(&self.path(hash), hash)?;
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("bundle {hash} is missing or damaged")))
    }

    /// As [`Bundles::get`], but what can not be read here is fetched from another node, and kept where it can be.
    pub async fn get_or_fetch(&self, hash: &BundleHash) -> Result<Option<Bytes>, BundleError> {
        let here = self.get(hash).await;
        let (Ok(None) | Err(_)) = &here else { return here };
        let Some(bytes) = self.fetch(hash).await else { return here };
        if let Err(error) = self.put(bytes.clone()).await {
            // They are the bundle all the same; the next one who wants it fetches it again.
            tracing::warn!(%hash, error = &error as &dyn std::error::Error, "a bundle is used and not kept");
        }
        Ok(Some(bytes))
    }

    /// Makes sure that this node has the bundle on its disk, from another node if need be. `false` when nobody has it.
    pub async fn stock(&self, hash: &BundleHash) -> Result<bool, BundleError> {
        let path = self.path(hash);
        // What is damaged is found when it is read, and fetched then.
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(true);
        }
        match self.fetch(hash).await {
            Some(bytes) => self.put(bytes).await.map(|_| true),
            None => Ok(false),
        }
    }

    /// Whether this node has a file of that name; what is in it is verified when it is read. Blocks for a look at the disk.
    #[must_use]
    pub fn has(&self, hash: &BundleHash) -> bool {
        self.path(hash).exists()
    }

    /// Those that are not on this node's disk.
    pub(crate) async fn lacking(&self, of: BTreeSet<BundleHash>) -> io::Result<BTreeSet<BundleHash>> {
        let bundles = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let lacks = |hash: &BundleHash| Ok((!bundles.path(hash).try_exists()?).then_some(*hash));
            of.iter().filter_map(|hash| lacks(hash).transpose()).collect()
        });
        looked.await.map_err(io::Error::from)?
    }

    async fn fetch(&self, hash: &BundleHash) -> Option<Bytes> {
        let bytes = self.source.get()?.fetch(hash).await?;
        if BundleHash::of(&bytes) == *hash {
            return Some(bytes);
        }
        tracing::warn!(%hash, "another node gave bytes that are not the bundle");
        None
    }

    /// The bundle of that hash, verified and decoded, from this node or another; `None` when nobody has it.
    pub async fn load(&self, hash: &BundleHash) -> Result<Option<Bundle>, BundleError> {
        let Some(bytes) = self.get_or_fetch(hash).await? else { return Ok(None) };
        let decoded = versioned::decode(Kind::Bundle, &bytes);
        decoded.map(Some).map_err(|source| BundleError::Decode { hash: *hash, source })
    }

    /// How much of the disk they take, and how much they should.
    #[must_use]
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Bytes of all files, as of the last look at them and what was stored since.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.room.taken()
    }

    /// Every bundle on this node's disk. Blocking.
    pub(crate) fn all(&self) -> io::Result<Vec<Stored>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let Some(hash) = file.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                let meta = file.metadata()?;
                found.push(Stored { hash, size_bytes: meta.len(), used_at: meta.modified()? });
            }
        }
        Ok(found)
    }

    /// Removes those that were neither stored nor read since they were looked at; says how many. Blocking.
    pub(crate) fn remove(&self, which: &[Stored]) -> io::Result<usize> {
        let mut removed = 0;
        for stored in which {
            let path = self.path(&stored.hash);
            let _times = self.times();
            if fs::metadata(&path)?.modified()? == stored.used_at {
                fs::remove_file(&path)?;
                self.room.gave(stored.size_bytes);
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Sets the time of a file that is there already.
    fn touch(&self, path: &Path) -> io::Result<()> {
        let _times = self.times();
        match File::options().write(true).open(path) {
            Ok(file) => file.set_modified(crate::clock::system()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn times(&self) -> MutexGuard<'_, ()> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, hash: &BundleHash) -> PathBuf {
        let name = hash.to_string();
        self.folder.join(&name[..2]).join(&name)
    }
}

/// `None` also for a damaged file: it is written again.
fn read_verified(path: &Path, hash: &BundleHash) -> io::Result<Option<Bytes>> {
    Ok(read_file(path)?.map(Bytes::from).filter(|bytes| BundleHash::of(bytes) == *hash))
}
