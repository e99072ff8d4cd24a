//! How far a change has come.
//!
//! **Owns** the answer to "is it live everywhere?". **Must not know** how nodes acknowledge. **Enter at** [`mount`].
//!
//! A node refuses a revision as a whole, and says why of the first part of it that failed, whosever that is. So the reason
//! is for tokens for all accounts; others hear it only of their own deployment.

use axum::extract::State;
use serde::Serialize;
use skerry_proto::id::{NodeId, Revision};
use utoipa::ToSchema;

use super::{
    Deps,
    auth::{CLUSTER_READ, Caller, WORKERS_READ},
    cluster::Operator,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    params::Params,
    paths,
    query::Query,
    target::Target,
};

/// What a caller hears who is bound to an account, where something else failed than what it asks about.
const FAILED_ELSEWHERE: &str = "the node does not serve this revision yet: another part of it failed there";

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
    /// Why not; of a deployment, a token for one account is told no more than that another part of the revision failed.
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

async fn of_deployment(
    State(deps): State<Deps>,
    caller: Caller,
    target: Target,
    params: Params,
) -> Reply<PropagationView> {
    let text = params.text("deployment")?;
    let found = target.environment.deployments.iter().find(|deployment| deployment.id.as_str() == text);
    let found = found.ok_or_else(|| ApiError::not_found(Thing::Deployment, format!("{text:.80}")))?;
    let mut view = view(&deps, found.revision);
    if caller.account.is_some() {
        for refusal in view.refused.iter_mut().filter(|refusal| !is_about(&target, &refusal.reason)) {
            FAILED_ELSEWHERE.clone_into(&mut refusal.reason);
        }
    }
    Ok(Answer::ok(view))
}

/// Whether a node's reason is about this environment. A reason begins with `service/environment: `, which another account may
/// have under the same names, and goes on with a version's id, which nobody else has.
fn is_about(target: &Target, reason: &str) -> bool {
    let Some(what) = reason.strip_prefix(&format!("{}: ", target.key)) else { return false };
    target.environment.versions.values().any(|version| what.contains(version.id.as_str()))
}

async fn of_revision(State(deps): State<Deps>, _: Operator, query: Query) -> Reply<PropagationView> {
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
