//! What the rest of the node asks the feed, and tells it.
//!
//! **Owns** the small doors to the driver. **Must not know** how it works. **Enter at** [`FeedHandle`].

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use skerry_proto::id::{NodeId, Revision};
use tokio::sync::{mpsc, watch};

use super::{
    acks::{Acks, Propagation, Refusal},
    driver::{Event, pump},
    limits::WINDOW,
    link::Link,
    publish::SubscriberId,
};

/// The way to this node's feed. Clones share it.
#[derive(Debug, Clone)]
pub struct FeedHandle {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) plane: Arc<watch::Sender<Plane>>,
    pub(super) acks: watch::Receiver<Acks>,
    pub(super) status: Arc<ArcSwap<FeedStatus>>,
    pub(super) next_subscriber: Arc<AtomicU64>,
}

/// What the data plane has said.
#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    pub(super) shown: Revision,
    pub(super) refused: Option<Refusal>,
}

/// How this node stands in the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedStatus {
    /// The newest revision that it serves.
    pub revision: Revision,
    /// How many log entries the newest revision that an upstream has is ahead of it; 0 when up to date.
    pub lag: u64,
    /// Steps to a voter; 0 for a voter, `None` when there is no way to one.
    pub depth: Option<u32>,
    /// How long ago its state was a voter's newest; `None` when that is not known.
    pub age: Option<Duration>,
    /// Whom it takes states from; empty on a voter.
    pub upstreams: Vec<UpstreamStatus>,
    /// Who takes states from it.
    pub subscribers: Vec<SubscriberStatus>,
    /// A revision that it does not take, and why.
    pub held: Option<Refusal>,
}

/// An upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Which node.
    pub node: NodeId,
    /// The newest revision that it is known to have.
    pub revision: Option<Revision>,
    /// Its steps to a voter.
    pub depth: Option<u32>,
    /// How old its state is, as far as it said.
    pub age: Duration,
}

/// A subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberStatus {
    /// Which node.
    pub node: NodeId,
    /// Up to where it has been sent everything; `None` while it needs or gets a snapshot.
    pub position: Option<Revision>,
}

impl FeedHandle {
    /// The data plane serves this revision, and so all before it. A refusal of an earlier one stands until that one is shown.
    pub fn shown(&self, revision: Revision) {
        self.plane.send_modify(|plane| {
            plane.shown = plane.shown.max(revision);
            plane.refused.take_if(|refusal| refusal.revision == revision);
        });
    }

    /// The data plane does not serve this revision. It may still serve later ones.
    pub fn refused(&self, revision: Revision, reason: &str) {
        self.plane.send_modify(|plane| plane.refused = Some(Refusal::new(revision, reason)));
    }

    /// How far a revision has come among `members`, as far as this node knows: the leader knows of all of them, another
    /// node of those behind it.
    #[must_use]
    pub fn propagation(&self, revision: Revision, members: &[NodeId]) -> Propagation {
        self.acks.borrow().propagation(revision, members)
    }

    /// Changes whenever somebody acknowledges or refuses something; for waiting until a revision has come far enough.
    #[must_use]
    pub fn watch_acks(&self) -> watch::Receiver<Acks> {
        self.acks.clone()
    }

    /// How this node stands in the feed; at most half a second old.
    #[must_use]
    pub fn status(&self) -> Arc<FeedStatus> {
        self.status.load_full()
    }

    /// The nodes that the cluster has; what others acknowledged is forgotten.
    pub async fn members(&self, members: BTreeSet<NodeId>) {
        // Nobody listens during a shutdown, and then nothing needs to be forgotten.
        let _ = self.events.send(Event::Members(members)).await;
    }

    /// Serves a node that subscribes to this one; returns when the link ends. `from` is who it has proven to be.
    pub async fn serve(&self, from: NodeId, link: Link) {
        let id = SubscriberId(self.next_subscriber.fetch_add(1, Ordering::Relaxed));
        let (frames, queue) = mpsc::channel(WINDOW + 8);
        if self.events.send(Event::Arrived(id, from, frames)).await.is_ok() {
            pump::subscriber(id, link, queue, &self.events).await;
            let _ = self.events.send(Event::SubscriberGone(id)).await;
        }
    }
}
