//! What feed and gossip are told of the rest.
//!
//! **Owns** the small tasks that carry the catalog's nodes and this one's certificate to them, and what a voter knows about
//! the leader. **Must not know** what they make of it. **Enter at** [`members`], [`roster`], [`certificate`] and [`Leadership`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use skerry_proto::id::NodeId;
use tokio::sync::watch;

use crate::{
    catalog::Catalog,
    clock,
    feed::{self, FeedHandle},
    gossip::{GossipHandle, Roster},
    mesh::Mesh,
    peer,
    seat::Seat,
    state::States,
};

/// How often a certificate is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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

/// Tells gossip when this node's certificate ends, for as long as it runs. Another one comes once in days, but whoever renews
/// it by hand looks a moment later.
pub(super) async fn certificate(mesh: Mesh, gossip: GossipHandle) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        gossip.set_certificate_end(u64::try_from(mesh.certificate_ends_ms() / 1000).unwrap_or(0));
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
    since: Instant,
}

impl Leadership {
    pub(super) fn new(seat: Seat) -> Self {
        Self { seat, since: clock::monotonic() }
    }
}

impl feed::Leadership for Leadership {
    fn leader(&self) -> Option<NodeId> {
        self.seat.raft().and_then(|raft| raft.status().leader)
    }

    fn age(&self) -> Duration {
        let heard = self.seat.raft().and_then(|raft| raft.leader_age());
        heard.unwrap_or_else(|| clock::monotonic().saturating_duration_since(self.since))
    }
}
