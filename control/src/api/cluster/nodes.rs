//! The machines of the cluster.
//!
//! **Owns** showing nodes, their roles, draining and removing. **Must not know** how machines join. **Enter at**
//! [`mount`].

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use skerry_proto::id::{NodeId, Revision};
use utoipa::ToSchema;

use super::{
    Operator, removal,
    view::{self, View, ViewInfo},
};
use crate::{
    api::{
        Deps,
        auth::{CLUSTER_READ, CLUSTER_WRITE},
        body::JsonBody,
        endpoint::{Endpoint, Endpoints},
        envelope::{Answer, Reply},
        error::{ApiError, Thing},
        page::Page,
        params::Params,
        ports::NodeView,
        query::Query,
        time::rfc3339,
        writer::Writer,
    },
    catalog::{Catalog, Change, Node, NodeRole, NodeState, RoleError, WhenVoter},
};

const DRAIN: &str = "Gives a node no new work: its /readyz says 503, another one leads, and votes where one can";

/// A node: what the cluster has agreed about it, and what the leader knows of it, or else the node that was asked: see `view`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeInfo {
    /// Never used twice.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// What it may do: `voter` or `edge`.
    pub role: &'static str,
    /// What it does: `leader`, `voter` or `learner`; `null` when it has no part in raft, or nothing is known.
    pub raft: Option<&'static str>,
    /// `active`; or `draining`: it is not ready, answers whoever still comes, does not lead, and votes until another can.
    pub state: &'static str,
    /// Where it stands; empty when not said.
    pub region: String,
    /// Which zone of the region; empty when not said.
    pub zone: String,
    /// Where other nodes reach its mesh; empty when its mesh is off.
    pub address: String,
    /// Where its API is reached; empty when nowhere.
    pub api: String,
    /// What it runs.
    pub build: String,
    /// The newest feature level that its build knows.
    pub feature_level: u32,
    /// How often it has started.
    pub boot: u64,
    /// RFC 3339.
    pub joined_on: String,
    /// Whether it answers; `null` when nothing is known.
    pub alive: Option<bool>,
    /// The newest revision that it is known to serve.
    pub revision: Option<u64>,
    /// How many revisions that is behind the node whose view this is.
    pub lag: Option<u64>,
    /// How long a message there and back takes, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// When the certificate that it shows to other nodes ends; RFC 3339, to the second. It renews it when a third of its seven
    /// days is left. `null` when it has not said: its mesh is off, or its build does not say.
    pub certificate_expires_on: Option<String>,
    /// The revision that it does not serve, and why.
    pub refused: Option<RefusedInfo>,
    /// Whose view of it this is.
    pub view: ViewInfo,
}

/// What a node does not serve.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedInfo {
    /// Which revision.
    pub revision: u64,
    /// Why.
    pub reason: String,
}

/// What to change of a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeBody {
    /// `voter` or `edge`.
    pub role: String,
}

impl NodeInfo {
    fn of(node: &Node, live: NodeView, head: Revision, view: ViewInfo) -> Self {
        Self {
            id: node.id.0,
            name: node.name.clone(),
            role: node.role.as_str(),
            raft: live.raft.map(|raft| raft.as_str()),
            state: node.state.as_str(),
            region: node.region.clone(),
            zone: node.zone.clone(),
            address: node.address.clone(),
            api: node.api.clone(),
            build: live.build.unwrap_or_else(|| node.build.clone()),
            feature_level: node.feature_level,
            boot: node.boot,
            joined_on: rfc3339(node.joined_at_ms),
            alive: live.alive,
            revision: live.revision.map(|revision| revision.0),
            lag: live.revision.map(|revision| head.0.saturating_sub(revision.0)),
            rtt_ms: live.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            certificate_expires_on: live.certificate_expires_ms.map(rfc3339),
            refused: live.refused.map(|(revision, reason)| RefusedInfo { revision: revision.0, reason }),
            view,
        }
    }
}

/// Adds the calls.
pub(super) fn mount(endpoints: &mut Endpoints) {
    let (all, one) = ("/cluster/nodes", "/cluster/nodes/{node}");
    let list = Endpoint::get(all, "listNodes", "The nodes, by id").needs(CLUSTER_READ).tag("cluster").paged();
    endpoints.add(list.lists::<NodeInfo>(), list_all);
    let show = Endpoint::get(one, "getNode", "One node, by id or name").needs(CLUSTER_READ).tag("cluster");
    endpoints.add(show.answers::<NodeInfo>(), show_one);
    let change = Endpoint::patch(one, "setNodeRole", "Makes a node a voter or an edge").needs(CLUSTER_WRITE);
    let change = change.tag("cluster").repeatable();
    endpoints.add(change.takes::<NodeBody>().answers::<NodeInfo>(), set_role);
    let drain = Endpoint::post("/cluster/nodes/{node}/drain", "drainNode", DRAIN);
    endpoints.add(drain.needs(CLUSTER_WRITE).tag("cluster").repeatable().answers::<NodeInfo>(), drain_one);
    let undrain = Endpoint::post("/cluster/nodes/{node}/undrain", "undrainNode", "Gives a drained node work again");
    endpoints.add(undrain.needs(CLUSTER_WRITE).tag("cluster").repeatable().answers::<NodeInfo>(), undrain_one);
    let remove = Endpoint::delete(one, "removeNode", "Cuts a node off for good").needs(CLUSTER_WRITE).tag("cluster");
    let remove = remove.query("force", "true: although it votes or keeps KV namespaces, because the machine is lost.");
    endpoints.add(remove.repeatable(), remove_one);
}

async fn list_all(
    State(deps): State<Deps>,
    operator: Operator,
    page: Page,
    request: Parts,
) -> Result<Response, ApiError> {
    let remark = match view::choose(&deps, &request).await {
        View::Leader(answer) => return Ok(answer),
        View::Own { remark } => remark,
    };
    let (catalog, mut live, own) = (&operator.catalog, deps.cluster.nodes(), ViewInfo::of(&deps.control));
    let (items, info) = page.cut(catalog.nodes(), catalog.nodes().count());
    let show =
        |node: &Arc<Node>| NodeInfo::of(node, live.remove(&node.id).unwrap_or_default(), catalog.revision(), own);
    let nodes: Vec<NodeInfo> = items.into_iter().map(show).collect();
    Ok(remarked(Answer::ok(nodes).with_info(info), remark))
}

async fn show_one(
    State(deps): State<Deps>,
    operator: Operator,
    params: Params,
    request: Parts,
) -> Result<Response, ApiError> {
    match view::choose(&deps, &request).await {
        View::Leader(answer) => Ok(answer),
        View::Own { remark } => {
            let id = find(&operator.catalog, &params)?.id;
            Ok(remarked(Answer::ok(view(&deps, id)?), remark))
        }
    }
}

fn remarked<T: Serialize>(answer: Answer<T>, remark: Option<String>) -> Response {
    match remark {
        Some(remark) => answer.with_message(remark).into_response(),
        None => answer.into_response(),
    }
}

async fn set_role(
    State(deps): State<Deps>,
    operator: Operator,
    writer: Writer,
    params: Params,
    JsonBody(body): JsonBody<NodeBody>,
) -> Reply<NodeInfo> {
    let role: NodeRole = body.role.parse().map_err(|error: RoleError| ApiError::field("role", error.to_string()))?;
    let node = find(&operator.catalog, &params)?;
    let id = node.id;
    if (node.role, role) == (NodeRole::Voter, NodeRole::Edge) {
        keeps_code(&deps, node).await?;
    }
    change(&deps, &operator, &writer, id, Change::SetNodeRole { id, role }).await
}

async fn drain_one(State(deps): State<Deps>, operator: Operator, writer: Writer, params: Params) -> Reply<NodeInfo> {
    let id = find(&operator.catalog, &params)?.id;
    change(&deps, &operator, &writer, id, Change::SetNodeState { id, state: NodeState::Draining }).await
}

async fn undrain_one(State(deps): State<Deps>, operator: Operator, writer: Writer, params: Params) -> Reply<NodeInfo> {
    let id = find(&operator.catalog, &params)?.id;
    change(&deps, &operator, &writer, id, Change::SetNodeState { id, state: NodeState::Active }).await
}

async fn remove_one(
    State(deps): State<Deps>,
    operator: Operator,
    writer: Writer,
    params: Params,
    query: Query,
) -> Reply<()> {
    let voter = if query.flag("force")? { WhenVoter::Remove } else { WhenVoter::Refuse };
    if let Some(applied) = writer.replay(&operator.account)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let node = find(&operator.catalog, &params)?;
    removal::check(node, &deps.cluster.nodes(), voter)?;
    if voter == WhenVoter::Refuse {
        keeps_code(&deps, node).await?;
    }
    let change = Change::RemoveNode { id: node.id, voter };
    let applied = writer.propose(&operator.account, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}

/// Fails when a node that goes would take the only copies of some version's code along.
async fn keeps_code(deps: &Deps, node: &Node) -> Result<(), ApiError> {
    match deps.control.rare_without(node.id).await {
        0 => Ok(()),
        rare => Err(ApiError::Conflict(format!(
            "the code of {rare} versions is not yet on a majority of the voters that stay without {}; they fetch it by \
             themselves: try again in a moment, or bring back the voters that do not answer",
            node.name
        ))),
    }
}

async fn change(deps: &Deps, operator: &Operator, writer: &Writer, id: NodeId, change: Change) -> Reply<NodeInfo> {
    let applied = writer.propose(&operator.account, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(view(deps, id)?).at(applied.revision))
}

/// A node as it is now.
fn view(deps: &Deps, id: NodeId) -> Result<NodeInfo, ApiError> {
    let catalog = deps.control.catalog();
    let node = catalog.node(id).ok_or_else(|| ApiError::not_found(Thing::Node, id))?;
    let live = deps.cluster.nodes().remove(&id).unwrap_or_default();
    Ok(NodeInfo::of(node, live, catalog.revision(), ViewInfo::of(&deps.control)))
}

/// The node that a path names by its id or its name.
fn find<'a>(catalog: &'a Catalog, params: &Params) -> Result<&'a Node, ApiError> {
    let text = params.text("node")?;
    let is_id = text.bytes().all(|byte| byte.is_ascii_digit());
    let by_id = text.parse().ok().filter(|_| is_id).and_then(|id| catalog.node(NodeId(id)));
    match (by_id, catalog.node_by_name(text)) {
        (Some(one), Some(other)) if one.id != other.id => Err(ApiError::Conflict(format!(
            "{text} is the id of node {:?} and the name of node {}; use {:?} for the one and {} for the other",
            one.name, other.id, one.name, other.id
        ))),
        (Some(node), _) | (None, Some(node)) => Ok(node),
        (None, None) => Err(ApiError::not_found(Thing::Node, format!("{text:.80}"))),
    }
}
