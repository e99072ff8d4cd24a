//! Who is a member, and where.
//!
//! **Owns** the answer when the catalog is not here yet. **Must not know** connections. **Enter at** [`Book`].

use std::{collections::BTreeMap, sync::Arc};

use skerry_proto::{id::NodeId, mesh::Member};

use crate::{mesh::Directory, state::States};

/// The catalog's nodes; before there is a catalog, those that were last seen.
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
}

impl Directory for Book {
    fn address(&self, node: NodeId) -> Option<String> {
        let catalog = self.states.catalog();
        let known = catalog.node(node).map(|node| node.address.clone()).filter(|address| !address.is_empty());
        known.or_else(|| self.remembered.get(&node).cloned())
    }

    fn is_member(&self, node: NodeId) -> bool {
        let catalog = self.states.catalog();
        match catalog.nodes().next() {
            Some(_) => catalog.node(node).is_some(),
            None => self.remembered.contains_key(&node),
        }
    }
}
