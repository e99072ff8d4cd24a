//! Where things lie below `/client/v4`.
//!
//! **Owns** the paths of environments, services and namespaces. **Must not know** bodies. **Enter at**
//! [`EnvironmentPath`].

use skerry_proto::id::{EnvironmentName, ServiceName};

/// `/accounts/A/workers/services/S/environments/E`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvironmentPath {
    pub(crate) account: String,
    pub(crate) service: ServiceName,
    pub(crate) environment: EnvironmentName,
}

impl EnvironmentPath {
    /// The path of what lies below the environment; empty for the environment itself.
    pub(crate) fn below<'p>(&'p self, rest: &[&'p str]) -> Vec<&'p str> {
        let mut path = service(&self.account, &self.service);
        path.extend(["environments", self.environment.as_str()]);
        path.extend(rest);
        path
    }
}

/// `/accounts/A/workers/services/S`
pub(crate) fn service<'p>(account: &'p str, service: &'p ServiceName) -> Vec<&'p str> {
    vec!["accounts", account, "workers", "services", service.as_str()]
}

/// `/accounts/A/storage/kv/namespaces` and what lies below.
pub(crate) fn kv<'p>(account: &'p str, rest: &[&'p str]) -> Vec<&'p str> {
    let mut path = vec!["accounts", account, "storage", "kv", "namespaces"];
    path.extend(rest);
    path
}
