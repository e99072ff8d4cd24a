//! The simulation holds for some seeds, and each mutation is caught by the invariant that it breaks.

use std::collections::BTreeSet;

use skerry_proto::id::NodeId;

use super::{
    invariant::{CONVERGED, FORWARD, KEPT, ONE_LEADER, SAME, broken},
    net::Lie,
    record::Record,
    work::command,
    world::{Shows, World},
    *,
};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

#[tokio::test]
async fn voters_keep_their_promises_under_every_fault() {
    for seed in 1..=3 {
        let survived = run(seed).await.unwrap();
        println!("seed {seed}: {survived}");
    }
}

async fn world() -> World {
    World::start(3, 1000, 1).await.unwrap()
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
    world.boot(TWO, Shows::WhenRecovered).await.unwrap();
    // Nodes 1 and 2 go on to the next term without node 3, which keeps the old one: it asks before it campaigns.
    world.split(&BTreeSet::from([THREE]));
    let term = world.net.node(ONE).unwrap().status().term;
    world.crash(ONE).await;
    world.boot(ONE, Shows::WhenRecovered).await.unwrap();
    until("nodes 1 and 2 have a leader", || {
        let nodes = world.net.nodes();
        nodes.iter().any(|(_, raft)| raft.leads() && raft.status().term > term)
    })
    .await;
    let led = world.net.nodes().into_iter().find(|(_, raft)| raft.leads()).unwrap().1.status().term;
    until("it is heard of", || net::lock(&world.net.record).leaders.contains_key(&led)).await;
    // Node 2 votes in that term once more, with node 3.
    world.crash(TWO).await;
    copy(before.path(), world.folder(TWO));
    world.net.heal();
    world.split(&BTreeSet::from([ONE]));
    world.boot(TWO, Shows::WhenRecovered).await.unwrap();
    let is_used_again = || net::lock(&world.net.record).leaders.values().any(|leaders| leaders.len() > 1);
    until("nodes 2 and 3 have a leader in that term or a later one", || {
        let nodes = world.net.nodes();
        is_used_again() || nodes.iter().any(|(id, raft)| *id != ONE && raft.leads())
    })
    .await;
    // Nodes 1 and 2 may have needed more than one term; then so do nodes 2 and 3.
    while !is_used_again() {
        let leader = world.net.nodes().into_iter().find(|(id, raft)| *id != ONE && raft.leads());
        if let Some((leader, raft)) = leader {
            let term = raft.status().term;
            assert!(term <= led, "the forgotten term was left out");
            if term < led {
                world.crash(leader).await;
                world.boot(leader, Shows::WhenRecovered).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_caught(&world.finish().await, ONE_LEADER);
}

#[tokio::test]
async fn a_node_that_shows_what_it_had_long_ago_is_caught() {
    let world = world().await;
    write(&world, ONE, "first").await;
    let before = copied(&world, THREE).await;
    world.boot(THREE, Shows::WhenRecovered).await.unwrap();
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
    world.boot(THREE, Shows::TooEarly).await.unwrap();
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
