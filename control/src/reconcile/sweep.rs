//! Removes the code that no version names any more.
//!
//! **Owns** when a bundle's file goes. **Must not know** why no version names it: its upload was refused, or the version
//! is older than what an environment keeps. **Enter at** [`run`].

use std::{collections::HashSet, io, time::Duration};

use skerry_proto::id::BundleHash;

use crate::{bundles::Bundles, catalog::Catalog, clock, raft::Raft};

/// BOUND: how long a bundle may wait for its version: an upload is stored seconds before it is proposed.
const UNNAMED_MAX: Duration = Duration::from_secs(3600);
/// How often the folder is looked at; disk space is no hurry.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Sweeps now and every hour, for as long as it runs.
pub(crate) async fn run(raft: Raft, bundles: Bundles) {
    loop {
        let (raft, bundles) = (raft.clone(), bundles.clone());
        let swept = tokio::task::spawn_blocking(move || sweep(&raft, &bundles)).await;
        match swept.map_err(io::Error::from).and_then(|swept| swept) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed bundles that no version names"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old bundles are not removed"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The files first and then the catalog: a version that was proposed in between is seen.
fn sweep(raft: &Raft, bundles: &Bundles) -> io::Result<usize> {
    let before = clock::system() - UNNAMED_MAX;
    let old = bundles.stored_before(before)?;
    bundles.remove(&old, &named(&raft.catalog()), before)
}

/// The bundles of every version of every environment.
fn named(catalog: &Catalog) -> HashSet<BundleHash> {
    let environments = catalog.all_services().flat_map(|service| service.environments.values());
    let versions = environments.flat_map(|environment| environment.versions.values());
    versions.map(|version| version.code.bundle.hash).collect()
}
