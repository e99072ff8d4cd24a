//! Pure. A voter's way to tell the leader what it serves.
//!
//! **Owns** one link to the leader, for acknowledgements only: the state comes by raft. **Must not know** who leads; it is
//! told. **Enter at** [`Uplink`].
//!
//! ```text
//! Idle --another node leads--> Dialing --connected--> Linked --closed, silent, or another leader--> Idle
//!                                 `--closed, or too long--> Idle
//! ```

use std::{sync::Arc, time::Instant};

use skerry_proto::id::NodeId;

use super::{
    acks::Ack,
    follow::{Action, UpstreamId},
    limits::{DIAL_MAX, RETRY, SILENCE_MAX, TICK},
    message::{Subscribe, Up},
};

/// A voter's way to the leader.
#[derive(Debug)]
pub struct Uplink {
    node: NodeId,
    leader: Option<NodeId>,
    link: Option<Link>,
    next_id: u64,
    tick_at: Instant,
    retry_at: Instant,
}

#[derive(Debug)]
struct Link {
    id: UpstreamId,
    to: NodeId,
    linked: bool,
    heard_at: Instant,
}

impl Uplink {
    /// A voter that knows no leader yet.
    #[must_use]
    pub fn new(now: Instant, node: NodeId) -> Self {
        Self { node, leader: None, link: None, next_id: 0, tick_at: now + TICK, retry_at: now }
    }

    /// Who leads.
    pub fn lead(&mut self, now: Instant, leader: Option<NodeId>, out: &mut Vec<Action>) {
        self.leader = leader.filter(|leader| *leader != self.node);
        if let Some(link) = self.link.take_if(|link| Some(link.to) != leader) {
            out.push(Action::Close(link.id));
            self.retry_at = now;
        }
        self.dial(now, out);
    }

    /// The dial succeeded: everything must be acknowledged anew.
    pub fn connected(&mut self, now: Instant, id: UpstreamId, out: &mut Vec<Action>) {
        let Some(link) = self.link.as_mut().filter(|link| link.id == id) else { return out.push(Action::Close(id)) };
        (link.linked, link.heard_at) = (true, now);
        out.push(Action::Send(id, Up::Subscribe(Subscribe::AcksOnly)));
        out.push(Action::ForwardAll);
    }

    /// The leader sent something: a heartbeat, for nothing else was asked.
    pub fn heard(&mut self, now: Instant, id: UpstreamId) {
        if let Some(link) = self.link.as_mut().filter(|link| link.id == id) {
            link.heard_at = now;
        }
    }

    /// The link has ended.
    pub fn closed(&mut self, now: Instant, id: UpstreamId) {
        if self.link.take_if(|link| link.id == id).is_some() {
            self.retry_at = now + RETRY.0 * 4;
        }
    }

    /// Acknowledgements for the leader.
    pub fn forward(&mut self, acks: Vec<Arc<Ack>>, out: &mut Vec<Action>) {
        if let Some(link) = self.link.as_ref().filter(|link| link.linked && !acks.is_empty()) {
            out.push(Action::Send(link.id, Up::Acks(acks)));
        }
    }

    /// [`Uplink::next_timeout`] has come.
    pub fn timeout(&mut self, now: Instant, out: &mut Vec<Action>) {
        if now >= self.tick_at {
            self.tick_at = now + TICK;
        }
        let allowed = |link: &Link| if link.linked { SILENCE_MAX } else { DIAL_MAX };
        if let Some(link) = self.link.take_if(|link| now > link.heard_at + allowed(link)) {
            out.push(Action::Close(link.id));
            self.retry_at = now + RETRY.0 * 4;
        }
        self.dial(now, out);
    }

    /// When [`Uplink::timeout`] is due next.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        self.tick_at
    }

    fn dial(&mut self, now: Instant, out: &mut Vec<Action>) {
        let (Some(to), None) = (self.leader, &self.link) else { return };
        if now < self.retry_at {
            return;
        }
        self.next_id += 1;
        let id = UpstreamId(self.next_id);
        self.link = Some(Link { id, to, linked: false, heard_at: now });
        out.push(Action::Dial(id, to));
    }
}
