//! Pure. Whom a node asks for the feed, and in which order.
//!
//! **Owns** the shape of the tree. **Must not know** links. **Enter at** [`Peers`].
//!
//! Every node computes the same few relays of its neighbourhood from the same list (rendezvous hashing), so nobody has to
//! agree on them: relays ask the voters, the others ask relays, each in an order of its own that spreads the load. A
//! cluster that is small enough asks the voters directly. What does not work out (a full or dead node) is settled by
//! redirects and by the next in the order.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use skerry_proto::id::{NodeId, Revision};

use super::limits::{AVOID, REDIRECTS_MAX};

/// BOUND: subscriptions that a voter or relay is meant to have: half of what it takes, so that a hash that is a little
/// uneven, or relays that died, redirect nobody.
const SUBSCRIBERS_MEANT: usize = 32;
/// Each node has an active and a warm one.
const SUBSCRIPTIONS: usize = 2;

/// A node that may be asked for the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// Whether it votes.
    pub is_voter: bool,
    /// Whether it is in the same region, or zone where regions are not set. Must mean the same on all nodes that are near
    /// each other.
    pub near: bool,
}

/// Candidates in this node's order, and which of them failed lately.
#[derive(Debug)]
pub(super) struct Peers {
    node: NodeId,
    candidates: Vec<Candidate>,
    ranking: Vec<NodeId>,
    preferred: usize,
    suggested: VecDeque<NodeId>,
    avoided: BTreeMap<NodeId, Avoided>,
    /// Who claims to serve the newest revision of all.
    newest: Option<(NodeId, Revision)>,
}

#[derive(Debug, Clone, Copy)]
struct Avoided {
    until: Instant,
    failures: u32,
}

impl Peers {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            candidates: Vec::new(),
            ranking: Vec::new(),
            preferred: 0,
            suggested: VecDeque::new(),
            avoided: BTreeMap::new(),
            newest: None,
        }
    }

    /// Takes the nodes that there are now, and who claims to serve the newest revision of all.
    pub(super) fn update(&mut self, candidates: Vec<Candidate>, newest: Option<(NodeId, Revision)>) {
        self.newest = newest;
        if candidates == self.candidates {
            return;
        }
        (self.ranking, self.preferred) = rank(self.node, &candidates);
        self.candidates = candidates;
        let known: BTreeSet<_> = self.ranking.iter().copied().collect();
        self.avoided.retain(|node, _| known.contains(node));
        self.suggested.retain(|node| known.contains(node));
    }

    /// Whom to ask next; what was suggested comes first.
    pub(super) fn choose(&mut self, now: Instant, taken: &[NodeId]) -> Option<NodeId> {
        let usable = |peers: &Self, node: &NodeId| !taken.contains(node) && !peers.is_avoided(now, *node);
        while let Some(node) = self.suggested.pop_front() {
            if usable(self, &node) {
                return Some(node);
            }
        }
        self.ranking.iter().find(|node| usable(self, node)).copied()
    }

    /// Whether a node that is meant for this one could be asked instead of `instead_of`.
    pub(super) fn could_improve(&self, now: Instant, instead_of: NodeId, taken: &[NodeId]) -> bool {
        let preferred = &self.ranking[..self.preferred];
        !preferred.contains(&instead_of)
            && preferred.iter().any(|node| !taken.contains(node) && !self.is_avoided(now, *node))
    }

    /// A full node named these.
    pub(super) fn suggest(&mut self, nodes: &[NodeId]) {
        for node in nodes.iter().filter(|node| **node != self.node) {
            if self.suggested.len() < REDIRECTS_MAX && self.ranking.contains(node) && !self.suggested.contains(node) {
                self.suggested.push_back(*node);
            }
        }
    }

    /// The newest revision that anybody claims to serve.
    pub(super) fn newest(&self) -> Revision {
        self.newest.map_or(Revision(0), |(_, revision)| revision)
    }

    /// Whoever claims to serve the newest revision comes first.
    pub(super) fn suggest_newest(&mut self) {
        if let Some((node, _)) = self.newest {
            self.suggest(&[node]);
        }
    }

    /// It is not asked again for some time, longer each time.
    pub(super) fn avoid(&mut self, now: Instant, node: NodeId) {
        let failures = self.avoided.get(&node).map_or(0, |avoided| avoided.failures.saturating_add(1));
        let until = now + doubled(AVOID, failures);
        self.avoided.insert(node, Avoided { until, failures });
    }

    /// It works.
    pub(super) fn works(&mut self, node: NodeId) {
        self.avoided.remove(&node);
    }

    fn is_avoided(&self, now: Instant, node: NodeId) -> bool {
        self.avoided.get(&node).is_some_and(|avoided| avoided.until > now)
    }
}

/// The first of `range`, doubled so many times, the last of `range` at most.
pub(super) fn doubled(range: (Duration, Duration), times: u32) -> Duration {
    range.0.saturating_mul(1 << times.min(16)).min(range.1)
}

/// Up to `most`, the same for the same node and number: nodes that failed together come back one after the other.
pub(super) fn jitter(node: NodeId, number: u64, most: Duration) -> Duration {
    let share = mix(node.0.wrapping_mul(0x9e37_79b9).wrapping_add(number)) % 1000;
    most.mul_f64(f64::from(u32::try_from(share).unwrap_or(0)) / 1000.0)
}

/// All candidates in the order of `node`, and how many of the first are meant for it.
fn rank(node: NodeId, candidates: &[Candidate]) -> (Vec<NodeId>, usize) {
    let voters = candidates.iter().filter(|candidate| candidate.is_voter).count();
    let followers = candidates.len() - voters + 1;
    let near = candidates.iter().filter(|candidate| candidate.near && !candidate.is_voter);
    let mut group: Vec<NodeId> = near.map(|candidate| candidate.node).chain([node]).collect();
    let relays = SUBSCRIPTIONS.max((group.len() * SUBSCRIPTIONS).div_ceil(SUBSCRIBERS_MEANT)).min(group.len());
    let everyone_fits = followers * SUBSCRIPTIONS <= voters * SUBSCRIBERS_MEANT;
    group.sort_by_cached_key(|member| std::cmp::Reverse(score(NodeId(0), *member)));
    let relays: BTreeSet<_> = group[..relays].iter().copied().collect();
    let asks_voters = everyone_fits || relays.contains(&node);
    let tier = |candidate: &Candidate| match (candidate.is_voter, candidate.near) {
        (true, near) if asks_voters => u8::from(!near),
        (true, near) => 3 + u8::from(!near),
        (false, true) if relays.contains(&candidate.node) => 2,
        (false, true) => 5,
        (false, false) => 6,
    };
    let mut order: Vec<(u8, u64, NodeId)> = candidates
        .iter()
        .filter(|candidate| candidate.node != node)
        .map(|candidate| (tier(candidate), u64::MAX - score(node, candidate.node), candidate.node))
        .collect();
    order.sort_unstable();
    let meant = if asks_voters { 0..=1 } else { 2..=2 };
    let preferred = order.iter().take_while(|(tier, ..)| meant.contains(tier)).count();
    (order.into_iter().map(|(_, _, node)| node).collect(), preferred)
}

/// A number that two nodes have in common with nobody else: splitmix64's mixing (Steele, Lea, Flood 2014), which suffices
/// for spreading.
fn score(from: NodeId, to: NodeId) -> u64 {
    mix(mix(from.0.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_add(to.0))
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
