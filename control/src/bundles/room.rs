//! How much of the disk bundles take.
//!
//! **Owns** the count of their bytes, and who is told when it passes its bound. **Must not know** which bundles go.
//! **Enter at** [`Room`].

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use skerry_proto::id::BundleHash;
use tokio::sync::Notify;

/// One bundle on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) hash: BundleHash,
    pub(crate) size_bytes: u64,
    /// When it was last stored or read.
    pub(crate) used_at: SystemTime,
}

/// The bytes of all bundles of a node, and their bound.
#[derive(Debug)]
pub(crate) struct Room {
    taken: AtomicU64,
    max: u64,
    scarce: Notify,
}

impl Room {
    pub(crate) fn new(max: u64) -> Self {
        Self { taken: AtomicU64::new(0), max, scarce: Notify::new() }
    }

    /// Bytes that they take.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Bytes that they should take at most.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The files were looked at.
    pub(crate) fn counted(&self, taken: u64) {
        self.taken.store(taken, Ordering::Relaxed);
    }

    /// A file was written.
    pub(super) fn took(&self, bytes: usize) {
        let bytes = bytes as u64;
        if self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max {
            self.scarce.notify_one();
        }
    }

    /// A file was removed.
    pub(super) fn gave(&self, bytes: u64) {
        // Never below nothing: a file may have been written between a look and its count.
        let _ =
            self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| Some(taken.saturating_sub(bytes)));
    }

    /// Returns once the bound is passed.
    pub(crate) async fn scarce(&self) {
        self.scarce.notified().await;
    }
}
