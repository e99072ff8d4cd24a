//! Whom a leader hears, and when the others have heard it.
//!
//! **Owns** what openraft counts of answers, and what it does not: it goes on naming a leader that has fallen silent. **Must not
//! know** what follows from it. **Enter at** [`Raft::answered`] and [`Raft::leader_age`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use openraft::{Instant as _, async_runtime::watch::WatchReceiver as _};
use skerry_proto::id::NodeId;

use super::Raft;
use crate::clock;

/// BOUND: heartbeats without an answer after which a member, or on the leader a quorum, is silent: as long as voters wait for a
/// leader that is dead.
pub(super) const PATIENCE: u32 = 8;

/// When this node has last taken something of a leader. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaderHeard(Arc<Mutex<Option<Instant>>>);

impl LeaderHeard {
    pub(super) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::monotonic());
    }

    fn at(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Raft {
    /// How long ago the leader was last heard of, or, on the leader, a quorum was; `None` when never since the start.
    pub(crate) fn leader_age(&self) -> Option<Duration> {
        let heard = || self.heard.at().map(|at| clock::monotonic().saturating_duration_since(at));
        self.quorum_age().or_else(heard)
    }

    /// Returns once this node leads for nobody: the others may have elected another leader.
    pub(super) async fn forsaken(&self) {
        loop {
            tokio::time::sleep(self.patience() / PATIENCE).await;
            let is_late = self.quorum_age().is_some_and(|age| age > self.patience());
            if is_late && !self.is_alone() {
                return;
            }
        }
    }

    /// On the leader: how long ago each member was asked what it has answered last; `None` for one that has not answered this
    /// leader yet. Empty elsewhere.
    pub(crate) fn answered(&self) -> BTreeMap<NodeId, Option<Duration>> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heard = metrics.heartbeat.iter().flatten();
        heard.map(|(id, at)| (NodeId(*id), at.map(|at| at.elapsed()))).collect()
    }

    /// How long a member may leave the leader without an answer before it is silent.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.raft.config().heartbeat_interval) * PATIENCE
    }
}
