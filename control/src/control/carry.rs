//! Requests on their way to the leader.
//!
//! **Owns** which voter is asked next, and when one is given up. **Must not know** what a request wants. **Enter at**
//! [`Control::carry`].

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::Response;
use skerry_proto::id::{NodeId, Revision};

use super::{ApiCall, CarryError, Control, RECOVERY_PATIENCE};
use crate::{
    gossip::{Liveness, Members},
    peer,
    trace::SpanKind,
};

/// How often it is looked whether the node that was asked is still there.
const GONE_EVERY: Duration = Duration::from_millis(100);

impl Control {
    /// Carries a request to the leader, and returns once this node shows what the answer is about.
    pub(crate) async fn carry(&self, call: &ApiCall) -> Result<Response<Body>, CarryError> {
        let undone = |reason: &str| CarryError::Undone { reason: reason.to_owned() };
        let mesh = self.mesh.as_ref().ok_or_else(|| undone("this node does not lead, and has no mesh"))?;
        let mut refused = undone("no leader is known");
        let mut span = self.tracer.below(call.trace.as_ref(), SpanKind::Client, "api carry");
        span.record(|record| record.text("http.request.method", call.method.as_str()));
        let traced = span.context().map(|context| mesh.traced(&context.traceparent()));
        let mesh = traced.as_ref().unwrap_or(mesh);
        let mut voters = self.seat.ask_next(self.node, &self.catalog());
        voters.sort_by_key(|voter| !self.seems_alive(*voter));
        for voter in voters {
            let answered = tokio::select! {
                answered = peer::api::carry(mesh, voter, call) => answered,
                () = self.gone(voter) => Err(CarryError::Lost { reason: format!("node {voter} is gone") }),
            };
            span.record(|record| record.number("skerry.peer", i64::try_from(voter.0).unwrap_or(i64::MAX)));
            match answered {
                Ok(answer) => {
                    self.seen(answer.revision).await;
                    return Ok(answer.response);
                }
                Err(error @ CarryError::Undone { .. }) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    /// Returns once a node that was asked as the leader is none any more, or gossip begins to doubt that it is alive: the
    /// transport would wait longer.
    async fn gone(&self, asked: NodeId) {
        let was_alive = self.seems_alive(asked);
        loop {
            tokio::time::sleep(GONE_EVERY).await;
            let leader = self.status().and_then(|status| status.leader);
            if leader.is_some_and(|leader| leader != asked) || (was_alive && !self.seems_alive(asked)) {
                return;
            }
        }
    }

    /// Whether gossip has no doubt about a node; it may not know it.
    fn seems_alive(&self, node: NodeId) -> bool {
        let is_alive = |members: Arc<Members>| members.state(node).is_none_or(|state| state.alive == Liveness::Alive);
        self.members().is_none_or(is_alive)
    }

    async fn seen(&self, revision: Revision) {
        if !self.reach(revision, RECOVERY_PATIENCE).await {
            tracing::warn!(%revision, "this node does not show a change yet");
        }
    }
}
