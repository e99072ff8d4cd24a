//! Pure. One node's way to the newest state: two upstreams, and what comes from them.
//!
//! **Owns** what is believed, in which order it becomes durable and public, and whom it is taken from. **Must not know**
//! links, disks, clocks. **Enter at** [`Follower`].
//!
//! ```text
//! a slot:   empty --chosen--> dialing --connected--> subscribed --closed, redirected, or a fault--> empty
//! a delta:  received --follows the tip, applies, same digest--> tip --persisted--> served (Advance)
//!               |--known already--> dropped      |--does not follow--> the same upstream starts again from the tip
//!               `--does not apply, or digests differ--> refused: see `follow/hold.rs`
//! a state:  announced --chunks--> whole --opened, same digest--> tip --persisted--> served (Replace)
//! ```
//! - Both upstreams deliver, so one may die without a pause; what comes second is dropped by its revision.
//! - The second slot is filled once the first has caught up, so a new node takes one snapshot, not two.
//! - A fault is: silence, age, being behind, depth, deafness (`follow/upstream.rs`). What counts is what an upstream says,
//!   not what it was asked for; so nodes that feed each other in a circle give each other up.
//! - Gossip's claim of a newer revision only makes less patient with age, and says whom to ask: nothing is believed of it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};

use super::{
    acks::{Ack, Refusal},
    limits::{DEPTH_MAX, DIAL_BOTH_AGE_MAX, REBALANCE, RETRY, TICK},
    message::{Down, Position, Subscribe, Up},
    publish::Standing,
    rank::{Candidate, Peers, doubled, jitter},
    rules::{Rules, position},
};
use crate::state::{Head, LogEntry};

mod hold;
mod receive;
mod upstream;

use self::{
    hold::{DISK_PAUSE, Hold, Pending, Recoveries},
    receive::Incoming,
    upstream::{Fault, Phase, Upstream},
};

/// A link to an upstream, numbered by the follower; numbers are not used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u64);

/// What happens to a follower.
#[derive(Debug)]
pub enum Input {
    /// The nodes that may be asked, and which of them claims to serve the newest revision of all, if one does.
    Candidates(Vec<Candidate>, Option<(NodeId, Revision)>),
    /// A dial succeeded.
    Connected(UpstreamId),
    /// An upstream sent something.
    Received(UpstreamId, Down),
    /// A link has ended, or the dial failed, or it sent what is no message.
    Closed(UpstreamId),
    /// Everything up to this revision that was to be persisted is durable.
    Persisted(Revision),
    /// Nothing more of it will be.
    NotPersisted(String),
    /// The state that was to be opened.
    Opened(UpstreamId, Result<Head, String>),
    /// Acknowledgements for the way up.
    Forward(Vec<Arc<Ack>>),
    /// [`Follower::next_timeout`] has come.
    Timeout,
}

/// What the driver does for a follower.
#[derive(Debug)]
pub enum Action {
    /// Open a link and answer with [`Input::Connected`] or [`Input::Closed`].
    Dial(UpstreamId, NodeId),
    /// Put a message on a link; when it has no room, close it and answer with [`Input::Closed`].
    Send(UpstreamId, Up),
    /// End a link or a dial; no answer.
    Close(UpstreamId),
    /// Make an entry durable and answer with [`Input::Persisted`].
    Persist(Arc<LogEntry>),
    /// Make a state durable and answer with [`Input::Persisted`]. The bytes are its framed catalog.
    PersistState(Head, Bytes),
    /// Decode a state, compute its digest, and answer with [`Input::Opened`].
    Open(UpstreamId, Bytes),
    /// Serve this state, which these entries made.
    Advance(Head, Vec<Arc<LogEntry>>),
    /// Serve this state, which did not come entry by entry.
    Replace(Head),
    /// Tell the cluster that this revision is not taken.
    Refuse(Refusal),
    /// What was refused is served after all.
    Accept,
    /// The way up is another one: everything must be acknowledged again.
    ForwardAll,
}

/// One node's way to the newest state.
#[derive(Debug)]
pub struct Follower {
    node: NodeId,
    rules: Arc<dyn Rules>,
    /// The newest state that was verified; what lies between it and `served` waits for the disk.
    tip: Head,
    served: Revision,
    served_head: Head,
    pending: VecDeque<Pending>,
    /// Something was dropped because too much was pending, or the disk failed: ask again from then on.
    ask_again_at: Option<Instant>,
    disk_failed: bool,
    peers: Peers,
    slots: [Option<Upstream>; 2],
    retry_at: [Instant; 2],
    attempts: [u32; 2],
    /// There was nobody to dial for it.
    blocked: [bool; 2],
    /// Where acknowledgements go.
    active: Option<UpstreamId>,
    next_id: u64,
    fresh_at: Option<Instant>,
    hold: Option<Hold>,
    recoveries: Recoveries,
    incoming: Option<Incoming>,
    opening: Option<(UpstreamId, Position, Bytes)>,
    tick_at: Instant,
    rebalance_at: Instant,
}

impl Follower {
    /// Begins with the state that the disk has.
    #[must_use]
    pub fn new(now: Instant, node: NodeId, rules: Arc<dyn Rules>, head: Head) -> Self {
        Self {
            node,
            rules,
            served: head.catalog.revision(),
            served_head: head.clone(),
            tip: head,
            pending: VecDeque::new(),
            ask_again_at: None,
            peers: Peers::new(node),
            slots: [None, None],
            retry_at: [now; 2],
            attempts: [0; 2],
            blocked: [false; 2],
            disk_failed: false,
            active: None,
            next_id: 0,
            fresh_at: None,
            hold: None,
            recoveries: Recoveries::default(),
            incoming: None,
            opening: None,
            tick_at: now,
            rebalance_at: now + REBALANCE + jitter(node, 0, REBALANCE),
        }
    }

    /// Takes nothing up to `until`, which made this node crash; a snapshot of something newer ends it.
    pub fn quarantine(&mut self, now: Instant, until: Revision, reason: String) {
        self.hold = Some(Hold::quarantine(now, until, reason));
    }

    /// Takes what happened. The caller performs the actions, in order.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Candidates(candidates, newest) => self.peers.update(candidates, newest),
            Input::Connected(id) => self.connected(now, id, out),
            Input::Received(id, message) => self.received(now, id, message, out),
            Input::Closed(id) => self.lose(now, id, out),
            Input::Persisted(revision) => self.persisted(now, revision, out),
            Input::NotPersisted(reason) => self.not_persisted(now, reason, out),
            Input::Opened(id, opened) => self.opened(now, id, opened, out),
            Input::Forward(acks) => {
                if let Some(active) = self.active.filter(|_| !acks.is_empty()) {
                    out.push(Action::Send(active, Up::Acks(acks)));
                }
            }
            Input::Timeout => self.tick(now, out),
        }
        self.recover(now, out);
        self.settle(out);
        self.fill(now, out);
    }

    /// When [`Input::Timeout`] is due next.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        // A slot that waits for the other one, or for a candidate, is looked at with every tick.
        let dials = |slot: &usize| self.slots[*slot].is_none() && !self.blocked[*slot];
        (0..2).filter(dials).map(|slot| self.retry_at[slot]).fold(self.tick_at, Instant::min)
    }

    /// How near this node is to the voters.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let least = self.slots.iter().flatten().filter_map(|upstream| upstream.depth).min();
        Standing { depth: least.map_or(DEPTH_MAX + 1, |least| least.saturating_add(1)), fresh_at: self.fresh_at }
    }

    /// The upstreams: the node, the newest revision that it is known to have, its steps to a voter, and the age of what it
    /// says.
    pub fn upstreams(&self, now: Instant) -> impl Iterator<Item = (NodeId, Option<Revision>, Option<u32>, Duration)> {
        let subscribed = self.slots.iter().flatten().filter(|upstream| upstream.is_subscribed());
        subscribed.map(move |upstream| (upstream.node, upstream.revision(), upstream.depth, upstream.age(now)))
    }

    /// What this node does not take, and why.
    #[must_use]
    pub fn held(&self) -> Option<Refusal> {
        self.hold.as_ref().map(|hold| Refusal::new(hold.refused.revision, hold.reason.clone()))
    }

    fn position(&self) -> Position {
        position(&self.tip)
    }

    fn upstream(&self, id: UpstreamId) -> Option<&Upstream> {
        self.slots.iter().flatten().find(|upstream| upstream.id == id)
    }

    fn upstream_mut(&mut self, id: UpstreamId) -> Option<&mut Upstream> {
        self.slots.iter_mut().flatten().find(|upstream| upstream.id == id)
    }

    fn connected(&mut self, now: Instant, id: UpstreamId, out: &mut Vec<Action>) {
        let Some(upstream) = self.upstream_mut(id) else { return out.push(Action::Close(id)) };
        upstream.connected(now);
        let node = upstream.node;
        let question = self.question(now, id, node);
        out.push(Action::Send(id, Up::Subscribe(question)));
    }

    fn persisted(&mut self, now: Instant, revision: Revision, out: &mut Vec<Action>) {
        if std::mem::take(&mut self.disk_failed) {
            out.push(Action::Accept);
        }
        let mut entries = Vec::new();
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.head().catalog.revision() <= revision) {
            self.served_head = pending.head().clone();
            match pending {
                Pending::Entry(_, entry) => entries.push(entry),
                Pending::State(head) => {
                    entries.clear();
                    out.push(Action::Replace(head));
                }
            }
        }
        if !entries.is_empty() {
            out.push(Action::Advance(self.served_head.clone(), entries));
        }
        self.served = self.served_head.catalog.revision();
        self.pay();
        if self.pending.is_empty() && self.ask_again_at.is_some_and(|at| now >= at) {
            self.ask_again(now, out);
        }
    }

    fn not_persisted(&mut self, now: Instant, reason: String, out: &mut Vec<Action>) {
        tracing::error!(reason, "the feed's log can not be written; this node stays at what it has");
        if let Some(first) = self.pending.front() {
            self.disk_failed = true;
            out.push(Action::Refuse(Refusal::new(first.head().catalog.revision(), reason)));
        }
        self.pending.clear();
        self.tip = self.served_head.clone();
        self.ask_again_at = Some(now + DISK_PAUSE);
    }

    /// Every upstream starts again from the tip.
    fn ask_again(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.ask_again_at = None;
        let have = self.position();
        for upstream in self.slots.iter_mut().flatten().filter(|upstream| upstream.is_subscribed()) {
            upstream.asked_at = Some(now);
            let have = (have.revision > Revision(0)).then_some(have);
            out.push(Action::Send(upstream.id, Up::Subscribe(Subscribe::After(have))));
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if now < self.tick_at {
            return;
        }
        self.tick_at = now + TICK;
        if self.pending.is_empty() && self.ask_again_at.is_some_and(|at| now >= at) {
            self.ask_again(now, out);
        }
        let tip = self.hold.is_none().then_some(self.served);
        for slot in 0..2 {
            let [first, second] = &mut self.slots;
            let (one, other) = if slot == 0 { (first, second) } else { (second, first) };
            let Some(upstream) = one else { continue };
            let (id, node) = (upstream.id, upstream.node);
            if let Some(fault) = upstream.fault(now, other.as_ref(), tip, self.peers.newest()) {
                if fault == Fault::Stale {
                    self.peers.suggest_newest();
                }
                tracing::info!(upstream = %node, fault = ?fault, "an upstream is replaced");
                self.give_up(now, id, out);
            } else if self.owes_snapshot(now, id) {
                self.give_up(now, id, out);
            }
        }
        if now >= self.rebalance_at {
            self.rebalance(now, out);
        }
    }

    /// After failures the tree is deeper than it need be; one upstream at a time goes back to where it is meant to be.
    fn rebalance(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.rebalance_at = now + REBALANCE;
        let [Some(first), Some(second)] = &self.slots else { return };
        if !first.is_subscribed() || !second.is_subscribed() || self.hold.is_some() {
            return;
        }
        let taken = [first.node, second.node];
        let improvable = [first, second].into_iter().filter(|one| self.peers.could_improve(now, one.node, &taken));
        let deepest = improvable.max_by_key(|upstream| (upstream.depth, self.active != Some(upstream.id)));
        if let Some(id) = deepest.map(|upstream| upstream.id) {
            self.give_up(now, id, out);
        }
    }

    /// Ends a link.
    fn give_up(&mut self, now: Instant, id: UpstreamId, out: &mut Vec<Action>) {
        out.push(Action::Close(id));
        self.lose(now, id, out);
    }

    /// A link has ended; its node is not asked again for a while.
    fn lose(&mut self, now: Instant, id: UpstreamId, out: &mut Vec<Action>) {
        let slot = self.slots.iter().position(|slot| slot.as_ref().is_some_and(|upstream| upstream.id == id));
        let Some(slot) = slot else { return };
        let Some(upstream) = self.slots[slot].take() else { return };
        self.peers.avoid(now, upstream.node);
        let wait = if self.attempts[slot] == 0 { Duration::ZERO } else { doubled(RETRY, self.attempts[slot] - 1) };
        self.retry_at[slot] = now + wait + jitter(self.node, id.0, wait / 2);
        self.attempts[slot] = self.attempts[slot].saturating_add(1);
        self.active.take_if(|active| *active == id);
        self.incoming.take_if(|incoming| incoming.from == id);
        if let Some(hold) = &mut self.hold {
            hold.lost(id);
        }
        self.settle(out);
    }

    /// Acknowledgements go to an upstream that has shown that it lives.
    fn settle(&mut self, out: &mut Vec<Action>) {
        if self.active.is_none() {
            self.active = self.slots.iter().flatten().find(|upstream| upstream.depth.is_some()).map(|one| one.id);
            if self.active.is_some() {
                out.push(Action::ForwardAll);
            }
        }
    }

    /// Dials for empty slots.
    fn fill(&mut self, now: Instant, out: &mut Vec<Action>) {
        for slot in 0..2 {
            self.blocked[slot] = false;
            if self.slots[slot].is_some() || now < self.retry_at[slot] {
                continue;
            }
            let taken: Vec<_> = self.slots.iter().flatten().map(|upstream| upstream.node).collect();
            let choice = if self.may_dial_beside(now, 1 - slot) { self.peers.choose(now, &taken) } else { None };
            let Some(node) = choice else {
                self.blocked[slot] = true;
                continue;
            };
            self.next_id += 1;
            let id = UpstreamId(self.next_id);
            self.slots[slot] = Some(Upstream::dialed(now, id, node));
            out.push(Action::Dial(id, node));
        }
    }

    /// Whether two upstreams would not both send a snapshot: this node was up to date, or the other one has brought it there.
    fn may_dial_beside(&self, now: Instant, other: usize) -> bool {
        let Some(other) = &self.slots[other] else { return true };
        let tip = self.tip.catalog.revision();
        let was_fresh = self.fresh_at.is_some_and(|fresh_at| now < fresh_at + DIAL_BOTH_AGE_MAX);
        let caught_up = tip > Revision(0) && other.revision().is_some_and(|head| head <= tip);
        self.incoming.is_none() && (was_fresh || caught_up) || self.hold.is_some() && other.phase == Phase::Subscribed
    }

    /// What has been reached says how fresh this node is.
    fn pay(&mut self) {
        let served = self.served;
        let paid = self.slots.iter_mut().flatten().filter_map(|upstream| upstream.pay(served)).max();
        self.fresh_at = self.fresh_at.max(paid);
    }
}
