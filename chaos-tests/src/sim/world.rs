//! The nodes of a simulation.
//!
//! **Owns** starting, crashing and healing them, and noting what they show. **Must not know** what is proposed. **Enter at**
//! [`World`].

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use skerry_control::{
    catalog::Digest,
    raft::{Raft, RaftConfig},
    state::{Head, States},
};
use skerry_proto::id::NodeId;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{
    AGREE_TIMEOUT,
    code::{Check, Code, deploys},
    feed::{Feeds, Mutant},
    net::{End, Net, lock},
    plan::Plan,
    record::{Last, Record},
};

/// A tenth of what voters use, so that a run of seconds has as many elections as one of a minute.
const HEARTBEAT: Duration = Duration::from_millis(25);
const PROPOSE_TIMEOUT: Duration = Duration::from_millis(600);
const PAUSE: Duration = Duration::from_millis(10);

/// Voters, edges and the network between them.
pub(super) struct World {
    pub(super) net: Arc<Net>,
    pub(super) feeds: Feeds,
    pub(super) code: Arc<Code>,
    voters: usize,
    logs_per_snapshot: u64,
    folders: BTreeMap<NodeId, TempDir>,
    /// What runs beside each node that is up: who watches it, and who serves.
    lives: Mutex<BTreeMap<NodeId, JoinSet<()>>>,
}

/// From when on it counts what a node shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// Once it knows everything that was agreed on before it was down, as a real node does.
    WhenRecovered,
    /// At once; a mutation.
    #[cfg_attr(not(test), expect(dead_code, reason = "mutations are made by tests"))]
    TooEarly,
}

/// How a node is built; anything but the default is a mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) shows: Shows,
    pub(super) check: Check,
    pub(super) feed: Option<Mutant>,
}

impl Default for Build {
    fn default() -> Self {
        Self { shows: Shows::WhenRecovered, check: Check::Real, feed: None }
    }
}

impl World {
    /// Node 1 founds a cluster, in which all but the edges vote in the end.
    pub(super) async fn start(plan: &Plan, seed: u64) -> Result<Self> {
        let net = Arc::new(Net::new(seed));
        let mut world = Self {
            feeds: Feeds::start(&net, seed),
            code: Code::new(&net, seed),
            net,
            voters: plan.voters,
            logs_per_snapshot: plan.logs_per_snapshot,
            folders: BTreeMap::new(),
            lives: Mutex::default(),
        };
        for id in (1..=(plan.voters + plan.edges) as u64).map(NodeId) {
            let folder = tempfile::tempdir().context("make a folder")?;
            world.code.open(id, folder.path())?;
            world.folders.insert(id, folder);
            world.boot(id, Build::default()).await?;
        }
        let first = world.net.node(NodeId(1)).context("node 1 was started")?;
        first.found().await?;
        first.recover(Duration::ZERO).await?;
        let voters: BTreeSet<NodeId> = world.voters().collect();
        for id in voters.iter().skip(1) {
            first.add_learner(*id, "memory").await?;
        }
        first.set_voters(&voters).await?;
        Ok(world)
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = NodeId> {
        (1..=self.voters as u64).map(NodeId)
    }

    /// Starts a node on what it has written.
    pub(super) async fn boot(&self, id: NodeId, build: Build) -> Result<()> {
        let mut life = JoinSet::new();
        let (net, code) = (Arc::clone(&self.net), Arc::clone(&self.code));
        if id.0 > self.voters as u64 {
            let states = self.feeds.edge(id, build.feed);
            life.spawn(observe(net, id, Arc::clone(&states)));
            life.spawn(async move { code.serve(id, states, build.check).await });
        } else {
            let raft = self.start_raft(id).await?;
            let states = raft.states();
            life.spawn(async move {
                if build.shows == Shows::WhenRecovered && !raft.recover(AGREE_TIMEOUT).await.unwrap_or(false) {
                    return;
                }
                tokio::join!(observe(net, id, Arc::clone(&states)), code.serve(id, states, build.check));
            });
        }
        lock(&self.lives).insert(id, life);
        Ok(())
    }

    async fn start_raft(&self, id: NodeId) -> Result<Raft> {
        let config = RaftConfig {
            data_dir: self.folder(id).to_owned(),
            node: id,
            propose_timeout: PROPOSE_TIMEOUT,
            logs_per_snapshot: self.logs_per_snapshot,
            heartbeat: HEARTBEAT,
        };
        let states = Arc::new(States::new(Head::default()));
        let end = Arc::new(End { from: id, net: Arc::clone(&self.net) });
        let raft = Raft::start(config, states, end).await.with_context(|| format!("start {id}"))?;
        self.net.plug(id, raft.clone());
        self.feeds.voter(id, raft.clone());
        Ok(raft)
    }

    /// The node hears and says nothing any more, whatever it was doing; what it has written stays. `false`: it was down.
    pub(super) async fn crash(&self, id: NodeId) -> bool {
        let was_up = lock(&self.lives).remove(&id).is_some();
        self.feeds.kill(id);
        if let Some(raft) = self.net.unplug(id) {
            raft.shutdown().await;
        }
        was_up
    }

    /// Where a node writes.
    pub(super) fn folder(&self, id: NodeId) -> &Path {
        self.folders[&id].path()
    }

    pub(super) fn split(&self, some: &BTreeSet<NodeId>) {
        for inside in some {
            for outside in self.folders.keys().filter(|id| !some.contains(id)) {
                self.net.cut(*inside, *outside);
                self.net.cut(*outside, *inside);
            }
        }
    }

    /// All links carry, all nodes are up.
    pub(super) async fn heal(&self) -> Result<()> {
        self.net.heal();
        for id in self.folders.keys() {
            let is_up = lock(&self.lives).contains_key(id);
            if !is_up {
                self.boot(*id, Build::default()).await?;
            }
        }
        Ok(())
    }

    /// Waits until one leads, its commands are taken, and all have and serve the same; or until it is late.
    pub(super) async fn agree(&self, within: Duration) {
        let agreeing = async {
            loop {
                for (_, raft) in self.net.nodes() {
                    let Some(command) = super::work::command("last") else { return };
                    // The second time the label is taken, which shows as well that it is in the catalog.
                    let _ = raft.propose(command).await;
                }
                let finals: Vec<Last> = self.finals().into_values().collect();
                let is_taken = |last: &Last| last.labels.contains("last") && last.idle.is_empty();
                if finals.iter().all(|last| is_taken(last) && *last == finals[0]) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        // The invariants say what is missing.
        let _ = tokio::time::timeout(within, agreeing).await;
    }

    fn finals(&self) -> BTreeMap<NodeId, Last> {
        let head = |id: &NodeId| match self.net.node(*id) {
            Some(raft) => Some(raft.states().head()),
            None => self.feeds.head(*id),
        };
        let record = lock(&self.net.record);
        let heads = self.folders.keys().filter_map(|id| Some((*id, head(id)?)));
        heads.map(|(id, head)| (id, last(&head, &record.served_by(id)))).collect()
    }

    /// Ends everything, and says what was seen.
    pub(super) async fn finish(self) -> Record {
        let finals = self.finals();
        for id in self.folders.keys() {
            self.crash(*id).await;
        }
        Record { finals, ..std::mem::take(&mut *lock(&self.net.record)) }
    }
}

/// Notes every state that a node shows, under the digest that its catalog really has.
async fn observe(net: Arc<Net>, id: NodeId, states: Arc<States>) {
    let mut heads = states.watch_heads();
    loop {
        let head = heads.borrow_and_update().clone();
        lock(&net.record).show(id, head.catalog.revision(), Digest::of(&head.catalog));
        if heads.changed().await.is_err() {
            return;
        }
    }
}

fn last(head: &Head, served: &BTreeSet<&str>) -> Last {
    let catalog = &head.catalog;
    let labels = catalog.accounts().filter_map(|account| Some(account.label.as_ref()?.to_string())).collect();
    let idle = deploys(catalog).map(|(label, _)| label).filter(|label| !served.contains(label.as_str())).collect();
    Last { revision: catalog.revision(), digest: Digest::of(catalog), labels, idle }
}
