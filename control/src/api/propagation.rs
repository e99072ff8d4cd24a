//! How far a change has come.
//!
//! **Owns** the answer to "is it live everywhere?". **Must not know** how nodes acknowledge. **Enter at** [`mount`].

use axum::extract::State;
use serde::Serialize;
use skerry_proto::id::{NodeId, Revision};
use utoipa::ToSchema;

use super::{
    Deps,
    auth::{CLUSTER_READ, WORKERS_READ},
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    params::Params,
    paths,
    query::Query,
    target::Target,
};

/// Which nodes serve a revision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PropagationView {
    /// The revision.
    pub revision: u64,
    /// All nodes of the cluster.
    pub total: usize,
    /// How many serve it, or something newer.
    pub acknowledged: usize,
    /// Who has not said anything about it yet.
    pub waiting: Vec<NodeView>,
    /// Who does not serve it, and why.
    pub refused: Vec<RefusalView>,
    /// Milliseconds from the commit until the last node served it; null while one is missing, or when the leader has changed
    /// since.
    pub live_ms: Option<u64>,
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeView {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// A node that does not serve a revision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusalView {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/deployments/{deployment}/propagation");
    let show = Endpoint::get(&script, "getPropagation", "Which nodes serve a deployment").also(&service);
    endpoints.add(show.on_leader().needs(WORKERS_READ).tag("deployments").answers::<PropagationView>(), of_deployment);
    let show = Endpoint::get("/cluster/propagation", "getRevisionPropagation", "Which nodes serve a revision")
        .query("revision", "The revision; the newest one when absent.");
    endpoints.add(show.on_leader().needs(CLUSTER_READ).tag("cluster").answers::<PropagationView>(), of_revision);
}

async fn of_deployment(State(deps): State<Deps>, target: Target, params: Params) -> Reply<PropagationView> {
    let text = params.text("deployment")?;
    let found = target.environment.deployments.iter().find(|deployment| deployment.id.as_str() == text);
    match found {
        Some(deployment) => Ok(Answer::ok(view(&deps, deployment.revision))),
        None => Err(ApiError::not_found(Thing::Deployment, format!("{text:.80}"))),
    }
}

async fn of_revision(State(deps): State<Deps>, query: Query) -> Reply<PropagationView> {
    let newest = deps.control.catalog().revision();
    let revision = match query.text("revision") {
        None => newest,
        Some(text) => match text.parse().map(Revision) {
            Ok(revision) if revision <= newest => revision,
            _ => return Err(ApiError::field("revision", format!("use a revision from 0 to {newest}"))),
        },
    };
    Ok(Answer::ok(view(&deps, revision)))
}

fn view(deps: &Deps, revision: Revision) -> PropagationView {
    let catalog = deps.control.catalog();
    let name = |id: NodeId| catalog.node(id).map(|node| node.name.clone()).unwrap_or_default();
    let known = deps.control.propagation(revision);
    let took = deps.control.live_times().of(revision);
    PropagationView {
        revision: revision.0,
        total: known.total,
        acknowledged: known.acknowledged,
        waiting: known.waiting.into_iter().map(|id| NodeView { id: id.0, name: name(id) }).collect(),
        refused: known
            .refused
            .into_iter()
            .map(|(id, reason)| RefusalView { id: id.0, name: name(id), reason })
            .collect(),
        live_ms: took.and_then(|took| u64::try_from(took.as_millis()).ok()),
    }
}
