//! Commands that are proposed all the time.
//!
//! **Owns** where they are proposed and which were acknowledged. **Must not know** which faults there are. **Enter at**
//! [`start`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use skerry_control::{
    catalog::{Account, Actor, Change, Command},
    error::ProposeError,
    mint,
};
use skerry_proto::id::{BundleHash, NodeId, ServiceName};
use tokio::task::JoinSet;

use super::{
    code::Code,
    net::{Net, lock},
    world::World,
};
use crate::rng::Rng;

/// Proposers at once: enough that every fault finds a proposal under way.
const LANES: u64 = 3;
const PAUSE: Duration = Duration::from_millis(5);

/// Of so many commands one is a deploy, whose code goes to disks first.
const DEPLOY_EVERY: u64 = 4;

/// Proposers at work. Cut off when dropped.
pub(super) struct Work {
    tasks: JoinSet<()>,
    shared: Arc<Shared>,
}

/// What was not acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) unknown: usize,
}

struct Shared {
    net: Arc<Net>,
    code: Arc<Code>,
    is_stopping: AtomicBool,
    unknown: AtomicUsize,
}

/// A command that leaves its label in the catalog.
pub(super) fn command(label: &str) -> Option<Command> {
    named(label, label.to_owned())
}

/// A command that leaves its label in the catalog, with the code that nodes must serve for it. Which nouns of the catalog it
/// takes matters to nobody here, so it takes the simplest one.
pub(super) fn deploy(label: &str, code: BundleHash) -> Option<Command> {
    named(label, code.to_string())
}

fn named(label: &str, name: String) -> Option<Command> {
    let label = Some(ServiceName::new(label).ok()?);
    let account = Account { id: mint::account_id(), name, label, created_at_ms: 1 };
    Some(Command::new(Actor::node("simulation"), 1, vec![Change::CreateAccount(account)]))
}

pub(super) fn start(world: &World, seed: u64) -> Work {
    let (net, code) = (Arc::clone(&world.net), Arc::clone(&world.code));
    let shared = Arc::new(Shared { net, code, is_stopping: AtomicBool::new(false), unknown: AtomicUsize::new(0) });
    let mut tasks = JoinSet::new();
    for lane in 0..LANES {
        let shared = Arc::clone(&shared);
        let rng = Rng::new(seed.wrapping_mul(LANES).wrapping_add(lane));
        tasks.spawn(async move { shared.propose_for_ever(lane, rng).await });
    }
    Work { tasks, shared }
}

impl Work {
    /// Lets proposals that are under way end.
    pub(super) async fn stop(mut self) -> Counts {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        Counts { unknown: self.shared.unknown.load(Ordering::Relaxed) }
    }
}

impl Shared {
    async fn propose_for_ever(&self, lane: u64, mut rng: Rng) {
        let mut turn = 0;
        while !self.is_stopping.load(Ordering::Relaxed) {
            let nodes = self.net.nodes();
            if let Some((node, raft)) = nodes.get(usize::try_from(rng.below(nodes.len().max(1) as u64)).unwrap_or(0)) {
                let label = format!("c-{lane}-{turn}");
                let command = if turn % DEPLOY_EVERY == 0 { self.upload(*node, &label).await } else { command(&label) };
                if let Some(command) = command {
                    match raft.propose(command).await {
                        Ok(_) => drop(lock(&self.net.record).acknowledged.insert(label)),
                        Err(ProposeError::Unknown { .. }) => drop(self.unknown.fetch_add(1, Ordering::Relaxed)),
                        Err(_) => {}
                    }
                }
                turn += 1;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A deploy whose code is stored; `None` when it can not be.
    async fn upload(&self, at: NodeId, label: &str) -> Option<Command> {
        let code = self.code.store(at, Bytes::from(format!("the code of {label}"))).await?;
        deploy(label, code)
    }
}
