//! Whether this node takes part in raft, for those who ask it to.
//!
//! **Owns** the one place that says so; it changes when the node's role does. **Must not know** why. **Enter at** [`Seat`].

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use skerry_proto::id::NodeId;

use crate::{
    catalog::{Catalog, NodeRole, NodeState},
    raft::Raft,
};

/// Raft on a node with the voter's role, nothing on an edge. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seat {
    raft: Arc<ArcSwapOption<Raft>>,
}

impl Seat {
    /// Raft, when this node takes part.
    pub(crate) fn raft(&self) -> Option<Arc<Raft>> {
        self.raft.load_full()
    }

    /// Takes part from now on.
    pub(crate) fn take(&self, raft: Raft) {
        self.raft.store(Some(Arc::new(raft)));
    }

    /// Whether this node speaks for the cluster, as [`Raft::leads`] has it.
    pub(crate) fn leads(&self) -> bool {
        self.raft().is_some_and(|raft| raft.leads())
    }

    /// Whom to ask for a change when this node does not lead: the leader where it is known, else the nodes that may vote. One
    /// that was elected itself, and speaks for nobody yet or any more, asks those, too.
    pub(crate) fn ask_next(&self, own: NodeId, catalog: &Catalog) -> Vec<NodeId> {
        let leader = self.raft().and_then(|raft| raft.status().leader);
        if let Some(leader) = leader.filter(|leader| *leader != own) {
            return vec![leader];
        }
        let may_lead = |state| if state == NodeState::Active { 0 } else { 1 };
        let voters = catalog.nodes().filter(|node| node.role == NodeRole::Voter && node.id != own);
        let mut voters: Vec<_> = voters.map(|node| (may_lead(node.state), node.id)).collect();
        voters.sort_unstable();
        voters.into_iter().map(|(_, id)| id).collect()
    }
}
