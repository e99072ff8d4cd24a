//! What feed and gossip are told of the rest.
//!
//! **Owns** the small tasks that carry the catalog's nodes to them, and what a voter knows about the leader. **Must not
//! know** what they make of it. **Enter at** [`members`], [`roster`] and [`Leadership`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use skerry_proto::id::NodeId;
use tokio::sync::watch;

use crate::{
    catalog::Catalog,
    clock,
    feed::{self, FeedHandle},
    gossip::Roster,
    peer,
    seat::Seat,
    state::States,
};

/// Tells the feed which nodes there are, whenever that changes.
pub(super) async fn members(states: Arc<States>, feed: FeedHandle) {
    let mut changes = NodeChanges::new(&states);
    while let Some(catalog) = changes.next().await {
        feed.members(catalog.nodes().map(|node| node.id).collect()).await;
    }
}

/// Tells gossip which nodes there are, whenever that changes.
pub(super) async fn roster(states: Arc<States>, tell: watch::Sender<Roster>) {
    let mut changes = NodeChanges::new(&states);
    while let Some(catalog) = changes.next().await {
        tell.send_replace(peer::gossip::roster(&catalog));
    }
}

/// The states in which the nodes are others than before, the first one included.
struct NodeChanges {
    states: watch::Receiver<Arc<Catalog>>,
    seen: Option<Arc<Catalog>>,
}

impl NodeChanges {
    fn new(states: &States) -> Self {
        Self { states: states.watch(), seen: None }
    }

    async fn next(&mut self) -> Option<Arc<Catalog>> {
        loop {
            let catalog = Arc::clone(&self.states.borrow_and_update());
            if self.seen.as_ref().is_none_or(|seen| !seen.same_nodes(&catalog)) {
                self.seen = Some(Arc::clone(&catalog));
                return Some(catalog);
            }
            self.states.changed().await.ok()?;
        }
    }
}

/// What a voter knows about the leader.
pub(super) struct Leadership {
    seat: Seat,
    /// Since when there has been no leader.
    without: Mutex<Option<Instant>>,
}

impl Leadership {
    pub(super) fn new(seat: Seat) -> Self {
        Self { seat, without: Mutex::default() }
    }
}

impl feed::Leadership for Leadership {
    fn leader(&self) -> Option<NodeId> {
        self.seat.raft().and_then(|raft| raft.status().leader)
    }

    fn age(&self) -> Duration {
        let now = clock::monotonic();
        let quorum_age = self.seat.raft().and_then(|raft| raft.quorum_age());
        let mut without = self.without.lock().unwrap_or_else(PoisonError::into_inner);
        if self.leader().is_some() {
            *without = None;
            return quorum_age.unwrap_or_default();
        }
        now.saturating_duration_since(*without.get_or_insert(now))
    }
}
