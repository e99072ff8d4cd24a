//! Each invariant holds for a good history, and each way to break it is seen by it and by no other.

use std::time::Duration;

use super::*;
use crate::history::{Deploy, Excused, Final, Outcome, Sighting, Visit};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn deploy(number: u64, sent_ms: u64, outcome: Outcome) -> Deploy {
    let (sent, done) = (at(sent_ms), at(sent_ms + 5));
    Deploy { lane: 0, number, node: "n1".into(), sent, done, outcome }
}

fn visit(node: &str, done_ms: u64, served: Result<u64, String>) -> Visit {
    let (sent, done) = (at(done_ms - 1), at(done_ms));
    Visit { lane: 0, node: node.into(), sent, done, served, excused: Excused::No }
}

fn last(node: &str) -> Final {
    Final { node: node.into(), revision: Some(9), serves: vec![Ok(2)], deployed: vec![Ok(vec![2, 1])], refused: None }
}

/// Two deploys, acknowledged, and a third whose answer was lost; two nodes that show the second.
fn good() -> History {
    let sighting = |node: &str, ms, revision| Sighting { node: node.into(), at: at(ms), revision };
    History {
        deploys: vec![
            deploy(1, 0, Outcome::Acknowledged),
            deploy(2, 10, Outcome::Unknown),
            deploy(2, 20, Outcome::Acknowledged),
            deploy(3, 30, Outcome::Unknown),
        ],
        visits: vec![visit("n1", 4, Ok(1)), visit("n2", 25, Ok(1)), visit("n1", 26, Ok(2)), visit("n2", 40, Ok(2))],
        sightings: vec![sighting("n1", 5, 4), sighting("n2", 6, 3), sighting("n1", 26, 9), sighting("n2", 41, 9)],
        finals: vec![last("n1"), last("n2")],
    }
}

/// Which invariants see that a history was spoilt.
fn seen_by(spoil: impl FnOnce(&mut History)) -> Vec<&'static str> {
    let mut history = good();
    spoil(&mut history);
    ALL.iter().filter(|(_, invariant)| !invariant(&history).is_empty()).map(|(name, _)| *name).collect()
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(broken(&good()), Vec::<String>::new());
}

#[test]
fn the_deploy_whose_answer_was_lost_may_have_happened_everywhere() {
    let happened = seen_by(|history| {
        history.finals.iter_mut().for_each(|last| {
            (last.serves, last.deployed) = (vec![Ok(3)], vec![Ok(vec![3, 2, 1])]);
        })
    });
    assert_eq!(happened, Vec::<&str>::new());
}

/// Deploy 1 was acknowledged and lost, then 2 was acknowledged and is served: the last number alone shows nothing of it.
#[test]
fn a_lost_deploy_that_others_followed_is_missed_in_the_list() {
    let [lost, ..] = ALL.map(|(name, _)| name);
    let list = |history: &mut History, listed: Result<Vec<u64>, String>| history.finals[1].deployed = vec![listed];
    assert_eq!(seen_by(|history| list(history, Ok(vec![2]))), [lost]);
    assert_eq!(seen_by(|history| list(history, Ok(vec![2, 1, 1]))), [lost], "one that happened twice");
    assert_eq!(seen_by(|history| list(history, Ok(vec![1, 2]))), [lost], "one that happened again later");
    assert_eq!(seen_by(|history| list(history, Ok(vec![4, 2, 1]))), [lost], "one that nobody asked for");
    assert_eq!(seen_by(|history| list(history, Err("404".into()))), [lost]);
    let many = |history: &mut History, oldest: u64| {
        history.deploys.push(deploy(150, 50, Outcome::Acknowledged));
        history.finals.iter_mut().for_each(|last| last.serves = vec![Ok(150)]);
        history.finals.iter_mut().for_each(|last| last.deployed = vec![Ok((oldest..=150).rev().collect())]);
    };
    assert_eq!(seen_by(|history| many(history, 51)), Vec::<&str>::new(), "older ones are kept no more");
    assert_eq!(seen_by(|history| many(history, 52)), [lost]);
}

#[test]
fn each_way_to_go_wrong_is_seen_by_its_invariant_alone() {
    let [lost, converged, forward, early, serving] = ALL.map(|(name, _)| name);
    let all = |history: &mut History, number: Result<u64, String>| {
        history.finals.iter_mut().for_each(|last| last.serves = vec![number.clone()]);
    };
    assert_eq!(seen_by(|history| all(history, Ok(1))), [lost]);
    assert_eq!(seen_by(|history| all(history, Ok(4))), [lost], "a deploy that nobody asked for");
    assert_eq!(seen_by(|history| all(history, Err("404".into()))), [lost]);
    assert_eq!(seen_by(|history| history.finals[1].serves = vec![Ok(3)]), [converged]);
    assert_eq!(seen_by(|history| history.finals[1].revision = Some(8)), [converged]);
    assert_eq!(seen_by(|history| history.finals[1].revision = None), [converged]);
    assert_eq!(seen_by(|history| history.finals[1].refused = Some("8: another digest".into())), [converged]);
    assert_eq!(seen_by(|history| history.finals.clear()), [converged]);
    assert_eq!(seen_by(|history| history.sightings[3].revision = 2), [forward]);
    assert_eq!(seen_by(|history| history.visits.push(visit("n2", 50, Ok(1)))), [forward]);
    assert_eq!(seen_by(|history| history.visits[2].done = at(9)), [early]);
    assert_eq!(seen_by(|history| history.visits.push(visit("n2", 50, Ok(7)))), [early]);
    assert_eq!(seen_by(|history| history.visits.push(visit("n2", 50, Err("500".into())))), [serving]);
    assert_eq!(seen_by(|history| history.visits.clear()), [serving]);
}

#[test]
fn a_killed_node_is_excused() {
    let excused = Visit { excused: Excused::Yes, ..visit("n2", 50, Err("refused".into())) };
    assert_eq!(seen_by(|history| history.visits.push(excused)), Vec::<&str>::new());
}
