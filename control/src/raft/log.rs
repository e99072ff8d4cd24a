//! The raft log as openraft sees it.
//!
//! **Owns** the entries in memory, between two snapshots a few thousand, and their order on disk. **Must not know**
//! commands. **Enter at** [`LogStore`].
//!
//! Reads are answered from memory; every write goes to [`Disk`] in order, and openraft is told when it is durable.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::RangeBounds,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use openraft::{
    EntryPayload, LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};

use super::{
    disk::{Content, Disk, Write},
    mark::Mark,
    type_config::{Entry, LogId, TypeConfig, Vote},
};
use crate::limits::APPEND_BYTES_MAX;

/// The raft log. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct LogStore {
    disk: Disk,
    mark: Arc<Mark>,
    content: Arc<Mutex<Content>>,
}

impl LogStore {
    /// Opens or makes the log in `path`. Blocking.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (disk, mut content) = Disk::open(path)?;
        let (mark, marked) = Mark::open(&path.with_extension("committed"))?;
        // What the mark names must be what the log has: after a power cut one may be older than the other.
        let marked = marked.filter(|at| content.entries.get(&at.index).is_some_and(|entry| entry.log_id == *at));
        content.committed = content.committed.max(marked);
        Ok(Self { disk, mark: Arc::new(mark), content: Arc::new(Mutex::new(content)) })
    }

    /// Closes the database, so that the directory can be opened again.
    pub(super) async fn close(&self) -> io::Result<()> {
        self.disk.write(Write::Close).await
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("no holder of this lock panics")
    }
}

/// What an entry's command takes of a message.
pub(super) fn bytes_of(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.bytes().len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        Ok(self.content().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    /// As many as fit one message, but one at least.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let content = self.content();
        let mut room = APPEND_BYTES_MAX;
        let fits = |(_, entry): &(&u64, &Entry)| {
            let bytes = bytes_of(entry);
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits || entry.log_id.index == start
        };
        Ok(content.entries.range(start..end).take_while(fits).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.content().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let content = self.content();
        let last = content.entries.last_key_value().map(|(_, entry)| entry.log_id);
        let last_purged_log_id = content.purged;
        Ok(LogState { last_purged_log_id, last_log_id: last.or(last_purged_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.disk.write(Write::Vote(*vote)).await?;
        self.content().vote = Some(*vote);
        Ok(())
    }

    /// Called before anything up to here is applied, and so shown. It costs no fsync of its own: the next append takes it along
    /// into the log.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.content().committed = committed;
        committed.map_or(Ok(()), |committed| self.mark.set(&committed))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.content().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let committed = {
            let mut content = self.content();
            let known: BTreeMap<u64, Entry> = entries.iter().map(|entry| (entry.log_id.index, entry.clone())).collect();
            content.entries.extend(known);
            content.committed
        };
        self.disk.submit(Write::Committed(committed), Box::new(|_| {})).await?;
        self.disk.submit(Write::Append(entries), Box::new(move |result| callback.io_completed(result))).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let from = last_log_id.map_or(0, |last| last.index + 1);
        self.disk.write(Write::Truncate(from)).await?;
        self.content().entries.split_off(&from);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.disk.write(Write::Purge(log_id)).await?;
        let mut content = self.content();
        content.entries = content.entries.split_off(&(log_id.index + 1));
        content.purged = Some(log_id);
        Ok(())
    }
}
