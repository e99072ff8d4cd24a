//! Pure. All of one node's part in the feed.
//!
//! **Owns** how the way up and the subscribers meet: what is served is published, acknowledgements from below go up.
//! **Must not know** links, disks, clocks. **Enter at** [`Relay`]; the driver and simulations run the same one.

use std::{sync::Arc, time::Instant};

use skerry_proto::id::NodeId;

use super::{
    acks::Ack,
    follow::{self, Follower},
    publish::{self, Publisher, Standing},
    rules::position,
    uplink::Uplink,
};

/// One node's part in the feed.
#[derive(Debug)]
pub struct Relay {
    publisher: Publisher,
    way: Way,
}

/// How a node comes to its state, and tells what it serves.
#[derive(Debug)]
enum Way {
    Follower(Box<Follower>),
    Uplink(Uplink),
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// On the way up.
    Up(follow::Input),
    /// Among the subscribers, or in the data plane.
    Down(publish::Input),
    /// For a voter: who leads, and when its own state was known to be the newest.
    Leads(Option<NodeId>, Instant),
    /// [`Relay::next_timeout`] has come.
    Timeout,
}

/// What the driver does. `Refuse`, `Accept`, `ForwardAll` and `Forward` stay inside.
#[derive(Debug)]
pub enum Action {
    /// On the way up.
    Up(follow::Action),
    /// Among the subscribers.
    Down(publish::Action),
}

impl Relay {
    /// A node that does not vote.
    #[must_use]
    pub fn edge(publisher: Publisher, follower: Follower) -> Self {
        Self { publisher, way: Way::Follower(Box::new(follower)) }
    }

    /// A voter.
    #[must_use]
    pub fn voter(publisher: Publisher, uplink: Uplink) -> Self {
        Self { publisher, way: Way::Uplink(uplink) }
    }

    /// The subscribers, and what everyone acknowledges.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The way up; `None` on a voter.
    #[must_use]
    pub fn follower(&self) -> Option<&Follower> {
        match &self.way {
            Way::Follower(follower) => Some(follower),
            Way::Uplink(_) => None,
        }
    }

    /// When [`Input::Timeout`] is due next.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        let up = match &self.way {
            Way::Follower(follower) => follower.next_timeout(),
            Way::Uplink(uplink) => uplink.next_timeout(),
        };
        up.min(self.publisher.next_timeout())
    }

    /// Takes what happened. The caller performs the actions, in order.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Up(input) => self.up(now, input, out),
            Input::Down(input) => self.down(now, input, out),
            Input::Leads(leader, fresh_at) => {
                let mut actions = Vec::new();
                if let Way::Uplink(uplink) = &mut self.way {
                    uplink.lead(now, leader, &mut actions);
                }
                self.route(now, actions, out);
                let standing = Standing { depth: 0, fresh_at: Some(fresh_at) };
                self.down(now, publish::Input::Standing(standing), out);
            }
            Input::Timeout => {
                self.up(now, follow::Input::Timeout, out);
                if now >= self.publisher.next_timeout() {
                    self.down(now, publish::Input::Timeout, out);
                }
            }
        }
    }

    fn up(&mut self, now: Instant, input: follow::Input, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        match &mut self.way {
            Way::Follower(follower) => follower.handle(now, input, &mut actions),
            Way::Uplink(uplink) => match input {
                follow::Input::Connected(id) => uplink.connected(now, id, &mut actions),
                follow::Input::Received(id, _) => uplink.heard(now, id),
                follow::Input::Closed(id) => uplink.closed(now, id),
                follow::Input::Forward(acks) => uplink.forward(acks, &mut actions),
                follow::Input::Timeout => uplink.timeout(now, &mut actions),
                // These are about states, which come to a voter by raft.
                follow::Input::Candidates(..)
                | follow::Input::Persisted(_)
                | follow::Input::NotPersisted(_)
                | follow::Input::Opened(..) => {}
            },
        }
        self.route(now, actions, out);
    }

    /// What the way up decides about the subscribers.
    fn route(&mut self, now: Instant, actions: Vec<follow::Action>, out: &mut Vec<Action>) {
        for action in actions {
            let told = match &action {
                follow::Action::Refuse(refusal) => Some(publish::Input::Refused(refusal.clone())),
                follow::Action::Accept => Some(publish::Input::Accepted),
                follow::Action::ForwardAll => Some(publish::Input::ForwardAll),
                follow::Action::Advance(_, entries) => Some(publish::Input::Advanced(entries.clone())),
                follow::Action::Replace(head) => Some(publish::Input::Replaced(position(head))),
                _ => None,
            };
            let inside =
                matches!(action, follow::Action::Refuse(_) | follow::Action::Accept | follow::Action::ForwardAll);
            if !inside {
                out.push(Action::Up(action));
            }
            if let Some(told) = told {
                self.down(now, told, out);
            }
        }
        if let Some(standing) = self.follower().map(Follower::standing)
            && standing != self.publisher.standing()
        {
            self.down(now, publish::Input::Standing(standing), out);
        }
    }

    fn down(&mut self, now: Instant, input: publish::Input, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.publisher.handle(now, input, &mut actions);
        for action in actions {
            match action {
                publish::Action::Forward(acks) => self.forward(now, acks, out),
                action => out.push(Action::Down(action)),
            }
        }
    }

    fn forward(&mut self, now: Instant, acks: Vec<Arc<Ack>>, out: &mut Vec<Action>) {
        self.up(now, follow::Input::Forward(acks), out);
    }
}
