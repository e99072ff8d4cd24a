//! A non-voting node's own copy of the state: snapshots and the log behind them.
//!
//! **Owns** `DIR/feed/`, and that what was called persisted comes back after a kill at any moment. **Must not know** where
//! entries come from. **Enter at** [`Store`].
//!
//! ```text
//! snapshot-<revision>   a framed Record with a catalog; the newest three are kept
//! log-<revision>        the records after it, each a length and a framed Record; only ever appended to
//! boots                 the journal of starts (`quarantine.rs`)
//! ```
//! A start takes the newest snapshot that verifies, and the records that follow it, each verified by its digest. A torn
//! record at the end was never called persisted, and is cut off. A segment goes when the oldest kept snapshot contains all
//! of it, so a damaged snapshot has a predecessor with everything behind it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use bytes::Bytes;
use skerry_proto::id::Revision;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    limits::{PENDING_MAX, SNAPSHOTS_KEPT},
    message::Position,
    quarantine::{self, Boot},
};
use crate::{
    state::LogEntry,
    store::{Privacy, write_file},
};

mod load;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use self::load::{Limit, Loaded, load, newest};
use self::writer::Writer;

const SNAPSHOT: &str = "snapshot-";
const LOG: &str = "log-";
const BOOTS: &str = "boots";

/// The way to the writing thread; it ends with this.
#[derive(Debug)]
pub(super) struct Store {
    jobs: mpsc::Sender<Job>,
    progress: watch::Receiver<Progress>,
}

/// Something to write.
#[derive(Debug)]
enum Job {
    /// An entry, at the end.
    Append(Arc<LogEntry>),
    /// A state that did not come entry by entry: its name and its framed catalog.
    State(Position, Bytes),
    /// A snapshot of this node's own state has been written: a new segment begins, and old files go.
    Snapshotted,
    /// Nothing; told when everything before is done.
    Close(oneshot::Sender<()>),
}

/// How far the disk is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The newest revision that is durable.
    pub(super) persisted: Revision,
    /// How often writing has failed, and why it did last.
    pub(super) failures: u64,
    pub(super) failure: String,
    /// The log is long enough for a snapshot.
    pub(super) snapshot_due: bool,
}

impl Store {
    /// Starts the writing thread where [`load()`] ended.
    pub(super) fn start(folder: &Path, loaded: &Loaded) -> io::Result<Self> {
        let begin = Progress { persisted: loaded.last, ..Progress::default() };
        let (progress, watching) = watch::channel(begin);
        // Room for all that a follower leaves pending, and for what the driver itself asks.
        let (jobs, queue) = mpsc::channel(PENDING_MAX + 8);
        let writer = Writer::new(folder.to_path_buf(), loaded, progress);
        thread::Builder::new().name("feed-log".to_owned()).spawn(move || writer.run(queue))?;
        Ok(Self { jobs, progress: watching })
    }

    /// Queues an entry; [`Store::progress`] says when it is durable. `Err`: it never will be.
    pub(super) fn append(&self, entry: Arc<LogEntry>) -> Result<(), String> {
        self.submit(Job::Append(entry))
    }

    /// Queues a state.
    pub(super) fn state(&self, position: Position, catalog: Bytes) -> Result<(), String> {
        self.submit(Job::State(position, catalog))
    }

    /// After [`write_snapshot`].
    pub(super) fn snapshotted(&self) -> Result<(), String> {
        self.submit(Job::Snapshotted)
    }

    /// How far the disk is; changes are seen on a clone of the receiver.
    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until everything that was queued is done.
    pub(super) async fn close(self) {
        let (tell, told) = oneshot::channel();
        if self.jobs.send(Job::Close(tell)).await.is_ok() {
            // Only a writer that has ended tells nothing, and then there is nothing to wait for.
            let _ = told.await;
        }
    }

    fn submit(&self, job: Job) -> Result<(), String> {
        self.jobs.try_send(job).map_err(|error| format!("the feed's log takes nothing more: {error}"))
    }
}

/// Writes a snapshot; durable when this returns. Blocking.
pub(super) fn write_snapshot(folder: &Path, position: Position, catalog: Bytes) -> io::Result<()> {
    let path = folder.join(format!("{SNAPSHOT}{}", position.revision));
    write_file(&path, &record::encode_state(position, catalog), Privacy::Secret)
}

/// The journal of starts; empty when there is none or it can not be read, for a start must not fail on it. Blocking.
pub(super) fn read_boots(folder: &Path) -> Vec<Boot> {
    let Ok(bytes) = fs::read(folder.join(BOOTS)) else { return Vec::new() };
    quarantine::decode(&bytes).unwrap_or_else(|error| {
        tracing::warn!(error = %error, "the journal of starts is damaged; it begins anew");
        Vec::new()
    })
}

/// Blocking.
pub(super) fn write_boots(folder: &Path, journal: &[Boot]) -> io::Result<()> {
    write_file(&folder.join(BOOTS), &quarantine::encode(journal), Privacy::Public)
}

/// The files of a folder whose names are `prefix` and a revision, oldest first. Blocking.
fn files(folder: &Path, prefix: &str) -> io::Result<Vec<(Revision, PathBuf)>> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let revision = name.to_str().and_then(|name| name.strip_prefix(prefix)).and_then(|text| text.parse().ok());
        files.extend(revision.map(|revision| (Revision(revision), file.path())));
    }
    files.sort_unstable();
    Ok(files)
}

/// Removes all snapshots and segments. Blocking.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    let both = [files(folder, SNAPSHOT)?, files(folder, LOG)?];
    both.iter().flatten().try_for_each(|(_, path)| fs::remove_file(path))
}

/// Removes what the kept snapshots make superfluous. Blocking.
fn remove_old(folder: &Path) -> io::Result<()> {
    let mut snapshots = files(folder, SNAPSHOT)?;
    let kept = snapshots.split_off(snapshots.len().saturating_sub(SNAPSHOTS_KEPT));
    let Some((oldest, _)) = kept.first() else { return Ok(()) };
    let segments = files(folder, LOG)?;
    let contained = segments.windows(2).filter(|pair| pair[1].0 <= *oldest).map(|pair| &pair[0]);
    contained.chain(&snapshots).try_for_each(|(_, path)| fs::remove_file(path))
}
