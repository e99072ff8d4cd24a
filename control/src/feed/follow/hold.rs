//! Pure. A revision that this node does not take, and how it gets past it.
//!
//! ```text
//! following --can not be applied, or digests differ--> waiting --recover_at--> asked --opened--> following
//!           --quarantined at the start-----------------^    ^                   |
//!                                                           `--not opened, lost-'
//! ```
//! - While held, deltas that follow this node's state and are not the refused one are still tried: when one verifies, the
//!   upstream that was refused is the one that is wrong, and is given up.
//! - A quarantined node tries no delta: to come to a newer revision it would have to serve the bad one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use skerry_proto::id::{NodeId, Revision};

use super::{
    super::{
        acks::Refusal,
        limits::{AGE_MAX, RECOVER, STALL_MAX},
        message::{Position, Subscribe, Up},
        rank::doubled,
    },
    Action, Follower, UpstreamId,
};

/// A revision that this node does not take.
#[derive(Debug)]
pub(super) struct Hold {
    /// What was announced; the digest only when it was.
    pub(super) refused: Position,
    pub(super) reason: String,
    /// The least revision of a snapshot that helps.
    pub(super) least: Revision,
    pub(super) accused: Option<NodeId>,
    pub(super) tries_deltas: bool,
    recover_at: Instant,
    /// Who was asked for a snapshot, and when.
    source: Option<(UpstreamId, Instant)>,
    failures: u32,
    failed_at: Instant,
}

/// How often snapshots were taken because of refusals, so that they stay rare.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    count: u32,
    last: Option<Instant>,
}

impl Recoveries {
    fn next_at(&mut self, now: Instant) -> Instant {
        match self.last {
            Some(last) if now < last + RECOVER.1 => last + doubled(RECOVER, self.count.saturating_sub(1)),
            _ => {
                self.count = 0;
                now
            }
        }
    }

    fn count(&mut self, now: Instant) {
        (self.count, self.last) = (self.count + 1, Some(now));
    }
}

impl Hold {
    /// Everything up to `until` made this node crash.
    pub(super) fn quarantine(now: Instant, until: Revision, reason: String) -> Self {
        let refused = Position { revision: until, ..Position::default() };
        let least = Revision(until.0.saturating_add(1));
        let (accused, source, failures) = (None, None, 0);
        Self { refused, reason, least, accused, tries_deltas: false, recover_at: now, source, failures, failed_at: now }
    }

    /// Whether a delta that ends there may be tried.
    pub(super) fn lets(&self, announced: Position) -> bool {
        self.tries_deltas && announced != self.refused
    }

    fn may_ask(&self, now: Instant, node: NodeId) -> bool {
        // The other one is asked first; the accused only when there is nobody else.
        let from = if self.accused == Some(node) { self.recover_at + AGE_MAX } else { self.recover_at };
        self.source.is_none() && now >= from
    }

    /// The one that was asked is gone.
    pub(super) fn lost(&mut self, id: UpstreamId) {
        self.source.take_if(|(source, _)| *source == id);
    }
}

impl Follower {
    /// Reports a revision, and looks for a way past it.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        id: UpstreamId,
        refused: Position,
        reason: String,
        out: &mut Vec<Action>,
    ) {
        out.push(Action::Refuse(Refusal::new(refused.revision, reason.clone())));
        let accused = self.upstream(id).map(|upstream| upstream.node);
        if let Some(hold) = &mut self.hold {
            hold.failures += 1;
            hold.failed_at = now;
            hold.recover_at = now + doubled(RECOVER, hold.failures - 1);
            (hold.accused, hold.source) = (accused, None);
            hold.least = hold.least.max(refused.revision);
            (hold.refused, hold.reason) = (refused, reason);
        } else {
            let recover_at = self.recoveries.next_at(now);
            let (least, source) = (refused.revision, None);
            self.hold = Some(Hold {
                refused,
                reason,
                least,
                accused,
                tries_deltas: true,
                recover_at,
                source,
                failures: 0,
                failed_at: now,
            });
        }
    }

    /// Asks somebody for a snapshot when one is wanted.
    pub(super) fn recover(&mut self, now: Instant, out: &mut Vec<Action>) {
        let Some(hold) = &mut self.hold else { return };
        let ids = self.slots.iter().flatten().filter(|one| one.is_subscribed() && hold.may_ask(now, one.node));
        let Some(id) = ids.map(|upstream| upstream.id).next() else { return };
        hold.source = Some((id, now));
        out.push(Action::Send(id, Up::Subscribe(Subscribe::Snapshot(hold.least))));
    }

    /// What an upstream is asked for when it has just been connected.
    pub(super) fn question(&mut self, now: Instant, id: UpstreamId, node: NodeId) -> Subscribe {
        match &mut self.hold {
            Some(hold) if hold.may_ask(now, node) => {
                hold.source = Some((id, now));
                Subscribe::Snapshot(hold.least)
            }
            _ if self.tip.catalog.revision() == Revision(0) => Subscribe::After(None),
            _ => Subscribe::After(Some(self.position())),
        }
    }

    /// Whether an upstream could have sent the snapshot that it was asked for, and has not.
    pub(super) fn owes_snapshot(&self, now: Instant, id: UpstreamId) -> bool {
        let Some(hold) = &self.hold else { return false };
        let has_it = || self.upstream(id).and_then(super::Upstream::revision).is_some_and(|head| head >= hold.least);
        let late = |asked: Instant| now > asked + STALL_MAX && self.incoming.is_none() && self.opening.is_none();
        hold.source.is_some_and(|(source, asked)| source == id && late(asked)) && has_it()
    }

    /// What was refused is behind this node.
    pub(super) fn release(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.hold.take().is_some() {
            self.recoveries.count(now);
            out.push(Action::Accept);
        }
    }

    /// Another upstream agrees with this node: the accused one is wrong.
    pub(super) fn exonerate(&mut self, now: Instant, out: &mut Vec<Action>) {
        let Some(hold) = self.hold.take() else { return };
        out.push(Action::Accept);
        let Some(accused) = hold.accused else { return };
        tracing::warn!(upstream = %accused, "an upstream's state differs from this node's and from another upstream's");
        let slots = self.slots.iter().flatten().filter(|upstream| upstream.node == accused);
        slots.map(|upstream| upstream.id).collect::<Vec<_>>().into_iter().for_each(|id| self.give_up(now, id, out));
    }

    /// A held node that could not recover refuses whatever is newer, too.
    pub(super) fn raise(&mut self, revision: Revision, out: &mut Vec<Action>) {
        let Some(hold) = self.hold.as_mut().filter(|hold| hold.failures > 0 && revision > hold.refused.revision) else {
            return;
        };
        hold.refused = Position { revision, ..Position::default() };
        hold.least = hold.least.max(revision);
        // What is newer may be the cure.
        hold.recover_at = hold.recover_at.min(hold.failed_at + RECOVER.0);
        out.push(Action::Refuse(Refusal::new(revision, hold.reason.clone())));
    }
}

/// The same thing for those who read logs.
pub(super) fn differs(announced: Position, found: Position) -> String {
    format!("the digest differs: {announced} was announced, this node has {found}")
}

/// How long nothing is taken after the disk has failed.
pub(super) const DISK_PAUSE: Duration = Duration::from_secs(5);

/// Entries that wait for the disk.
#[derive(Debug)]
pub(super) enum Pending {
    /// The state after an entry.
    Entry(crate::state::Head, Arc<crate::state::LogEntry>),
    /// A state that did not come entry by entry.
    State(crate::state::Head),
}

impl Pending {
    pub(super) fn head(&self) -> &crate::state::Head {
        match self {
            Self::Entry(head, _) | Self::State(head) => head,
        }
    }
}
