//! The feed and the code of deploys: what a correct edge withstands, and which invariant catches one that is not.

use bytes::Bytes;

use super::{super::code::Check, super::feed::Mutant, super::invariant::VERIFIED, *};

const EDGE: NodeId = NodeId(4);

/// Three voters and an edge that is built in some way and has the first write.
async fn world_with(build: Build) -> World {
    let world = with_edges(1).await;
    world.crash(EDGE).await;
    world.boot(EDGE, build).await.unwrap();
    write(&world, ONE, "first").await;
    until_shown(&world, "first").await;
    world
}

async fn until_shown(world: &World, label: &str) {
    until(&format!("the edge shows {label}"), || {
        let head = world.feeds.head(EDGE);
        head.is_some_and(|head| head.catalog.accounts().any(|account| account.name == label))
    })
    .await;
}

/// Deploys until the edge was given wrong bytes for code, and serves all of it; at most so often.
async fn deploy_among_lies(world: &World) {
    world.net.let_lie(TWO);
    for turn in 0..60 {
        let label = format!("deploy-{turn}");
        let code = world.code.store(ONE, Bytes::from(label.clone())).await.unwrap();
        let deploying = async {
            while world.net.node(ONE).unwrap().propose(work::deploy(&label, code).unwrap()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(AGREE_TIMEOUT, deploying).await.unwrap();
        net::lock(&world.net.record).acknowledged.insert(label.clone());
        until("the edge serves it", || net::lock(&world.net.record).served_by(EDGE).contains(&*label)).await;
        if world.net.was_deceived(EDGE) {
            return;
        }
    }
    panic!("the edge did not ask the liar");
}

#[tokio::test]
async fn an_edge_that_verifies_serves_the_right_code_although_one_node_lies() {
    let world = world_with(Build::default()).await;
    deploy_among_lies(&world).await;
    world.agree(AGREE_TIMEOUT).await;
    assert_eq!(broken(&world.finish().await), Vec::<String>::new());
}

#[tokio::test]
async fn an_edge_that_does_not_verify_code_is_caught() {
    let world = world_with(Build { check: Check::Skipped, ..Build::default() }).await;
    deploy_among_lies(&world).await;
    assert_caught(&world.finish().await, VERIFIED);
}

#[tokio::test]
async fn an_edge_that_persists_begins_again_with_what_it_has_shown() {
    let world = world_with(Build::default()).await;
    write(&world, ONE, "second").await;
    until_shown(&world, "second").await;
    world.crash(EDGE).await;
    world.split(&BTreeSet::from([EDGE]));
    world.boot(EDGE, Build::default()).await.unwrap();
    until_shown(&world, "second").await;
    world.heal().await.unwrap();
    world.agree(AGREE_TIMEOUT).await;
    assert_eq!(broken(&world.finish().await), Vec::<String>::new());
}

#[tokio::test]
async fn an_edge_that_shows_before_it_persists_is_caught() {
    let world = world_with(Build { feed: Some(Mutant::ShowsBeforeItPersists), ..Build::default() }).await;
    write(&world, ONE, "second").await;
    until_shown(&world, "second").await;
    let shown = net::lock(&world.net.record).shown.len();
    world.crash(EDGE).await;
    world.boot(EDGE, Build::default()).await.unwrap();
    until("the edge shows something again", || {
        net::lock(&world.net.record).shown[shown..].iter().any(|(node, _)| *node == EDGE)
    })
    .await;
    assert_caught(&world.finish().await, FORWARD);
}

#[tokio::test]
async fn an_edge_that_checks_digests_refuses_what_was_corrupted_and_comes_to_the_state_of_all() {
    let world = world_with(Build::default()).await;
    world.net.lie(Some(Lie::Corrupt(EDGE)));
    write(&world, ONE, "second").await;
    until("the edge refuses it", || world.feeds.figures().refusals > 0).await;
    world.net.lie(None);
    world.agree(AGREE_TIMEOUT).await;
    assert_eq!(broken(&world.finish().await), Vec::<String>::new());
}

#[tokio::test]
async fn an_edge_that_checks_no_digest_is_caught() {
    let world = world_with(Build { feed: Some(Mutant::ChecksNoDigest), ..Build::default() }).await;
    world.net.lie(Some(Lie::Corrupt(EDGE)));
    write(&world, ONE, "second").await;
    until_shown(&world, "corrupted").await;
    let revision = world.feeds.head(EDGE).unwrap().catalog.revision();
    until("it has been seen", || net::lock(&world.net.record).shown.contains(&(EDGE, revision))).await;
    assert_caught(&world.finish().await, SAME);
}

#[tokio::test]
async fn an_edge_that_stays_cut_off_is_caught() {
    let world = world_with(Build::default()).await;
    world.split(&BTreeSet::from([EDGE]));
    write(&world, ONE, "unheard").await;
    // Nothing is healed.
    world.agree(Duration::from_secs(3)).await;
    assert_caught(&world.finish().await, CONVERGED);
}
