//! The directory that holds everything lasting.
//!
//! **Owns** who may use it. **Must not know** what is in its files. **Enter at** [`DataDir::lock`].

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

const LOCK_FILE: &str = "lock";
/// The KV database, a file in it.
pub const KV_FILE: &str = "kv.redb";

/// A data directory that no other process uses. The lock goes with this value, and with the process, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the directory can not be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another node uses it. State: unchanged. Retry: after that node has stopped.
    #[error("the data directory {path} is in use by another node{owner}")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// ` (process N)`, when known.
        owner: String,
    },
    /// It can not be made or locked. State: unchanged. Retry: no.
    #[error("the data directory {path} can not be used")]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory when it does not exist, for the owner only, and locks it.
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        let wrong = |source| DataDirError::Io { path: path.to_owned(), source };
        create(path).map_err(wrong)?;
        let file = path.join(LOCK_FILE);
        let mut lock =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&file).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&file).unwrap_or_default();
                let owner =
                    if owner.trim().is_empty() { String::new() } else { format!(" (process {})", owner.trim()) };
                return Err(DataDirError::InUse { path: path.to_owned(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(wrong(source)),
        }
        lock.set_len(0).map_err(wrong)?;
        writeln!(lock, "{}", std::process::id()).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Makes a directory and those above it, where they do not exist, for the owner only: keys and tokens lie in them.
#[cfg(unix)]
pub(crate) fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_can_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let first = DataDir::lock(&path).unwrap();
        let error = DataDir::lock(&path).unwrap_err().to_string();
        assert!(error.contains("in use") && error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        DataDir::lock(&path).unwrap();
    }
}
