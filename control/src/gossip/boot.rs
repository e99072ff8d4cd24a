//! How often this node was started, in a file.
//!
//! **Owns** `DIR/boot`. **Must not know** what the number is good for. **Enter at** [`next`].

use std::{
    io,
    path::{Path, PathBuf},
};

use skerry_proto::{
    gossip as wire,
    versioned::{DecodeError, Kind, decode, encode},
};

use crate::store::{Privacy, read_file, write_file};

/// Why the counter can not be used.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The file can not be read or written. State: unchanged. Retry: after mending it.
    #[error("the boot counter {path} can not be used")]
    Io {
        /// The file.
        path: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The file holds something else. State: unchanged. Retry: after removing it; the cluster tells the node how far it was.
    #[error("the boot counter {path} is damaged; remove it to count anew")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
}

/// Counts one start: the number of this one, durable when this returns where the disk takes it. The first is 1. Blocking.
pub(super) fn next(data_dir: &Path) -> Result<u64, BootError> {
    let path = file(data_dir);
    let found = read_file(&path).map_err(|source| BootError::Io { path: path.display().to_string(), source })?;
    let stored = found.map(|bytes| decode::<wire::Boot>(Kind::Boot, &bytes)).transpose();
    let stored = stored.map_err(|source| BootError::Damaged { path: path.display().to_string(), source })?;
    let last = stored.map_or(0, |stored| stored.boot);
    let boot = last.saturating_add(1);
    if let Err(error) = keep(data_dir, boot) {
        // A full disk must not keep a node from serving what it has. Its next start has this number again, and outbids itself.
        tracing::warn!(error = &error as &dyn std::error::Error, "this start is not counted");
    }
    Ok(boot)
}

/// Sets the counter, durable when this returns. Blocking.
pub(super) fn keep(data_dir: &Path, boot: u64) -> Result<(), BootError> {
    let path = file(data_dir);
    let written = write_file(&path, &encode(Kind::Boot, &wire::Boot { boot }), Privacy::Public);
    written.map_err(|source| BootError::Io { path: path.display().to_string(), source })
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("boot")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_start_counts_one_further() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(next(folder.path()).unwrap(), 1);
        assert_eq!(next(folder.path()).unwrap(), 2);
        keep(folder.path(), 9).unwrap();
        assert_eq!(next(folder.path()).unwrap(), 10);
    }

    #[test]
    fn a_damaged_counter_is_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("boot"), b"7").unwrap();
        assert!(matches!(next(folder.path()), Err(BootError::Damaged { .. })));
        assert_eq!(fs::read(folder.path().join("boot")).unwrap(), b"7");
    }
}
