//! Pure. A KV namespace: a name for a set of keys, which one node keeps.
//!
//! **Owns** what the catalog knows about a namespace, and which node is its home. **Must not know** its entries. **Enter
//! at** [`Namespace`].

use std::sync::Arc;

use skerry_proto::id::{AccountId, NamespaceId, NodeId};

use super::{AuditAction, Catalog};

/// A KV namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its identity, unique in the cluster.
    pub id: NamespaceId,
    /// Its owner.
    pub account: AccountId,
    /// What people call it, unique in the account, 1 to 512 bytes.
    pub title: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The node that keeps its entries. It may have been removed by force since; its id is never used again.
    pub home: NodeId,
}

impl Namespace {
    /// The home of namespaces from before there were several nodes.
    pub const FIRST_HOME: NodeId = NodeId(1);
    /// What the audit log calls the removal of a namespace, and the detail of it that [`Catalog::last_home`] reads.
    pub(super) const DELETED: (&str, &str) = ("kv_namespace.delete", "home");
}

impl Catalog {
    /// The KV namespaces of all accounts whose entries a node keeps, in the order of their identities.
    pub fn namespaces_at(&self, home: NodeId) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.values().filter(move |namespace| namespace.home == home)
    }

    /// The home of a namespace that was deleted, for as long as the audit log remembers: its entries go after it.
    #[must_use]
    pub fn last_home(&self, id: &NamespaceId) -> Option<NodeId> {
        let (action, home) = Namespace::DELETED;
        let detail = |of: &AuditAction, name: &str| {
            of.detail.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
        };
        let mut actions = self.audit().rev().flat_map(|entry| entry.actions.iter());
        let deleted = actions.find(|of| of.action == action && detail(of, "id").as_deref() == Some(id.as_str()))?;
        Some(detail(deleted, home).and_then(|home| home.parse().ok()).map_or(Namespace::FIRST_HOME, NodeId))
    }
}
