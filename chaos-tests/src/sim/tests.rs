//! The simulation holds for some seeds, and each mutation is caught by the invariant that it breaks.
//!
//! **Owns** the mutations. **Must not know** how a run is made. **Enter at** the tests.

use std::collections::BTreeSet;

use skerry_proto::id::NodeId;

use super::{
    invariant::{CONVERGED, FORWARD, KEPT, NEWEST_LEADER, SAME, broken},
    net::Lie,
    record::Record,
    work::command,
    world::{Build, Shows, World},
    *,
};

mod edges;

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

#[tokio::test]
async fn nodes_keep_their_promises_under_every_fault() {
    for seed in 1..=3 {
        let survived = run(seed).await.unwrap();
        println!("seed {seed}: {survived}");
    }
}

async fn world() -> World {
    with_edges(0).await
}

/// Three voters that take no snapshots, and so many edges, which begin with node 4.
async fn with_edges(edges: usize) -> World {
    let plan = Plan { voters: 3, edges, logs_per_snapshot: 1000, faults: Vec::new() };
    World::start(&plan, 1).await.unwrap()
}

/// Proposes at a node until it is acknowledged.
async fn write(world: &World, at: NodeId, label: &str) {
    let writing = async {
        while world.net.node(at).unwrap().propose(command(label).unwrap()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AGREE_TIMEOUT, writing).await.unwrap_or_else(|_| panic!("{at} does not take {label}"));
    net::lock(&world.net.record).acknowledged.insert(label.to_owned());
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AGREE_TIMEOUT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        // Code, which no mutation takes away.
        if file.file_type().unwrap().is_dir() {
            continue;
        }
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A copy of what a node has written. It is down afterwards.
async fn copied(world: &World, id: NodeId) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    world.crash(id).await;
    copy(world.folder(id), folder.path());
    folder
}

fn assert_caught(record: &Record, name: &str) {
    let broken = broken(record);
    assert!(broken.iter().any(|line| line.starts_with(name)), "{name:?} is not among {broken:?}");
}

#[tokio::test]
async fn without_a_mutation_nothing_is_caught() {
    let world = world().await;
    write(&world, ONE, "kept").await;
    world.agree(AGREE_TIMEOUT).await;
    assert_eq!(broken(&world.finish().await), Vec::<String>::new());
}

#[tokio::test]
async fn a_transport_that_acknowledges_without_delivering_is_caught() {
    let world = world().await;
    world.net.lie(Some(Lie::Acknowledge { but: ONE }));
    write(&world, ONE, "lied-about").await;
    world.crash(ONE).await;
    world.net.lie(None);
    until("another node leads", || world.net.nodes().iter().any(|(_, raft)| raft.leads())).await;
    // Nodes 2 and 3 agree without node 1; whether it may come back with another log is not asked any more.
    world.agree(Duration::from_secs(10)).await;
    assert_caught(&world.finish().await, KEPT);
}

#[tokio::test]
async fn a_node_that_skips_a_command_is_caught() {
    let world = world().await;
    world.net.lie(Some(Lie::Skip(TWO)));
    write(&world, ONE, "skipped").await;
    write(&world, ONE, "next").await;
    until("node 2 has the next command", || {
        let catalog = world.net.node(TWO).unwrap().catalog();
        catalog.accounts().any(|account| account.name == "next")
    })
    .await;
    let revision = world.net.node(ONE).unwrap().catalog().revision();
    until("all have shown it", || {
        net::lock(&world.net.record).digests.get(&revision).is_some_and(|nodes| nodes.len() == 3)
    })
    .await;
    assert_caught(&world.finish().await, SAME);
}

#[tokio::test]
async fn a_node_that_forgets_its_vote_is_caught() {
    let world = world().await;
    write(&world, ONE, "first").await;
    let before = copied(&world, TWO).await;
    world.boot(TWO, Build::default()).await.unwrap();
    // Node 1 hears nothing of the terms that follow, and keeps its own: it asks before it campaigns.
    let first = world.net.node(ONE).unwrap().status().term;
    world.split(&BTreeSet::from([ONE]));
    let leading = lead_by_vote_of_two(&world, first + TERMS_BETWEEN);
    tokio::time::timeout(AGREE_TIMEOUT, leading).await.expect("node 3 leads by the vote of node 2");
    world.crash(TWO).await;
    copy(before.path(), world.folder(TWO));
    world.net.heal();
    world.split(&BTreeSet::from([THREE]));
    world.boot(TWO, Build::default()).await.unwrap();
    let follows_older = async {
        while !broken(&net::lock(&world.net.record)).iter().any(|line| line.starts_with(NEWEST_LEADER)) {
            // Where it was elected in place of node 1, nobody is left for it to follow.
            let _ = world.net.node(TWO).unwrap().transfer_lead(ONE).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(AGREE_TIMEOUT, follows_older).await.expect("node 2 follows node 1");
    assert_caught(&world.finish().await, NEWEST_LEADER);
}

/// So many that nodes 1 and 2 do not get past them by an election or two.
const TERMS_BETWEEN: u64 = 8;

/// Lets nodes 2 and 3 take turns until node 3 leads, with node 2 behind it, in a term as late as `from`.
async fn lead_by_vote_of_two(world: &World, from: u64) {
    loop {
        let (two, three) = (world.net.node(TWO).unwrap(), world.net.node(THREE).unwrap());
        let term = three.status().term;
        if three.leads() && term >= from && followed_last(world, TWO) == Some((term, THREE)) {
            return;
        }
        let (leader, other) = if three.leads() { (three, TWO) } else { (two, THREE) };
        // When it fails, the next turn asks again.
        let _ = leader.transfer_lead(other).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whom a voter followed last, and in which term.
fn followed_last(world: &World, voter: NodeId) -> Option<(u64, NodeId)> {
    net::lock(&world.net.record).followed.get(&voter)?.last().copied()
}

#[tokio::test]
async fn a_node_that_shows_what_it_had_long_ago_is_caught() {
    let world = world().await;
    write(&world, ONE, "first").await;
    let before = copied(&world, THREE).await;
    world.boot(THREE, Build::default()).await.unwrap();
    write(&world, ONE, "second").await;
    until("node 3 shows it", || {
        let revision = world.net.node(ONE).unwrap().catalog().revision();
        net::lock(&world.net.record).shown.contains(&(THREE, revision))
    })
    .await;
    world.crash(THREE).await;
    copy(before.path(), world.folder(THREE));
    world.split(&BTreeSet::from([THREE]));
    let shown = net::lock(&world.net.record).shown.len();
    world.boot(THREE, Build { shows: Shows::TooEarly, ..Build::default() }).await.unwrap();
    until("node 3 shows something", || net::lock(&world.net.record).shown.len() > shown).await;
    assert_caught(&world.finish().await, FORWARD);
}

#[tokio::test]
async fn a_link_that_stays_cut_is_caught() {
    let world = world().await;
    world.split(&BTreeSet::from([THREE]));
    write(&world, ONE, "unheard").await;
    // Nothing is healed.
    world.agree(Duration::from_secs(3)).await;
    assert_caught(&world.finish().await, CONVERGED);
}
