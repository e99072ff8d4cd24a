//! Pure. The disk of an edge: what was written, and how much of it a crash leaves.
//!
//! **Owns** the difference between written and durable. **Must not know** when an fsync ends. **Enter at** [`Disk`].

use std::sync::Arc;

use skerry_control::{
    feed::rules::Rules,
    state::{Head, LogEntry},
};
use skerry_proto::id::Revision;

/// One write.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Entry(Arc<LogEntry>),
    State(Head),
}

/// What an edge keeps.
#[derive(Debug, Default)]
pub(super) struct Disk {
    durable: Vec<Write>,
    waiting: Vec<Write>,
    /// How many of those that wait the running fsync takes with it; 0 when none runs.
    flushing: usize,
}

impl Disk {
    pub(super) fn write(&mut self, write: Write) {
        self.waiting.push(write);
    }

    /// Begins an fsync if one is due and none runs.
    pub(super) fn begin(&mut self) -> bool {
        let is_due = self.flushing == 0 && !self.waiting.is_empty();
        if is_due {
            self.flushing = self.waiting.len();
        }
        is_due
    }

    /// The fsync has ended; up to where everything is durable now.
    pub(super) fn end(&mut self) -> Option<Revision> {
        let flushed = self.waiting.drain(..std::mem::take(&mut self.flushing));
        self.durable.extend(flushed);
        self.durable.last().map(Write::revision)
    }

    /// What was not durable is lost.
    pub(super) fn crash(&mut self) {
        self.waiting.clear();
        self.flushing = 0;
    }

    /// The newest state, as far as records verify.
    pub(super) fn load(&mut self, rules: &dyn Rules) -> Head {
        let mut head = Head::default();
        for write in &self.durable {
            match write {
                Write::State(state) => head = state.clone(),
                Write::Entry(entry) if entry.previous == head.catalog.revision() => {
                    let Ok(next) = rules.apply(&head, entry) else { break };
                    if next.digest != entry.digest {
                        break;
                    }
                    head = next;
                }
                Write::Entry(_) => break,
            }
        }
        self.durable = vec![Write::State(head.clone())];
        head
    }
}

impl Write {
    fn revision(&self) -> Revision {
        match self {
            Self::Entry(entry) => entry.revision,
            Self::State(head) => head.catalog.revision(),
        }
    }
}
