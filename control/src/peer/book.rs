//! Who is a member, and where.
//!
//! **Owns** the answer when the catalog is not here yet, or is an old one. **Must not know** connections. **Enter at** [`Book`].
//!
//! A node's id is the index of the log entry that admitted it and is never used again. So one that the catalog does not list was
//! removed, unless its id is above the catalog's revision: then it may have come since. A node that was away while all voters
//! were replaced would otherwise refuse the very ones that have the newer catalog.

use std::{collections::BTreeMap, sync::Arc};

use skerry_proto::{id::NodeId, mesh::Member};

use crate::{catalog::Catalog, mesh::Directory, state::States};

/// The catalog's nodes and those that may have come since; before there is a catalog, those that were last seen.
#[derive(Debug)]
pub(crate) struct Book {
    states: Arc<States>,
    remembered: BTreeMap<NodeId, String>,
}

impl Book {
    pub(crate) fn new(states: Arc<States>, remembered: &[Member]) -> Self {
        let remembered = remembered.iter().map(|member| (NodeId(member.node_id), member.address.clone())).collect();
        Self { states, remembered }
    }

    fn newest_remembered(&self) -> NodeId {
        self.remembered.last_key_value().map_or(NodeId(0), |(node, _)| *node)
    }
}

impl Directory for Book {
    fn address(&self, node: NodeId) -> Option<String> {
        let catalog = self.states.catalog();
        let known = catalog.node(node).map(|node| node.address.clone()).filter(|address| !address.is_empty());
        let remembered = self.remembered.get(&node).cloned();
        if self.newest_remembered() > knows_upto(&catalog) { remembered.or(known) } else { known.or(remembered) }
    }

    fn is_member(&self, node: NodeId) -> bool {
        let catalog = self.states.catalog();
        match catalog.nodes().next() {
            Some(_) => catalog.node(node).is_some() || node > knows_upto(&catalog),
            None => self.remembered.contains_key(&node) || node > self.newest_remembered(),
        }
    }
}

/// The last id that the catalog would list if the node had not been removed; 0 where it lists no nodes at all.
pub(super) fn knows_upto(catalog: &Catalog) -> NodeId {
    NodeId(catalog.nodes().next().map_or(0, |_| catalog.revision().0))
}

/// Whether a list of members is newer than a catalog, as far as its ids say.
pub(super) fn is_newer(members: &[Member], catalog: &Catalog) -> bool {
    members.iter().any(|member| NodeId(member.node_id) > knows_upto(catalog))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Change, WhenVoter, testing::Lab},
        state::Head,
    };

    fn member(node_id: u64, address: &str) -> Member {
        Member { node_id, address: address.to_owned(), ..Member::default() }
    }

    fn book(catalog: &Catalog, remembered: &[Member]) -> Book {
        let head = Head { catalog: Arc::new(catalog.clone()), ..Head::default() };
        Book::new(Arc::new(States::new(head)), remembered)
    }

    #[test]
    fn who_may_have_come_since_is_a_member_and_who_was_removed_is_none() {
        let mut lab = Lab::new();
        let (first, removed) = (lab.voter("n1"), lab.voter("n2"));
        lab.run(vec![Change::RemoveNode { id: removed, voter: WhenVoter::Remove }]).unwrap();
        let revision = lab.catalog.revision().0;
        let book = book(&lab.catalog, &[member(removed.0, "removed:1")]);
        assert!(book.is_member(first) && !book.is_member(removed));
        assert!(!book.is_member(NodeId(revision)) && book.is_member(NodeId(revision + 1)));
    }

    #[test]
    fn a_newer_list_says_where_members_are() {
        let mut lab = Lab::new();
        let first = lab.voter("n1");
        let late = lab.catalog.revision().0 + 7;
        let newer = [member(first.0, "moved:1"), member(late, "late:1")];
        assert!(is_newer(&newer, &lab.catalog) && !is_newer(&newer[..1], &lab.catalog));
        let addresses = |book: &Book| [first, NodeId(late)].map(|node| book.address(node));
        let (moved, known) = (Some("moved:1".to_owned()), Some("n1.example:7000".to_owned()));
        assert_eq!(addresses(&book(&lab.catalog, &newer)), [moved, Some("late:1".to_owned())]);
        assert_eq!(addresses(&book(&lab.catalog, &newer[..1])), [known, None]);
    }

    #[test]
    fn before_there_is_a_catalog_the_remembered_and_later_ones_are_members() {
        let book = book(&Catalog::default(), &[member(1, "a:1"), member(9, "b:1")]);
        let members = [1, 5, 9, 10].map(|node| book.is_member(NodeId(node)));
        assert_eq!(members, [true, false, true, true]);
    }
}
