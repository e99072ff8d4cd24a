//! Pure. Who should vote, and the next step on the way there.
//!
//! **Owns** how many voters there are and in which order they change. **Must not know** raft, clocks, sockets. **Enter at**
//! [`plan`].
//!
//! ```text
//! unknown --AddLearner--> learner --SetVoters (all new ones caught up)--> voter
//!                            ^                                              |
//!                            `------- SetVoters (without it) --------------'
//! learner --Drop (no node any more, or an edge)--> unknown
//! ```
//! - One step at a time; the next one is planned from what the step before has made.
//! - A leader that shall not vote any more hands the lead over before it is left out.

use std::collections::{BTreeMap, BTreeSet};

use skerry_proto::id::NodeId;

/// BOUND: voters; two may fail out of five, and each further one slows every write.
pub const VOTERS_MAX: usize = 5;
/// BOUND: log entries that a learner may be behind when it becomes a voter. Fewer might never be reached under load; more
/// would leave the new quorum waiting.
pub const CAUGHT_UP_ENTRIES: u64 = 100;

/// What the leader knows of the voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The leader, who plans.
    pub leader: NodeId,
    /// Nodes that ask to vote, with their mesh addresses; draining ones are not among them.
    pub willing: BTreeMap<NodeId, String>,
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who listens, and how many log entries each is behind; `None` when that is not known.
    pub learners: BTreeMap<NodeId, Option<u64>>,
}

/// One change of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A node begins to get the log.
    AddLearner {
        /// Which.
        node: NodeId,
        /// Its mesh address.
        address: String,
    },
    /// Exactly these vote from now on.
    SetVoters(BTreeSet<NodeId>),
    /// The leader hands over.
    Transfer {
        /// To whom.
        to: NodeId,
    },
    /// A node gets no log any more.
    Drop(NodeId),
}

/// The next step, or `None` when nothing is to be done now.
#[must_use]
pub fn plan(view: &View) -> Option<Step> {
    let leftover = view.learners.keys().find(|node| !view.willing.contains_key(node));
    if let Some(node) = leftover {
        return Some(Step::Drop(*node));
    }
    let known = |node: &NodeId| view.voters.contains(node) || view.learners.contains_key(node);
    if let Some((node, address)) = view.willing.iter().find(|(node, _)| !known(node)) {
        return Some(Step::AddLearner { node: *node, address: address.clone() });
    }
    let wanted = wanted(view)?;
    if wanted == view.voters {
        return None;
    }
    let ready = |node: &NodeId| {
        view.voters.contains(node)
            || view.learners.get(node).is_some_and(|behind| behind.is_some_and(|behind| behind <= CAUGHT_UP_ENTRIES))
    };
    if !wanted.iter().all(ready) {
        return None;
    }
    if !wanted.contains(&view.leader)
        && let Some(to) = wanted.intersection(&view.voters).next()
    {
        return Some(Step::Transfer { to: *to });
    }
    Some(Step::SetVoters(wanted))
}

/// The largest odd number of willing nodes: an even number tolerates no more failures than one less. Those who vote already
/// stay, so that nothing moves without need. `None` when nobody is willing.
fn wanted(view: &View) -> Option<BTreeSet<NodeId>> {
    let count = view.willing.len().min(VOTERS_MAX);
    let count = if count.is_multiple_of(2) { count.saturating_sub(1) } else { count };
    if count == 0 {
        return None;
    }
    let stays = view.willing.keys().filter(|node| view.voters.contains(node));
    let comes = view.willing.keys().filter(|node| !view.voters.contains(node));
    Some(stays.chain(comes).take(count).copied().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(leader: u64, willing: &[u64], voters: &[u64], learners: &[(u64, u64)]) -> View {
        View {
            leader: NodeId(leader),
            willing: willing.iter().map(|id| (NodeId(*id), format!("node-{id}:1"))).collect(),
            voters: voters.iter().map(|id| NodeId(*id)).collect(),
            learners: learners.iter().map(|(id, behind)| (NodeId(*id), Some(*behind))).collect(),
        }
    }

    fn voters(ids: &[u64]) -> Option<Step> {
        Some(Step::SetVoters(ids.iter().map(|id| NodeId(*id)).collect()))
    }

    #[test]
    fn a_second_voter_waits_for_a_third() {
        assert_eq!(plan(&view(1, &[1, 2], &[1], &[(2, 0)])), None);
        assert_eq!(plan(&view(1, &[1, 2, 3], &[1], &[(2, 0), (3, 0)])), voters(&[1, 2, 3]));
    }

    #[test]
    fn a_learner_that_is_behind_does_not_vote_yet() {
        assert_eq!(plan(&view(1, &[1, 2, 3], &[1], &[(2, 0), (3, 101)])), None);
        let mut unknown = view(1, &[1, 2, 3], &[1], &[(2, 0), (3, 0)]);
        unknown.learners.insert(NodeId(3), None);
        assert_eq!(plan(&unknown), None);
    }

    #[test]
    fn a_leader_that_shall_not_vote_hands_over_first() {
        assert_eq!(plan(&view(1, &[2, 3, 4], &[1, 2, 3], &[(4, 0)])), Some(Step::Transfer { to: NodeId(2) }));
        assert_eq!(plan(&view(2, &[2, 3, 4], &[1, 2, 3], &[(4, 0)])), voters(&[2, 3, 4]));
    }

    #[test]
    fn a_removed_node_leaves_and_is_dropped() {
        assert_eq!(plan(&view(1, &[1, 2], &[1, 2, 3], &[])), voters(&[1]));
        assert_eq!(plan(&view(1, &[1, 2], &[1], &[(2, 0), (3, 5)])), Some(Step::Drop(NodeId(3))));
    }

    /// What a step does to the members when it succeeds.
    fn perform(view: &mut View, step: Step) {
        match step {
            Step::AddLearner { node, .. } => drop(view.learners.insert(node, Some(0))),
            Step::Transfer { to } => view.leader = to,
            Step::Drop(node) => drop(view.learners.remove(&node)),
            Step::SetVoters(voters) => {
                let left: Vec<NodeId> = view.voters.difference(&voters).copied().collect();
                view.learners.extend(left.into_iter().map(|node| (node, Some(0))));
                view.learners.retain(|node, _| !voters.contains(node));
                view.voters = voters;
                if !view.voters.contains(&view.leader) {
                    view.leader = *view.voters.first().expect("a plan has voters");
                }
            }
        }
    }

    fn ids() -> impl Strategy<Value = BTreeSet<u64>> {
        prop::collection::btree_set(1..9_u64, 1..8)
    }

    proptest! {
        #[test]
        fn every_plan_ends_with_an_odd_number_of_willing_voters(willing in ids(), now in ids(), listening in ids()) {
            let list = |ids: &BTreeSet<u64>| ids.iter().copied().collect::<Vec<_>>();
            let learners: Vec<(u64, u64)> = listening.difference(&now).map(|id| (*id, 0)).collect();
            let mut view = view(*now.first().expect("not empty"), &list(&willing), &list(&now), &learners);
            let mut steps = 0;
            while let Some(step) = plan(&view) {
                perform(&mut view, step);
                steps += 1;
                prop_assert!(steps < 40, "the plan goes in circles: {view:?}");
                prop_assert!(view.voters.contains(&view.leader));
            }
            prop_assert_eq!(view.voters.len() % 2, 1);
            prop_assert!(view.voters.iter().all(|node| view.willing.contains_key(node)));
            prop_assert!(view.learners.keys().all(|node| view.willing.contains_key(node)));
            prop_assert_eq!(view.voters.len() + view.learners.len(), view.willing.len());
        }
    }
}
