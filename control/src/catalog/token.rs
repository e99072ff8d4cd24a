//! Pure. What an API token may do.
//!
//! **Owns** scopes. **Must not know** the token itself, only its hash. **Enter at** [`Token`].

use std::{collections::BTreeSet, fmt, str::FromStr};

use skerry_proto::id::{AccountId, TokenId};

/// An API token, known by the hash of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its public identity.
    pub id: TokenId,
    /// The account it is for; `None` for every account and the cluster itself.
    pub account: Option<AccountId>,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Its hash. The token carries 256 random bits, so a plain hash resists guessing.
    pub hash: TokenHash,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// Milliseconds since the Unix epoch; `None` for never.
    pub expires_at_ms: Option<i64>,
}

impl Token {
    /// Whether it is valid at `now_ms` and covers what is asked for.
    #[must_use]
    pub fn allows(&self, now_ms: i64, account: Option<&AccountId>, wanted: Scope) -> bool {
        self.is_current(now_ms)
            && (self.account.is_none() || self.account.as_ref() == account)
            && self.scopes.iter().any(|scope| scope.includes(wanted))
    }

    /// Whether it has not expired at `now_ms`.
    #[must_use]
    pub fn is_current(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_none_or(|expires| now_ms < expires)
    }
}

/// BLAKE3 of a token's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash under which a token is looked up.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(*blake3::hash(token.as_bytes()).as_bytes())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Something that a token may do, written `workers:write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// On what.
    pub resource: Resource,
    /// What.
    pub access: Access,
}

impl Scope {
    /// Everything.
    pub const ADMIN: Self = Self { resource: Resource::All, access: Access::Write };

    /// Whether having this scope is enough for `wanted`.
    #[must_use]
    pub fn includes(self, wanted: Self) -> bool {
        (self.resource == Resource::All || self.resource == wanted.resource) && self.access >= wanted.access
    }
}

/// What a scope is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// All of the below.
    All,
    /// Services, environments, versions, deployments, variables, secrets, pipelines.
    Workers,
    /// KV namespaces and their entries.
    Kv,
    /// Routes, custom domains, certificates.
    Routes,
    /// Live logs.
    Tail,
    /// Tokens.
    Tokens,
    /// The audit log.
    Audit,
    /// Accounts, nodes, the cluster.
    Cluster,
}

/// How far a scope goes; writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look.
    Read,
    /// Look and change.
    Write,
}

const RESOURCES: [(Resource, &str); 8] = [
    (Resource::All, "all"),
    (Resource::Workers, "workers"),
    (Resource::Kv, "kv"),
    (Resource::Routes, "routes"),
    (Resource::Tail, "tail"),
    (Resource::Tokens, "tokens"),
    (Resource::Audit, "audit"),
    (Resource::Cluster, "cluster"),
];

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource =
            RESOURCES.iter().find(|(resource, _)| *resource == self.resource).map_or("all", |(_, name)| name);
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        write!(f, "{resource}:{access}")
    }
}

/// A text that is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "scope {0:?} is unknown: use one of all, workers, kv, routes, tail, tokens, audit, cluster with :read or :write"
)]
pub struct ScopeError(String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let parse = || {
            let (resource, access) = text.split_once(':')?;
            let (resource, _) = RESOURCES.into_iter().find(|(_, name)| *name == resource)?;
            let access = match access {
                "read" => Access::Read,
                "write" => Access::Write,
                _ => return None,
            };
            Some(Self { resource, access })
        };
        parse().ok_or_else(|| ScopeError(text.chars().take(80).collect()))
    }
}
