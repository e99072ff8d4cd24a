//! The thread that writes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use skerry_proto::id::Revision;
use tokio::sync::{mpsc, watch};

use super::{
    super::{
        limits::{RECORD_BYTES_PER_SNAPSHOT, RECORDS_PER_SNAPSHOT},
        message::Position,
    },
    Job, Loaded, Progress,
    load::{cut, new_segment},
    record::encode_entry,
    remove_old, write_snapshot,
};
use crate::state::LogEntry;

/// BOUND: entries that share an fsync, so that the first of them does not wait for ever.
const BATCH: usize = 256;

/// Writes in the order of the jobs, and makes all that waits durable with one fsync.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    /// Closed after a failure: then nothing is known about what lies behind `length`.
    file: Option<File>,
    path: PathBuf,
    length: u64,
    last: Revision,
    records: usize,
    size_bytes: usize,
    progress: watch::Sender<Progress>,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, loaded: &Loaded, progress: watch::Sender<Progress>) -> Self {
        let (path, length) = loaded.segment.clone();
        let (last, records, size_bytes) = (loaded.last, loaded.records, loaded.size_bytes);
        Self { folder, file: None, path, length, last, records, size_bytes, progress }
    }

    /// Runs until it is told to close or nobody can ask for anything more.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while let Some(next) = (batch.len() < BATCH).then(|| jobs.try_recv().ok()).flatten() {
                batch.push(next);
            }
            let mut entries = Vec::new();
            for job in batch {
                match job {
                    Job::Append(entry) => entries.push(entry),
                    Job::State(position, catalog) => {
                        self.append(std::mem::take(&mut entries));
                        let written = self.state(position, catalog);
                        self.report(written);
                    }
                    Job::Snapshotted => {
                        self.append(std::mem::take(&mut entries));
                        let rotated = self.rotate();
                        self.report(rotated);
                    }
                    Job::Close(tell) => {
                        self.append(std::mem::take(&mut entries));
                        // Whoever asked may have given up waiting.
                        let _ = tell.send(());
                        return;
                    }
                }
            }
            self.append(entries);
        }
    }

    fn append(&mut self, entries: Vec<Arc<LogEntry>>) {
        let (mut bytes, mut last, mut records, mut follows) = (Vec::new(), self.last, 0, Ok(()));
        // One that is on the disk already was queued before a failure, and has come again.
        for entry in entries.iter().filter(|entry| entry.revision > self.last) {
            if entry.previous == last {
                bytes.extend_from_slice(&encode_entry(entry));
                (last, records) = (entry.revision, records + 1);
            } else {
                follows = Err(io::Error::other("an entry does not follow, because one before it has failed"));
            }
        }
        if entries.is_empty() {
            return;
        }
        let written = if records > 0 { self.write(&bytes) } else { Ok(()) };
        if written.is_ok() {
            self.last = last;
            self.records += records;
            self.size_bytes += bytes.len();
        }
        self.report(written.and(follows));
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        file.write_all(bytes)?;
        file.sync_data()?;
        self.length += bytes.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Opens the segment and cuts off what a failed write may have left.
    fn open(&self) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(self.length)?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(self.length))?;
        Ok(file)
    }

    fn state(&mut self, position: Position, catalog: Bytes) -> io::Result<()> {
        write_snapshot(&self.folder, position, catalog)?;
        self.last = position.revision;
        self.rotate()
    }

    /// Begins a new segment and removes what is no longer needed.
    fn rotate(&mut self) -> io::Result<()> {
        let path = new_segment(&self.folder, self.last)?;
        if path != self.path {
            if self.file.is_none() {
                // What a failed write has left would seem to be damage to the next start, which takes nothing behind damage.
                cut(&self.path, self.length)?;
            }
            (self.path, self.length, self.file) = (path, 0, None);
        }
        (self.records, self.size_bytes) = (0, 0);
        remove_old(&self.folder)
    }

    fn report(&self, written: io::Result<()>) {
        self.progress.send_modify(|progress| {
            progress.persisted = self.last;
            progress.snapshot_due =
                self.records >= RECORDS_PER_SNAPSHOT || self.size_bytes >= RECORD_BYTES_PER_SNAPSHOT;
            if let Err(error) = written {
                progress.failures += 1;
                progress.failure = format!("the feed's log can not be written: {error}");
            }
        });
    }
}
