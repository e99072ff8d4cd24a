//! Pure. One subscriber: where it is, and what goes to it next.

use std::{sync::Arc, time::Instant};

use skerry_proto::id::{NodeId, Revision};

use super::{
    super::{
        limits::{ANSWER_MAX, CHUNK_BYTES, STALL_MAX, WINDOW},
        message::Down,
        tail::{Next, Tail},
    },
    Snapshot,
};

#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) node: NodeId,
    pub(super) state: State,
    /// Messages that its link has not taken yet.
    in_flight: usize,
    /// When its link took something, or had nothing to take.
    moved_at: Instant,
}

#[derive(Debug)]
pub(super) enum State {
    /// It has not said what it wants.
    Arrived,
    /// It gets heartbeats.
    AcksOnly,
    /// It was sent everything up to this revision.
    Live(Revision),
    /// It needs a snapshot of at least this revision.
    Waiting(Revision),
    /// It is being sent one.
    Sending(Sending),
}

#[derive(Debug)]
pub(super) struct Sending {
    snapshot: Arc<Snapshot>,
    /// `None` before it is announced.
    offset: Option<usize>,
}

impl Subscriber {
    pub(super) fn new(now: Instant, node: NodeId) -> Self {
        Self { node, state: State::Arrived, in_flight: 0, moved_at: now }
    }

    /// Whether it counts among those that get states.
    pub(super) fn takes_place(&self) -> bool {
        !matches!(self.state, State::Arrived | State::AcksOnly)
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < WINDOW
    }

    pub(super) fn queued(&mut self, now: Instant) {
        if self.in_flight == 0 {
            self.moved_at = now;
        }
        self.in_flight += 1;
    }

    pub(super) fn sent(&mut self, now: Instant) {
        (self.in_flight, self.moved_at) = (self.in_flight.saturating_sub(1), now);
    }

    /// Its place is needed for one that listens.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        let allowed = if matches!(self.state, State::Arrived) { ANSWER_MAX } else { STALL_MAX };
        (self.in_flight > 0 || matches!(self.state, State::Arrived)) && now >= self.moved_at + allowed
    }

    pub(super) fn position(&self) -> Option<Revision> {
        match &self.state {
            State::Live(revision) => Some(*revision),
            _ => None,
        }
    }

    /// The next message, when there is one. `usable`: an encoded snapshot of at least this revision.
    pub(super) fn next(
        &mut self,
        tail: &Tail,
        usable: impl Fn(Revision, &Tail) -> Option<Arc<Snapshot>>,
    ) -> Option<Down> {
        loop {
            match &mut self.state {
                State::Arrived | State::AcksOnly => return None,
                State::Live(position) => match tail.after(*position) {
                    Next::Nothing => return None,
                    Next::Entry(entry) => {
                        *position = entry.revision;
                        return Some(Down::Delta(entry));
                    }
                    Next::Gone => self.state = State::Waiting(Revision(1)),
                },
                State::Waiting(least) => {
                    self.state = State::Sending(Sending { snapshot: usable(*least, tail)?, offset: None });
                }
                State::Sending(sending) => match sending.next() {
                    Some(message) => return Some(message),
                    None => self.state = State::Live(sending.snapshot.position.revision),
                },
            }
        }
    }
}

impl Sending {
    fn next(&mut self) -> Option<Down> {
        let bytes = &self.snapshot.bytes;
        let Some(offset) = &mut self.offset else {
            self.offset = Some(0);
            return Some(Down::Snapshot(self.snapshot.position, bytes.len() as u64));
        };
        let from = *offset;
        *offset = (from + CHUNK_BYTES).min(bytes.len());
        (from < bytes.len()).then(|| Down::Chunk(bytes.slice(from..*offset)))
    }
}
