//! Pure. The newest entries, for those who are a little behind.
//!
//! **Owns** what comes after a position. **Must not know** who asks. **Enter at** [`Tail`].
//!
//! Every subscriber is a position in the one tail that all share, so one that is slow costs nothing: it falls off the
//! tail's end, and gets a snapshot.

use std::{collections::VecDeque, sync::Arc};

use skerry_proto::id::Revision;

use super::message::Position;
use crate::{limits::TAIL_BYTES_MAX, state::LogEntry};

/// The newest state's name, and the entries that led to it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    head: Position,
    entries: VecDeque<Arc<LogEntry>>,
    size_bytes: usize,
}

/// What comes after a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing yet.
    Nothing,
    /// This.
    Entry(Arc<LogEntry>),
    /// It is not kept, or the position is no state of this history.
    Gone,
}

impl Tail {
    /// The newest state.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// Takes a state that did not come entry by entry.
    pub(super) fn replace(&mut self, head: Position) {
        *self = Self { head, ..Self::default() };
    }

    /// Takes entries; those that do not follow the newest one empty the tail first.
    pub(super) fn extend(&mut self, entries: Vec<Arc<LogEntry>>) {
        for entry in entries {
            if entry.previous != self.head.revision {
                self.replace(Position::default());
            }
            self.head = Position { revision: entry.revision, digest: entry.digest };
            self.size_bytes += entry.command.len();
            self.entries.push_back(entry);
        }
        while self.size_bytes > TAIL_BYTES_MAX
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size_bytes -= oldest.command.len();
        }
    }

    /// What comes after `revision`.
    pub(super) fn after(&self, revision: Revision) -> Next {
        if revision >= self.head.revision {
            return Next::Nothing;
        }
        let place = self.entries.partition_point(|entry| entry.revision <= revision);
        match self.entries.get(place) {
            Some(entry) if entry.previous == revision => Next::Entry(Arc::clone(entry)),
            _ => Next::Gone,
        }
    }

    /// Whether a state is known to differ from this history's at its revision.
    pub(super) fn contradicts(&self, have: Position) -> bool {
        if have.revision == self.head.revision {
            return have.digest != self.head.digest;
        }
        let place = self.entries.partition_point(|entry| entry.revision < have.revision);
        match self.entries.get(place) {
            Some(entry) if entry.revision == have.revision => entry.digest != have.digest,
            _ => false,
        }
    }
}
