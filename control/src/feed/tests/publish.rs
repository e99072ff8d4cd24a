use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};

use super::lab::{History, SharedRules};
use crate::{
    catalog::Digest,
    clock,
    feed::{
        acks::{Ack, Refusal},
        limits::{ACKS_EVERY, HEARTBEAT, SUBSCRIBERS_MAX, WINDOW},
        message::{Down, Position, Subscribe, Up},
        publish::{Action, Input, Publisher, Snapshot, SubscriberId},
    },
    limits::TAIL_BYTES_MAX,
    state::LogEntry,
};

struct Bench {
    publisher: Publisher,
    now: Instant,
}

impl Bench {
    fn new(history: &History) -> Self {
        let now = clock::monotonic();
        let mut bench = Self { publisher: Publisher::new(now, NodeId(1), 1), now };
        bench.tell(Input::Advanced(history.entries.clone()));
        bench
    }

    fn tell(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.publisher.handle(self.now, input, &mut actions);
        actions
    }

    fn subscribe(&mut self, id: u64, subscribe: Subscribe) -> Vec<Action> {
        self.tell(Input::Arrived(SubscriberId(id), NodeId(id)));
        self.tell(Input::Received(SubscriberId(id), Up::Subscribe(subscribe)))
    }

    /// The link takes everything at once; returns what it took.
    fn drain(&mut self, id: u64, mut actions: Vec<Action>) -> Vec<Down> {
        let mut taken = Vec::new();
        while !actions.is_empty() {
            let sends = actions.drain(..).filter_map(|action| match action {
                Action::Send(to, message) if to == SubscriberId(id) => Some(message),
                _ => None,
            });
            let sends: Vec<_> = sends.collect();
            actions = sends.iter().flat_map(|_| self.tell(Input::Sent(SubscriberId(id)))).collect();
            taken.extend(sends);
        }
        taken
    }

    fn after(&mut self, wait: Duration) -> Vec<Action> {
        self.now += wait;
        self.tell(Input::Timeout)
    }
}

fn deltas(messages: &[Down]) -> Vec<u64> {
    let deltas = messages.iter().filter_map(|message| match message {
        Down::Delta(entry) => Some(entry.revision.0),
        _ => None,
    });
    deltas.collect()
}

fn revisions(entries: &[Arc<LogEntry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.revision.0).collect()
}

fn snapshot(history: &History, at: usize, size: usize) -> Input {
    let bytes = Bytes::from(vec![7; size]);
    Input::Encoded(Arc::new(Snapshot { position: history.position(at), bytes }))
}

#[test]
fn a_subscriber_gets_what_comes_after_its_state_and_then_what_is_new() {
    let mut history = History::of(6);
    let mut bench = Bench::new(&history);
    let first = bench.subscribe(2, Subscribe::After(Some(history.position(4))));
    assert!(matches!(first[0], Action::Send(_, Down::Heartbeat(_))), "it learns at once where the publisher is");
    let taken = bench.drain(2, first);
    assert_eq!(deltas(&taken), revisions(&history.entries[4..]));
    history.grow();
    let next = bench.tell(Input::Advanced(vec![Arc::clone(&history.entries[6])]));
    assert_eq!(next, [Action::Send(SubscriberId(2), Down::Delta(Arc::clone(&history.entries[6])))]);
}

#[test]
fn a_state_of_another_history_gets_a_snapshot() {
    let history = History::of(6);
    let mut bench = Bench::new(&history);
    let wrong = Position { digest: Digest::default(), ..history.position(4) };
    let between = Position { revision: Revision(history.position(4).revision.0 + 1), ..wrong };
    for (id, have) in [(2, Some(wrong)), (3, None), (4, Some(between))] {
        let actions = bench.subscribe(id, Subscribe::After(have));
        assert_eq!(actions.contains(&Action::Encode), id == 2, "one encoding serves all who wait");
        assert!(deltas(&bench.drain(id, actions)).is_empty());
    }
    let actions = bench.tell(snapshot(&history, 6, 200_000));
    for id in [2, 3, 4] {
        let own = actions.iter().filter(|action| matches!(action, Action::Send(to, _) if *to == SubscriberId(id)));
        let sent: Vec<_> = own.collect();
        let bytes: usize = sent
            .iter()
            .map(|action| if let Action::Send(_, Down::Chunk(part)) = action { part.len() } else { 0 })
            .sum();
        assert!(
            matches!(sent[0], Action::Send(_, Down::Snapshot(position, 200_000)) if *position == history.position(6))
        );
        assert_eq!(bytes, 200_000);
    }
}

#[test]
fn a_snapshot_that_can_not_be_made_is_tried_again() {
    let history = History::of(3);
    let mut bench = Bench::new(&history);
    assert!(bench.subscribe(2, Subscribe::After(None)).contains(&Action::Encode));
    assert!(!bench.tell(Input::NotEncoded).contains(&Action::Encode), "not at once");
    assert!(bench.after(HEARTBEAT).contains(&Action::Encode));
}

#[test]
fn a_snapshot_that_is_too_old_for_the_asker_waits_for_a_newer_one() {
    let mut history = History::of(3);
    let mut bench = Bench::new(&history);
    let least = Revision(history.position(3).revision.0 + 1);
    let actions = bench.subscribe(2, Subscribe::Snapshot(least));
    assert!(!actions.contains(&Action::Encode) && bench.drain(2, actions).len() == 1, "a heartbeat only");
    history.grow();
    let actions = bench.tell(Input::Advanced(vec![Arc::clone(&history.entries[3])]));
    assert_eq!(actions, [Action::Encode]);
    let actions = bench.tell(snapshot(&history, 4, 10));
    assert!(matches!(bench.drain(2, actions)[..], [Down::Snapshot(..), Down::Chunk(_)]));
}

#[test]
fn a_slow_subscriber_holds_up_nobody_and_gets_a_snapshot() {
    let mut bench = Bench::new(&History::of(1));
    let big = |revision: u64| {
        let command = Bytes::from(vec![0; TAIL_BYTES_MAX / 50]);
        let (previous, revision) = (Revision(revision - 1), Revision(revision));
        Arc::new(LogEntry { previous, revision, command, digest: Digest::default(), at_ms: 0 })
    };
    let begin = Position { revision: Revision(100), digest: Digest::default() };
    bench.tell(Input::Replaced(begin));
    let slow = bench.subscribe(2, Subscribe::After(Some(begin)));
    let quick = bench.subscribe(3, Subscribe::After(Some(begin)));
    bench.drain(3, quick);
    let (mut to_slow, mut to_quick) = (slow, Vec::new());
    for revision in 101..=300 {
        let actions = bench.tell(Input::Advanced(vec![big(revision)]));
        let (slow, quick) = actions.into_iter().partition(|action| matches!(action, Action::Send(SubscriberId(2), _)));
        to_slow.extend::<Vec<_>>(slow);
        to_quick.extend(bench.drain(3, quick));
    }
    assert_eq!(deltas(&to_quick), (101..=300).collect::<Vec<_>>());
    assert_eq!(to_slow.len(), WINDOW, "its link's window bounds what it costs");
    let actions = bench.tell(Input::Sent(SubscriberId(2)));
    assert_eq!(actions, [Action::Encode], "what it lacks is gone, so it gets a state");
}

#[test]
fn the_65th_subscriber_is_sent_to_others() {
    let history = History::of(2);
    let mut bench = Bench::new(&history);
    let have = Subscribe::After(Some(history.position(2)));
    for id in 0..SUBSCRIBERS_MAX as u64 {
        assert!(!bench.subscribe(100 + id, have).contains(&Action::Close(SubscriberId(100 + id))));
    }
    let mut named = std::collections::BTreeSet::new();
    for id in 500..510 {
        let actions = bench.subscribe(id, have);
        let [Action::Send(_, Down::Redirect(nodes)), Action::Close(_)] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(nodes.len(), 8);
        named.extend(nodes.clone());
    }
    assert!(named.len() > 40, "redirects spread");
    assert!(
        bench.subscribe(600, Subscribe::AcksOnly).len() == 1,
        "a voter that only passes acknowledgements is let in"
    );
    bench.tell(Input::Arrived(SubscriberId(700), NodeId(100)));
    let again = bench.tell(Input::Received(SubscriberId(700), Up::Subscribe(have)));
    assert_eq!(again[0], Action::Close(SubscriberId(100)), "a node that comes back has its old place");
    assert!(matches!(again[1], Action::Send(SubscriberId(700), Down::Heartbeat(_))));
}

#[test]
fn heartbeats_come_each_second_and_when_this_node_is_fresher() {
    let history = History::of(2);
    let mut bench = Bench::new(&history);
    let actions = bench.subscribe(2, Subscribe::After(Some(history.position(2))));
    bench.drain(2, actions);
    assert!(bench.after(HEARTBEAT / 2).is_empty());
    assert!(matches!(bench.after(HEARTBEAT / 2)[..], [Action::Send(_, Down::Heartbeat(_))]));
    let fresh = crate::feed::publish::Standing { depth: 1, fresh_at: Some(bench.now) };
    let actions = bench.tell(Input::Standing(fresh));
    let [Action::Send(_, Down::Heartbeat(heartbeat))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((heartbeat.depth, heartbeat.age), (1, Duration::ZERO));
    assert!(bench.tell(Input::Standing(fresh)).is_empty());
}

#[test]
fn acknowledgements_go_up_in_bundles_and_only_when_they_changed() {
    let mut bench = Bench::new(&History::of(2));
    let ack = |node: u64, revision: u64| {
        let (node, refused) = (NodeId(node), None);
        Arc::new(Ack { node, revision: Revision(revision), refused, boot: 1, sequence: revision })
    };
    bench.subscribe(2, Subscribe::After(None));
    let from = |acks| Input::Received(SubscriberId(2), Up::Acks(acks));
    assert_eq!(bench.tell(from(vec![ack(2, 1)])), [Action::Forward(vec![ack(2, 1)])]);
    assert!(bench.tell(from(vec![ack(2, 1), ack(3, 1)])).is_empty(), "not so soon after the last ones");
    assert!(bench.tell(from(vec![ack(4, 1), ack(2, 2)])).is_empty());
    assert_eq!(bench.publisher.next_timeout(), bench.now + ACKS_EVERY);
    assert_eq!(bench.after(ACKS_EVERY), [Action::Forward(vec![ack(2, 2), ack(3, 1), ack(4, 1)])]);
    bench.now += ACKS_EVERY;
    assert!(bench.tell(from(vec![ack(2, 1)])).is_empty(), "old ones are no news");
    let all = bench.tell(Input::ForwardAll);
    assert!(matches!(&all[..], [Action::Forward(acks)] if acks.len() == 3));
}

#[test]
fn what_this_node_serves_and_refuses_goes_up_too() {
    let mut bench = Bench::new(&History::of(2));
    let mut own = |input| {
        bench.now += ACKS_EVERY;
        bench.tell(input);
        bench.publisher.acks().of(NodeId(1)).map(|ack| (ack.revision.0, ack.refused.as_ref().map(|one| one.revision.0)))
    };
    let plane = |shown, refused: Option<u64>| {
        Input::Plane(Revision(shown), refused.map(|revision| Refusal::new(Revision(revision), "no")))
    };
    assert_eq!(own(plane(5, None)), Some((5, None)));
    assert_eq!(own(plane(4, None)), Some((5, None)), "late news");
    assert_eq!(own(plane(5, Some(6))), Some((5, Some(6))));
    assert_eq!(own(plane(7, Some(6))), Some((7, Some(6))));
    assert_eq!(own(Input::Refused(Refusal::new(Revision(8), "no"))), Some((7, Some(8))));
    assert_eq!(own(Input::Accepted), Some((7, Some(6))));
    assert_eq!(own(plane(7, None)), Some((7, None)));
}

#[test]
fn a_subscriber_that_takes_nothing_loses_its_place() {
    let history = History::of(2);
    let mut bench = Bench::new(&history);
    bench.subscribe(2, Subscribe::After(Some(history.position(2))));
    bench.tell(Input::Arrived(SubscriberId(3), NodeId(3)));
    let mut closed = Vec::new();
    for _ in 0..40 {
        closed.extend(bench.after(HEARTBEAT).into_iter().filter(|action| matches!(action, Action::Close(_))));
    }
    assert_eq!(closed, [Action::Close(SubscriberId(3)), Action::Close(SubscriberId(2))]);
}

#[test]
fn snapshots_of_real_catalogs_open_to_what_was_announced() {
    use crate::feed::rules::{CatalogRules, Rules, position};
    let history = History::of(5);
    let bytes = SharedRules::default().encode(history.newest());
    assert_eq!(position(&CatalogRules.open(&bytes).unwrap()), position(history.newest()));
    assert!(CatalogRules.open(&bytes[..bytes.len() - 1]).is_err());
}
