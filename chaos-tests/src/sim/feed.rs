//! The feed of a simulation: the real relays of voters and edges, on links, disks and a clock in memory.
//!
//! **Owns** when relays are told what has happened. **Must not know** which faults there are. **Enter at** [`Feeds`].
//!
//! The relays' clock runs [`SPEED`] times faster than ours, so that a run of seconds has as many heartbeats, timeouts and
//! retries as one of a minute. Everything else is as on a node: voters publish what raft gives them, edges verify, persist
//! and then show, and serve others.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use skerry_control::{
    raft::Raft,
    state::{Head, States},
};
use skerry_proto::id::NodeId;
use tokio::task::JoinSet;

use self::world::World;
use super::net::{Net, lock};
use crate::clock;

mod disk;
pub(super) mod mutant;
mod perform;
mod world;

pub(super) use self::mutant::Mutant;
pub(super) use self::world::Figures;

/// Seconds of relays in one of ours.
const SPEED: u32 = 10;
/// BOUND: how late an event may be: a tenth of the shortest disk or link.
const STEP: Duration = Duration::from_millis(1);

/// The relays of all nodes.
pub(super) struct Feeds {
    world: Arc<Mutex<World>>,
    clock: Clock,
    // Cut off when dropped.
    _running: JoinSet<()>,
}

/// What relays take for the time.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Instant,
}

impl Clock {
    fn now(self) -> Instant {
        self.start + clock::now().saturating_duration_since(self.start) * SPEED
    }
}

impl Feeds {
    pub(super) fn start(net: &Arc<Net>, seed: u64) -> Self {
        let clock = Clock { start: clock::now() };
        let world = Arc::new(Mutex::new(World::new(Arc::clone(net), clock.start, seed)));
        let (running, mut tasks) = (Arc::clone(&world), JoinSet::new());
        tasks.spawn(async move {
            loop {
                lock(&running).advance(clock.now());
                tokio::time::sleep(STEP).await;
            }
        });
        Self { world, clock, _running: tasks }
    }

    /// A voter begins to publish what its raft applies.
    pub(super) fn voter(&self, id: NodeId, raft: Raft) {
        lock(&self.world).boot_voter(self.clock.now(), id, raft);
    }

    /// An edge begins with what its disk has; where it shows it.
    pub(super) fn edge(&self, id: NodeId, mutant: Option<Mutant>) -> Arc<States> {
        lock(&self.world).boot_edge(self.clock.now(), id, mutant)
    }

    /// A node is no more; what its disk has taken stays.
    pub(super) fn kill(&self, id: NodeId) {
        lock(&self.world).kill(id);
    }

    /// What a node shows; `None` when it is down.
    pub(super) fn head(&self, id: NodeId) -> Option<Head> {
        lock(&self.world).head(id)
    }

    pub(super) fn figures(&self) -> Figures {
        lock(&self.world).figures
    }
}
