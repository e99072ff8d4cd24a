//! Pure. One node's subscribers, and what is known of everyone behind them.
//!
//! **Owns** who gets what next, and when acknowledgements go up. **Must not know** links, clocks, or where states come
//! from. **Enter at** [`Publisher`].
//!
//! ```text
//! Arrived --after R--> Live --falls off the tail--> Waiting --encoded--> Sending --last chunk--> Live
//!    |  |--not in this history, or asks for one-------^
//!    |  `--acks only--> AcksOnly
//!    `--no place--> redirected      any --closed, stalled, or back on another link--> gone
//! ```
//! - A later Subscribe moves to Live or Waiting from any state, and starts again from there.
//! - A slow subscriber keeps nobody waiting: its link has a window, and what waits lies in the tail that all share.
//! - Everyone gets a heartbeat on arrival, each second, and when this node has heard something fresher.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};

use super::{
    acks::{Ack, Acks, Refusal},
    limits::{ACKS_EVERY, ACKS_ONLY_MAX, DEPTH_MAX, FRESHER, HEARTBEAT, REDIRECTS_MAX, SNAPSHOT_KEPT, SUBSCRIBERS_MAX},
    message::{Down, Heartbeat, Position, Subscribe, Up},
    tail::{Next, Tail},
};
use crate::state::LogEntry;

mod own;
mod subscriber;

use self::{
    own::Own,
    subscriber::{State, Subscriber},
};

/// A subscriber's link, numbered by the driver; numbers are not used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub u64);

/// How near a node is to the voters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Steps to a voter; 0 for a voter.
    pub depth: u32,
    /// When this node's state was a voter's newest; `None` when that is not known.
    pub fresh_at: Option<Instant>,
}

/// An encoded state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which.
    pub position: Position,
    /// The framed catalog.
    pub bytes: Bytes,
}

/// What happens to a publisher.
#[derive(Debug)]
pub enum Input {
    /// This node serves these entries from now on.
    Advanced(Vec<Arc<LogEntry>>),
    /// This node serves a state that did not come entry by entry.
    Replaced(Position),
    /// How near this node is to the voters.
    Standing(Standing),
    /// A node opened a link.
    Arrived(SubscriberId, NodeId),
    /// It sent something.
    Received(SubscriberId, Up),
    /// Its link took a message.
    Sent(SubscriberId),
    /// Its link has ended.
    Closed(SubscriberId),
    /// The state that was to be encoded.
    Encoded(Arc<Snapshot>),
    /// There is no snapshot, for want of something; it is tried again with the next entry, or the next heartbeat.
    NotEncoded,
    /// What the data plane serves, and the last revision that it refuses.
    Plane(Revision, Option<Refusal>),
    /// The feed can not take a revision.
    Refused(Refusal),
    /// What the feed refused it has taken after all.
    Accepted,
    /// The way up is a new one, which has seen no acknowledgements.
    ForwardAll,
    /// The nodes that the cluster has.
    Members(BTreeSet<NodeId>),
    /// [`Publisher::next_timeout`] has come.
    Timeout,
}

/// What the driver does for a publisher.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Put a message on a link. The link has room: at most [`super::limits::WINDOW`] messages and a few are not yet
    /// [`Input::Sent`].
    Send(SubscriberId, Down),
    /// End a link, after what is on it.
    Close(SubscriberId),
    /// Encode the newest state and answer with [`Input::Encoded`].
    Encode,
    /// Pass these up.
    Forward(Vec<Arc<Ack>>),
}

/// One node's subscribers.
#[derive(Debug)]
pub struct Publisher {
    tail: Tail,
    standing: Standing,
    subscribers: BTreeMap<SubscriberId, Subscriber>,
    /// Where the next redirect begins to name subscribers.
    rotation: usize,
    snapshot: Option<(Arc<Snapshot>, Instant)>,
    encoding: bool,
    beat_at: Instant,
    said_fresh_at: Option<Instant>,
    own: Own,
    acks: Acks,
    forwarded: u64,
    forward_at: Instant,
}

impl Publisher {
    /// A publisher of `node`, in its life `boot`, that has nothing yet.
    #[must_use]
    pub fn new(now: Instant, node: NodeId, boot: u64) -> Self {
        Self {
            tail: Tail::default(),
            standing: Standing { depth: DEPTH_MAX + 1, fresh_at: None },
            subscribers: BTreeMap::new(),
            rotation: 0,
            snapshot: None,
            encoding: false,
            beat_at: now + HEARTBEAT,
            said_fresh_at: None,
            own: Own::new(node, boot),
            acks: Acks::default(),
            forwarded: 0,
            forward_at: now,
        }
    }

    /// Takes what happened. The caller performs the actions, in order.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Advanced(entries) => {
                self.tail.extend(entries);
                self.pump_all(now, out);
            }
            Input::Replaced(head) => {
                self.tail.replace(head);
                self.pump_all(now, out);
            }
            Input::Standing(standing) => self.stand(now, standing, out),
            Input::Arrived(id, node) => self.arrive(now, id, node, out),
            Input::Received(id, Up::Subscribe(subscribe)) => self.subscribe(now, id, subscribe, out),
            Input::Received(_, Up::Acks(acks)) => {
                for ack in acks {
                    self.acks.merge(ack);
                }
            }
            Input::Sent(id) => {
                if let Some(subscriber) = self.subscribers.get_mut(&id) {
                    subscriber.sent(now);
                }
                self.pump(now, id, out);
            }
            Input::Closed(id) => drop(self.subscribers.remove(&id)),
            Input::Encoded(snapshot) => {
                (self.snapshot, self.encoding) = (Some((snapshot, now)), false);
                self.pump_all(now, out);
            }
            // Not at once: the next one would fail as this one did.
            Input::NotEncoded => {
                self.encoding = false;
                return;
            }
            Input::Plane(shown, refused) => self.say(|own| own.plane(shown, refused)),
            Input::Refused(refusal) => self.say(|own| own.refuse(refusal)),
            Input::Accepted => self.say(Own::accept),
            Input::ForwardAll => self.forwarded = 0,
            Input::Members(members) => self.acks.retain(&members),
            Input::Timeout => self.timeout(now, out),
        }
        self.want_snapshot(out);
        self.forward(now, out);
    }

    /// When [`Input::Timeout`] is due next.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        if self.acks.changes() > self.forwarded { self.beat_at.min(self.forward_at) } else { self.beat_at }
    }

    /// What is known of everyone behind this node, and of itself.
    #[must_use]
    pub fn acks(&self) -> &Acks {
        &self.acks
    }

    /// The newest state that subscribers get.
    #[must_use]
    pub fn head(&self) -> Position {
        self.tail.head()
    }

    /// How near this node is to the voters.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Who subscribes, and up to where each has been sent; `None` for those that wait for a snapshot.
    pub fn subscribers(&self) -> impl Iterator<Item = (NodeId, Option<Revision>)> {
        self.subscribers.values().filter(|one| one.takes_place()).map(|one| (one.node, one.position()))
    }

    fn arrive(&mut self, now: Instant, id: SubscriberId, node: NodeId, out: &mut Vec<Action>) {
        self.subscribers.insert(id, Subscriber::new(now, node));
        let strangers = self.subscribers.values().filter(|one| matches!(one.state, State::Arrived)).count();
        if strangers > SUBSCRIBERS_MAX {
            self.close(id, out);
        }
    }

    fn subscribe(&mut self, now: Instant, id: SubscriberId, subscribe: Subscribe, out: &mut Vec<Action>) {
        let Some(node) = self.subscribers.get(&id).map(|subscriber| subscriber.node) else { return };
        let acks_only = subscribe == Subscribe::AcksOnly;
        let alike = |one: &Subscriber| if acks_only { matches!(one.state, State::AcksOnly) } else { one.takes_place() };
        let others = self.subscribers.iter().filter(|(other, one)| **other != id && alike(one));
        // A node that comes back on a new link before the old one is known to be dead has one place, not two.
        let (old, others): (Vec<_>, Vec<_>) =
            others.map(|(other, one)| (*other, one.node)).partition(|(_, other)| *other == node);
        old.into_iter().for_each(|(other, _)| self.close(other, out));
        if others.len() >= if acks_only { ACKS_ONLY_MAX } else { SUBSCRIBERS_MAX } {
            let others = self.redirect(node);
            self.send(now, id, Down::Redirect(others), out);
            return self.close(id, out);
        }
        let state = match subscribe {
            Subscribe::AcksOnly => State::AcksOnly,
            Subscribe::Snapshot(least) => State::Waiting(least),
            Subscribe::After(None) => State::Waiting(Revision(1)),
            Subscribe::After(Some(have)) if self.tail.contradicts(have) => State::Waiting(have.revision),
            Subscribe::After(Some(have)) => State::Live(have.revision),
        };
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.state = state;
        }
        let heartbeat = self.heartbeat(now);
        self.send(now, id, heartbeat, out);
        self.pump(now, id, out);
    }

    /// Subscribers that are up to date, beginning at another one each time.
    fn redirect(&mut self, asker: NodeId) -> Vec<NodeId> {
        let live = self.subscribers.values().filter(|one| matches!(one.state, State::Live(_)) && one.node != asker);
        let live: Vec<_> = live.map(|one| one.node).collect();
        self.rotation = self.rotation.wrapping_add(REDIRECTS_MAX);
        let from = self.rotation.checked_rem(live.len()).unwrap_or(0);
        live.iter().cycle().skip(from).take(REDIRECTS_MAX.min(live.len())).copied().collect()
    }

    fn stand(&mut self, now: Instant, standing: Standing, out: &mut Vec<Action>) {
        self.standing = standing;
        let fresher = match (standing.fresh_at, self.said_fresh_at) {
            (Some(fresh), Some(said)) => fresh > said + FRESHER,
            (fresh, _) => fresh.is_some(),
        };
        if fresher {
            self.beat(now, out);
        }
    }

    fn timeout(&mut self, now: Instant, out: &mut Vec<Action>) {
        if now < self.beat_at {
            return;
        }
        let stalled = self.subscribers.iter().filter(|(_, one)| one.is_stalled(now)).map(|(id, _)| *id);
        stalled.collect::<Vec<_>>().into_iter().for_each(|id| self.close(id, out));
        let used = self.subscribers.values().any(|one| matches!(one.state, State::Sending(_)));
        if let Some((_, used_at)) = &mut self.snapshot {
            if used {
                *used_at = now;
            } else if now >= *used_at + SNAPSHOT_KEPT {
                self.snapshot = None;
            }
        }
        self.beat(now, out);
    }

    fn beat(&mut self, now: Instant, out: &mut Vec<Action>) {
        let heartbeat = self.heartbeat(now);
        for (id, subscriber) in &mut self.subscribers {
            if !matches!(subscriber.state, State::Arrived) && subscriber.has_room() {
                subscriber.queued(now);
                out.push(Action::Send(*id, heartbeat.clone()));
            }
        }
        (self.beat_at, self.said_fresh_at) = (now + HEARTBEAT, self.standing.fresh_at);
    }

    fn heartbeat(&self, now: Instant) -> Down {
        let age = self.standing.fresh_at.map_or(Duration::MAX, |fresh_at| now.saturating_duration_since(fresh_at));
        Down::Heartbeat(Heartbeat { position: self.tail.head(), depth: self.standing.depth, age })
    }

    fn pump_all(&mut self, now: Instant, out: &mut Vec<Action>) {
        let ids: Vec<_> = self.subscribers.keys().copied().collect();
        ids.into_iter().for_each(|id| self.pump(now, id, out));
    }

    /// Fills a subscriber's window.
    fn pump(&mut self, now: Instant, id: SubscriberId, out: &mut Vec<Action>) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        let usable = |least: Revision, tail: &Tail| match &self.snapshot {
            Some((snapshot, _)) if snapshot.position.revision >= least => {
                (tail.after(snapshot.position.revision) != Next::Gone).then(|| Arc::clone(snapshot))
            }
            _ => None,
        };
        while subscriber.has_room()
            && let Some(message) = subscriber.next(&self.tail, usable)
        {
            subscriber.queued(now);
            out.push(Action::Send(id, message));
        }
    }

    /// Has the newest state encoded when somebody waits for it and it is new enough.
    fn want_snapshot(&mut self, out: &mut Vec<Action>) {
        let head = self.tail.head().revision;
        let waits = |one: &Subscriber| matches!(one.state, State::Waiting(least) if least <= head) && one.has_room();
        if !self.encoding && head > Revision(0) && self.subscribers.values().any(waits) {
            self.encoding = true;
            out.push(Action::Encode);
        }
    }

    fn send(&mut self, now: Instant, id: SubscriberId, message: Down, out: &mut Vec<Action>) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.queued(now);
            out.push(Action::Send(id, message));
        }
    }

    fn close(&mut self, id: SubscriberId, out: &mut Vec<Action>) {
        if self.subscribers.remove(&id).is_some() {
            out.push(Action::Close(id));
        }
    }

    /// Notes something about this node itself.
    fn say(&mut self, change: impl FnOnce(&mut Own) -> Option<Arc<Ack>>) {
        if let Some(ack) = change(&mut self.own) {
            self.acks.merge(ack);
        }
    }

    fn forward(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.acks.changes() > self.forwarded && now >= self.forward_at {
            out.push(Action::Forward(self.acks.since(self.forwarded)));
            (self.forwarded, self.forward_at) = (self.acks.changes(), now + ACKS_EVERY);
        }
    }
}
