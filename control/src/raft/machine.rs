//! The catalog as raft's state machine.
//!
//! **Owns** the state that has been applied, its publication, and its snapshot file. **Must not know** what commands do.
//! **Enter at** [`Machine`].
//!
//! The state lives in memory. What survives a crash is the last snapshot and the log behind it, which is applied again at
//! the next start.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use skerry_proto::id::Revision;
use tokio::sync::Mutex;

use super::{
    type_config::{Entry, LogId, Outcome, Proposal, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
    wire::{decode_snapshot, encode_snapshot},
};
use crate::{
    catalog::{Catalog, Digest, Repeated},
    state::{Head, LogEntry, States},
    store::{Privacy, read_file, write_file},
};

/// The state machine.
#[derive(Debug)]
pub(super) struct Machine {
    head: Head,
    applied: Option<LogId>,
    membership: StoredMembership,
    states: Arc<States>,
    file: SnapshotFile,
}

impl Machine {
    /// Starts from the snapshot in `file`, or from nothing, and publishes to `states`. Blocking.
    pub(super) fn open(file: &Path, states: Arc<States>) -> io::Result<Self> {
        let (meta, catalog) = match read_file(file)? {
            Some(bytes) => decode_snapshot(&bytes).map_err(invalid)?,
            None => (SnapshotMeta::default(), Catalog::default()),
        };
        let head = head(catalog);
        states.replace(head.clone());
        let (applied, membership) = (meta.last_log_id, meta.last_membership);
        Ok(Self { head, applied, membership, states, file: SnapshotFile::new(file, applied) })
    }

    /// Applies an entry; one that changed the catalog joins `changed`.
    fn apply_one(&mut self, entry: Entry, changed: &mut Vec<LogEntry>) -> Outcome {
        let log_id = entry.log_id;
        let outcome = match entry.payload {
            EntryPayload::Blank => Outcome::Nothing,
            EntryPayload::Normal(proposal) => self.apply_command(Revision(log_id.index), &proposal, changed),
            EntryPayload::Membership(members) => {
                self.membership = StoredMembership::new(Some(log_id), members);
                Outcome::Nothing
            }
        };
        self.applied = Some(log_id);
        outcome
    }

    /// The state after these entries, those that it contains already left out. Publishes nothing.
    pub(super) fn replay(mut self, entries: impl Iterator<Item = Entry>) -> Head {
        let applied = self.applied.map(|log_id| log_id.index);
        for entry in entries.filter(|entry| applied.is_none_or(|applied| entry.log_id.index > applied)) {
            self.apply_one(entry, &mut Vec::new());
        }
        self.head
    }

    fn apply_command(&mut self, revision: Revision, proposal: &Proposal, changed: &mut Vec<LogEntry>) -> Outcome {
        let before = Arc::clone(&self.head.catalog);
        match Arc::make_mut(&mut self.head.catalog).apply(revision, proposal.command()) {
            Ok(applied) if applied.repeated == Repeated::Yes => Outcome::Applied(applied),
            Ok(applied) => {
                self.head.digest = self.head.digest.advance(&before, &self.head.catalog);
                changed.push(LogEntry {
                    previous: before.revision(),
                    revision,
                    command: proposal.bytes().clone(),
                    digest: self.head.digest,
                    at_ms: proposal.command().at_ms,
                });
                Outcome::Applied(applied)
            }
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }
}

fn head(catalog: Catalog) -> Head {
    let digest = Digest::of(&catalog);
    Head { catalog: Arc::new(catalog), digest }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    /// Publishes once for a batch, and only then tells the proposers: who was told sees the change.
    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut changed, mut told) = (Vec::new(), Vec::new());
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let abort = AbortOnPanic;
            let outcome = self.apply_one(entry, &mut changed);
            std::mem::forget(abort);
            told.extend(responder.map(|responder| (responder, outcome)));
        }
        if !changed.is_empty() {
            self.states.advance(self.head.clone(), changed);
        }
        for (responder, outcome) in told {
            responder.send(outcome);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        Builder { meta, catalog: Arc::clone(&self.head.catalog), file: self.file.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> Result<(), io::Error> {
        let (found, catalog) = decode_snapshot(&snapshot).map_err(invalid)?;
        if found != *meta {
            return Err(invalid("a snapshot's content is not the one that was announced"));
        }
        self.file.save(meta.last_log_id, snapshot).await?;
        self.head = head(catalog);
        (self.applied, self.membership) = (meta.last_log_id, meta.last_membership.clone());
        self.states.replace(self.head.clone());
        tracing::info!(revision = %self.head.catalog.revision(), "the leader's snapshot has taken the place of this node's state");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let Some(snapshot) = read_file(&self.file.path)?.map(Bytes::from) else { return Ok(None) };
        let (meta, _) = decode_snapshot(&snapshot).map_err(invalid)?;
        Ok(Some(Snapshot { meta, snapshot }))
    }
}

/// A moment of the state, ready to be written.
#[derive(Debug)]
pub(super) struct Builder {
    meta: SnapshotMeta,
    catalog: Arc<Catalog>,
    file: SnapshotFile,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let (meta, catalog) = (self.meta.clone(), Arc::clone(&self.catalog));
        let encoded = tokio::task::spawn_blocking(move || encode_snapshot(&meta, &catalog));
        let snapshot = encoded.await.map_err(io::Error::from)?;
        self.file.save(self.meta.last_log_id, snapshot.clone()).await?;
        tracing::debug!(size_bytes = snapshot.len(), "a snapshot is written");
        Ok(Snapshot { meta: self.meta.clone(), snapshot })
    }
}

/// After a panic in `apply` the state is unknown, which is worse than a restart: the next start applies the same log to
/// the last snapshot.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        tracing::error!("applying a log entry panicked; the process ends");
        std::process::abort();
    }
}

/// The snapshot's file. openraft builds a snapshot beside everything else, and may take the leader's meanwhile: the log
/// behind the leader's is gone then, so an older one must not take its place. Clones share what was written.
#[derive(Debug, Clone)]
pub(super) struct SnapshotFile {
    path: PathBuf,
    newest: Arc<Mutex<Option<LogId>>>,
}

impl SnapshotFile {
    pub(super) fn new(path: &Path, newest: Option<LogId>) -> Self {
        Self { path: path.to_path_buf(), newest: Arc::new(Mutex::new(newest)) }
    }

    /// Writes a snapshot of the state at `at`, unless the file has a newer one.
    pub(super) async fn save(&self, at: Option<LogId>, snapshot: Bytes) -> io::Result<()> {
        let mut newest = Arc::clone(&self.newest).lock_owned().await;
        if at < *newest {
            tracing::info!("a snapshot is older than the one that the leader has sent meanwhile, and is dropped");
            return Ok(());
        }
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || {
            write_file(&path, &snapshot, Privacy::Secret)?;
            // Also when whoever waits for it is gone.
            *newest = at;
            Ok(())
        });
        written.await.map_err(io::Error::from)?
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
