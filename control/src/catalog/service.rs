//! Pure. A named container of environments.
//!
//! **Owns** what a service is. **Must not know** how its environments change. **Enter at** [`Service`].

use std::{fmt, sync::Arc};

use imbl::OrdMap;
use skerry_proto::id::{AccountId, EnvironmentName, Revision, ServiceId, ServiceName};

use super::{Environment, Pipeline};

/// Which service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// The tenant.
    pub account: AccountId,
    /// Its name, unique in the account.
    pub name: ServiceName,
}

impl ServiceKey {
    /// The environment of that name.
    #[must_use]
    pub fn environment(&self, environment: EnvironmentName) -> EnvironmentKey {
        EnvironmentKey { service: self.clone(), environment }
    }

    /// The environment that every service has.
    #[must_use]
    pub fn production(&self) -> EnvironmentKey {
        self.environment(EnvironmentName::production())
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// Which environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentKey {
    /// Its service.
    pub service: ServiceKey,
    /// Its name, unique in the service.
    pub environment: EnvironmentName,
}

impl fmt::Display for EnvironmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service.name, self.environment)
    }
}

/// A named container of environments; `production` always exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its account and name.
    pub key: ServiceKey,
    /// Its identity, kept when it is renamed; Cloudflare's API calls it `tag`.
    pub id: ServiceId,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// When it or one of its environments changed last, milliseconds since the Unix epoch.
    pub modified_at_ms: i64,
    /// The revision of that change.
    pub revision: Revision,
    /// Its environments, by name.
    pub environments: OrdMap<EnvironmentName, Arc<Environment>>,
    /// The environment that calls without an environment mean: `production`.
    pub default_environment: EnvironmentName,
    /// The stages that code passes through on its way to production; `None` when anything may be promoted anywhere.
    pub pipeline: Option<Pipeline>,
}

impl Service {
    /// The environment of that name.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&Arc<Environment>> {
        self.environments.get(name)
    }
}
