//! Which code is where.
//!
//! **Owns** whether the voters that stay hold the code of every version without one that goes. **Must not know** why it goes.
//! **Enter at** [`Holdings::without`] and [`LackingService`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use skerry_proto::{
    id::{BundleHash, NodeId},
    mesh::{self as pb, refusal::Code},
};

use crate::{
    bundles::Bundles,
    catalog::{Catalog, NodeRole},
    clock,
    limits::FRAME_BYTES_MAX,
    mesh::{Caller, FrameError, Incoming, Mesh, Service},
};

/// BOUND: how long one voter may take to look at its disk: a file for each of thousands of versions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often voters that lack something are asked again: they are fetching it.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What the voters have on their disks.
#[derive(Debug)]
pub(crate) struct Holdings<'a> {
    pub(crate) mesh: &'a Mesh,
    pub(crate) bundles: &'a Bundles,
    pub(crate) catalog: &'a Catalog,
}

impl Holdings<'_> {
    /// Waits until a majority of the voters that are left without `leaver` has each bundle that a version names now. Returns how
    /// many bundles fewer of them have after `within`.
    pub(crate) async fn without(&self, leaver: NodeId, within: Duration) -> usize {
        let voters = self.catalog.nodes().filter(|node| node.role == NodeRole::Voter && node.id != leaver);
        let named: BTreeSet<BundleHash> = self.catalog.bundles().map(|bundle| bundle.hash).collect();
        let mut lacking: BTreeMap<NodeId, BTreeSet<BundleHash>> = voters.map(|node| (node.id, named.clone())).collect();
        let (deadline, needed) = (clock::monotonic() + within, lacking.len() / 2 + 1);
        loop {
            let asked = lacking.iter().filter(|(_, lacks)| !lacks.is_empty()).map(|(voter, lacks)| async {
                let lacks = self.lacks(*voter, lacks, deadline).await;
                (*voter, lacks)
            });
            lacking.extend(join_all(asked).await.into_iter().filter_map(|(voter, lacks)| Some((voter, lacks?))));
            let holders = |hash| lacking.values().filter(|lacks| !lacks.contains(hash)).count();
            let rare = named.iter().filter(|hash| !lacking.is_empty() && holders(*hash) < needed).count();
            if rare == 0 || clock::monotonic() >= deadline {
                return rare;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// What a voter lacks of these; `None` when it does not say.
    async fn lacks(&self, voter: NodeId, of: &BTreeSet<BundleHash>, deadline: Instant) -> Option<BTreeSet<BundleHash>> {
        if voter == self.mesh.node() {
            return self.bundles.lacking(of.clone()).await.ok();
        }
        let hashes = of.iter().map(|hash| Bytes::copy_from_slice(&hash.0)).collect();
        let within = deadline.saturating_duration_since(clock::monotonic()).min(ANSWER_TIMEOUT);
        match self.mesh.call(voter, &pb::BundlesLacking { hashes }, within).await {
            Ok(answer) => Some(answer.hashes.iter().filter_map(|hash| BundleHash::try_from(&hash[..]).ok()).collect()),
            Err(error) => {
                tracing::debug!(%voter, %error, "a voter does not say which code it has");
                None
            }
        }
    }
}

/// Says what this node lacks.
pub(crate) struct LackingService {
    pub(crate) bundles: Bundles,
}

#[async_trait]
impl Service for LackingService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a node was not told which code is here");
        }
    }
}

impl LackingService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::BundlesLacking = call.request(FRAME_BYTES_MAX).await?;
        if matches!(from, Caller::Stranger(_)) {
            return call.refuse(Code::Forbidden, "only members ask this").await;
        }
        let hashes: Result<BTreeSet<_>, _> =
            request.hashes.iter().map(|hash| BundleHash::try_from(&hash[..])).collect();
        let Ok(hashes) = hashes else { return call.refuse(Code::Invalid, "hashes: use 32 bytes for each").await };
        match self.bundles.lacking(hashes).await {
            Ok(lacking) => {
                let hashes = lacking.iter().map(|hash| Bytes::copy_from_slice(&hash.0)).collect();
                call.answer(&pb::BundlesLackingAnswer { hashes }).await
            }
            Err(error) => call.refuse(Code::Unavailable, &error.to_string()).await,
        }
    }
}

/// The method that a [`LackingService`] answers.
pub(crate) fn methods(bundles: &Bundles) -> [(pb::Method, Arc<dyn Service>); 1] {
    [(pb::Method::BundlesLacking, Arc::new(LackingService { bundles: bundles.clone() }))]
}
