//! Pure. Who changed what, when, from where.
//!
//! **Owns** the audit log's entries. **Must not know** how they are shown. **Enter at** [`AuditEntry`].

use skerry_proto::id::{AccountId, Revision, TokenId};

/// One command that was applied. Secrets and tokens never appear in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The revision that it made: the entry's identity.
    pub revision: Revision,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who did it.
    pub actor: Actor,
    /// The account that it touched; `None` for the cluster itself.
    pub account: Option<AccountId>,
    /// What it did, one for each change, in order.
    pub actions: Vec<AuditAction>,
}

/// One change, in words that can be filtered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditAction {
    /// Noun and verb: `version.upload`, `environment.promote`, `secret.put`, ...
    pub action: String,
    /// What it was done to: `shop/staging`, a hostname, a title.
    pub subject: String,
    /// More about it, by name; never a value of a secret.
    pub detail: Vec<(String, String)>,
}

/// Who asked for a change, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// The token that was used; `None` when the node acted by itself.
    pub token: Option<TokenId>,
    /// The token's name, or what part of the node acted.
    pub name: String,
    /// The address that the call came from; empty for the node itself.
    pub from: String,
    /// The `User-Agent` of the call; empty for the node itself. BOUND: cut to 256 bytes by the API.
    pub agent: String,
}

impl Actor {
    /// The node acting by itself.
    #[must_use]
    pub fn node(part: &str) -> Self {
        Self { name: part.to_owned(), ..Self::default() }
    }
}
