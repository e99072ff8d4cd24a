use std::collections::{BTreeMap, BTreeSet};

use skerry_proto::id::NodeId;

use crate::{
    clock,
    feed::{
        limits::{AVOID, SUBSCRIBERS_MAX},
        rank::{Candidate, Peers},
    },
};

/// The candidates of `node` among nodes 1..=voters+edges in so many regions.
fn candidates(node: u64, voters: u64, edges: u64, regions: u64) -> Vec<Candidate> {
    let others = (1..=voters + edges).filter(|other| *other != node);
    let candidate =
        |other| Candidate { node: NodeId(other), is_voter: other <= voters, near: other % regions == node % regions };
    others.map(candidate).collect()
}

/// The first two that each edge asks.
fn choices(voters: u64, edges: u64, regions: u64) -> BTreeMap<u64, [u64; 2]> {
    let now = clock::monotonic();
    let choose = |node| {
        let mut peers = Peers::new(NodeId(node));
        peers.update(candidates(node, voters, edges, regions), None);
        let first = peers.choose(now, &[]).unwrap();
        (node, [first.0, peers.choose(now, &[first]).unwrap().0])
    };
    (voters + 1..=voters + edges).map(choose).collect()
}

#[test]
fn a_few_relays_ask_the_voters_and_all_others_ask_relays_nearby() {
    let chosen = choices(3, 1000, 4);
    let relays: BTreeSet<u64> = chosen.iter().filter(|(_, first)| first[0] <= 3).map(|(node, _)| *node).collect();
    assert!((40..=80).contains(&relays.len()), "{} relays", relays.len());
    let mut load = BTreeMap::new();
    for (node, [first, second]) in &chosen {
        for upstream in [first, second] {
            *load.entry(*upstream).or_insert(0) += 1;
            let fits = if relays.contains(node) { *upstream <= 3 } else { relays.contains(upstream) };
            assert!(fits, "{node} asks {upstream}");
            assert!(*upstream <= 3 || upstream % 4 == node % 4, "{node} asks {upstream}, which is not near");
        }
    }
    assert!(load.values().all(|load| *load <= SUBSCRIBERS_MAX), "{load:?}");
}

#[test]
fn a_small_cluster_asks_the_voters_directly() {
    for (_, upstreams) in choices(3, 40, 2) {
        assert!(upstreams.iter().all(|upstream| *upstream <= 3));
    }
    for (_, [first, _]) in choices(1, 5, 1) {
        assert_eq!(first, 1);
    }
}

#[test]
fn a_node_that_failed_is_left_alone_for_a_while() {
    let now = clock::monotonic();
    let mut peers = Peers::new(NodeId(4));
    peers.update(candidates(4, 3, 2, 1), None);
    let first = peers.choose(now, &[]).unwrap();
    peers.avoid(now, first);
    assert_ne!(peers.choose(now, &[]), Some(first));
    assert_eq!(peers.choose(now + AVOID.0, &[]), Some(first));
    peers.avoid(now, first);
    assert_ne!(peers.choose(now + AVOID.0, &[]), Some(first), "longer each time");
    peers.works(first);
    assert_eq!(peers.choose(now, &[]), Some(first));
    (1..=5).for_each(|node| peers.avoid(now, NodeId(node)));
    assert_eq!(peers.choose(now, &[]), None);
}

#[test]
fn only_known_nodes_are_taken_from_a_redirect() {
    let now = clock::monotonic();
    let mut peers = Peers::new(NodeId(4));
    peers.update(candidates(4, 3, 2, 1), None);
    peers.suggest(&[NodeId(999), NodeId(4), NodeId(5)]);
    assert_eq!(peers.choose(now, &[]), Some(NodeId(5)));
    assert!(peers.choose(now, &[]).is_some_and(|node| node.0 <= 3));
}
