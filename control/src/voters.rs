//! Keeps the right nodes voting.
//!
//! **Owns** looking, planning and performing, on the leader. **Must not know** how many voters there should be; [`plan()`]
//! does. **Enter at** [`run`].

pub mod plan;
mod presence;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use skerry_proto::id::NodeId;

use self::{
    plan::{Plan, Presence, Step, View, Wait, plan},
    presence::{Answer, Attendance},
};
use crate::{
    catalog::{Catalog, NodeRole, NodeState},
    clock,
    raft::{ChangeError, Raft, RaftStatus},
    seat::Seat,
    state::States,
};

/// How often the members are looked at besides every change of the catalog; a learner catches up without one.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Performs what [`plan()`] says whenever this node leads, for as long as it runs.
pub(crate) async fn run(seat: Seat, states: Arc<States>) {
    let (mut states, mut lead) = (states.watch(), Lead::default());
    loop {
        match seat.raft().filter(|raft| raft.leads()) {
            Some(raft) => lead.look(&raft).await,
            None => lead = Lead::default(),
        }
        // Woken by a change or by the clock; whichever, it looks.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, states.changed()).await {
            return;
        }
    }
}

/// What a leader remembers between two looks.
#[derive(Debug, Default)]
struct Lead {
    attendance: Attendance,
    /// Why nothing was done when it looked last.
    waits: Option<Wait>,
}

impl Lead {
    async fn look(&mut self, raft: &Raft) {
        let status = raft.status();
        let catalog = raft.catalog();
        if catalog.nodes().next().is_none() {
            // A cluster of one node without a mesh has no entries for nodes.
            return;
        }
        let answers = self.attendance.look(clock::monotonic(), status.term, raft.patience(), &raft.answered());
        let planned = plan(&view(&catalog, &status, &answers));
        let waits = if let Plan::Wait(wait) = &planned { Some(wait.clone()) } else { None };
        if waits != self.waits {
            say(waits.as_ref(), &status);
            self.waits = waits;
        }
        if let Plan::Take(step) = planned {
            tracing::info!(?step, voters = ?status.voters, learners = ?status.learners, "the members change");
            take(raft, &step).await;
        }
    }
}

/// Says why other nodes should vote and do not.
fn say(waits: Option<&Wait>, status: &RaftStatus) {
    let voters = &status.voters;
    match waits {
        None | Some(Wait::Unheard(_)) => tracing::debug!(?waits, ?voters, "the members"),
        Some(Wait::Behind(nodes)) => {
            tracing::info!(?nodes, ?voters, "the voters stay until these nodes answer and have caught up");
        }
        Some(Wait::NoQuorum) => tracing::warn!(?voters, "the voters stay: fewer than a majority of them answer"),
        Some(Wait::NobodyElse) => {
            tracing::warn!(?voters, "the voters stay: nobody that answers could vote in place of those who shall go");
        }
    }
}

async fn take(raft: &Raft, step: &Step) {
    match perform(raft, step).await {
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

fn view(catalog: &Catalog, status: &RaftStatus, answers: &BTreeMap<NodeId, Answer>) -> View {
    let of = |state: NodeState| {
        let nodes = catalog.nodes().filter(move |node| node.role == NodeRole::Voter && node.state == state);
        nodes.map(|node| (node.id, node.address.clone())).collect()
    };
    let last = status.last_log_index.unwrap_or(0);
    let behind = |node: &NodeId| status.replicated.get(node).copied().flatten().map(|upto| last.saturating_sub(upto));
    let presence = |(node, answer): (&NodeId, &Answer)| match answer {
        Answer::Unheard => (*node, Presence::Unheard),
        Answer::Silent => (*node, Presence::Silent),
        Answer::Heard => (*node, Presence::Answers { behind: behind(node) }),
    };
    View {
        leader: status.node,
        willing: of(NodeState::Active),
        draining: of(NodeState::Draining),
        edges: catalog.nodes().filter(|node| node.role == NodeRole::Edge).map(|node| node.id).collect(),
        voters: status.voters.iter().copied().collect(),
        learners: status.learners.iter().copied().collect(),
        presence: answers.iter().map(presence).collect(),
    }
}
