//! Who votes, who listens, and how that changes.
//!
//! **Owns** the way to openraft's membership changes, each with the membership that it expects. **Must not know** who should
//! vote; `voters` plans that. **Enter at** [`Raft::status`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openraft::{
    BasicNode, ChangeMembers, Instant as _, ServerState,
    async_runtime::watch::WatchReceiver as _,
    errors::{ClientWriteError, RaftError},
    impls::leader_id_adv::LeaderId,
    raft::Precondition,
};
use skerry_proto::id::NodeId;

use super::{Raft, TypeConfig, type_config::LogId};

/// BOUND: how long a leader that stops waits for the next one; an election takes up to two seconds.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);

/// How this node sees the agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftStatus {
    /// This node.
    pub node: NodeId,
    /// Who leads, as far as this node knows; nobody once the leader, or on the leader a majority, was not heard for a while.
    pub leader: Option<NodeId>,
    /// The term.
    pub term: u64,
    /// The last log entry on this node's disk.
    pub last_log_index: Option<u64>,
    /// The last log entry that this node has applied.
    pub applied_index: Option<u64>,
    /// The last log entry that the newest snapshot contains.
    pub snapshot_index: Option<u64>,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// Who gets the log without voting.
    pub learners: Vec<NodeId>,
    /// On the leader: up to which log entry each other member has the log. Empty elsewhere.
    pub replicated: BTreeMap<NodeId, Option<u64>>,
}

/// Why the members did not change. State: unchanged, or unknown where said. Retry: after looking again.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Another node leads. State: unchanged. Retry: there.
    #[error("this node does not lead")]
    NotLeader,
    /// The members are not the ones that the caller saw, or a change is under way. State: unchanged. Retry: after looking.
    #[error("the members have changed meanwhile: {reason}")]
    Conflict {
        /// What raft says.
        reason: String,
    },
    /// Raft gave no answer in time, or another leader's log took the place of this one's, which may yet hold the change. State:
    /// unknown. Retry: after looking.
    #[error("the change of members has no outcome yet: {reason}")]
    Unknown {
        /// Why.
        reason: String,
    },
}

impl RaftStatus {
    /// Whether this node leads, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leader == Some(self.node)
    }

    fn of(metrics: &Metrics) -> Self {
        let ids = |ids: &mut dyn Iterator<Item = u64>| ids.map(NodeId).collect();
        let membership = metrics.membership_config.membership();
        let replicated = metrics.replication.iter().flatten();
        Self {
            node: NodeId(metrics.id),
            // A node that leads by its own account only is a candidate.
            leader: metrics.current_leader.map(NodeId),
            term: metrics.current_term,
            last_log_index: metrics.last_log_index,
            applied_index: metrics.last_applied.map(|log_id| log_id.index),
            snapshot_index: metrics.snapshot.map(|log_id| log_id.index),
            voters: ids(&mut membership.voter_ids()),
            learners: ids(&mut membership.learner_ids()),
            replicated: replicated.map(|(id, upto)| (NodeId(*id), upto.map(|upto| upto.index))).collect(),
        }
    }
}

fn quorum_age(metrics: &Metrics) -> Option<Duration> {
    let acked = metrics.last_quorum_acked.filter(|_| metrics.state == ServerState::Leader);
    acked.map(|at| at.elapsed())
}

fn speaks(metrics: &Metrics, patience: Duration) -> bool {
    // The first entry of a leader's own comes after everything that was agreed on under the ones before it.
    let is_own = |entry: LogId| entry.leader_id == LeaderId { term: metrics.current_term, node_id: metrics.id };
    metrics.state == ServerState::Leader
        && metrics.last_applied.is_some_and(is_own)
        && (is_alone(metrics) || quorum_age(metrics).is_some_and(|age| age <= patience))
}

/// Whether this node is the only voter, which has nobody to hear.
pub(super) fn is_alone(metrics: &Metrics) -> bool {
    metrics.membership_config.membership().voter_ids().eq([metrics.id])
}

/// Whether no change of members is under way.
fn is_settled(metrics: &Metrics) -> bool {
    let config = &metrics.membership_config;
    let is_agreed = *config.log_id() <= metrics.last_applied;
    config.membership().get_joint_config().len() == 1 && is_agreed
}

impl Raft {
    /// How this node sees the agreement.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        let status = RaftStatus::of(&self.raft.metrics().borrow_watched());
        // openraft goes on naming a leader that has fallen silent, itself included.
        let is_heard = self.is_alone() || self.leader_age().is_some_and(|age| age <= self.patience());
        RaftStatus { leader: status.leader.filter(|_| is_heard), ..status }
    }

    /// Waits for something new in [`Raft::status`]; `false` when raft has stopped.
    pub async fn changed(&self) -> bool {
        let mut metrics = self.raft.server_metrics();
        metrics.changed().await.is_ok()
    }

    /// Whether this node leads and a quorum has confirmed it since this was called (read index): nobody else can have
    /// agreed on anything that this node does not know.
    pub async fn is_current(&self, within: Duration) -> bool {
        let confirmed = self.raft.ensure_linearizable(openraft::ReadPolicy::ReadIndex);
        matches!(tokio::time::timeout(within, confirmed).await, Ok(Ok(_)))
    }

    /// Whether this node speaks for the cluster: it leads, a majority has confirmed that a moment ago, and it has applied all
    /// that was agreed on before it did, so that what it knows decides.
    #[must_use]
    pub fn leads(&self) -> bool {
        let (patience, metrics) = (self.patience(), self.raft.metrics());
        speaks(&metrics.borrow_watched(), patience)
    }

    /// Whether this node was elected, and no other one since, as far as it knows. The others may have done so without it.
    pub(crate) fn is_elected(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    /// Whether this node is the only voter.
    pub(super) fn is_alone(&self) -> bool {
        is_alone(&self.raft.metrics().borrow_watched())
    }

    /// On the leader: how long ago a quorum has confirmed it; `None` elsewhere.
    #[must_use]
    pub fn quorum_age(&self) -> Option<Duration> {
        quorum_age(&self.raft.metrics().borrow_watched())
    }

    /// A new listener, or another address for one.
    pub async fn add_learner(&self, node: NodeId, address: &str) -> Result<(), ChangeError> {
        let nodes = BTreeMap::from([(node.0, BasicNode { addr: address.to_owned() })]);
        self.change(ChangeMembers::AddNodes(nodes)).await
    }

    /// Exactly these vote; voters that do not any more go on listening.
    pub async fn set_voters(&self, voters: &BTreeSet<NodeId>) -> Result<(), ChangeError> {
        let voters = voters.iter().map(|node| node.0).collect();
        self.change(ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// A listener that gets no log any more.
    pub async fn remove_learner(&self, node: NodeId) -> Result<(), ChangeError> {
        self.change(ChangeMembers::RemoveNodes([node.0].into())).await
    }

    /// Hands the lead to another voter; returns once it is asked for.
    pub async fn transfer_lead(&self, to: NodeId) -> Result<(), ChangeError> {
        let asked = self.raft.trigger().transfer_leader(to.0).await;
        asked.map_err(|error| ChangeError::Unknown { reason: error.to_string() })
    }

    /// Hands the lead, where this node has it, to the voter that has most of the log, and waits a moment until it is gone:
    /// whoever stops on purpose leaves no second without a leader.
    pub(crate) async fn step_down(&self) {
        if !self.is_elected() || self.status().voters.len() < 2 {
            return;
        }
        // Half way through a change of members two majorities count, and without this node there may be none of the old ones.
        let settled = |metrics: &Metrics| is_settled(metrics);
        let unchanged = self.raft.wait(Some(HANDOVER_TIMEOUT)).metrics(settled, "the members are settled").await;
        if let Err(error) = unchanged {
            tracing::warn!(%error, "this node stops while the voters are changing");
        }
        let status = self.status();
        let others = status.voters.iter().filter(|voter| **voter != self.node);
        let Some(next) = others.max_by_key(|voter| status.replicated.get(voter).copied().flatten()) else { return };
        if let Err(error) = self.transfer_lead(*next).await {
            tracing::debug!(%error, "the lead was not handed over");
            return;
        }
        let gone = |metrics: &Metrics| metrics.current_leader != Some(self.node.0);
        let handed_over = self.raft.wait(Some(HANDOVER_TIMEOUT)).metrics(gone, "another node leads").await;
        tracing::info!(to = %next, is_done = handed_over.is_ok(), "this node hands over the lead");
    }

    async fn change(&self, change: ChangeMembers<u64, BasicNode>) -> Result<(), ChangeError> {
        let seen = *self.raft.metrics().borrow_watched().membership_config.log_id();
        let expected = Precondition::LastMembershipLogId { last_membership_log_id: seen };
        let changing = self.raft.change_membership_if(change, true, [expected]);
        match tokio::time::timeout(self.propose_timeout, changing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(error))) => Err(not_written(&error)),
            Ok(Err(RaftError::Fatal(error))) => Err(ChangeError::Unknown { reason: error.to_string() }),
            Err(_) => Err(ChangeError::Unknown { reason: "no answer in time".to_owned() }),
        }
    }
}

/// What it means for a change that raft does not answer it with success.
fn not_written(error: &ClientWriteError<TypeConfig>) -> ChangeError {
    let reason = error.to_string();
    match error {
        ClientWriteError::ForwardToLeader(_) => ChangeError::NotLeader,
        // Whoever leads now may have the entry, and agree on it.
        ClientWriteError::LogEntryDiscarded(_) => ChangeError::Unknown { reason },
        _ => ChangeError::Conflict { reason },
    }
}

type Metrics = openraft::RaftMetrics<TypeConfig>;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openraft::{
        errors::{ChangeMembershipError, EmptyMembership, ForwardToLeader},
        metrics::SerdeInstant,
        type_config::TypeConfigExt as _,
    };

    use super::{super::type_config::StoredMembership, *};

    #[test]
    fn a_leader_speaks_once_it_has_an_entry_of_its_own_and_while_a_majority_answers() {
        let patience = Duration::from_secs(2);
        let entry = |term, node_id| Some(LogId { leader_id: LeaderId { term, node_id }, index: 7 });
        let answered = |ago: Duration| Some(SerdeInstant::new(TypeConfig::now() - ago));
        let mut metrics = Metrics::new_initial(1);
        let voters = openraft::Membership::new_with_defaults(vec![BTreeSet::from([1, 2, 3])], []);
        metrics.membership_config = Arc::new(StoredMembership::new(entry(1, 1), voters));
        (metrics.state, metrics.current_term) = (ServerState::Leader, 3);
        (metrics.last_applied, metrics.last_quorum_acked) = (entry(2, 2), answered(Duration::ZERO));
        assert!(!speaks(&metrics, patience), "what was agreed on before may not be here yet");
        metrics.last_applied = entry(3, 1);
        assert!(speaks(&metrics, patience));
        metrics.last_quorum_acked = answered(2 * patience);
        assert!(!speaks(&metrics, patience), "another one may lead");
        metrics.last_quorum_acked = None;
        assert!(!speaks(&metrics, patience));
        metrics.last_quorum_acked = answered(Duration::ZERO);
        metrics.state = ServerState::Follower;
        assert!(!speaks(&metrics, patience));
    }

    #[test]
    fn a_change_whose_entry_was_discarded_has_no_known_outcome() {
        let discarded = ClientWriteError::LogEntryDiscarded(ForwardToLeader::empty());
        assert!(matches!(not_written(&discarded), ChangeError::Unknown { .. }));
        let forwarded = ClientWriteError::ForwardToLeader(ForwardToLeader::empty());
        assert!(matches!(not_written(&forwarded), ChangeError::NotLeader));
        let refused = ChangeMembershipError::EmptyMembership(EmptyMembership {});
        assert!(matches!(not_written(&refused.into()), ChangeError::Conflict { .. }));
    }
}
