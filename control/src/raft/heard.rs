//! Whom a leader hears.
//!
//! **Owns** what openraft counts of answers. **Must not know** what follows from it; `voters` does. **Enter at**
//! [`Raft::answered`].

use std::{collections::BTreeMap, time::Duration};

use openraft::{Instant as _, async_runtime::watch::WatchReceiver as _};
use skerry_proto::id::NodeId;

use super::Raft;

/// BOUND: heartbeats without an answer after which a member is silent: as long as voters wait for a leader that is dead.
const PATIENCE: u32 = 8;

impl Raft {
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
