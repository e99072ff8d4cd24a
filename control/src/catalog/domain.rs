//! Pure. A hostname of the user's own that one environment answers on every path.
//!
//! **Owns** what a custom domain is. **Must not know** DNS or TLS. **Enter at** [`Domain`].

use skerry_proto::id::{DomainId, Hostname};

use super::EnvironmentKey;

/// A custom domain: an exact host, all paths. A route of the same account that matches is looked at first;
/// those of other accounts do not reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its identity.
    pub id: DomainId,
    /// The host; unique in the cluster and outside the cluster's own domain.
    pub hostname: Hostname,
    /// The environment that answers.
    pub environment: EnvironmentKey,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}
