use std::sync::Arc;

use skerry_proto::id::{NodeId, Revision};

use crate::feed::acks::{Ack, Acks, Refusal};

fn ack(node: u64, boot: u64, sequence: u64, revision: u64, refused: Option<u64>) -> Arc<Ack> {
    let refused = refused.map(|revision| Refusal::new(Revision(revision), "no"));
    Arc::new(Ack { node: NodeId(node), revision: Revision(revision), refused, boot, sequence })
}

#[test]
fn an_older_acknowledgement_that_comes_late_changes_nothing() {
    let mut acks = Acks::default();
    assert!(acks.merge(ack(1, 1, 2, 20, None)));
    assert!(!acks.merge(ack(1, 1, 1, 10, None)));
    assert!(!acks.merge(ack(1, 1, 2, 20, None)), "nor does the same one on another path");
    assert!(acks.merge(ack(1, 2, 1, 5, Some(20))), "a node that went back says so in its next life");
    assert_eq!(acks.of(NodeId(1)).unwrap().revision, Revision(5));
}

#[test]
fn only_changes_are_passed_on() {
    let mut acks = Acks::default();
    acks.merge(ack(1, 1, 1, 10, None));
    acks.merge(ack(2, 1, 1, 10, None));
    let seen = acks.changes();
    assert!(acks.since(seen).is_empty());
    acks.merge(ack(2, 1, 2, 11, None));
    assert_eq!(acks.since(seen), [ack(2, 1, 2, 11, None)]);
    assert_eq!(acks.since(0).len(), 2);
}

#[test]
fn propagation_tells_who_serves_who_waits_and_who_refuses() {
    let mut acks = Acks::default();
    acks.merge(ack(1, 1, 1, 30, None));
    acks.merge(ack(2, 1, 1, 10, None));
    acks.merge(ack(3, 1, 1, 10, Some(20)));
    acks.merge(ack(4, 1, 1, 30, Some(20)));
    acks.merge(ack(5, 1, 1, 10, Some(30)));
    let members: Vec<_> = (1..=6).map(NodeId).collect();
    let known = acks.propagation(Revision(20), &members);
    let refused: Vec<_> = known.refused.iter().map(|(node, _)| node.0).collect();
    assert_eq!((known.total, known.acknowledged, refused), (6, 1, vec![3, 4, 5]));
    assert_eq!(known.waiting, [NodeId(2), NodeId(6)]);
    let later = acks.propagation(Revision(30), &members);
    assert_eq!(later.acknowledged, 2, "who refused one revision may serve the next");
    assert_eq!(later.waiting, [NodeId(2), NodeId(3), NodeId(6)]);
}

#[test]
fn those_who_left_are_forgotten() {
    let mut acks = Acks::default();
    assert!((1..=3).all(|node| acks.merge(ack(node, 1, 1, 10, None))));
    acks.retain(&[NodeId(1), NodeId(3)].into());
    assert!(acks.of(NodeId(2)).is_none() && acks.of(NodeId(3)).is_some());
}

#[test]
fn a_reason_is_cut_between_characters() {
    let refusal = Refusal::new(Revision(1), "ß".repeat(1000));
    assert_eq!(refusal.reason.len(), crate::feed::limits::REASON_BYTES_MAX);
}
