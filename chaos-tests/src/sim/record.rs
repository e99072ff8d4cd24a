//! Pure. What was seen in a simulation.
//!
//! **Owns** the facts that invariants judge. **Must not know** where they were seen. **Enter at** [`Record`].

use std::collections::{BTreeMap, BTreeSet};

use skerry_control::catalog::Digest;
use skerry_proto::id::{BundleHash, NodeId, Revision};

/// A run.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Whom each voter took entries or heartbeats from, with the term, one after the other.
    pub followed: BTreeMap<NodeId, Vec<(u64, NodeId)>>,
    /// What nodes have shown at each revision.
    pub digests: BTreeMap<Revision, BTreeMap<NodeId, Digest>>,
    /// Revisions in the order in which they were shown.
    pub shown: Vec<(NodeId, Revision)>,
    /// The labels of the commands that were acknowledged.
    pub acknowledged: BTreeSet<String>,
    /// Deploys that nodes began to serve.
    pub served: Vec<Served>,
    /// What each node has in the end.
    pub finals: BTreeMap<NodeId, Last>,
}

/// A node serves a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Which node.
    pub node: NodeId,
    /// The label of the deploy.
    pub label: String,
    /// The code that the catalog names.
    pub wanted: BundleHash,
    /// The code that is served.
    pub code: BundleHash,
}

/// What a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// Its revision.
    pub revision: Revision,
    /// Its state's digest.
    pub digest: Digest,
    /// The labels of the commands in its catalog.
    pub labels: BTreeSet<String>,
    /// The labels of those in it that have code and that it does not serve.
    pub idle: BTreeSet<String>,
}

impl Record {
    /// A voter takes what the leader of a term sends.
    pub fn follow(&mut self, node: NodeId, term: u64, leader: NodeId) {
        let followed = self.followed.entry(node).or_default();
        if followed.last() != Some(&(term, leader)) {
            followed.push((term, leader));
        }
    }

    /// The terms that had a leader.
    #[must_use]
    pub fn terms(&self) -> BTreeSet<u64> {
        self.followed.values().flatten().map(|(term, _)| *term).collect()
    }

    /// A node shows a state.
    pub fn show(&mut self, node: NodeId, revision: Revision, digest: Digest) {
        self.shown.push((node, revision));
        self.digests.entry(revision).or_default().insert(node, digest);
    }

    /// A node serves a deploy.
    pub fn serve(&mut self, node: NodeId, label: String, wanted: BundleHash, code: BundleHash) {
        self.served.push(Served { node, label, wanted, code });
    }

    /// The labels of all deploys that a node has served.
    #[must_use]
    pub fn served_by(&self, node: NodeId) -> BTreeSet<&str> {
        let of_node = self.served.iter().filter(|served| served.node == node);
        of_node.map(|served| served.label.as_str()).collect()
    }
}
