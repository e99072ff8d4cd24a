//! Pure. How one authority takes another's place.
//!
//! **Owns** the phases, and when the next one is safe. **Must not know** how nodes are asked. **Enter at** [`phase`] and
//! [`waiting`].
//!
//! ```text
//! [old] --begin--> [old, new] --all trust new--> [new, old] --all are signed by new--> [new]
//!                   Trusting                      Renewing
//! ```
//! The list is the catalog's: the first signs, all are trusted. The phase is read off it, so it survives any leader.
//! - begin: nodes learn to believe certificates of the new one.  - all trust new: the new one signs, and nodes renew at once.
//! - all are signed by new: the old one is believed no more.
//! - a node that is down or does not know the question holds the step up; an operator can force it, and such a node may then
//!   have to join anew.

use std::collections::BTreeMap;

use skerry_proto::id::NodeId;

use crate::{catalog::Authority, peer::trust::Held};

/// What a rotation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nodes learn to trust the new authority.
    Trusting,
    /// Nodes get certificates of the new authority.
    Renewing,
}

impl Phase {
    /// `trusting` or `renewing`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trusting => "trusting",
            Self::Renewing => "renewing",
        }
    }
}

/// A node that a rotation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Which.
    pub(crate) node: NodeId,
    /// Whether it has said anything.
    pub(crate) answers: bool,
}

/// The phase of the rotation that is under way; `None` when there is none.
pub(crate) fn phase(authorities: &[Authority]) -> Option<Phase> {
    let [first, _, ..] = authorities else { return None };
    Some(if newest(authorities) == Some(first) { Phase::Renewing } else { Phase::Trusting })
}

/// Who has not done what the phase is for.
pub(crate) fn waiting(
    phase: Phase,
    authorities: &[Authority],
    nodes: impl Iterator<Item = NodeId>,
    held: &BTreeMap<NodeId, Held>,
) -> Vec<Waiting> {
    let Some(new) = newest(authorities).map(Authority::fingerprint) else { return Vec::new() };
    let is_done = |held: &Held| match phase {
        Phase::Trusting => held.trusts.contains(&new),
        Phase::Renewing => held.signed_by == Some(new),
    };
    let missing = nodes.filter(|node| !held.get(node).is_some_and(is_done));
    missing.map(|node| Waiting { node, answers: held.contains_key(&node) }).collect()
}

/// The authorities after the phase is done.
pub(crate) fn next(phase: Phase, authorities: &[Authority]) -> Vec<Authority> {
    let Some(new) = newest(authorities) else { return Vec::new() };
    match phase {
        Phase::Trusting => {
            let others = authorities.iter().filter(|one| *one != new);
            [new].into_iter().chain(others).cloned().collect()
        }
        Phase::Renewing => vec![new.clone()],
    }
}

fn newest(authorities: &[Authority]) -> Option<&Authority> {
    authorities.iter().max_by_key(|authority| authority.created_at_ms)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::catalog::{Fingerprint, SealScope, Sealed};

    fn authority(name: &str, created_at_ms: i64) -> Authority {
        let certificate = Bytes::copy_from_slice(name.as_bytes());
        let scope = SealScope::mesh_authority(Fingerprint::of(&certificate));
        Authority { certificate, key: Sealed { scope, bytes: Bytes::new() }, created_at_ms }
    }

    fn held(signed_by: &Authority, trusts: &[&Authority]) -> Held {
        let trusts = trusts.iter().map(|one| one.fingerprint()).collect();
        Held { signed_by: Some(signed_by.fingerprint()), trusts }
    }

    #[test]
    fn a_rotation_goes_from_one_authority_to_the_other_in_two_steps() {
        let (old, new) = (authority("old", 1), authority("new", 2));
        assert_eq!(phase(std::slice::from_ref(&old)), None);
        let trusting = [old.clone(), new.clone()];
        assert_eq!(phase(&trusting), Some(Phase::Trusting));
        let renewing = next(Phase::Trusting, &trusting);
        assert_eq!(renewing, [new.clone(), old]);
        assert_eq!(phase(&renewing), Some(Phase::Renewing));
        assert_eq!(next(Phase::Renewing, &renewing), [new]);
    }

    #[test]
    fn every_node_has_to_say_so_before_a_step_is_safe() {
        let (old, new) = (authority("old", 1), authority("new", 2));
        let both = [old.clone(), new.clone()];
        let nodes = || [NodeId(1), NodeId(2), NodeId(3)].into_iter();
        let mut answers = BTreeMap::from([(NodeId(1), held(&old, &[&old, &new])), (NodeId(2), held(&old, &[&old]))]);
        let (slow, silent) = (Waiting { node: NodeId(2), answers: true }, Waiting { node: NodeId(3), answers: false });
        assert_eq!(waiting(Phase::Trusting, &both, nodes(), &answers), [slow, silent]);
        answers.insert(NodeId(2), held(&new, &[&old, &new]));
        answers.insert(NodeId(3), held(&old, &[&new]));
        assert_eq!(waiting(Phase::Trusting, &both, nodes(), &answers), []);
        let first = Waiting { node: NodeId(1), answers: true };
        let third = Waiting { node: NodeId(3), answers: true };
        assert_eq!(waiting(Phase::Renewing, &both, nodes(), &answers), [first, third]);
        for node in nodes() {
            answers.insert(node, held(&new, &[&old, &new]));
        }
        assert_eq!(waiting(Phase::Renewing, &both, nodes(), &answers), []);
    }
}
