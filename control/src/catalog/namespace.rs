//! Pure. A KV namespace: a name for a set of keys.
//!
//! **Owns** what the catalog knows about a namespace. **Must not know** its entries. **Enter at** [`Namespace`].

use skerry_proto::id::{AccountId, NamespaceId};

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
}
