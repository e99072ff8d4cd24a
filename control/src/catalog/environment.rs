//! Pure. Code plus configuration with a history, a hostname and routes of its own.
//!
//! **Owns** what an environment is and which of its versions is live. **Must not know** what it inherits (see
//! [`effective`](fn@super::effective)). **Enter at** [`Environment`].

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use skerry_proto::id::{EnvironmentId, EnvironmentName, Revision, VersionId, VersionNumber};

use super::{Cron, Deployment, Version, VersionConfig};

/// One environment of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its identity, kept when it is renamed; secrets are sealed to it.
    pub id: EnvironmentId,
    /// Its name, unique in the service.
    pub name: EnvironmentName,
    /// The environment whose live configuration it inherits; `None` for production.
    pub parent: Option<EnvironmentName>,
    /// The newest versions and those that a kept deployment names, by number. BOUND: `limits::VERSIONS_KEPT`.
    pub versions: OrdMap<VersionNumber, Arc<Version>>,
    /// The numbers of the versions, by their identity.
    pub version_numbers: OrdMap<VersionId, VersionNumber>,
    /// The number that the next version gets; numbers are never used twice.
    pub next_number: VersionNumber,
    /// The newest deployments, newest first; the first is live. BOUND: `limits::DEPLOYMENTS_KEPT`.
    pub deployments: Vector<Arc<Deployment>>,
    /// Variables and secrets that were set before there was a version; the first upload takes them over.
    pub draft: VersionConfig,
    /// Whether the environment answers on its own hostname.
    pub workers_dev: Exposure,
    /// Whether each version answers on a preview hostname.
    pub preview_urls: Exposure,
    /// When scheduled events fire.
    pub crons: Vec<Cron>,
    /// Free words for finding it, in order, unique.
    pub tags: Vec<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub modified_at_ms: i64,
    /// The revision of its last change: code, configuration, deployments, triggers or name.
    pub revision: Revision,
}

/// Whether something can be reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Exposure {
    /// It answers.
    #[default]
    Public,
    /// It does not exist, as seen from outside.
    Hidden,
}

impl Exposure {
    /// The exposure that an `enabled` flag of the API means.
    #[must_use]
    pub fn from_enabled(enabled: bool) -> Self {
        if enabled { Self::Public } else { Self::Hidden }
    }

    /// The `enabled` flag of the API.
    #[must_use]
    pub fn is_public(self) -> bool {
        self == Self::Public
    }
}

impl Environment {
    /// The deployment that is live, `None` before the first.
    #[must_use]
    pub fn live(&self) -> Option<&Arc<Deployment>> {
        self.deployments.front()
    }

    /// The live version with the larger share (the first of two equals): the one whose configuration counts when only
    /// one can.
    #[must_use]
    pub fn live_version(&self) -> Option<&Arc<Version>> {
        self.version(self.live()?.primary())
    }

    /// The version with the highest number.
    #[must_use]
    pub fn latest_version(&self) -> Option<&Arc<Version>> {
        self.versions.get_max().map(|(_, version)| version)
    }

    /// The live version, else the latest: the one that is shown of an environment when nothing else is asked for, and that
    /// the next one is derived from.
    #[must_use]
    pub fn live_or_latest_version(&self) -> Option<&Arc<Version>> {
        self.live_version().or_else(|| self.latest_version())
    }

    /// What it is configured with: by that version, else what waits for the first upload.
    #[must_use]
    pub fn config(&self) -> &VersionConfig {
        self.live_or_latest_version().map_or(&self.draft, |version| &version.config)
    }

    /// The version of that identity.
    #[must_use]
    pub fn version(&self, id: &VersionId) -> Option<&Arc<Version>> {
        self.versions.get(self.version_numbers.get(id)?)
    }

    /// The only version whose identity begins with `prefix` (at least 8 characters), as in a preview hostname.
    #[must_use]
    pub fn version_by_prefix(&self, prefix: &str) -> Option<&Arc<Version>> {
        let from = VersionId::new(&format!("{}{}", prefix.get(..8)?, "-0000-0000-0000-000000000000")).ok()?;
        let (id, number) = self.version_numbers.range(from..).next()?;
        if id.as_str().starts_with(prefix) { self.versions.get(number) } else { None }
    }

    /// What `ETag` and `If-Match` carry: it changes with every change of the environment.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}", self.revision.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::catalog::Change;

    #[test]
    fn what_is_live_configures_an_environment_else_what_is_newest_else_the_draft() {
        let mut lab = Lab::new();
        let production = lab.environment("shop", "production");
        let value = |lab: &Lab| lab.found("shop", "production").config().bindings.get("A").cloned();
        let upload = |lab: &mut Lab, value: &str| {
            let version = lab.new_version(&[("A", text(value))]);
            let id = version.id.clone();
            lab.run(vec![Change::UploadVersion { environment: production.clone(), version }]).unwrap();
            id
        };
        let create = lab.create_service("shop");
        let draft = lab.configure("shop", "production", vec![set("A", text("draft"))]);
        lab.run(vec![create, draft]).unwrap();
        assert!(lab.found("shop", "production").live_or_latest_version().is_none());
        assert_eq!(value(&lab), Some(text("draft")));
        let first = upload(&mut lab, "first");
        let second = upload(&mut lab, "second");
        assert_eq!(lab.found("shop", "production").live_or_latest_version().unwrap().id, second);
        assert_eq!(value(&lab), Some(text("second")));
        let deploy = lab.deploy_change(&production, &first);
        lab.run(vec![deploy]).unwrap();
        assert_eq!(lab.found("shop", "production").live_or_latest_version().unwrap().id, first);
        assert_eq!(value(&lab), Some(text("first")));
    }
}
