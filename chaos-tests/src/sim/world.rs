//! The voters of a simulation.
//!
//! **Owns** starting, crashing and healing them, and noting what they show. **Must not know** what is proposed. **Enter at**
//! [`World`].

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use skerry_control::{
    raft::{Raft, RaftConfig},
    state::{Head, States},
};
use skerry_proto::id::NodeId;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{
    AGREE_TIMEOUT,
    net::{End, Net, lock},
    plan::{Fault, Kind},
    record::{Last, Record},
};

/// A tenth of what voters use, so that a run of seconds has as many elections as one of a minute.
const HEARTBEAT: Duration = Duration::from_millis(25);
const PROPOSE_TIMEOUT: Duration = Duration::from_millis(600);
const PAUSE: Duration = Duration::from_millis(10);

/// Voters and the network between them.
pub(super) struct World {
    pub(super) net: Arc<Net>,
    folders: BTreeMap<NodeId, TempDir>,
    logs_per_snapshot: u64,
    observers: std::sync::Mutex<JoinSet<()>>,
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

impl World {
    /// Node 1 founds a cluster, in which all vote in the end.
    pub(super) async fn start(voters: usize, logs_per_snapshot: u64, seed: u64) -> Result<Self> {
        let (net, observers) = (Arc::new(Net::new(seed)), std::sync::Mutex::default());
        let mut world = Self { net, folders: BTreeMap::new(), logs_per_snapshot, observers };
        let ids: BTreeSet<NodeId> = (1..=voters as u64).map(NodeId).collect();
        for id in &ids {
            world.folders.insert(*id, tempfile::tempdir().context("make a folder")?);
            world.boot(*id, Shows::WhenRecovered).await?;
        }
        let first = world.net.node(NodeId(1)).context("node 1 was started")?;
        first.found().await?;
        first.recover(Duration::ZERO).await?;
        for id in ids.iter().skip(1) {
            first.add_learner(*id, "memory").await?;
        }
        first.set_voters(&ids).await?;
        Ok(world)
    }

    /// Starts a node on what it has written.
    pub(super) async fn boot(&self, id: NodeId, shows: Shows) -> Result<()> {
        let config = RaftConfig {
            data_dir: self.folder(id).to_owned(),
            node: id,
            propose_timeout: PROPOSE_TIMEOUT,
            logs_per_snapshot: self.logs_per_snapshot,
            heartbeat: HEARTBEAT,
        };
        let states = Arc::new(States::new(Head::default()));
        let end = Arc::new(End { from: id, net: Arc::clone(&self.net) });
        let raft = Raft::start(config, Arc::clone(&states), end).await.with_context(|| format!("start {id}"))?;
        self.net.plug(id, raft.clone());
        let record = Arc::clone(&self.net.record);
        lock(&self.observers).spawn(async move {
            if shows == Shows::WhenRecovered && !raft.recover(AGREE_TIMEOUT).await.unwrap_or(false) {
                return;
            }
            let mut heads = states.watch_heads();
            loop {
                let head = heads.borrow_and_update().clone();
                lock(&record).show(id, head.catalog.revision(), head.digest);
                if heads.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// The node hears and says nothing any more, whatever it was doing; what it has written stays.
    pub(super) async fn crash(&self, id: NodeId) {
        if let Some(raft) = self.net.unplug(id) {
            raft.shutdown().await;
        }
    }

    /// Where a node writes.
    pub(super) fn folder(&self, id: NodeId) -> &Path {
        self.folders[&id].path()
    }

    pub(super) async fn put_through(&self, fault: &Fault) -> Result<()> {
        match &fault.kind {
            Kind::Split(some) => self.split(&some.iter().map(|id| NodeId(*id)).collect()),
            Kind::Behead => {
                if let Some((leader, _)) = self.net.nodes().into_iter().find(|(_, raft)| raft.leads()) {
                    self.split(&BTreeSet::from([leader]));
                }
            }
            Kind::OneWay(from, to) => self.net.cut(NodeId(*from), NodeId(*to)),
            Kind::Noise { loss_percent, delay_ms } => self.net.disturb(*loss_percent, *delay_ms),
            Kind::Crash(some) => {
                for id in some {
                    self.crash(NodeId(*id)).await;
                }
            }
        }
        tokio::time::sleep(fault.lasts).await;
        self.heal().await
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
            if self.net.node(*id).is_none() {
                self.boot(*id, Shows::WhenRecovered).await?;
            }
        }
        Ok(())
    }

    /// Waits until one leads, its commands are taken, and all have the same; or until it is late.
    pub(super) async fn agree(&self, within: Duration) {
        let agreeing = async {
            loop {
                for (_, raft) in self.net.nodes() {
                    let Some(command) = super::work::command("last") else { return };
                    // The second time the label is taken, which shows as well that it is in the catalog.
                    let _ = raft.propose(command).await;
                }
                let finals: Vec<Last> = self.finals().into_values().collect();
                let is_taken = finals.iter().all(|last| last.labels.contains("last"));
                if is_taken && finals.iter().all(|last| *last == finals[0]) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        // The invariants say what is missing.
        let _ = tokio::time::timeout(within, agreeing).await;
    }

    fn finals(&self) -> BTreeMap<NodeId, Last> {
        self.net.nodes().into_iter().map(|(id, raft)| (id, last(&raft))).collect()
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

fn last(raft: &Raft) -> Last {
    let Head { catalog, digest } = raft.states().head();
    let labels = catalog.accounts().filter_map(|account| Some(account.label.as_ref()?.to_string())).collect();
    Last { revision: catalog.revision(), digest, labels }
}
