//! Pure. What came of a command.
//!
//! **Owns** outcomes. **Must not know** HTTP statuses or error codes. **Enter at** [`Applied`] and [`Rejection`].

use std::fmt;

use skerry_proto::id::{DeploymentId, Revision, VersionId, VersionNumber};

use super::EnvironmentKey;

/// A command that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The state that it made; for a repeated command, the state that the first one made.
    pub revision: Revision,
    /// Versions that it made, in order.
    pub versions: Vec<CreatedVersion>,
    /// Deployments that it made, in order.
    pub deployments: Vec<CreatedDeployment>,
    /// Whether it repeated an earlier command and changed nothing.
    pub repeated: Repeated,
}

/// Whether a command was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// It was new.
    No,
    /// It had been applied before under the same idempotency key.
    Yes,
}

/// A version that a command made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedVersion {
    /// Where.
    pub environment: EnvironmentKey,
    /// Its identity.
    pub id: VersionId,
    /// The number that it got.
    pub number: VersionNumber,
}

/// A deployment that a command made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedDeployment {
    /// Where.
    pub environment: EnvironmentKey,
    /// Its identity.
    pub id: DeploymentId,
}

/// Why a command was refused. The catalog is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It names something that does not exist. State: unchanged. Retry: no.
    #[error("{noun} {name:?} does not exist")]
    NotFound {
        /// What kind of thing.
        noun: Noun,
        /// Its name as given.
        name: String,
    },
    /// The name is taken. State: unchanged. Retry: under another name.
    #[error("{noun} {name:?} exists already")]
    Exists {
        /// What kind of thing.
        noun: Noun,
        /// The name.
        name: String,
    },
    /// The environment or service is not in the state that the caller relies on. State: unchanged. Retry: after looking
    /// again.
    #[error("{subject} has changed: expected {expected}, found {found}; look at it again and repeat")]
    Stale {
        /// Which, as `service` or `service/environment`.
        subject: String,
        /// What the caller relied on.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A field breaks a rule. State: unchanged. Retry: no.
    #[error("{field}: {rule}")]
    Invalid {
        /// The field, as the API calls it.
        field: String,
        /// The rule and what to do.
        rule: String,
    },
    /// Something still uses it. State: unchanged. Retry: after releasing it.
    #[error("{noun} {name:?} is in use by {by}")]
    InUse {
        /// What kind of thing.
        noun: Noun,
        /// Its name.
        name: String,
        /// Who uses it.
        by: String,
    },
    /// The idempotency key was used for another request. State: unchanged. Retry: under another key.
    #[error("idempotency key {key:?} was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
}

impl Rejection {
    /// A broken rule.
    pub(crate) fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Self::Invalid { field: field.to_owned(), rule: rule.into() }
    }

    /// Something that does not exist.
    pub(crate) fn not_found(noun: Noun, name: impl fmt::Display) -> Self {
        Self::NotFound { noun, name: name.to_string() }
    }

    /// A name that is taken.
    pub(crate) fn exists(noun: Noun, name: impl fmt::Display) -> Self {
        Self::Exists { noun, name: name.to_string() }
    }
}

/// The kinds of things in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// The cluster itself.
    Cluster,
    /// A tenant.
    Account,
    /// A service.
    Service,
    /// An environment.
    Environment,
    /// A version.
    Version,
    /// A deployment.
    Deployment,
    /// A binding of an environment's own.
    Binding,
    /// A route.
    Route,
    /// A custom domain.
    Domain,
    /// A KV namespace.
    Namespace,
    /// A token.
    Token,
    /// A certificate.
    Certificate,
    /// A node.
    Node,
    /// A join token.
    JoinToken,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Account => "account",
            Self::Service => "service",
            Self::Environment => "environment",
            Self::Version => "version",
            Self::Deployment => "deployment",
            Self::Binding => "binding",
            Self::Route => "route",
            Self::Domain => "domain",
            Self::Namespace => "namespace",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Node => "node",
            Self::JoinToken => "join token",
        })
    }
}
