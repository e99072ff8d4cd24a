//! Nodes, the links between them, and what will happen to them at some time.
//!
//! **Owns** the order of events. **Must not know** whose time it is: it is told. **Enter at** [`World`].

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use skerry_control::{
    feed::{
        Candidate,
        follow::{self, Follower, UpstreamId},
        limits::TICK,
        message::{Down, Up},
        publish::{self, Publisher, SubscriberId},
        relay::{Input, Relay},
        rules::{CatalogRules, Rules, position},
        uplink::Uplink,
    },
    raft::Raft,
    state::{Head, States},
};
use skerry_proto::id::{NodeId, Revision};

use super::{
    super::net::Net,
    disk::Disk,
    mutant::{Gullible, Mutant},
};
use crate::rng::Rng;

/// What will happen at some time. Those with the number of a life happen to that life only.
#[derive(Debug)]
pub(super) enum Event {
    Timer(NodeId),
    /// A node looks who leads, or who may be asked.
    Tick(NodeId, u64),
    Arrive(usize),
    Connected(usize),
    Up(usize, Up),
    Down(usize, Down),
    /// Both ends hear that a link has ended, if they do not know.
    Ended(usize),
    Flushed(NodeId, u64),
    Opened(NodeId, u64, UpstreamId, Bytes),
    Encoded(NodeId, u64),
}

/// A stream from a subscriber to its publisher and back. What is sent first arrives first.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) upper: NodeId,
    pub(super) subscriber: SubscriberId,
    pub(super) lower: NodeId,
    pub(super) upstream: UpstreamId,
    pub(super) open: bool,
    /// When the last message arrives, upwards and downwards.
    pub(super) busy: [Instant; 2],
}

/// A node that is up.
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) relay: Relay,
    pub(super) states: Arc<States>,
    pub(super) raft: Option<Raft>,
    pub(super) mutant: Option<Mutant>,
    pub(super) rules: Arc<dyn Rules>,
    /// When a voter last knew a leader, or a leader its quorum.
    fresh_at: Instant,
    /// There is a revision that it does not take.
    pub(super) holds: bool,
    pub(super) timer: Option<Instant>,
    pub(super) ups: BTreeMap<UpstreamId, usize>,
    pub(super) downs: BTreeMap<SubscriberId, usize>,
    pub(super) next_subscriber: u64,
}

impl Life {
    fn new(number: u64, now: Instant, relay: Relay, states: Arc<States>) -> Self {
        Self {
            number,
            relay,
            states,
            raft: None,
            mutant: None,
            rules: Arc::new(CatalogRules),
            fresh_at: now,
            holds: false,
            timer: None,
            ups: BTreeMap::new(),
            downs: BTreeMap::new(),
            next_subscriber: 0,
        }
    }
}

/// What happened, for coverage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::sim) struct Figures {
    /// Deltas that edges took.
    pub(in crate::sim) deltas: u64,
    /// Snapshots that edges took.
    pub(in crate::sim) snapshots: u64,
    /// Revisions that edges refused.
    pub(in crate::sim) refusals: u64,
    /// Deltas that were corrupted on their way.
    pub(in crate::sim) corrupted: u64,
}

/// All nodes.
pub(super) struct World {
    pub(super) net: Arc<Net>,
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) lives: BTreeMap<NodeId, Life>,
    pub(super) disks: BTreeMap<NodeId, Disk>,
    pub(super) links: Vec<Link>,
    pub(super) figures: Figures,
    /// By time, then in the order in which they were asked for.
    events: BTreeMap<(Instant, u64), Event>,
    voters: BTreeMap<NodeId, bool>,
    next: u64,
}

impl World {
    pub(super) fn new(net: Arc<Net>, now: Instant, seed: u64) -> Self {
        Self {
            net,
            now,
            rng: Rng::new(seed ^ 0x6665_6564),
            lives: BTreeMap::new(),
            disks: BTreeMap::new(),
            links: Vec::new(),
            figures: Figures::default(),
            events: BTreeMap::new(),
            voters: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn boot_voter(&mut self, now: Instant, id: NodeId, raft: Raft) {
        let states = raft.states();
        let publisher = self.publisher(now, id, &states.head());
        let relay = Relay::voter(publisher, Uplink::new(now, id));
        self.live(now, id, Life { raft: Some(raft), ..Life::new(self.next, now, relay, states) });
    }

    pub(super) fn boot_edge(&mut self, now: Instant, id: NodeId, mutant: Option<Mutant>) -> Arc<States> {
        let rules = rules(mutant);
        let head = self.disks.entry(id).or_default().load(&*rules);
        let states = Arc::new(States::new(head.clone()));
        let publisher = self.publisher(now, id, &head);
        let relay = Relay::edge(publisher, Follower::new(now, id, Arc::clone(&rules), head));
        let life = Life::new(self.next, now, relay, Arc::clone(&states));
        self.live(now, id, Life { mutant, rules, ..life });
        states
    }

    fn publisher(&mut self, now: Instant, id: NodeId, head: &Head) -> Publisher {
        self.next += 1;
        let mut publisher = Publisher::new(now, id, self.next);
        publisher.handle(now, publish::Input::Replaced(position(head)), &mut Vec::new());
        publisher
    }

    fn live(&mut self, now: Instant, id: NodeId, life: Life) {
        self.voters.insert(id, life.raft.is_some());
        self.at(now, Event::Tick(id, life.number));
        self.lives.insert(id, life);
    }

    /// Nobody is told; who waits for this node finds out by its silence.
    pub(super) fn kill(&mut self, id: NodeId) {
        let Some(life) = self.lives.remove(&id) else { return };
        for link in life.ups.into_values().chain(life.downs.into_values()) {
            self.links[link].open = false;
        }
        if let Some(disk) = self.disks.get_mut(&id) {
            disk.crash();
        }
    }

    pub(super) fn head(&self, id: NodeId) -> Option<Head> {
        self.lives.get(&id).map(|life| life.states.head())
    }

    /// Everything until `now` happens.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), event) = entry.remove_entry();
            self.now = at.max(self.now);
            self.happen(event);
        }
        self.now = now;
        let voters: Vec<_> = self.lives.iter().filter(|(_, life)| life.raft.is_some()).map(|(id, _)| *id).collect();
        voters.into_iter().for_each(|id| self.publish(id));
    }

    /// What raft has applied since the last look.
    fn publish(&mut self, id: NodeId) {
        let life = &self.lives[&id];
        let (published, head) = (life.relay.publisher().head().revision, life.states.head());
        if head.catalog.revision() > published {
            let input = match life.states.since(published) {
                Some(entries) => publish::Input::Advanced(entries),
                None => publish::Input::Replaced(position(&head)),
            };
            self.tell(id, Input::Down(input));
            self.shown(id);
        }
    }

    /// The data plane says that it serves what the node has.
    pub(super) fn shown(&mut self, id: NodeId) {
        let revision = self.lives[&id].states.catalog().revision();
        self.tell(id, Input::Down(publish::Input::Plane(revision, None)));
    }

    pub(super) fn tick(&mut self, id: NodeId, number: u64) {
        let Some(life) = self.lives.get_mut(&id).filter(|life| life.number == number) else { return };
        let input = match &life.raft {
            Some(raft) => {
                let leader = raft.status().leader;
                if leader.is_some() {
                    let age = raft.quorum_age().unwrap_or_default() * super::SPEED;
                    life.fresh_at = self.now.checked_sub(age).unwrap_or(self.now);
                }
                Input::Leads(leader, life.fresh_at)
            }
            None => Input::Up(follow::Input::Candidates(self.candidates(id), self.newest())),
        };
        self.tell(id, input);
        self.after(TICK, Event::Tick(id, number));
    }

    /// All nodes there are, also those that are down.
    fn candidates(&self, of: NodeId) -> Vec<Candidate> {
        let others = self.voters.iter().filter(|(node, _)| **node != of);
        others.map(|(node, is_voter)| Candidate { node: *node, is_voter: *is_voter, near: true }).collect()
    }

    /// What gossip claims.
    fn newest(&self) -> Option<(NodeId, Revision)> {
        let revisions = self.lives.iter().map(|(id, life)| (*id, life.states.catalog().revision()));
        revisions.max_by_key(|(_, revision)| *revision)
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(super) fn at(&mut self, at: Instant, event: Event) {
        self.next += 1;
        self.events.insert((at, self.next), event);
    }

    /// Some time between these, in milliseconds of the relays.
    pub(super) fn some_ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.rng.below(most - least + 1))
    }
}

fn rules(mutant: Option<Mutant>) -> Arc<dyn Rules> {
    if mutant == Some(Mutant::ChecksNoDigest) { Arc::new(Gullible) } else { Arc::new(CatalogRules) }
}
