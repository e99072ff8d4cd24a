//! Whose view of the nodes an answer shows.
//!
//! **Owns** asking the leader, which alone hears of all nodes and knows who votes, and going on without one: who looks at the
//! nodes when nobody leads needs an answer most. **Must not know** what is shown of a node. **Enter at** [`choose`].

use std::time::Duration;

use axum::{extract::OriginalUri, response::Response};
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{Deps, carry},
    clock,
    control::{Carried, Control},
};

/// BOUND: how long a leader is looked for: an election takes 2 to 2.5 s. Longer would keep those waiting who look at a cluster
/// that has lost its majority.
const LEADER_PATIENCE: Duration = Duration::from_secs(3);

/// The node whose view it is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct ViewInfo {
    /// Its id.
    pub node: u64,
    /// Whether it leads. Only a leader hears of everything that nodes refuse; one that takes no part in raft knows no `raft`
    /// of any node.
    pub leads: bool,
}

/// Who answers.
pub(super) enum View {
    /// The leader has, with this.
    Leader(Response),
    /// This node, with a remark where the leader should have.
    Own {
        /// The remark.
        remark: Option<String>,
    },
}

impl ViewInfo {
    /// This node's.
    pub(super) fn of(control: &Control) -> Self {
        Self { node: control.node().0, leads: control.leads() }
    }
}

/// Has the leader answer `request`, unless this node is it, or none answers in time.
pub(super) async fn choose(deps: &Deps, request: &Parts) -> View {
    let control = &deps.control;
    let is_last = control.leads() || !control.has_mesh() || request.extensions.get::<Carried>().is_some();
    if is_last {
        return View::Own { remark: None };
    }
    let target = request.extensions.get::<OriginalUri>().map_or(&request.uri, |original| &original.0);
    let asked = clock::monotonic();
    let answer = tokio::time::timeout(LEADER_PATIENCE, carry::ask_leader(control, &target.to_string(), request)).await;
    match answer {
        Ok(Ok(Some(response))) if !response.status().is_server_error() => View::Leader(response),
        // This node was elected meanwhile.
        Ok(Ok(None)) => View::Own { remark: None },
        Ok(Ok(Some(_)) | Err(_)) | Err(_) => {
            tracing::debug!(waited_ms = asked.elapsed().as_millis(), "no leader shows the nodes");
            let node = control.node();
            View::Own { remark: Some(format!("no leader has answered: this is what node {node} knows of the others")) }
        }
    }
}
