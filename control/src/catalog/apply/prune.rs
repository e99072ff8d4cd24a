//! Pure. How much of its history an environment keeps.
//!
//! **Owns** which versions and deployments go when new ones come. **Must not know** bundles: their files follow later.
//! **Enter at** [`prune`].

use std::collections::BTreeSet;

use skerry_proto::id::{VersionId, VersionNumber};

use super::limits::{DEPLOYMENTS_KEPT, VERSIONS_KEPT};
use crate::catalog::Environment;

/// Forgets what is older than the newest [`DEPLOYMENTS_KEPT`] deployments and the newest [`VERSIONS_KEPT`] versions. A
/// version that a kept deployment names is kept, so that every deployment that is shown can be rolled back to.
pub(super) fn prune(environment: &mut Environment) {
    environment.deployments.truncate(DEPLOYMENTS_KEPT.min(environment.deployments.len()));
    let excess = environment.versions.len().saturating_sub(VERSIONS_KEPT);
    if excess == 0 {
        return;
    }
    let shares = environment.deployments.iter().flat_map(|deployment| &deployment.shares);
    let named: BTreeSet<&VersionId> = shares.map(|share| &share.version).collect();
    let oldest = environment.versions.iter().take(excess);
    let gone: Vec<(VersionNumber, VersionId)> = oldest
        .filter(|(_, version)| !named.contains(&version.id))
        .map(|(number, version)| (*number, version.id.clone()))
        .collect();
    for (number, id) in gone {
        environment.versions.remove(&number);
        environment.version_numbers.remove(&id);
    }
}
