//! Pure. A tenant.
//!
//! **Owns** what is known about accounts. **Must not know** what an account contains. **Enter at** [`Account`].

use skerry_proto::id::{AccountId, ServiceName};

/// A tenant: the owner of services, namespaces and tokens. Nothing is shared between accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its identity.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// The label between service and cluster domain in its hostnames; `None` only for the first account. It shares one
    /// name space with the first account's services, so that no two hostnames meet.
    pub label: Option<ServiceName>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}
