//! What a large cluster promises.

use std::time::Duration;

use skerry_proto::id::{NodeId, Revision};

use super::world::{LEADER, World};
use crate::{
    feed::{
        limits::{REBALANCE, SUBSCRIBERS_MAX},
        rules::position,
    },
    state::Head,
};

const SECOND: Duration = Duration::from_secs(1);

/// Starts everyone within two seconds and waits until all serve what the voters had.
fn started(seed: u64, edges: u64) -> World {
    let mut world = World::new(seed, 3, edges);
    for voter in 1..=3 {
        world.boot(NodeId(voter));
    }
    let each = Duration::from_micros(2_000_000 / edges);
    for edge in 4..=3 + edges {
        world.boot(NodeId(edge));
        world.run(each);
    }
    let newest = world.history.newest().catalog.revision();
    world.run_until("everyone starts", 60 * SECOND, |world| world.everyone_serves(newest));
    // Warm upstreams are found, and what the start disturbed has settled.
    world.run(6 * SECOND);
    world
}

fn report(name: &str, seed: u64, world: &mut World) {
    let (p50, p99, max) = (world.percentile(50), world.percentile(99), world.percentile(100));
    let depths: Vec<_> = (0..8).map(|depth| world.at_depth(depth).len()).collect();
    let figures = &world.figures;
    println!(
        "{name} seed {seed}: commit to ack p50 {p50:?}, p99 {p99:?}, max {max:?} over {}; nodes by depth {depths:?}; at most \
         {} copies of a delta, {} subscribers; {} deltas, {} snapshots, {} events in {:?}",
        figures.latencies.len(),
        figures.copies_max,
        figures.subscribers_max,
        figures.deltas,
        figures.snapshots,
        figures.events,
        world.now(),
    );
}

/// Commits so many entries, some apart and some together.
fn commits(world: &mut World, count: u32) -> Revision {
    let mut last = Revision(0);
    for _ in 0..count {
        last = world.commit();
        let pause = world.rng.between(0, 200);
        world.run(Duration::from_millis(pause));
    }
    last
}

#[test]
fn a_thousand_nodes_serve_every_revision_within_two_seconds() {
    for seed in 1..=2 {
        let mut world = started(seed, 1000);
        let last = commits(&mut world, 20);
        world.run_until("everyone serves the last revision", 10 * SECOND, |world| world.everyone_serves(last));
        let everyone = world.running();
        world.run_until("the leader knows it", 5 * SECOND, |world| {
            let known = world.relay(LEADER).publisher().acks().propagation(last, &everyone);
            known.acknowledged == everyone.len()
        });
        report("calm", seed, &mut world);
        assert!(everyone.iter().all(|id| position(world.head(*id)) == position(world.history.newest())));
        assert!(world.figures.copies_max <= SUBSCRIBERS_MAX, "a node sent {} copies", world.figures.copies_max);
        assert!(world.percentile(99) < 2 * SECOND);
        assert!(world.figures.latencies.len() >= 20 * 1000);
        assert!(world.at_depth(7).is_empty());
    }
}

#[test]
fn relays_that_die_at_any_level_stop_nobody() {
    let mut world = started(3, 1000);
    let first = commits(&mut world, 5);
    // The busiest of each level, among them most of the relays at the top, and a voter that does not lead.
    let mut dead: Vec<NodeId> = world.at_depth(1).into_iter().take(20).collect();
    dead.extend(world.at_depth(2).into_iter().take(20));
    dead.push(NodeId(3));
    dead.iter().for_each(|id| world.kill(*id));
    let last = commits(&mut world, 10);
    world.run(5 * SECOND);
    world.refresh_candidates();
    world.run_until("the survivors serve the last revision", 20 * SECOND, |world| world.everyone_serves(last));
    report("killed relays", 3, &mut world);
    assert!(world.figures.subscribers_max <= SUBSCRIBERS_MAX);
    assert!(world.at_depth(0).len() == 2 && world.percentile(99) < 10 * SECOND);

    for id in dead.iter().filter(|id| id.0 > 3) {
        assert!(world.snapshots_of(*id) <= 1 && first < last);
        world.boot(*id);
    }
    world.run_until("who was away comes back", 20 * SECOND, |world| world.everyone_serves(last));
    let by_deltas = dead.iter().filter(|id| id.0 > 3 && world.snapshots_of(**id) == 1).count();
    println!("{by_deltas} of {} that were away came back by deltas alone", dead.len() - 1);
    assert!(by_deltas * 2 > dead.len(), "most of them find what they missed in the tail");
}

#[test]
fn the_tree_gets_its_shape_back_after_failures() {
    let mut world = started(7, 200);
    let relays = world.at_depth(1);
    relays.iter().take(12).for_each(|id| world.kill(*id));
    world.run(5 * SECOND);
    // Others are relays now.
    world.refresh_candidates();
    world.run(15 * SECOND);
    relays.iter().take(12).for_each(|id| world.boot(*id));
    world.refresh_candidates();
    world.run(10 * SECOND);
    let before: Vec<_> = (0..8).map(|depth| world.at_depth(depth).len()).collect();
    // Each node looks a few times, at one upstream at a time.
    world.run(4 * REBALANCE);
    let after: Vec<_> = (0..8).map(|depth| world.at_depth(depth).len()).collect();
    println!("nodes by depth: {before:?} after failures, {after:?} later");
    assert_eq!(after[..3].iter().sum::<usize>(), 203);
    assert!(before[1] > relays.len(), "the failures had sent others to the voters");
    assert_eq!(after[1], relays.len(), "who have left them again");
}

#[test]
fn a_poison_revision_is_refused_by_those_it_harms_and_passes_the_others() {
    let mut world = World::new(4, 3, 200);
    let from = world.history.newest().catalog.revision();
    let mut ahead = world.history.clone();
    (0..6).for_each(|_| ahead.grow());
    let (poison, cure) = (ahead.position(7).revision, ahead.position(10).revision);
    // Some can not apply it, but can read a state that contains it; some can not until it is undone.
    let mut indigestible = world.rules.clone();
    indigestible.indigestible = Some(poison);
    let mut poisoned = world.rules.clone();
    poisoned.poison = Some(poison..cure);
    (10..40).for_each(|id| world.rules_of(NodeId(id), indigestible.clone()));
    (40..70).for_each(|id| world.rules_of(NodeId(id), poisoned.clone()));
    (1..=203).for_each(|id| world.boot(NodeId(id)));
    world.refresh_candidates();
    world.run_until("everyone starts", 60 * SECOND, |world| world.everyone_serves(from));
    world.run(5 * SECOND);

    world.commit();
    assert_eq!(world.commit(), poison);
    world.run_until("the others serve it", 30 * SECOND, |world| {
        (1..=203).filter(|id| !(40..70).contains(id)).all(|id| world.served(NodeId(id)) >= poison)
    });
    world.run(2 * SECOND);
    let members: Vec<_> = (1..=203).map(NodeId).collect();
    let known = world.relay(LEADER).publisher().acks().propagation(poison, &members);
    assert_eq!((known.total, known.refused.len(), known.waiting.len()), (203, 30, 0), "{known:?}");
    assert!(known.refused.iter().all(|(node, reason)| (40..70).contains(&node.0) && reason.contains("this build")));
    assert!((40..70).all(|id| world.served(NodeId(id)) < poison), "they go on with what they had");

    let last = (0..4).map(|_| world.commit()).last().unwrap();
    world.run_until("those it harmed take what comes after it", 400 * SECOND, |world| world.everyone_serves(last));
    report("poison", 4, &mut world);
}

#[test]
fn nobody_forgets_when_all_voters_are_gone() {
    let mut world = started(5, 100);
    let last = commits(&mut world, 5);
    world.run(Duration::from_millis(120));
    (1..=3).for_each(|id| world.kill(NodeId(id)));
    world.refresh_candidates();
    world.run_until("what some edge has reaches all", 120 * SECOND, |world| {
        let newest = world.running().into_iter().map(|id| world.served(id)).max().unwrap();
        world.everyone_serves(newest)
    });
    world.run(60 * SECOND);
    (1..=3).for_each(|id| world.boot(NodeId(id)));
    world.refresh_candidates();
    let next = world.commit();
    assert!(next > last);
    world.run_until("voters that come back are found", 30 * SECOND, |world| world.everyone_serves(next));
}

#[test]
fn a_node_that_joins_late_takes_a_snapshot() {
    let mut world = started(6, 20);
    let last = commits(&mut world, 10);
    world.add(NodeId(100), Head::default());
    world.boot(NodeId(100));
    world.run_until("it serves", 10 * SECOND, |world| world.everyone_serves(last));
    assert_eq!(world.snapshots_of(NodeId(100)), 1, "one, not one from each upstream");
}
