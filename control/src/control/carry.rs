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
        let then = self.sight(asked);
        loop {
            tokio::time::sleep(GONE_EVERY).await;
            if then.is_gone(asked, self.sight(asked)) {
                return;
            }
        }
    }

    fn sight(&self, asked: NodeId) -> Sight {
        Sight { leader: self.status().and_then(|status| status.leader), is_alive: self.seems_alive(asked) }
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

/// What this node believes while it waits for another one's answer.
#[derive(Debug, Clone, Copy)]
struct Sight {
    leader: Option<NodeId>,
    /// Whether gossip has no doubt about the node that was asked.
    is_alive: bool,
}

impl Sight {
    /// Whether a node that was asked under this sight has no answer to give `now`. One that did not lead then passes the
    /// request on to whoever was elected meanwhile, and the answer comes back through it.
    fn is_gone(self, asked: NodeId, now: Self) -> bool {
        let leads_no_more = self.leader == Some(asked) && now.leader.is_some_and(|leader| leader != asked);
        leads_no_more || (self.is_alive && !now.is_alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(leader: Option<u64>, is_alive: bool) -> Sight {
        Sight { leader: leader.map(NodeId), is_alive }
    }

    #[test]
    fn who_passes_a_request_on_is_not_given_up_when_a_leader_is_elected() {
        let asked = NodeId(2);
        assert!(!sight(None, true).is_gone(asked, sight(Some(3), true)));
        assert!(!sight(Some(1), true).is_gone(asked, sight(Some(3), true)));
        assert!(!sight(Some(2), true).is_gone(asked, sight(None, true)));
        assert!(sight(Some(2), true).is_gone(asked, sight(Some(3), true)));
    }

    #[test]
    fn who_seems_dead_is_given_up_unless_it_did_so_before() {
        let asked = NodeId(2);
        assert!(sight(None, true).is_gone(asked, sight(None, false)));
        assert!(!sight(None, false).is_gone(asked, sight(None, false)));
    }
}
