//! Pure. Whether a node can be removed without harm to the rest.
//!
//! **Owns** the rule that the voters who stay can agree. **Must not know** how nodes are seen or removed. **Enter at**
//! [`check`].
//!
//! Removing cuts a node off at once, since no other takes its calls any more, while raft counts on its vote until the
//! others have agreed to go on without it. So a voter first becomes an edge, which raft agrees on while the node still
//! takes part; only one whose machine is lost is removed as it is, and only when the voters that answer are still enough.

use std::collections::BTreeMap;

use skerry_proto::id::NodeId;

use crate::{
    api::ports::{NodeView, RaftRole},
    catalog::{Node, Noun, Rejection, WhenVoter},
};

/// Fails when `node` has a vote that the others wait for. The catalog knows which nodes should vote, this which ones do.
pub(super) fn check(node: &Node, live: &BTreeMap<NodeId, NodeView>, voter: WhenVoter) -> Result<(), Rejection> {
    let votes = |view: &NodeView| matches!(view.raft, Some(RaftRole::Leader | RaftRole::Voter));
    if !live.get(&node.id).is_some_and(votes) {
        return Ok(());
    }
    let in_use = |by: String| Err(Rejection::InUse { noun: Noun::Node, name: node.name.clone(), by });
    if voter == WhenVoter::Refuse {
        return in_use(
            "raft: it votes; make it an edge and wait until it does not, or use force if the machine is lost"
                .to_owned(),
        );
    }
    let all = live.values().filter(|view| votes(view)).count();
    let others = live.iter().filter(|(id, view)| **id != node.id && votes(view));
    let left = others.filter(|(_, view)| view.alive != Some(false)).count();
    if left > all / 2 {
        return Ok(());
    }
    in_use(format!("raft: without it {left} of {all} voters answer, too few to agree; bring one back first"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{NodeRole, NodeState};

    fn node(id: u64) -> Node {
        Node {
            id: NodeId(id),
            name: format!("n{id}"),
            role: NodeRole::Edge,
            region: String::new(),
            zone: String::new(),
            address: String::new(),
            api: String::new(),
            public_key: [0; 32],
            state: NodeState::Active,
            feature_level: 1,
            build: String::new(),
            joined_at_ms: 0,
            boot: 1,
            admitted_by: None,
        }
    }

    /// Nodes 1, 2, ... of these roles; a dead one in upper case.
    fn nodes(letters: &str) -> BTreeMap<NodeId, NodeView> {
        let view = |letter: char| NodeView {
            alive: Some(letter.is_lowercase()),
            raft: match letter.to_ascii_lowercase() {
                'l' => Some(RaftRole::Leader),
                'v' => Some(RaftRole::Voter),
                'f' => Some(RaftRole::Learner),
                _ => None,
            },
            ..NodeView::default()
        };
        (1..).zip(letters.chars()).map(|(id, letter)| (NodeId(id), view(letter))).collect()
    }

    fn refusal(id: u64, letters: &str, voter: WhenVoter) -> Option<String> {
        check(&node(id), &nodes(letters), voter).err().map(|reason| reason.to_string())
    }

    #[test]
    fn who_does_not_vote_goes_freely() {
        for (id, letters) in [(4, "lvve"), (4, "lVVe"), (4, "lvvf"), (9, "lvv"), (1, "")] {
            assert_eq!(refusal(id, letters, WhenVoter::Refuse), None, "{id} of {letters}");
        }
    }

    #[test]
    fn who_votes_goes_by_force_only_and_is_told_the_gentle_way() {
        for letters in ["lvv", "lvV"] {
            let reason = refusal(3, letters, WhenVoter::Refuse).unwrap();
            assert!(reason.contains("node \"n3\" is in use by raft: it votes; make it an edge"), "{reason}");
            assert_eq!(refusal(3, letters, WhenVoter::Remove), None, "{letters}");
        }
    }

    #[test]
    fn force_does_not_leave_too_few_to_agree() {
        for (id, letters, says) in [
            (1, "lvV", "1 of 3 voters answer"),
            (2, "lvV", "1 of 3 voters answer"),
            (1, "l", "0 of 1 voters answer"),
            (1, "lf", "0 of 1 voters answer"),
            (3, "lvvVV", "2 of 5 voters answer"),
        ] {
            let reason = refusal(id, letters, WhenVoter::Remove).unwrap();
            assert!(reason.contains(says), "{id} of {letters}: {reason}");
        }
        assert_eq!(refusal(5, "lvvVV", WhenVoter::Remove), None);
    }
}
