//! Requests on their way to the leader.
//!
//! **Owns** which voter is asked next. **Must not know** what a request wants. **Enter at**
//! [`Control::carry`].

use axum::body::Body;
use http::Response;
use skerry_proto::id::{NodeId, Revision};

use super::{ApiCall, CarryError, Control, RECOVERY_PATIENCE};
use crate::{peer, trace::SpanKind};

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
        let voters = self.seat.ask_next(self.node, &self.catalog());
        for voter in living(voters, |voter| self.sight.seems_alive(voter)) {
            let answered = peer::api::carry(mesh, &self.sight, voter, call).await;
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

    async fn seen(&self, revision: Revision) {
        if !self.reach(revision, RECOVERY_PATIENCE).await {
            tracing::warn!(%revision, "this node does not show a change yet");
        }
    }
}

/// Leaves out the nodes that seem dead, which would be waited for until the transport gives up. When all do, it may be gossip
/// that is.
fn living(mut nodes: Vec<NodeId>, seems_alive: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
    if nodes.iter().any(|node| seems_alive(*node)) {
        nodes.retain(|node| seems_alive(*node));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_not_asked_unless_all_seem_so() {
        let nodes = [1, 2, 3].map(NodeId);
        assert_eq!(living(nodes.to_vec(), |node| node != NodeId(1)), nodes[1..]);
        assert_eq!(living(nodes.to_vec(), |_| false), nodes);
    }
}
