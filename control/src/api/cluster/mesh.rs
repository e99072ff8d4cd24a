//! The authority of the mesh, and replacing it.
//!
//! **Owns** the calls about it. **Must not know** X.509, or when a step is safe. **Enter at** [`mount`].
//!
//! Beginning is one call; the leader takes the steps by itself as the nodes follow. Asked again it says how far it is, so a
//! repeated call begins nothing a second time.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Operator;
use crate::{
    api::{
        Deps,
        auth::{CLUSTER_READ, CLUSTER_WRITE},
        endpoint::{Endpoint, Endpoints},
        envelope::{Answer, Reply},
        error::ApiError,
        query::Query,
        time::rfc3339,
        writer::Writer,
    },
    catalog::Catalog,
    rotation::{
        self, RotateError,
        plan::{Waiting, phase},
    },
};

/// Who signs the certificates of nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeshInfo {
    /// The first one signs, all are trusted; one unless a rotation is under way.
    pub authorities: Vec<AuthorityInfo>,
    /// The rotation that is under way.
    pub rotation: Option<RotationInfo>,
}

/// An authority of the mesh.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuthorityInfo {
    /// BLAKE3 of its certificate, 64 hexadecimal digits; join tokens carry it.
    pub fingerprint: String,
    /// RFC 3339.
    pub created_on: String,
}

/// How far a rotation is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RotationInfo {
    /// `trusting`: nodes learn to believe the new authority. `renewing`: they get its certificates.
    pub phase: &'static str,
    /// Whom it waits for; `null` until the nodes have been asked, within a second or so.
    pub waiting: Option<Vec<WaitingNode>>,
}

/// A node that a rotation waits for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WaitingNode {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it answers the leader at all.
    pub answers: bool,
}

/// Adds the calls.
pub(super) fn mount(endpoints: &mut Endpoints) {
    let show = Endpoint::get("/cluster/mesh", "getMesh", "Who signs the certificates of nodes").on_leader();
    endpoints.add(show.needs(CLUSTER_READ).tag("cluster").answers::<MeshInfo>(), show_mesh);
    let rotate = Endpoint::post("/cluster/rotate-ca", "rotateCa", "Replaces the authority of the mesh, step by step");
    let force = "Do the step that is under way whoever has not followed: those nodes may have to join anew.";
    let rotate = rotate.needs(CLUSTER_WRITE).tag("cluster").query("force", force).repeatable();
    endpoints.add(rotate.answers::<MeshInfo>(), rotate_ca);
}

impl MeshInfo {
    fn of(deps: &Deps) -> Self {
        let catalog = deps.control.catalog();
        let authorities = rotation::authorities(&catalog);
        let known = deps.control.rotation();
        let info = |phase| {
            let known = known.filter(|known| known.phase == phase);
            let waiting = known.map(|known| known.waiting.iter().map(|one| waiting_node(&catalog, one)).collect());
            RotationInfo { phase: phase.as_str(), waiting }
        };
        let shown = authorities.iter().map(|authority| AuthorityInfo {
            fingerprint: authority.fingerprint().to_string(),
            created_on: rfc3339(authority.created_at_ms),
        });
        Self { authorities: shown.collect(), rotation: phase(authorities).map(info) }
    }
}

fn waiting_node(catalog: &Catalog, waiting: &Waiting) -> WaitingNode {
    let name = catalog.node(waiting.node).map(|node| node.name.clone()).unwrap_or_default();
    WaitingNode { id: waiting.node.0, name, answers: waiting.answers }
}

async fn show_mesh(State(deps): State<Deps>, _: Operator) -> Reply<MeshInfo> {
    Ok(Answer::ok(MeshInfo::of(&deps)))
}

async fn rotate_ca(State(deps): State<Deps>, operator: Operator, writer: Writer, query: Query) -> Reply<MeshInfo> {
    if let Some(applied) = writer.replay(&operator.account)? {
        return Ok(Answer::ok(MeshInfo::of(&deps)).at(applied.revision));
    }
    let authorities = rotation::authorities(&operator.catalog);
    let change = match (phase(authorities), query.flag("force")?) {
        (None, false) => deps.control.begin_rotation()?,
        (Some(_), false) => return Ok(Answer::ok(MeshInfo::of(&deps))),
        (Some(phase), true) => rotation::step(phase, authorities),
        (None, true) => {
            return Err(ApiError::Conflict("no rotation is under way, so there is no step to force".into()));
        }
    };
    let applied = writer.propose(&operator.account, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(MeshInfo::of(&deps)).at(applied.revision))
}

impl From<RotateError> for ApiError {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::NoAuthority => Self::Conflict(error.to_string()),
            RotateError::Make(_) => Self::internal(&error),
        }
    }
}
