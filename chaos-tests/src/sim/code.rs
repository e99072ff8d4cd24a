//! The code of a simulation's deploys: real bundles on real disks, asked for over the network in memory.
//!
//! **Owns** who is asked for what a node does not have, and that what it shows is served with its code. **Must not know** who
//! lies. **Enter at** [`Code`].

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use skerry_control::{
    bundles::{BundleSource, Bundles},
    catalog::Catalog,
    state::States,
};
use skerry_proto::id::{BundleHash, NodeId};

use super::net::{Net, lock};
use crate::rng::Rng;

/// More than all bundles of a run.
const BYTES_MAX: u64 = 64 << 20;
/// How long a node waits before it asks again for code that nobody gave.
const PAUSE: Duration = Duration::from_millis(10);

/// What a node does with bytes that others give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Verifies them, as a real node does.
    Real,
    /// Serves them; a mutation.
    #[cfg_attr(not(test), expect(dead_code, reason = "mutations are made by tests"))]
    Skipped,
}

/// The bundles of all nodes.
pub(super) struct Code {
    net: Arc<Net>,
    nodes: Mutex<BTreeMap<NodeId, Bundles>>,
    rng: Mutex<Rng>,
}

/// Where one node finds what it does not have.
struct Holders {
    node: NodeId,
    code: Weak<Code>,
}

impl Code {
    pub(super) fn new(net: &Arc<Net>, seed: u64) -> Arc<Self> {
        let rng = Mutex::new(Rng::new(seed ^ 0x636f_6465));
        Arc::new(Self { net: Arc::clone(net), nodes: Mutex::default(), rng })
    }

    /// A node's bundles lie under this folder.
    pub(super) fn open(self: &Arc<Self>, node: NodeId, folder: &Path) -> Result<()> {
        let bundles = Bundles::open(folder, BYTES_MAX).context("open the bundles")?;
        bundles.fetch_from(Arc::new(Holders { node, code: Arc::downgrade(self) }));
        lock(&self.nodes).insert(node, bundles);
        Ok(())
    }

    /// Stores code at a node and at one other voter, as an upload does before its version is proposed. `None` when there is no
    /// other that takes it.
    pub(super) async fn store(&self, at: NodeId, bytes: Bytes) -> Option<BundleHash> {
        let voters = self.net.nodes();
        let others = voters.iter().map(|(id, _)| *id).filter(|id| *id != at);
        for other in others {
            let Some(delay) = self.net.carries(at, other) else { continue };
            tokio::time::sleep(delay).await;
            let (own, copy) = (self.bundles(at)?, self.bundles(other)?);
            let hash = own.put(bytes.clone()).await.ok()?;
            return copy.put(bytes).await.ok().filter(|copied| *copied == hash);
        }
        None
    }

    /// Serves every deploy that a node shows, with its code, for as long as this is polled.
    pub(super) async fn serve(&self, node: NodeId, states: Arc<States>, check: Check) {
        let (mut catalogs, mut served) = (states.watch(), BTreeSet::new());
        let Some(bundles) = self.bundles(node) else { return };
        loop {
            let catalog = catalogs.borrow_and_update().clone();
            let deploys: Vec<_> = deploys(&catalog).filter(|(label, _)| !served.contains(label)).collect();
            let mut is_whole = true;
            for (label, hash) in deploys {
                let found = match check {
                    Check::Real => bundles.get_or_fetch(&hash).await.ok().flatten(),
                    Check::Skipped => self.ask(node, &hash).await,
                };
                match found {
                    Some(bytes) => {
                        lock(&self.net.record).serve(node, label.clone(), hash, BundleHash::of(&bytes));
                        served.insert(label);
                    }
                    None => is_whole = false,
                }
            }
            if !is_whole {
                tokio::time::sleep(PAUSE).await;
            } else if catalogs.changed().await.is_err() {
                return;
            }
        }
    }

    /// Asks others in turn, beginning anywhere. What comes is not verified.
    async fn ask(&self, node: NodeId, hash: &BundleHash) -> Option<Bytes> {
        let others: Vec<_> = lock(&self.nodes).keys().copied().filter(|other| *other != node).collect();
        let first = usize::try_from(lock(&self.rng).next_u64() % others.len().max(1) as u64).ok()?;
        for other in others.iter().cycle().skip(first).take(others.len()) {
            let Some(delay) = self.net.carries(node, *other) else { continue };
            tokio::time::sleep(delay).await;
            if self.net.lies(*other, node) {
                return Some(Bytes::from_static(b"not the code"));
            }
            let found = self.bundles(*other)?.get(hash).await;
            if let Ok(Some(bytes)) = found {
                return Some(bytes);
            }
        }
        None
    }

    fn bundles(&self, node: NodeId) -> Option<Bundles> {
        lock(&self.nodes).get(&node).cloned()
    }
}

#[async_trait::async_trait]
impl BundleSource for Holders {
    async fn fetch(&self, hash: &BundleHash) -> Option<Bytes> {
        self.code.upgrade()?.ask(self.node, hash).await
    }
}

/// The deploys in a catalog, each with the hash of its code: accounts that are named after one.
pub(super) fn deploys(catalog: &Catalog) -> impl Iterator<Item = (String, BundleHash)> {
    catalog.accounts().filter_map(|account| Some((account.label.as_ref()?.to_string(), account.name.parse().ok()?)))
}
