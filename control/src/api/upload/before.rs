//! Pure. What an upload leaves unsaid.
//!
//! **Owns** what a new version takes over from the one before beside its bindings. **Must not know** forms or files.
//! **Enter at** [`Unsaid::of`].
//!
//! | | a deploy, a version | code alone |
//! |---|---|---|
//! | names hidden from the parent (`removed_bindings`) | as before | as before |
//! | limits, compatibility date, flags | none | as before |
//!
//! The first row is our own part of an environment: a client that has never heard of it must not bring production's
//! namespaces back by staying silent.

use std::collections::BTreeSet;

use super::{Purpose, bindings::Bindings, metadata::Metadata};
use crate::catalog::{Environment, EnvironmentKey, Expectation, LimitsConfig, Version};

/// The parts of a version that its upload need not mention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unsaid {
    /// `YYYY-MM-DD`, or nothing.
    pub compatibility_date: String,
    /// Flags by name.
    pub compatibility_flags: Vec<String>,
    /// Inherited bindings that the environment takes away.
    pub removed: BTreeSet<String>,
    /// What the worker may use.
    pub limits: LimitsConfig,
    /// Holds as long as the version before is still the one that was looked at.
    pub expects: Option<Expectation>,
}

impl Unsaid {
    /// What `metadata` says, and where it is silent what the version before says.
    pub(super) fn of(
        purpose: Purpose,
        (key, environment): (&EnvironmentKey, Option<&Environment>),
        metadata: &Metadata,
        bindings: &Bindings,
    ) -> Self {
        let before = environment.and_then(|environment| match purpose {
            Purpose::Version => environment.latest_version(),
            Purpose::Deploy | Purpose::DeployCode => environment.live_or_latest_version(),
        });
        let code = before.filter(|_| purpose == Purpose::DeployCode);
        let limits =
            metadata.limits.map(|limits| LimitsConfig { cpu_ms: limits.cpu_ms, subrequests: limits.subrequests });
        let removed = match &metadata.removed_bindings {
            Some(names) => names.iter().cloned().collect(),
            None => before.map(|before| still_removed(before, bindings)).unwrap_or_default(),
        };
        let took = code.is_some() || (metadata.removed_bindings.is_none() && !removed.is_empty());
        let expects =
            environment.filter(|_| took && purpose != Purpose::Version).map(|environment| Expectation::Live {
                environment: key.clone(),
                version: environment.live_version().map(|live| live.id.clone()),
            });
        Self {
            compatibility_date: (metadata.compatibility_date.clone())
                .or_else(|| code.map(|code| code.code.compatibility_date.clone()))
                .unwrap_or_default(),
            compatibility_flags: (metadata.compatibility_flags.clone())
                .or_else(|| code.map(|code| code.code.compatibility_flags.clone()))
                .unwrap_or_default(),
            removed,
            limits: limits.or_else(|| code.map(|code| code.config.limits)).unwrap_or_default(),
            expects,
        }
    }
}

/// A name that the upload binds is the environment's own from now on.
fn still_removed(before: &Version, bindings: &Bindings) -> BTreeSet<String> {
    let is_bound = |name: &String| bindings.set.contains_key(name) || bindings.keep.names.contains(name);
    before.config.removed.iter().filter(|name| !is_bound(name)).cloned().collect()
}
