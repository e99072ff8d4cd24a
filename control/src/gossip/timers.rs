//! Pure. What foca asked to be woken for, in order, and what else it wants done.
//!
//! **Owns** the order of timers. **Must not know** what they mean. **Enter at** [`Timers`] and [`Effects`].

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use foca::{Notification, Timer};
use skerry_proto::id::NodeId;

use super::identity::Identity;

/// Timers by when they are due; those of one moment in foca's own order, then as they were set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    set: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Instant,
    timer: Timer<Identity>,
    place: u64,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer<Identity>) {
        self.heap.push(Reverse(Entry { at, timer, place: self.set }));
        self.set += 1;
    }

    /// When the next one is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.0.at)
    }

    /// The next one that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer<Identity>> {
        (self.next_at()? <= now).then(|| self.heap.pop()).flatten().map(|entry| entry.0.timer)
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }
}

/// Whether the time that is set has come.
pub(super) fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

/// Sets the time, unless an earlier one is set.
pub(super) fn soonest(slot: &mut Option<Instant>, at: Instant) {
    *slot = Some(slot.map_or(at, |set| set.min(at)));
}

/// What one call into foca wants done.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) sends: Vec<(NodeId, Bytes)>,
    pub(super) timers: Vec<(Duration, Timer<Identity>)>,
    /// Someone came, went or was renamed.
    pub(super) moved: bool,
    /// This node was taken for down and came back in another life.
    pub(super) rejoined: bool,
    /// Whether there is anybody to talk to, where that changed.
    pub(super) joined: Option<bool>,
}

impl foca::Runtime<Identity> for Effects {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        match notification {
            Notification::MemberUp(_) | Notification::MemberDown(_) | Notification::Rename(..) => self.moved = true,
            Notification::Rejoin(_) => self.rejoined = true,
            Notification::Active => self.joined = Some(true),
            Notification::Idle | Notification::Defunct => self.joined = Some(false),
        }
    }

    fn send_to(&mut self, to: Identity, bytes: &[u8]) {
        self.sends.push((to.node, Bytes::copy_from_slice(bytes)));
    }

    fn submit_after(&mut self, timer: Timer<Identity>, after: Duration) {
        self.timers.push((after, timer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn timers_come_in_the_order_of_time_then_of_foca_then_of_setting() {
        let start = clock::monotonic();
        let down = |node| Timer::RemoveDown(Identity::started(NodeId(node), 1));
        let mut timers = Timers::default();
        timers.set(start + Duration::from_secs(2), Timer::PeriodicGossip(0));
        timers.set(start + Duration::from_secs(1), down(3));
        timers.set(start + Duration::from_secs(1), down(2));
        timers.set(start + Duration::from_secs(1), Timer::ProbeRandomMember(0));
        assert_eq!(timers.pop_due(start), None);
        let mut due = Vec::new();
        while let Some(timer) = timers.pop_due(start + Duration::from_secs(1)) {
            due.push(timer);
        }
        assert_eq!(due, [Timer::ProbeRandomMember(0), down(3), down(2)]);
        assert_eq!(timers.next_at(), Some(start + Duration::from_secs(2)));
    }
}
