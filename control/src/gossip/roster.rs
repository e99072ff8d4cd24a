//! Pure. The nodes that the catalog lists, as far as gossip cares.
//!
//! **Owns** who is removed and who is merely new. **Must not know** the catalog. **Enter at** [`Roster`].

use std::collections::BTreeSet;

use skerry_proto::id::NodeId;

/// How far apart the nodes are, which decides how patient they are with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// All in one region: probes each second.
    #[default]
    Lan,
    /// Several regions: probes every five seconds.
    Wan,
}

/// Every node that the catalog lists.
///
/// Ids are log indexes and never used twice, so an id that is not listed and lies below one that is, or was, belongs to a
/// node that was removed. One above all of them may be a node that joined a moment ago.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    nodes: BTreeSet<NodeId>,
    newest: Option<NodeId>,
    profile: Profile,
}

impl Roster {
    /// These nodes, this one included.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = NodeId>, profile: Profile) -> Self {
        let nodes: BTreeSet<_> = nodes.into_iter().collect();
        Self { newest: nodes.last().copied(), nodes, profile }
    }

    /// `next` in place of this one; the newest node stays known even when it is the one that went.
    #[must_use]
    pub(super) fn followed_by(&self, next: Self) -> Self {
        Self { newest: self.newest.max(next.newest), ..next }
    }

    /// Whether the catalog lists the node.
    #[must_use]
    pub fn lists(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// Whether the node was listed once, or never existed.
    #[must_use]
    pub fn removed(&self, node: NodeId) -> bool {
        Some(node) <= self.newest && !self.lists(node)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// All of them, beginning behind `node`, round to `node` itself.
    pub(super) fn circle_from(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let behind = self.nodes.iter().filter(move |other| **other > node);
        behind.chain(self.nodes.iter().filter(move |other| **other <= node)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(nodes: &[u64]) -> Roster {
        Roster::new(nodes.iter().copied().map(NodeId), Profile::Lan)
    }

    #[test]
    fn an_old_id_that_is_not_listed_was_removed_and_a_higher_one_is_new() {
        let first = roster(&[1, 4, 9]);
        assert!(!first.removed(NodeId(4)) && !first.removed(NodeId(10)) && first.removed(NodeId(5)));
        let second = first.followed_by(roster(&[1, 4]));
        assert!(second.removed(NodeId(9)) && !second.removed(NodeId(10)));
        assert!(!Roster::default().removed(NodeId(1)));
    }

    #[test]
    fn a_circle_visits_everyone_once() {
        let visited: Vec<u64> = roster(&[1, 4, 9]).circle_from(NodeId(4)).map(|node| node.0).collect();
        assert_eq!(visited, [9, 1, 4]);
    }
}
