//! Code, by the hash of its bytes.
//!
//! **Owns** the files under `DIR/bundles`. **Must not know** what a bundle contains. **Enter at** [`Bundles`].
//!
//! `DIR/bundles/ab/abcdef...` holds the bytes whose BLAKE3 is `abcdef...`. A file is complete before it gets that name,
//! and it is verified whenever it is read, so what can not be verified is never run. A bundle is stored before any version
//! names it; when none has for a while it is removed, and its file's time says since when it may be waited for.

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use skerry_proto::{
    bundle::Bundle,
    id::BundleHash,
    versioned::{self, DecodeError, Kind},
};

use crate::{
    limits::BUNDLE_BYTES_MAX,
    store::{Privacy, create_folder, remove_unfinished, write_file},
};

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
    // Held while a file's time is set, and while it is looked at and the file removed: what was stored a moment ago is
    // never removed.
    times: Arc<Mutex<()>>,
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
    /// The bundles under `data_dir`. Blocking.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("bundles");
        create_folder(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                remove_unfinished(&entry.path())?;
            }
        }
        Ok(Self { folder: folder.into(), source: Arc::default(), times: Arc::default() })
    }

    /// Asks there for what is missing, from now on.
    pub(crate) fn fetch_from(&self, source: Arc<dyn BundleSource>) {
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
            write_file(&path, &bytes, Privacy::Secret)
        });
        match stored.await.map_err(io::Error::from).and_then(|stored| stored) {
            Ok(()) => Ok(hash),
            Err(source) => Err(BundleError::Io { hash, action: "stored", source }),
        }
    }

    /// The bytes of that hash, verified; `None` when this node does not have them.
    pub async fn get(&self, hash: &BundleHash) -> Result<Option<Bytes>, BundleError> {
        let (path, hash) = (self.path(hash), *hash);
        let read = tokio::task::spawn_blocking(move || read_all(&path)).await;
        match read.map_err(io::Error::from).and_then(|read| read) {
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

    /// As [`Bundles::get`], but what is missing or damaged here is fetched from another node, and kept.
    pub async fn get_or_fetch(&self, hash: &BundleHash) -> Result<Option<Bytes>, BundleError> {
        let here = self.get(hash).await;
        let (Some(source), Ok(None) | Err(BundleError::Damaged { .. })) = (self.source.get(), &here) else {
            return here;
        };
        match source.fetch(hash).await {
            Some(bytes) if BundleHash::of(&bytes) == *hash => {
                self.put(bytes.clone()).await?;
                Ok(Some(bytes))
            }
            Some(_) => {
                tracing::warn!(%hash, "another node gave bytes that are not the bundle");
                here
            }
            None => here,
        }
    }

    /// The bundle of that hash, verified and decoded, from this node or another; `None` when nobody has it.
    pub async fn load(&self, hash: &BundleHash) -> Result<Option<Bundle>, BundleError> {
        let Some(bytes) = self.get_or_fetch(hash).await? else { return Ok(None) };
        let decoded = versioned::decode(Kind::Bundle, &bytes);
        decoded.map(Some).map_err(|source| BundleError::Decode { hash: *hash, source })
    }

    /// The bundles whose files were stored before `before`, for [`Bundles::remove`]. Blocking.
    pub(crate) fn stored_before(&self, before: SystemTime) -> io::Result<Vec<BundleHash>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let hash = file.file_name().to_str().and_then(|name| name.parse().ok());
                if let Some(hash) = hash
                    && file.metadata()?.modified()? < before
                {
                    found.push(hash);
                }
            }
        }
        Ok(found)
    }

    /// Removes those of `old` that are not `named` and were not stored again since `before`; says how many. Blocking.
    pub(crate) fn remove(
        &self,
        old: &[BundleHash],
        named: &HashSet<BundleHash>,
        before: SystemTime,
    ) -> io::Result<usize> {
        let mut removed = 0;
        for hash in old.iter().filter(|hash| !named.contains(*hash)) {
            let path = self.path(hash);
            let _times = self.times();
            if fs::metadata(&path)?.modified()? < before {
                fs::remove_file(&path)?;
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

fn read_all(path: &Path) -> io::Result<Option<Bytes>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `None` also for a damaged file: it is written again.
fn read_verified(path: &Path, hash: &BundleHash) -> io::Result<Option<Bytes>> {
    Ok(read_all(path)?.filter(|bytes| BundleHash::of(bytes) == *hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_put_is_got_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let bundles = Bundles::open(folder.path()).unwrap();
        let hash = bundles.put(Bytes::from_static(b"code")).await.unwrap();
        assert_eq!(bundles.put(Bytes::from_static(b"code")).await.unwrap(), hash);
        assert_eq!(bundles.get(&hash).await.unwrap().unwrap(), "code");
        assert_eq!(bundles.get(&BundleHash::of(b"other")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn only_old_bundles_that_no_version_names_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let bundles = Bundles::open(folder.path()).unwrap();
        let mut hashes = Vec::new();
        for bytes in [&b"named"[..], b"old", b"again", b"new"] {
            hashes.push(bundles.put(Bytes::copy_from_slice(bytes)).await.unwrap());
        }
        let hour = std::time::Duration::from_secs(3600);
        for hash in &hashes[..3] {
            let file = File::options().write(true).open(bundles.path(hash)).unwrap();
            file.set_modified(crate::clock::system() - 2 * hour).unwrap();
        }
        let before = crate::clock::system() - hour;
        let old = bundles.stored_before(before).unwrap();
        assert_eq!(old.len(), 3);
        bundles.put(Bytes::from_static(b"again")).await.unwrap();
        assert_eq!(bundles.remove(&old, &HashSet::from([hashes[0]]), before).unwrap(), 1);
        for (place, hash) in hashes.iter().enumerate() {
            assert_eq!(bundles.get(hash).await.unwrap().is_some(), place != 1, "bundle {place}");
        }
    }

    #[tokio::test]
    async fn a_damaged_bundle_is_refused_and_healed_by_another_upload() {
        let folder = tempfile::tempdir().unwrap();
        let bundles = Bundles::open(folder.path()).unwrap();
        let hash = bundles.put(Bytes::from_static(b"code")).await.unwrap();
        fs::write(bundles.path(&hash), b"evil").unwrap();
        assert!(matches!(bundles.get(&hash).await, Err(BundleError::Damaged { .. })));
        bundles.put(Bytes::from_static(b"code")).await.unwrap();
        assert_eq!(bundles.get(&hash).await.unwrap().unwrap(), "code");
    }
}
