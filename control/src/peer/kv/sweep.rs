//! Removes the entries of namespaces that the catalog no longer has.
//!
//! **Owns** when they go. **Must not know** why they stayed: a node died between the catalog's change and the store's, the
//! home was away, or a write came late. **Enter at** [`run`].

use std::{sync::Arc, time::Duration};

use skerry_proto::id::NamespaceId;

use super::keeper::Keeper;
use crate::{
    catalog::Catalog,
    kv::{KvError, LocalStore},
};

/// How often the store is looked at; disk space is no hurry.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Sweeps now and every hour, for as long as it runs.
pub(crate) async fn run(keeper: Arc<Keeper>) {
    loop {
        let Some(store) = keeper.opened().await else { return };
        if let Err(error) = sweep(&keeper, &*store).await {
            tracing::warn!(%error, "entries of deleted KV namespaces are not removed yet");
        }
        // The node's stop waits until nobody has the store.
        drop(store);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The store first and then the catalog: what a state from after the listing does not have was deleted.
async fn sweep(keeper: &Keeper, store: &dyn LocalStore) -> Result<(), KvError> {
    let stored = store.namespaces().await?;
    if stored.is_empty() {
        return Ok(());
    }
    let Some(catalog) = keeper.judge().await else { return Ok(()) };
    for orphan in orphans(stored, &catalog) {
        store.delete_namespace(&orphan).await?;
        tracing::info!(namespace = %orphan, "removed the entries of a deleted KV namespace");
    }
    Ok(())
}

/// Those that nobody can name. What another node is the home of stays: deleting never rests on a guess.
fn orphans(mut stored: Vec<NamespaceId>, catalog: &Catalog) -> Vec<NamespaceId> {
    stored.retain(|namespace| catalog.namespace(namespace).is_none());
    stored
}
