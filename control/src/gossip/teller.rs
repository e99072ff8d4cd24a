//! Pure. When this node tells news of itself, and what.
//!
//! **Owns** the pace of own news. **Must not know** how news spreads. **Enter at** [`Teller`].

use std::{num::NonZeroU64, time::Instant};

use skerry_proto::id::Revision;

use super::{
    identity::Identity,
    news::News,
    profile::{news_gap, news_period},
    timers::soonest,
};

/// What a node tells of itself that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Own {
    pub(super) revision: Revision,
    pub(super) load: u32,
    pub(super) certificate_ends_s: Option<NonZeroU64>,
}

/// This node's news.
#[derive(Debug)]
pub(super) struct Teller {
    own: Own,
    feature_level: u32,
    version: Box<str>,
    sequence: u64,
    told_at: Option<Instant>,
    due_at: Option<Instant>,
}

impl Teller {
    /// Tells first at `now`.
    pub(super) fn new(now: Instant, feature_level: u32, version: Box<str>) -> Self {
        Self { own: Own::default(), feature_level, version, sequence: 0, told_at: None, due_at: Some(now) }
    }

    /// When to tell next.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Tells again at `now`, whether or not anything changed.
    pub(super) fn hurry(&mut self, now: Instant) {
        soonest(&mut self.due_at, now);
    }

    /// Takes note of what to tell. A revision above `known`, the newest that anyone told of, is told at once; all else when it
    /// is time again: at a deploy every node has a new revision, and only the first ones have news for the others.
    pub(super) fn note(&mut self, now: Instant, own: Own, known: Revision, members: usize) {
        if own == self.own {
            return;
        }
        let first = own.revision > self.own.revision && own.revision > known;
        let paced = self.told_at.map_or(now, |told| now.max(told + news_gap(members)));
        self.own = own;
        soonest(&mut self.due_at, if first { now } else { paced });
    }

    /// The news, as told at `now`.
    pub(super) fn tell(&mut self, now: Instant, life: &Identity, members: usize) -> News {
        self.sequence += 1;
        self.told_at = Some(now);
        self.due_at = Some(now + news_period(members));
        News {
            node: life.node,
            boot: life.boot,
            sequence: self.sequence,
            revision: self.own.revision,
            load: self.own.load,
            feature_level: self.feature_level,
            version: self.version.clone(),
            certificate_ends_s: self.own.certificate_ends_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use skerry_proto::id::NodeId;

    use super::*;
    use crate::clock;

    #[test]
    fn a_revision_that_nobody_told_of_does_not_wait_and_all_else_does() {
        let start = clock::monotonic();
        let mut teller = Teller::new(start, 1, "1".into());
        let told = teller.tell(start, &Identity::started(NodeId(1), 1), 100);
        assert_eq!((told.sequence, teller.due_at()), (1, Some(start + news_period(100))));
        let now = start + Duration::from_millis(1);
        let own = |revision| Own { revision: Revision(revision), ..Own::default() };
        teller.note(now, own(7), Revision(7), 100);
        assert_eq!(teller.due_at(), Some(start + news_gap(100)), "somebody else told of it");
        teller.note(now, own(8), Revision(7), 100);
        assert_eq!(teller.due_at(), Some(now));
    }
}
