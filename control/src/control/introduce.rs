//! What a node tells the cluster of itself when it starts.
//!
//! **Owns** that the catalog has its newest address, place and build. **Must not know** who reads them. **Enter at**
//! [`run`].

use std::time::Duration;

use crate::{
    catalog::{Actor, Change, Command, NodeUpdate},
    clock,
    config::{ControlConfig, MeshSettings},
    peer::propose::Proposer,
};

/// This build, for people.
pub(super) const BUILD: &str = env!("CARGO_PKG_VERSION");
/// How long a node waits until it tells again when nobody has heard.
const PAUSE: Duration = Duration::from_secs(1);

/// What a node says of itself.
#[derive(Debug, Clone)]
pub(super) struct Introduction {
    name: String,
    region: String,
    zone: String,
    address: String,
    api: String,
    feature_level: u32,
}

impl Introduction {
    pub(super) fn new(config: &ControlConfig, settings: &MeshSettings) -> Self {
        Self {
            name: config.node_name.clone(),
            region: config.region.clone(),
            zone: config.zone.clone(),
            address: settings.advertised(),
            api: config.api.clone(),
            feature_level: config.feature_level,
        }
    }
}

/// Tells until it is known; nothing when it is known already.
pub(super) async fn run(proposer: Proposer, introduction: Introduction) {
    let mut states = proposer.states.watch();
    // Without its own entry there is nothing to update yet.
    if states.wait_for(|catalog| catalog.node(proposer.node).is_some()).await.is_err() {
        return;
    }
    loop {
        let catalog = proposer.states.catalog();
        let Some(own) = catalog.node(proposer.node) else { return };
        let update = NodeUpdate {
            id: own.id,
            region: introduction.region.clone(),
            zone: introduction.zone.clone(),
            address: introduction.address.clone(),
            api: introduction.api.clone(),
            feature_level: introduction.feature_level,
            build: BUILD.to_owned(),
            boot: own.boot,
        };
        if own.updated(&update) == **own {
            return;
        }
        let change = vec![Change::UpdateNode(update)];
        match proposer.propose(Command::new(Actor::node(&introduction.name), clock::unix_ms(), change)).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "the cluster has not heard of this node's start yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
