//! Finding the state again after a start.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use skerry_proto::id::Revision;

use super::{
    super::{
        message::Position,
        rules::{Rules, position},
    },
    LOG, SNAPSHOT, files,
    record::{decode_entry, decode_state},
};
use crate::{
    state::{Head, LogEntry},
    store::{Privacy, write_file},
};

/// How far a start goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feed) enum Limit {
    /// To the newest.
    Newest,
    /// Not past this revision; what lies behind it stays on the disk.
    UpTo(Revision),
}

/// What the disk has.
#[derive(Debug)]
pub(in crate::feed) struct Loaded {
    /// The state.
    pub(in crate::feed) head: Head,
    /// The entries that led to it from the snapshot.
    pub(in crate::feed) entries: Vec<LogEntry>,
    /// The revision that the next record follows.
    pub(super) last: Revision,
    /// The segment that the next record goes to, and its length.
    pub(super) segment: (PathBuf, u64),
    /// What the log has gathered since the snapshot.
    pub(super) records: usize,
    pub(super) size_bytes: usize,
}

/// The newest revision on the disk, whether or not it can be reached. Blocking.
pub(in crate::feed) fn newest(folder: &Path) -> io::Result<Revision> {
    let mut newest = files(folder, SNAPSHOT)?.last().map_or(Revision(0), |(revision, _)| *revision);
    for (_, path) in files(folder, LOG)? {
        let bytes = fs::read(path)?;
        let mut rest = bytes.as_slice();
        while let Some((entry, behind)) = decode_entry(rest) {
            (newest, rest) = (newest.max(entry.revision), behind);
        }
    }
    Ok(newest)
}

/// Finds the state, and makes the log ready to go on. Blocking.
pub(in crate::feed) fn load(folder: &Path, limit: Limit, rules: &dyn Rules) -> io::Result<Loaded> {
    let head = snapshot(folder, limit, rules)?;
    let mut replay = Replay { head, entries: Vec::new(), size_bytes: 0, limit, rules };
    let mut segments = files(folder, LOG)?;
    // What the snapshot contains is not looked at: damage there harms nothing.
    let from = replay.head.catalog.revision();
    let contained = segments.windows(2).take_while(|pair| pair[1].0 <= from).count();
    segments.drain(..contained);
    let mut current = None;
    for (at, (_, path)) in segments.iter().enumerate() {
        let bytes = fs::read(path)?;
        let (length, end) = replay.segment(&bytes);
        current = Some((path.clone(), length));
        if end == End::Whole {
            continue;
        }
        if end == End::Broken && limit == Limit::Newest {
            // What follows can never be applied; it would stand between this state and the next record.
            tracing::warn!(
                segment = %path.display(),
                cut_bytes = bytes.len() as u64 - length,
                segments = segments.len() - at - 1,
                "the feed's log ends in something that does not follow; it is cut off",
            );
            cut(path, length)?;
            segments[at + 1..].iter().try_for_each(|(_, path)| fs::remove_file(path))?;
        }
        break;
    }
    let last = replay.head.catalog.revision();
    let segment = match current {
        Some(current) => current,
        None => (new_segment(folder, last)?, 0),
    };
    let records = replay.entries.len();
    Ok(Loaded { last, records, size_bytes: replay.size_bytes, segment, head: replay.head, entries: replay.entries })
}

/// An empty segment for what follows `last`; durable when this returns. Blocking.
pub(super) fn new_segment(folder: &Path, last: Revision) -> io::Result<PathBuf> {
    let path = folder.join(format!("{LOG}{last}"));
    if !path.exists() {
        write_file(&path, b"", Privacy::Secret)?;
    }
    Ok(path)
}

/// Cuts a file; durable when this returns. Blocking.
pub(super) fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

/// The newest snapshot that verifies.
fn snapshot(folder: &Path, limit: Limit, rules: &dyn Rules) -> io::Result<Head> {
    for (revision, path) in files(folder, SNAPSHOT)?.into_iter().rev() {
        if limit.excludes(revision) {
            continue;
        }
        let bytes = fs::read(&path)?;
        let opened = decode_state(&bytes).and_then(|(announced, catalog)| {
            let head = rules.open(&catalog)?;
            if position(&head) == announced { Ok(head) } else { Err("its digest does not fit".to_owned()) }
        });
        match opened {
            Ok(head) => return Ok(head),
            Err(reason) => {
                tracing::error!(path = %path.display(), reason, "a snapshot is damaged; an older one is used")
            }
        }
    }
    Ok(Head::default())
}

impl Limit {
    fn excludes(self, revision: Revision) -> bool {
        match self {
            Self::Newest => false,
            Self::UpTo(last) => revision > last,
        }
    }
}

/// How the records of a segment ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// All of them are part of the state.
    Whole,
    /// The limit is reached.
    Limit,
    /// A torn record, or one that does not follow.
    Broken,
}

struct Replay<'a> {
    head: Head,
    entries: Vec<LogEntry>,
    size_bytes: usize,
    limit: Limit,
    rules: &'a dyn Rules,
}

impl Replay<'_> {
    /// Applies a segment's records; says how many bytes of it are part of the state.
    fn segment(&mut self, bytes: &[u8]) -> (u64, End) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = (bytes.len() - rest.len()) as u64;
            let Some((entry, behind)) = decode_entry(rest) else { return (length, End::Broken) };
            if entry.revision > self.head.catalog.revision() {
                if self.limit.excludes(entry.revision) {
                    return (length, End::Limit);
                }
                if !self.apply(entry) {
                    return (length, End::Broken);
                }
                self.size_bytes += rest.len() - behind.len();
            }
            rest = behind;
        }
        (bytes.len() as u64, End::Whole)
    }

    fn apply(&mut self, entry: LogEntry) -> bool {
        if entry.previous != self.head.catalog.revision() {
            return false;
        }
        let announced = Position { revision: entry.revision, digest: entry.digest };
        match self.rules.apply(&self.head, &entry) {
            Ok(head) if position(&head) == announced => {
                self.head = head;
                self.entries.push(entry);
                true
            }
            Ok(_) => false,
            Err(reason) => {
                tracing::error!(revision = %announced.revision, reason, "a record can not be applied again");
                false
            }
        }
    }
}
