//! Group commit: writers that come together share one transaction and one fsync.
//!
//! **Owns** the order of writes and when they are durable. **Must not know** what is in an entry. **Enter at**
//! [`Writer::submit`], which returns once the write is on disk.

use std::{sync::Arc, thread::JoinHandle};

use skerry_control::kv::{KvEntry, KvError, KvPut};
use skerry_proto::id::NamespaceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    cache::Cache,
    record::EntryKey,
    table::{Changes, Tables, unavailable},
};

/// BOUND: jobs that wait for the writer. It commits hundreds at once, so a full queue means a disk that stands still.
const QUEUE_JOBS_MAX: usize = 1024;
/// BOUND: bytes that wait for the writer or are being written, counted in KiB; two of the largest values and more.
const QUEUE_KIB_MAX: u32 = 64 << 10;
/// BOUND: jobs in one transaction, so that the first to come does not wait for thousands.
const BATCH_JOBS_MAX: usize = 512;

/// One change.
#[derive(Debug)]
pub(super) enum Write {
    Put { key: EntryKey, put: KvPut },
    Delete { key: EntryKey },
    Increment { key: EntryKey, delta: i64, now_seconds: u64 },
    Sweep { now_seconds: u64 },
    Clear { namespace: NamespaceId },
}

impl Write {
    fn kib(&self) -> u32 {
        match self {
            Self::Put { put, .. } => u32::try_from(put.value.len() / 1024).unwrap_or(QUEUE_KIB_MAX).saturating_add(1),
            _ => 1,
        }
    }
}

/// What a durable job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// How many entries were removed.
    Count(u64),
    /// The sum of an increment.
    Number(i64),
}

struct Job {
    writes: Vec<Write>,
    done: oneshot::Sender<Result<Reply, KvError>>,
    _room: OwnedSemaphorePermit,
}

/// The only thread that changes the database.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(tables: Arc<Tables>, cache: Arc<Cache>) -> Result<Self, std::io::Error> {
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        let thread = std::thread::Builder::new().name("kv-writer".into()).spawn(move || run(queue, &tables, &cache))?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize));
        Ok(Self { jobs: Some(jobs), room, thread: Some(thread) })
    }

    /// Applies all of `writes` or none, and returns once they are durable.
    pub(super) async fn submit(&self, writes: Vec<Write>) -> Result<Reply, KvError> {
        let kib = writes.iter().fold(0u32, |sum, write| sum.saturating_add(write.kib())).clamp(1, QUEUE_KIB_MAX);
        let stopped = || KvError::Unavailable { reason: "the node is stopping".into() };
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(kib).await else { return Err(stopped()) };
        let (done, answer) = oneshot::channel();
        let Some(jobs) = &self.jobs else { return Err(stopped()) };
        if jobs.send(Job { writes, done, _room: room }).await.is_err() {
            return Err(stopped());
        }
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(stopped()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Closing the queue ends the thread after the last job; the database closes with it.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the KV writer panicked");
        }
    }
}

fn run(mut queue: mpsc::Receiver<Job>, tables: &Tables, cache: &Cache) {
    let mut batch = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH_JOBS_MAX
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        commit(&mut batch, tables, cache);
    }
}

/// Applies the jobs in order, makes them durable, forgets what the cache knew, then answers.
fn commit(batch: &mut Vec<Job>, tables: &Tables, cache: &Cache) {
    let mut changed = Vec::new();
    let result = apply(batch, tables, &mut changed);
    // Also after a failure: whether the disk has it is unknown then, so the next reader looks.
    for (key, entry) in changed {
        match (&result, entry) {
            (Ok(_), Some(entry)) => cache.replace(&key, &entry),
            _ => cache.forget(&key),
        }
    }
    match result {
        Ok(replies) => {
            for (job, reply) in batch.drain(..).zip(replies) {
                // The one who asked may have gone; the write stands.
                let _gone = job.done.send(reply);
            }
        }
        Err(error) => {
            tracing::error!(%error, jobs = batch.len(), "KV writes failed");
            for job in batch.drain(..) {
                let _gone = job.done.send(Err(error.clone()));
            }
        }
    }
}

/// An entry that changed, with its new content when it is worth caching.
type Changed = (EntryKey, Option<KvEntry>);

fn apply(batch: &[Job], tables: &Tables, changed: &mut Vec<Changed>) -> Result<Vec<Result<Reply, KvError>>, KvError> {
    let transaction = tables.begin()?;
    let mut replies = Vec::with_capacity(batch.len());
    {
        let mut changes = Changes::new(&transaction).map_err(unavailable)?;
        for job in batch {
            replies.push(match apply_job(&job.writes, &mut changes, changed) {
                // A refusal comes before its job wrote anything, so it concerns that job only.
                Err(refused @ KvError::Invalid { .. }) => Err(refused),
                Err(broken) => return Err(broken),
                Ok(reply) => Ok(reply),
            });
        }
    }
    transaction.commit().map_err(unavailable)?;
    Ok(replies)
}

fn apply_job(writes: &[Write], changes: &mut Changes<'_>, changed: &mut Vec<Changed>) -> Result<Reply, KvError> {
    let mut removed = 0;
    for write in writes {
        match write {
            Write::Put { key, put } => {
                changes.put(key, put)?;
                changed.push((key.clone(), Some(entry_of(put))));
            }
            Write::Delete { key } => {
                removed += u64::from(changes.delete(key)?);
                changed.push((key.clone(), None));
            }
            Write::Increment { key, delta, now_seconds } => {
                let (sum, put) = changes.increment(key, *delta, *now_seconds)?;
                changed.push((key.clone(), Some(entry_of(&put))));
                return Ok(Reply::Number(sum));
            }
            Write::Sweep { now_seconds } => removed += forget_all(changes.sweep(*now_seconds)?, changed),
            Write::Clear { namespace } => removed += forget_all(changes.clear(namespace)?, changed),
        }
    }
    Ok(Reply::Count(removed))
}

fn forget_all(keys: Vec<EntryKey>, changed: &mut Vec<Changed>) -> u64 {
    let count = keys.len() as u64;
    changed.extend(keys.into_iter().map(|key| (key, None)));
    count
}

fn entry_of(put: &KvPut) -> KvEntry {
    KvEntry { value: put.value.clone(), metadata: put.metadata.clone(), expiration: put.expiration }
}
