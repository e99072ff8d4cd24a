//! What this node believes of another one while it waits for its answer.
//!
//! **Owns** when an answer is not waited for any more. **Must not know** what was asked. **Enter at** [`Sight`].

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use skerry_proto::id::NodeId;
use tokio::sync::watch;

use crate::{
    gossip::{Liveness, Members},
    seat::Seat,
};

/// How often it is looked whether the node that was asked is still there.
const GONE_EVERY: Duration = Duration::from_millis(100);
/// BOUND: how long one that leads no more may take to answer what it was asked as the leader, if it has just handed the lead
/// over: a round trip, and what is left of its work. Others wait as long when it has died.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// What raft and gossip say here of other nodes. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sight {
    pub(crate) seat: Seat,
    /// Set once there is gossip.
    pub(crate) members: Arc<OnceLock<watch::Receiver<Arc<Members>>>>,
}

impl Sight {
    /// Returns once gossip begins to doubt that a node is alive, or a moment after one that was asked as the leader is none any
    /// more: the transport would wait longer.
    pub(crate) async fn gone(&self, asked: NodeId) {
        let (then, mut silent) = (self.of(asked), Duration::ZERO);
        while silent < ANSWERS_WITHIN {
            tokio::time::sleep(GONE_EVERY).await;
            silent = match then.become_of(asked, self.of(asked)) {
                Fate::Answers => Duration::ZERO,
                Fate::LeadsNoMore => silent + GONE_EVERY,
                Fate::Dead => return,
            };
        }
    }

    /// Whether gossip has no doubt about a node; it may not know it.
    pub(crate) fn seems_alive(&self, node: NodeId) -> bool {
        let is_alive = |members: &Members| members.state(node).is_none_or(|state| state.alive == Liveness::Alive);
        self.members.get().is_none_or(|members| is_alive(&members.borrow()))
    }

    fn of(&self, asked: NodeId) -> Belief {
        let leader = self.seat.raft().and_then(|raft| raft.status().leader);
        Belief { leader, is_alive: self.seems_alive(asked) }
    }
}

/// What is believed at one moment.
#[derive(Debug, Clone, Copy)]
struct Belief {
    leader: Option<NodeId>,
    /// Whether gossip has no doubt about the node that was asked.
    is_alive: bool,
}

/// What has become of a node that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is there.
    Answers,
    /// It was asked as the leader, and another one is.
    LeadsNoMore,
    /// It seems to be dead, and did not before.
    Dead,
}

impl Belief {
    /// What has become `now` of a node that was asked under this belief. One that did not lead then passes the request on to
    /// whoever was elected meanwhile, and the answer comes back through it.
    fn become_of(self, asked: NodeId, now: Self) -> Fate {
        if self.is_alive && !now.is_alive {
            Fate::Dead
        } else if self.leader == Some(asked) && now.leader.is_some_and(|leader| leader != asked) {
            Fate::LeadsNoMore
        } else {
            Fate::Answers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn belief(leader: Option<u64>, is_alive: bool) -> Belief {
        Belief { leader: leader.map(NodeId), is_alive }
    }

    #[test]
    fn who_passes_a_request_on_is_not_given_up_when_a_leader_is_elected() {
        let asked = NodeId(2);
        let fate = |then: Option<u64>, now: Option<u64>| belief(then, true).become_of(asked, belief(now, true));
        assert_eq!([fate(None, Some(3)), fate(Some(1), Some(3)), fate(Some(2), None)], [Fate::Answers; 3]);
        assert_eq!(fate(Some(2), Some(3)), Fate::LeadsNoMore);
    }

    #[test]
    fn who_seems_dead_is_given_up_unless_it_did_so_before() {
        let asked = NodeId(2);
        assert_eq!(belief(None, true).become_of(asked, belief(None, false)), Fate::Dead);
        assert_eq!(belief(None, false).become_of(asked, belief(None, false)), Fate::Answers);
    }
}
