//! A cluster of relays on a virtual clock: links with latency, disks with fsyncs, nodes that die.
//!
//! **Owns** time, chance and what is measured. **Must not know** what a scenario wants. **Enter at** [`World`].

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};

use super::lab::{History, Rng, SharedRules};
use crate::{
    clock,
    feed::{
        follow::{self, Follower, UpstreamId},
        limits::{SUBSCRIBERS_MAX, TICK},
        message::{Down, Up},
        publish::{self, Publisher, Snapshot, SubscriberId},
        rank::Candidate,
        relay::{Action, Input, Relay},
        rules::position,
        uplink::Uplink,
    },
    state::{Head, LogEntry},
};

mod perform;

pub(super) const LEADER: NodeId = NodeId(1);
const REGIONS: u64 = 4;

/// What will happen at some time.
#[derive(Debug)]
enum Event {
    Timer(NodeId),
    /// A voter looks who leads.
    Leads(NodeId),
    Arrive(u64),
    Connected(u64),
    Up(u64, Up),
    Down(u64, Down),
    /// One side ended the link, and the other one hears of it.
    Ended(u64),
    Flushed(NodeId, u32),
    Opened(NodeId, u32, UpstreamId, Bytes),
    Encoded(NodeId, u32),
    Shown(NodeId, u32, Revision),
    /// A voter's raft has applied an entry.
    Applied(NodeId, usize),
}

#[derive(Debug)]
struct Link {
    upper: NodeId,
    subscriber: SubscriberId,
    lower: NodeId,
    upstream: UpstreamId,
    latency: Duration,
    open: bool,
}

#[derive(Debug)]
struct Node {
    relay: Option<Relay>,
    rules: SharedRules,
    boot: u32,
    /// What it serves.
    head: Head,
    /// What its disk has.
    disk: Head,
    /// What waits for the disk, and whether an fsync runs.
    unflushed: Vec<Head>,
    flushing: usize,
    timer: Option<Duration>,
    ups: BTreeMap<UpstreamId, u64>,
    downs: BTreeMap<SubscriberId, u64>,
    next_subscriber: u64,
    copies: BTreeMap<Revision, usize>,
    snapshots: usize,
}

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) latencies: Vec<Duration>,
    pub(super) events: u64,
    pub(super) deltas: u64,
    pub(super) snapshots: u64,
    pub(super) copies_max: usize,
    pub(super) subscribers_max: usize,
}

/// The cluster.
#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: Rng,
    start: Instant,
    now: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    sequence: u64,
    nodes: BTreeMap<NodeId, Node>,
    links: Vec<Link>,
    /// Whom gossip has declared dead.
    known_dead: BTreeSet<NodeId>,
    voters: u64,
    pub(super) rules: SharedRules,
    pub(super) history: History,
    committed_at: BTreeMap<Revision, Duration>,
    acked: BTreeMap<NodeId, Revision>,
    pub(super) figures: Figures,
}

impl World {
    /// Voters with a short history, and nodes that have nothing.
    pub(super) fn new(seed: u64, voters: u64, edges: u64) -> Self {
        let mut world = Self {
            rng: Rng::new(seed),
            start: clock::monotonic(),
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            nodes: BTreeMap::new(),
            links: Vec::new(),
            known_dead: BTreeSet::new(),
            voters,
            rules: SharedRules::default(),
            history: History::of(5),
            committed_at: BTreeMap::new(),
            acked: BTreeMap::new(),
            figures: Figures::default(),
        };
        for id in 1..=voters + edges {
            let head = if id <= voters { world.history.newest().clone() } else { Head::default() };
            world.add(NodeId(id), head);
        }
        world
    }

    /// A node that is not running yet, with this on its disk.
    pub(super) fn add(&mut self, id: NodeId, disk: Head) {
        let node = Node {
            relay: None,
            rules: self.rules.clone(),
            boot: 0,
            head: Head::default(),
            disk,
            unflushed: Vec::new(),
            flushing: 0,
            timer: None,
            ups: BTreeMap::new(),
            downs: BTreeMap::new(),
            next_subscriber: 0,
            copies: BTreeMap::new(),
            snapshots: 0,
        };
        self.nodes.insert(id, node);
    }

    /// The build that a node has from now on.
    pub(super) fn rules_of(&mut self, id: NodeId, rules: SharedRules) {
        self.node(id).rules = rules;
    }

    /// Starts a node with what its disk has.
    pub(super) fn boot(&mut self, id: NodeId) {
        let (now, voter) = (self.instant(), id.0 <= self.voters);
        let node = self.node(id);
        node.boot += 1;
        node.head = node.disk.clone();
        let mut publisher = Publisher::new(now, id, u64::from(node.boot));
        publisher.handle(now, publish::Input::Replaced(position(&node.head)), &mut Vec::new());
        let relay = if voter {
            Relay::voter(publisher, Uplink::new(now, id))
        } else {
            let rules = Arc::new(node.rules.clone());
            Relay::edge(publisher, Follower::new(now, id, rules, node.head.clone()))
        };
        node.relay = Some(relay);
        if voter {
            self.at(Duration::ZERO, Event::Leads(id));
        } else {
            let candidates = self.candidates(id);
            self.tell(id, Input::Up(follow::Input::Candidates(candidates, None)));
        }
        if self.nodes[&id].head.catalog.revision() > Revision(0) {
            self.show(id);
        }
    }

    /// Kills a node: nothing that was not durable stays, and nobody is told.
    pub(super) fn kill(&mut self, id: NodeId) {
        let node = self.node(id);
        node.relay = None;
        (node.flushing, node.timer) = (0, None);
        node.unflushed.clear();
        node.boot += 1;
        for link in std::mem::take(&mut node.ups).into_values().chain(std::mem::take(&mut node.downs).into_values()) {
            self.links[usize::try_from(link).unwrap()].open = false;
        }
    }

    /// What gossip brings a while after somebody died or came.
    pub(super) fn refresh_candidates(&mut self) {
        self.known_dead = self.nodes.iter().filter(|(_, node)| node.relay.is_none()).map(|(id, _)| *id).collect();
        let running = self.running();
        let newest = running.iter().map(|id| (*id, self.served(*id))).max_by_key(|(_, served)| *served);
        let voters = self.voters;
        for id in running.into_iter().filter(|id| id.0 > voters) {
            let candidates = self.candidates(id);
            self.tell(id, Input::Up(follow::Input::Candidates(candidates, newest)));
        }
    }

    /// The leader commits the next entry.
    pub(super) fn commit(&mut self) -> Revision {
        self.history.grow();
        let (at, head) = (self.history.entries.len() - 1, self.history.newest().clone());
        self.committed_at.insert(head.catalog.revision(), self.now);
        for voter in 1..=self.voters {
            let delay = if NodeId(voter) == LEADER { 0 } else { self.rng.between(1, 80) };
            self.at(Duration::from_millis(delay), Event::Applied(NodeId(voter), at));
        }
        head.catalog.revision()
    }

    /// Runs for so long.
    pub(super) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(Reverse((at, sequence))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            let event = self.events.remove(&sequence).unwrap();
            self.figures.events += 1;
            self.happen(event);
        }
        self.now = until;
    }

    /// Runs until it is so; fails at the deadline.
    pub(super) fn run_until(&mut self, what: &str, deadline: Duration, is_so: impl Fn(&Self) -> bool) {
        let until = self.now + deadline;
        while !is_so(self) {
            assert!(self.now < until, "not within {deadline:?}: {what}; {}", self.describe());
            self.run(Duration::from_millis(100));
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn running(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.relay.is_some()).map(|(id, _)| *id).collect()
    }

    pub(super) fn served(&self, id: NodeId) -> Revision {
        self.nodes[&id].head.catalog.revision()
    }

    pub(super) fn head(&self, id: NodeId) -> &Head {
        &self.nodes[&id].head
    }

    pub(super) fn relay(&self, id: NodeId) -> &Relay {
        self.nodes[&id].relay.as_ref().unwrap()
    }

    /// Snapshots that a node took in its life.
    pub(super) fn snapshots_of(&self, id: NodeId) -> usize {
        self.nodes[&id].snapshots
    }

    pub(super) fn everyone_serves(&self, revision: Revision) -> bool {
        self.nodes.values().all(|node| node.relay.is_none() || node.head.catalog.revision() >= revision)
    }

    /// Running nodes at this many steps from a voter, those with the most subscribers first.
    pub(super) fn at_depth(&self, depth: u32) -> Vec<NodeId> {
        let publisher = |id: &NodeId| self.relay(*id).publisher();
        let mut found: Vec<_> =
            self.running().into_iter().filter(|id| publisher(id).standing().depth == depth).collect();
        found.sort_by_key(|id| Reverse(publisher(id).subscribers().count()));
        found
    }

    pub(super) fn percentile(&mut self, percent: usize) -> Duration {
        self.figures.latencies.sort_unstable();
        let latencies = &self.figures.latencies;
        latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)]
    }

    fn describe(&self) -> String {
        let newest = self.history.newest().catalog.revision();
        let late: Vec<_> = self
            .running()
            .into_iter()
            .filter(|id| self.served(*id) < newest)
            .map(|id| {
                (
                    id,
                    self.served(id),
                    self.relay(id).follower().map(|one| one.upstreams(self.instant()).collect::<Vec<_>>()),
                )
            })
            .collect();
        format!("newest {newest}, late {}: {:?}", late.len(), late.iter().take(5).collect::<Vec<_>>())
    }

    fn candidates(&self, of: NodeId) -> Vec<Candidate> {
        let near = |node: &NodeId| node.0 % REGIONS == of.0 % REGIONS;
        let others = self.nodes.keys().copied().filter(|node| *node != of && !self.known_dead.contains(node));
        others.map(|node| Candidate { node, is_voter: node.0 <= self.voters, near: near(&node) }).collect()
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    fn at(&mut self, delay: Duration, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + delay, self.sequence)));
        self.events.insert(self.sequence, event);
    }
}
