//! What this node has applied: the newest state, and the entries that led to it.
//!
//! **Owns** the one place where readers and the feed find them. **Must not know** whether raft or the feed brought them.
//! **Enter at** [`States`].

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use skerry_proto::id::Revision;
use tokio::sync::watch;

use crate::{
    catalog::{Catalog, Digest},
    limits::TAIL_BYTES_MAX,
};

/// One log entry that changed the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The revision that it was applied to.
    pub previous: Revision,
    /// The revision that it made.
    pub revision: Revision,
    /// The framed command.
    pub command: Bytes,
    /// The state's digest after it.
    pub digest: Digest,
    /// When it was proposed: the command's own time, milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// A state with its digest.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The state.
    pub catalog: Arc<Catalog>,
    /// Its digest.
    pub digest: Digest,
}

/// The newest state and the tail of the log, for readers. One writer: raft's state machine or the feed's follower.
#[derive(Debug)]
pub struct States {
    current: ArcSwap<Catalog>,
    heads: watch::Sender<Head>,
    catalogs: watch::Sender<Arc<Catalog>>,
    tail: Mutex<Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    entries: VecDeque<Arc<LogEntry>>,
    size_bytes: usize,
}

impl States {
    /// Starts with an empty state, or a given one, and no tail.
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self {
            current: ArcSwap::new(Arc::clone(&head.catalog)),
            catalogs: watch::Sender::new(Arc::clone(&head.catalog)),
            heads: watch::Sender::new(head),
            tail: Mutex::default(),
        }
    }

    /// Starts with a state and the entries that led to it.
    #[must_use]
    pub fn with_tail(head: Head, entries: Vec<LogEntry>) -> Self {
        let states = Self::new(head);
        states.tail().extend(entries);
        states
    }

    /// The newest state.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.current.load_full()
    }

    /// The newest state with its digest.
    #[must_use]
    pub fn head(&self) -> Head {
        self.heads.borrow().clone()
    }

    /// Sees every state; states that follow each other closely may be skipped.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalogs.subscribe()
    }

    /// As [`States::watch`], with digests.
    #[must_use]
    pub fn watch_heads(&self) -> watch::Receiver<Head> {
        self.heads.subscribe()
    }

    /// Publishes a state that these entries made out of the one before. What readers see never goes back: an older state,
    /// such as that of a log which is read again, stays unseen.
    pub fn advance(&self, head: Head, entries: Vec<LogEntry>) {
        if head.catalog.revision() > self.catalog().revision() {
            self.tail().extend(entries);
            self.publish(head);
        }
    }

    /// Publishes a state that did not come entry by entry, unless it is older than what readers see.
    pub fn replace(&self, head: Head) {
        if head.catalog.revision() > self.catalog().revision() {
            *self.tail() = Tail::default();
            self.publish(head);
        }
    }

    /// Waits until readers see `revision` or a later one, for at most `within`; `false` when they do not by then.
    pub async fn reach(&self, revision: Revision, within: Duration) -> bool {
        let mut catalogs = self.watch();
        let reached = catalogs.wait_for(|catalog| catalog.revision() >= revision);
        tokio::time::timeout(within, reached).await.is_ok()
    }

    /// The entries after `revision`, oldest first; `None` when they are not all kept.
    #[must_use]
    pub fn since(&self, revision: Revision) -> Option<Vec<Arc<LogEntry>>> {
        if revision == self.catalog().revision() {
            return Some(Vec::new());
        }
        let tail = self.tail();
        let from = tail.entries.binary_search_by_key(&revision, |entry| entry.previous).ok()?;
        Some(tail.entries.range(from..).cloned().collect())
    }

    /// All entries that are kept, oldest first.
    #[must_use]
    pub fn kept(&self) -> Vec<Arc<LogEntry>> {
        self.tail().entries.iter().cloned().collect()
    }

    fn publish(&self, head: Head) {
        self.current.store(Arc::clone(&head.catalog));
        self.catalogs.send_replace(Arc::clone(&head.catalog));
        self.heads.send_replace(head);
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// Adds entries; a hole, which a log that is read again leaves, forgets what was before it.
    fn extend(&mut self, entries: Vec<LogEntry>) {
        for entry in entries {
            match self.entries.back() {
                Some(last) if entry.revision <= last.revision => continue,
                Some(last) if entry.previous != last.revision => *self = Self::default(),
                _ => {}
            }
            self.size_bytes += entry.command.len();
            self.entries.push_back(Arc::new(entry));
        }
        while self.size_bytes > TAIL_BYTES_MAX
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size_bytes -= oldest.command.len();
        }
    }
}
