//! Brings the code of every version to a node that may vote.
//!
//! **Owns** that a voter comes to have what others get from it: also what was uploaded before it joined, and is deployed
//! nowhere. **Must not know** where code comes from. **Enter at** [`run`].

use std::{collections::HashSet, sync::Arc, time::Duration};

use skerry_proto::id::{BundleHash, NodeId};

use crate::{
    bundles::Bundles,
    catalog::{Catalog, NodeRole},
    state::States,
};

/// How long changes are gathered: an upload goes to the voters by itself, and need not be fetched.
const GATHER: Duration = Duration::from_secs(2);
/// How long what nobody gave is left alone.
const RETRY: Duration = Duration::from_secs(30);

/// Fetches what is missing, for as long as it runs.
pub(crate) async fn run(node: NodeId, states: Arc<States>, bundles: Bundles) {
    let (mut states, mut have) = (states.watch(), HashSet::new());
    loop {
        let catalog = Arc::clone(&states.borrow_and_update());
        let is_voter = catalog.node(node).is_some_and(|node| node.role == NodeRole::Voter);
        let lacking = if is_voter { stock(&catalog, &bundles, &mut have).await } else { 0 };
        if lacking > 0 {
            tracing::warn!(lacking, "the code of some versions is not on this voter, and no node gives it");
            tokio::time::sleep(RETRY).await;
        } else if states.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Fetches what is named and not in `have`; says how much can not be had.
async fn stock(catalog: &Catalog, bundles: &Bundles, have: &mut HashSet<BundleHash>) -> usize {
    let named: HashSet<BundleHash> = catalog.bundles().map(|bundle| bundle.hash).collect();
    // What is named by nothing is removed some day, and may be named again.
    have.retain(|hash| named.contains(hash));
    for hash in named.iter().filter(|hash| !have.contains(*hash)).copied().collect::<Vec<_>>() {
        match bundles.stock(&hash).await {
            Ok(true) => drop(have.insert(hash)),
            Ok(false) => {}
            Err(error) => tracing::warn!(%hash, error = &error as &dyn std::error::Error, "code is not stored"),
        }
    }
    named.len() - have.len()
}
