//! Keeps the right nodes voting.
//!
//! **Owns** looking, planning and performing, on the leader. **Must not know** how many voters there should be; [`plan()`]
//! does. **Enter at** [`run`].

pub mod plan;

use std::{sync::Arc, time::Duration};

use self::plan::{Step, View, plan};
use crate::{
    catalog::{Catalog, NodeRole, NodeState},
    raft::{ChangeError, Raft, RaftStatus},
    seat::Seat,
    state::States,
};

/// How often the members are looked at besides every change of the catalog; a learner catches up without one.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Performs what [`plan()`] says whenever this node leads, for as long as it runs.
pub(crate) async fn run(seat: Seat, states: Arc<States>) {
    let mut states = states.watch();
    loop {
        if let Some(raft) = seat.raft().filter(|raft| raft.leads()) {
            look(&raft).await;
        }
        // Woken by a change or by the clock; whichever, it looks.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, states.changed()).await {
            return;
        }
    }
}

async fn look(raft: &Raft) {
    let status = raft.status();
    let catalog = raft.catalog();
    if catalog.nodes().next().is_none() {
        // A cluster of one node without a mesh has no entries for nodes.
        return;
    }
    let Some(step) = plan(&view(&catalog, &status)) else { return };
    tracing::info!(?step, voters = ?status.voters, learners = ?status.learners, "the members change");
    match perform(raft, &step).await {
        Ok(()) => {}
        Err(error @ (ChangeError::NotLeader | ChangeError::Conflict { .. })) => {
            tracing::debug!(%error, ?step, "the members did not change");
        }
        Err(error) => tracing::warn!(%error, ?step, "the members did not change"),
    }
}

async fn perform(raft: &Raft, step: &Step) -> Result<(), ChangeError> {
    match step {
        Step::AddLearner { node, address } => raft.add_learner(*node, address).await,
        Step::SetVoters(voters) => raft.set_voters(voters).await,
        Step::Transfer { to } => raft.transfer_lead(*to).await,
        Step::Drop(node) => raft.remove_learner(*node).await,
    }
}

fn view(catalog: &Catalog, status: &RaftStatus) -> View {
    let willing = catalog.nodes().filter(|node| node.role == NodeRole::Voter && node.state == NodeState::Active);
    let last = status.last_log_index.unwrap_or(0);
    let behind = |node| status.replicated.get(&node).copied().flatten().map(|upto| last.saturating_sub(upto));
    View {
        leader: status.node,
        willing: willing.map(|node| (node.id, node.address.clone())).collect(),
        voters: status.voters.iter().copied().collect(),
        learners: status.learners.iter().map(|node| (*node, behind(*node))).collect(),
    }
}
