//! The cluster: what it is, its nodes, and how machines join.
//!
//! **Owns** the calls of an operator. **Must not know** raft, the mesh or gossip: what only a running node knows comes
//! through [`ClusterView`](super::ports::ClusterView). **Enter at** [`mount`].

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use http::{Method, request::Parts};
use serde::{Deserialize, Serialize};
use skerry_proto::id::AccountId;
use utoipa::ToSchema;

use super::{
    Deps,
    auth::{CLUSTER_READ, CLUSTER_WRITE, Caller},
    body::JsonBody,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    writer::Writer,
};
use crate::{
    catalog::{Catalog, Change},
    rotation::{
        self,
        plan::{Phase, phase},
    },
};

mod backup;
mod join_tokens;
mod mesh;
mod nodes;
mod removal;
mod view;

/// The cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterInfo {
    /// 32 hexadecimal digits; never changes.
    pub id: String,
    /// The zone whose names the environments get.
    pub domain: String,
    /// The newest revision of the catalog.
    pub revision: u64,
    /// The server's version.
    pub version: String,
    /// What every node is known to understand.
    pub feature_level: u32,
    /// The step of replacing the mesh's authority that is under way: `trusting` or `renewing`; `null` when there is none.
    pub ca_rotation: Option<&'static str>,
    /// The node that orders changes, as far as this one knows; `null` during an election.
    pub leader: Option<u64>,
    /// Raft's term: how many elections there have been, about.
    pub term: Option<u64>,
    /// The nodes that vote.
    pub voters: Vec<u64>,
    /// How many nodes there are.
    pub nodes: usize,
    /// The account that is meant when none is named.
    pub default_account: Option<String>,
    /// The port on which environments answer over HTTP.
    pub http_port: Option<u16>,
    /// The port on which environments answer over HTTPS.
    pub https_port: Option<u16>,
}

/// A feature level to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeatureLevelBody {
    /// Not lower than it is, and not above what every node knows.
    pub level: u32,
}

/// Whoever may run the cluster: a token for all accounts.
pub(crate) struct Operator {
    /// One agreed state.
    pub catalog: Arc<Catalog>,
    /// What is done to the cluster is remembered under the first account.
    pub account: AccountId,
}

impl FromRequestParts<Deps> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, deps).await?;
        if caller.account.is_some() {
            let scope = if parts.method == Method::GET { CLUSTER_READ } else { CLUSTER_WRITE };
            return Err(ApiError::Forbidden { scope: format!("{scope}, for all accounts") });
        }
        let catalog = deps.control.catalog();
        let account = catalog.first_account().cloned();
        let account = account.ok_or_else(|| ApiError::not_found(Thing::Account, "of the cluster"))?;
        Ok(Self { catalog, account })
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let show = Endpoint::get("/cluster", "getCluster", "The cluster").tag("cluster");
    endpoints.add(show.answers::<ClusterInfo>(), show_cluster);
    let level = Endpoint::put("/cluster/feature-level", "setFeatureLevel", "Lets nodes use what all of them know");
    let level = level.needs(CLUSTER_WRITE).tag("cluster").repeatable();
    endpoints.add(level.takes::<FeatureLevelBody>().answers::<ClusterInfo>(), set_feature_level);
    nodes::mount(endpoints);
    join_tokens::mount(endpoints);
    backup::mount(endpoints);
    mesh::mount(endpoints);
}

impl ClusterInfo {
    fn of(deps: &Deps, caller: &Caller) -> Self {
        let (catalog, status) = (deps.control.catalog(), deps.control.status());
        let cluster = catalog.cluster();
        let account = caller.account.as_ref().or(catalog.first_account());
        Self {
            id: cluster.map(|cluster| cluster.id.clone()).unwrap_or_default(),
            domain: cluster.map(|cluster| cluster.domain.to_string()).unwrap_or_default(),
            revision: catalog.revision().0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            feature_level: catalog.feature_level(),
            ca_rotation: phase(rotation::authorities(&catalog)).map(Phase::as_str),
            leader: status.as_ref().and_then(|status| status.leader).map(|leader| leader.0),
            term: status.as_ref().map(|status| status.term),
            voters: status.map(|status| status.voters.iter().map(|voter| voter.0).collect()).unwrap_or_default(),
            nodes: catalog.nodes().count(),
            default_account: account.map(ToString::to_string),
            http_port: deps.config.http_port,
            https_port: deps.config.https_port,
        }
    }
}

async fn show_cluster(State(deps): State<Deps>, caller: Caller) -> Reply<ClusterInfo> {
    Ok(Answer::ok(ClusterInfo::of(&deps, &caller)))
}

async fn set_feature_level(
    State(deps): State<Deps>,
    operator: Operator,
    writer: Writer,
    JsonBody(body): JsonBody<FeatureLevelBody>,
) -> Reply<ClusterInfo> {
    let change = Change::SetFeatureLevel { level: body.level };
    let applied = writer.propose(&operator.account, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(ClusterInfo::of(&deps, &writer.caller)).at(applied.revision))
}
