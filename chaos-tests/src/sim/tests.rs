//! The simulation holds for some seeds, and each mutation is caught by the invariant that it breaks.
//!
//! **Owns** the mutations. **Must not know** how a run is made. **Enter at** the tests.

use std::collections::BTreeSet;

use skerry_proto::id::NodeId;

use super::{
    invariant::{CONVERGED, FORWARD, KEPT, ONE_LEADER, SAME, broken},
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
    // Two candidates at once use up a term without a leader; then it is tried again.
    for _ in 0..5 {
        if let Some(record) = forget_a_vote().await {
            return assert_caught(&record, ONE_LEADER);
        }
    }
    panic!("the forgotten term was left out each time");
}

/// Node 1 leads a term by the vote of node 2, which forgets that and elects node 3, or itself, for the same term.
async fn forget_a_vote() -> Option<Record> {
    let world = world().await;
    write(&world, ONE, "first").await;
    let before = copied(&world, TWO).await;
    world.boot(TWO, Build::default()).await.unwrap();
    // Node 3 hears nothing of the terms that follow, and keeps its own: it asks before it campaigns.
    world.split(&BTreeSet::from([THREE]));
    let led = tokio::time::timeout(AGREE_TIMEOUT, lead_again(&world)).await.expect("node 1 leads again");
    until("it is heard of", || net::lock(&world.net.record).leaders.contains_key(&led)).await;
    world.crash(TWO).await;
    copy(before.path(), world.folder(TWO));
    world.net.heal();
    world.split(&BTreeSet::from([ONE]));
    world.boot(TWO, Build::default()).await.unwrap();
    let reached = tokio::time::timeout(AGREE_TIMEOUT, campaign_up_to(&world, led)).await;
    let is_used_again = reached.expect("nodes 2 and 3 have leaders");
    let record = world.finish().await;
    is_used_again.then_some(record)
}

/// Lets node 1 lead in a later term; returns which.
async fn lead_again(world: &World) -> u64 {
    let first = world.net.node(ONE).unwrap().status().term;
    world.crash(ONE).await;
    world.boot(ONE, Build::default()).await.unwrap();
    loop {
        let (one, two) = (world.net.node(ONE).unwrap(), world.net.node(TWO).unwrap());
        if one.leads() && one.status().term > first {
            return one.status().term;
        }
        if two.leads() {
            // When it fails, the next turn asks again.
            let _ = two.transfer_lead(ONE).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lets nodes 2 and 3 elect leaders until they do so in a term that node 1 led; `false` when they left that out.
async fn campaign_up_to(world: &World, led: u64) -> bool {
    loop {
        if net::lock(&world.net.record).leaders.values().any(|leaders| leaders.len() > 1) {
            return true;
        }
        let leader = world.net.nodes().into_iter().find(|(id, raft)| *id != ONE && raft.leads());
        match leader.map(|(id, raft)| (id, raft.status().term)) {
            Some((_, term)) if term > led => return false,
            Some((leader, term)) if term < led => {
                world.crash(leader).await;
                world.boot(leader, Build::default()).await.unwrap();
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
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
