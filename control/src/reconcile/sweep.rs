//! Removes the code that no version names any more.
//!
//! **Owns** when a bundle's file goes. **Must not know** why no version names it: its upload was refused, or the version
//! is older than what an environment keeps. **Enter at** [`run`].

use std::{io, sync::Arc, time::Duration};

use crate::{bundles::Bundles, clock, state::States};

/// BOUND: how long a bundle may wait for its version: an upload is stored seconds before it is proposed.
const UNNAMED_MAX: Duration = Duration::from_secs(3600);
/// How often the folder is looked at; disk space is no hurry.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Sweeps now and every hour, for as long as it runs.
pub(crate) async fn run(states: Arc<States>, bundles: Bundles) {
    loop {
        let (states, bundles) = (Arc::clone(&states), bundles.clone());
        let swept = tokio::task::spawn_blocking(move || sweep(&states, &bundles)).await;
        match swept.map_err(io::Error::from).and_then(|swept| swept) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed bundles that no version names"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old bundles are not removed"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The files first and then the catalog: a version that was proposed in between is seen.
fn sweep(states: &States, bundles: &Bundles) -> io::Result<usize> {
    let before = clock::system() - UNNAMED_MAX;
    let old = bundles.stored_before(before)?;
    let named = states.catalog().bundles().map(|bundle| bundle.hash).collect();
    bundles.remove(&old, &named, before)
}
