//! The raft log on disk.
//!
//! **Owns** the embedded database, the only one in this crate, and the thread that writes to it. **Must not know** what
//! entries mean. **Enter at** [`Disk`].
//!
//! One thread takes writes in order and makes everything that waits durable with one fsync (group commit).

use std::{collections::BTreeMap, io, ops::RangeInclusive, path::Path, thread};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::{
    type_config::{Entry, LogId, Vote},
    wire::{decode_entry, decode_log_id, decode_vote, encode_entry, encode_log_id, encode_vote},
};

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("raft_log");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("raft_meta");
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";

/// BOUND: writes that wait for the disk; openraft itself waits for most of them.
const QUEUE: usize = 256;
/// BOUND: writes in one transaction, so that the first of them does not wait for ever.
const BATCH: usize = 128;

/// What is told when a write is durable, or why it is not.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Something to write.
pub(super) enum Write {
    /// New entries at the end.
    Append(Vec<Entry>),
    /// Removes entries from this index on.
    Truncate(u64),
    /// Removes entries up to this one.
    Purge(LogId),
    /// The vote.
    Vote(Vote),
    /// How far the log is known to be agreed; a hint that saves time after a restart.
    Committed(Option<LogId>),
    /// Nothing; the database is closed, and whatever comes later fails.
    Close,
}

/// What a database contains.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) entries: BTreeMap<u64, Entry>,
    pub(super) vote: Option<Vote>,
    pub(super) purged: Option<LogId>,
    pub(super) committed: Option<LogId>,
}

/// The way to the writing thread. Clones share it; it ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    writes: mpsc::Sender<(Write, Done)>,
}

impl Disk {
    /// Opens or makes the database and reads everything. Blocking.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Content)> {
        let database = Database::create(path).map_err(io::Error::other)?;
        let content = read(&database)?;
        let (writes, jobs) = mpsc::channel(QUEUE);
        thread::Builder::new().name("raft-log".to_owned()).spawn(move || write_all(database, jobs))?;
        Ok((Self { writes }, content))
    }

    /// Queues a write; `done` is called once it is durable or has failed.
    pub(super) async fn submit(&self, write: Write, done: Done) -> io::Result<()> {
        self.writes.send((write, done)).await.map_err(|_unsent| gone())
    }

    /// Queues a write and waits until it is durable.
    pub(super) async fn write(&self, write: Write) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        let done = Box::new(move |result| {
            // The one who asked may have given up; the write stands.
            let _ = tell.send(result);
        });
        self.submit(write, done).await?;
        told.await.map_err(|_dropped| gone())?
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the raft log's writer has stopped after an error")
}

fn read(database: &Database) -> io::Result<Content> {
    let transaction = database.begin_write().map_err(io::Error::other)?;
    {
        // Makes the tables of a new database.
        transaction.open_table(LOG).map_err(io::Error::other)?;
        transaction.open_table(META).map_err(io::Error::other)?;
    }
    transaction.commit().map_err(io::Error::other)?;
    let transaction = database.begin_read().map_err(io::Error::other)?;
    let log = transaction.open_table(LOG).map_err(io::Error::other)?;
    let meta = transaction.open_table(META).map_err(io::Error::other)?;
    let mut content = Content::default();
    for record in log.iter().map_err(io::Error::other)? {
        let (index, bytes) = record.map_err(io::Error::other)?;
        content.entries.insert(index.value(), decode_entry(bytes.value()).map_err(invalid)?);
    }
    let find = |key: &str| -> io::Result<Option<Vec<u8>>> {
        Ok(meta.get(key).map_err(io::Error::other)?.map(|bytes| bytes.value().to_vec()))
    };
    content.vote = find(VOTE)?.map(|bytes| decode_vote(&bytes)).transpose().map_err(invalid)?;
    content.purged = find(PURGED)?.map(|bytes| decode_log_id(&bytes)).transpose().map_err(invalid)?;
    content.committed = find(COMMITTED)?.map(|bytes| decode_log_id(&bytes)).transpose().map_err(invalid)?;
    check(&content)?;
    Ok(content)
}

/// The log has no hole: raft looks only at its end.
fn check(content: &Content) -> io::Result<()> {
    let first = content.purged.as_ref().map_or(0, |purged| purged.index + 1);
    let indexes = content.entries.keys().zip(first..);
    match indexes.into_iter().find(|(found, expected)| **found != *expected) {
        Some((found, expected)) => Err(invalid(format!("log entry {expected} is missing before {found}"))),
        None => Ok(()),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Runs until it is told to close, the last [`Disk`] is gone, or a write fails: after a failed fsync nothing is known about the file, so nothing
/// more is written.
fn write_all(database: Database, mut jobs: mpsc::Receiver<(Write, Done)>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        while let Some(next) = (batch.len() < BATCH).then(|| jobs.try_recv().ok()).flatten() {
            batch.push(next);
        }
        let (writes, dones): (Vec<Write>, Vec<Done>) = batch.into_iter().unzip();
        match commit(&database, &writes) {
            Ok(()) if writes.iter().any(|write| matches!(write, Write::Close)) => {
                drop(database);
                return dones.into_iter().for_each(|done| done(Ok(())));
            }
            Ok(()) => dones.into_iter().for_each(|done| done(Ok(()))),
            Err(error) => {
                tracing::error!(error = %error, "the raft log can not be written; this node stops taking part");
                dones.into_iter().for_each(|done| done(Err(io::Error::new(error.kind(), error.to_string()))));
                return;
            }
        }
    }
}

fn commit(database: &Database, writes: &[Write]) -> io::Result<()> {
    let transaction = database.begin_write().map_err(io::Error::other)?;
    writes.iter().try_for_each(|write| apply(&transaction, write))?;
    // The default durability: the transaction is on disk when `commit` returns.
    transaction.commit().map_err(io::Error::other)
}

fn apply(transaction: &WriteTransaction, write: &Write) -> io::Result<()> {
    let put = |key: &str, bytes: Vec<u8>| -> io::Result<()> {
        let mut meta = transaction.open_table(META).map_err(io::Error::other)?;
        meta.insert(key, bytes.as_slice()).map_err(io::Error::other)?;
        Ok(())
    };
    match write {
        Write::Append(entries) => {
            let mut log = transaction.open_table(LOG).map_err(io::Error::other)?;
            for entry in entries {
                let bytes = encode_entry(entry);
                log.insert(entry.log_id.index, bytes.as_slice()).map_err(io::Error::other)?;
            }
            Ok(())
        }
        Write::Truncate(from) => remove(transaction, *from..=u64::MAX),
        Write::Purge(log_id) => {
            remove(transaction, 0..=log_id.index)?;
            put(PURGED, encode_log_id(log_id))
        }
        Write::Vote(vote) => put(VOTE, encode_vote(vote)),
        Write::Committed(Some(log_id)) => put(COMMITTED, encode_log_id(log_id)),
        Write::Committed(None) => {
            let mut meta = transaction.open_table(META).map_err(io::Error::other)?;
            meta.remove(COMMITTED).map_err(io::Error::other)?;
            Ok(())
        }
        Write::Close => Ok(()),
    }
}

fn remove(transaction: &WriteTransaction, range: RangeInclusive<u64>) -> io::Result<()> {
    let mut log = transaction.open_table(LOG).map_err(io::Error::other)?;
    log.retain_in(range, |_, _| false).map_err(io::Error::other)
}
