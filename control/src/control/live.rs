//! How long a change takes until every node serves it.
//!
//! **Owns** the time from the leader's own apply, which is the commit, to the last acknowledgement. **Must not know** what
//! changed. **Enter at** [`LiveTimes`] and [`measure`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use skerry_proto::id::{NodeId, Revision};

use crate::{clock, feed::FeedHandle, seat::Seat, state::States};

/// BOUND: revisions whose time is remembered or waited for; hours of deploys.
const REVISIONS_MAX: usize = 1000;
/// The upper bounds of the histogram's buckets, in milliseconds.
pub const BUCKETS_MS: [u64; 12] = [5, 10, 25, 50, 100, 150, 250, 500, 1000, 2000, 5000, 10_000];

/// When revisions were committed, and how long each took. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LiveTimes {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The term in which this node leads.
    term: Option<u64>,
    waiting: BTreeMap<Revision, Instant>,
    took: BTreeMap<Revision, Duration>,
    counts: [u64; BUCKETS_MS.len() + 1],
    sum: Duration,
}

/// Times to live on all nodes, counted by this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveHistogram {
    /// How many took at most as long as the bucket of the same place in [`BUCKETS_MS`]; the last one took longer.
    pub counts: [u64; BUCKETS_MS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl LiveTimes {
    /// How long a revision took; `None` while it is under way or is not remembered.
    #[must_use]
    pub fn of(&self, revision: Revision) -> Option<Duration> {
        self.inner().took.get(&revision).copied()
    }

    /// All of them.
    #[must_use]
    pub fn histogram(&self) -> LiveHistogram {
        let inner = self.inner();
        LiveHistogram { counts: inner.counts, sum: inner.sum }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What waits belongs to one term: only the leader hears all acknowledgements, and those that it was not there for come
    /// at once when it is elected.
    fn leads(&mut self, term: Option<u64>) {
        if self.term != term {
            self.waiting.clear();
            self.term = term;
        }
    }

    fn committed(&mut self, now: Instant, revision: Revision) {
        if self.term.is_none() {
            return;
        }
        self.waiting.entry(revision).or_insert(now);
        while self.waiting.len() > REVISIONS_MAX {
            self.waiting.pop_first();
        }
    }

    /// Every node serves everything up to here.
    fn live(&mut self, now: Instant, upto: Revision) {
        while let Some(first) = self.waiting.first_entry()
            && *first.key() <= upto
        {
            let (revision, since) = first.remove_entry();
            let took = now.saturating_duration_since(since);
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let bucket = BUCKETS_MS.iter().position(|bound| took_ms <= *bound).unwrap_or(BUCKETS_MS.len());
            self.counts[bucket] += 1;
            self.sum += took;
            self.took.insert(revision, took);
        }
        while self.took.len() > REVISIONS_MAX {
            self.took.pop_first();
        }
    }
}

/// Notes when this node commits revisions, as the leader, and when all nodes have acknowledged them, for as long as it runs.
pub(super) async fn measure(seat: Seat, states: Arc<States>, feed: FeedHandle, times: LiveTimes) {
    let (mut heads, mut acks) = (states.watch(), feed.watch_acks());
    let mut seen = heads.borrow_and_update().revision();
    loop {
        tokio::select! {
            changed = heads.changed() => if changed.is_err() { return },
            changed = acks.changed() => if changed.is_err() { return },
        }
        acks.borrow_and_update();
        let catalog = Arc::clone(&heads.borrow_and_update());
        let now = clock::monotonic();
        let entries = states.since(seen).unwrap_or_default();
        seen = catalog.revision();
        let members: Vec<NodeId> = catalog.nodes().map(|node| node.id).collect();
        let raft = seat.raft().filter(|raft| raft.is_elected());
        let mut inner = times.inner();
        inner.leads(raft.map(|raft| raft.status().term));
        entries.iter().for_each(|entry| inner.committed(now, entry.revision));
        let is_live = |revision: &Revision| feed.propagation(*revision, &members).acknowledged == members.len();
        let upto = inner.waiting.keys().copied().take_while(is_live).last();
        if let Some(upto) = upto {
            inner.live(now, upto);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leading() -> LiveTimes {
        let times = LiveTimes::default();
        times.inner().leads(Some(1));
        times
    }

    #[test]
    fn what_another_node_committed_is_not_measured() {
        let (times, start) = (LiveTimes::default(), clock::monotonic());
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        times.inner().committed(start, Revision(7));
        times.inner().leads(Some(2));
        times.inner().live(minutes(5), Revision(7));
        assert_eq!(times.of(Revision(7)), None, "it followed then");
        times.inner().committed(minutes(5), Revision(8));
        times.inner().leads(None);
        times.inner().leads(Some(4));
        times.inner().live(minutes(9), Revision(8));
        assert_eq!(times.of(Revision(8)), None, "another node heard the acknowledgements");
        times.inner().committed(minutes(9), Revision(9));
        times.inner().leads(Some(4));
        times.inner().live(minutes(10), Revision(9));
        assert_eq!(times.of(Revision(9)), Some(Duration::from_secs(60)));
        assert_eq!(times.histogram().counts.iter().sum::<u64>(), 1);
    }

    #[test]
    fn a_revision_is_live_when_all_before_it_are() {
        let (times, start) = (leading(), clock::monotonic());
        let at = |ms| start + Duration::from_millis(ms);
        for (revision, ms) in [(7, 0), (9, 10), (12, 20)] {
            times.inner().committed(at(ms), Revision(revision));
        }
        times.inner().live(at(110), Revision(9));
        assert_eq!(times.of(Revision(7)), Some(Duration::from_millis(110)));
        assert_eq!(times.of(Revision(9)), Some(Duration::from_millis(100)));
        assert_eq!(times.of(Revision(12)), None);
        let counts = times.histogram().counts;
        assert_eq!((counts[4], counts[5], counts.iter().sum::<u64>()), (1, 1, 2));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (times, now) = (leading(), clock::monotonic());
        let most = u64::try_from(REVISIONS_MAX).unwrap();
        (1..=2 * most).for_each(|revision| times.inner().committed(now, Revision(revision)));
        assert_eq!(times.inner().waiting.len(), REVISIONS_MAX);
        times.inner().live(now, Revision(2 * most));
        (1..=most).for_each(|revision| times.inner().committed(now, Revision(2 * most + revision)));
        times.inner().live(now, Revision(3 * most));
        assert_eq!(times.inner().took.len(), REVISIONS_MAX);
    }
}
