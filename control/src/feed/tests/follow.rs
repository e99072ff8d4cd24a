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
        follow::{Action, Follower, Input, UpstreamId},
        limits::{AGE_MAX, DEPTH_MAX, DIAL_MAX, PENDING_MAX, SILENCE_MAX},
        message::{Down, Heartbeat, Position, Subscribe, Up},
        rank::Candidate,
        rules::{Rules, position},
    },
    state::{Head, LogEntry},
};

const TICK: Duration = Duration::from_millis(500);

/// A follower whose disk and snapshot opener answer at once, and what it did.
struct Bench {
    follower: Follower,
    rules: SharedRules,
    now: Instant,
    durable: bool,
    dialed: Vec<(UpstreamId, NodeId)>,
    sent: Vec<(UpstreamId, Up)>,
    closed: Vec<UpstreamId>,
    refused: Vec<(Revision, String)>,
    accepted: usize,
    served: Head,
}

impl Bench {
    /// A follower that has the state `at` of `history`, among ten edges and three voters.
    fn new(history: &History, at: usize, rules: SharedRules) -> Self {
        let now = clock::monotonic();
        let follower = Follower::new(now, NodeId(99), Arc::new(rules.clone()), history.heads[at].clone());
        let mut bench = Self {
            follower,
            rules,
            now,
            durable: true,
            dialed: Vec::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            refused: Vec::new(),
            accepted: 0,
            served: history.heads[at].clone(),
        };
        let candidate = |node| Candidate { node: NodeId(node), is_voter: node <= 3, near: true };
        bench.tell(Input::Candidates((1..=13).map(candidate).collect(), None));
        bench
    }

    /// As [`Bench::new`], with both upstreams connected and at the same state.
    fn following(history: &History, at: usize) -> (Self, UpstreamId, UpstreamId) {
        let mut bench = Self::new(history, at, SharedRules::default());
        let (first, second) = bench.connect_both(history, at);
        (bench, first, second)
    }

    fn connect_both(&mut self, history: &History, at: usize) -> (UpstreamId, UpstreamId) {
        for upstream in 0..2 {
            let (id, _) = self.dialed[upstream];
            self.tell(Input::Connected(id));
            self.beat(id, history.position(at), Duration::ZERO);
        }
        let [(first, _), (second, _)] = self.dialed[..] else { panic!("two upstreams: {:?}", self.dialed) };
        self.sent.clear();
        (first, second)
    }

    fn tell(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut actions = Vec::new();
            self.follower.handle(self.now, input, &mut actions);
            for action in actions {
                match action {
                    Action::Dial(id, node) => self.dialed.push((id, node)),
                    Action::Send(id, message) => self.sent.push((id, message)),
                    Action::Close(id) => self.closed.push(id),
                    Action::Persist(entry) if self.durable => inputs.push(Input::Persisted(entry.revision)),
                    Action::PersistState(head, _) => inputs.push(Input::Persisted(head.catalog.revision())),
                    Action::Open(id, bytes) => inputs.push(Input::Opened(id, self.rules.open(&bytes))),
                    Action::Advance(head, _) | Action::Replace(head) => self.served = head,
                    Action::Refuse(refusal) => self.refused.push((refusal.revision, refusal.reason)),
                    Action::Accept => self.accepted += 1,
                    Action::ForwardAll | Action::Persist(_) => {}
                }
            }
        }
    }

    fn receive(&mut self, id: UpstreamId, message: Down) {
        self.tell(Input::Received(id, message));
    }

    fn delta(&mut self, id: UpstreamId, entry: &Arc<LogEntry>) {
        self.receive(id, Down::Delta(Arc::clone(entry)));
    }

    fn beat(&mut self, id: UpstreamId, position: Position, age: Duration) {
        self.receive(id, Down::Heartbeat(Heartbeat { position, depth: 0, age }));
    }

    fn snapshot(&mut self, id: UpstreamId, history: &History, at: usize) {
        let bytes = self.rules.encode(&history.heads[at]);
        self.receive(id, Down::Snapshot(history.position(at), bytes.len() as u64));
        for chunk in bytes.chunks(50) {
            self.receive(id, Down::Chunk(Bytes::copy_from_slice(chunk)));
        }
    }

    /// Time passes; upstreams that are named say each half second that they are there and fresh.
    fn pass(&mut self, duration: Duration, alive: &[(UpstreamId, Position)]) {
        let until = self.now + duration;
        while self.now < until {
            self.now += TICK;
            alive.iter().for_each(|(id, position)| self.beat(*id, *position, Duration::ZERO));
            self.tell(Input::Timeout);
        }
    }

    fn node_of(&self, id: UpstreamId) -> NodeId {
        self.dialed.iter().find(|(dialed, _)| *dialed == id).unwrap().1
    }
}

fn wrong(entry: &LogEntry) -> Arc<LogEntry> {
    Arc::new(LogEntry { digest: Digest::default(), ..entry.clone() })
}

#[test]
fn what_both_upstreams_deliver_is_applied_once() {
    let history = History::of(6);
    let (mut bench, first, second) = Bench::following(&history, 3);
    for entry in &history.entries[3..] {
        bench.delta(first, entry);
        bench.delta(second, entry);
    }
    assert_eq!(position(&bench.served), history.position(6));
    assert!(bench.refused.is_empty() && bench.sent.is_empty());
}

#[test]
fn nothing_is_served_before_it_is_durable() {
    let history = History::of(4);
    let (mut bench, first, _) = Bench::following(&history, 2);
    bench.durable = false;
    bench.delta(first, &history.entries[2]);
    bench.delta(first, &history.entries[3]);
    assert_eq!(position(&bench.served), history.position(2));
    bench.tell(Input::Persisted(history.position(3).revision));
    assert_eq!(position(&bench.served), history.position(3));
}

#[test]
fn a_gap_is_asked_for_once_from_the_same_upstream() {
    let history = History::of(6);
    let (mut bench, first, _) = Bench::following(&history, 2);
    bench.delta(first, &history.entries[3]);
    bench.delta(first, &history.entries[4]);
    let asked = Up::Subscribe(Subscribe::After(Some(history.position(2))));
    assert_eq!(bench.sent, [(first, asked)]);
    history.entries[2..].iter().for_each(|entry| bench.delta(first, entry));
    assert_eq!(position(&bench.served), history.position(6));
}

#[test]
fn a_digest_mismatch_is_refused_with_both_digests_and_the_other_upstream_gives_the_state() {
    let history = History::of(6);
    let (mut bench, first, second) = Bench::following(&history, 3);
    let entry = wrong(&history.entries[3]);
    bench.delta(first, &entry);
    let (revision, reason) = &bench.refused[0];
    assert_eq!(*revision, entry.revision);
    assert!(reason.contains(&entry.digest.to_string()), "{reason}");
    assert!(reason.contains(&history.position(4).digest.to_string()), "{reason}");
    assert_eq!(bench.sent, [(second, Up::Subscribe(Subscribe::Snapshot(entry.revision)))]);
    bench.snapshot(second, &history, 5);
    assert_eq!(position(&bench.served), history.position(5));
    assert_eq!((bench.accepted, bench.refused.len()), (1, 1));
    let again = Up::Subscribe(Subscribe::After(Some(history.position(5))));
    assert_eq!(bench.sent[1..], [(first, again.clone()), (second, again)]);
}

#[test]
fn the_only_upstream_is_asked_itself_when_there_is_no_other() {
    let history = History::of(6);
    let mut bench = Bench::new(&history, 3, SharedRules::default());
    let (only, node) = bench.dialed[0];
    bench.tell(Input::Candidates(vec![Candidate { node, is_voter: true, near: true }], None));
    bench.tell(Input::Connected(only));
    bench.beat(only, history.position(3), Duration::ZERO);
    bench.delta(only, &wrong(&history.entries[3]));
    bench.sent.clear();
    bench.pass(AGE_MAX + TICK, &[(only, history.position(4))]);
    assert_eq!(bench.sent, [(only, Up::Subscribe(Subscribe::Snapshot(history.position(4).revision)))]);
    bench.snapshot(only, &history, 4);
    assert_eq!((position(&bench.served), bench.accepted), (history.position(4), 1));
}

#[test]
fn an_upstream_that_the_other_one_contradicts_is_given_up() {
    let history = History::of(6);
    let (mut bench, first, second) = Bench::following(&history, 3);
    bench.delta(first, &wrong(&history.entries[3]));
    bench.delta(second, &history.entries[3]);
    assert_eq!(position(&bench.served), history.position(4));
    assert!(bench.closed.contains(&first) && bench.accepted == 1);
}

#[test]
fn a_heartbeat_that_differs_is_a_mismatch_too() {
    let history = History::of(6);
    let (mut bench, first, second) = Bench::following(&history, 3);
    let differs = Position { digest: Digest::default(), ..history.position(3) };
    bench.beat(first, differs, Duration::ZERO);
    assert_eq!(bench.refused.len(), 1);
    bench.beat(second, history.position(3), Duration::ZERO);
    assert_eq!((bench.accepted, &bench.closed[..]), (1, &[first][..]), "two against one");
}

#[test]
fn a_revision_that_can_not_be_applied_does_not_stop_the_node() {
    let history = History::of(8);
    let rules = SharedRules::without(history.position(4).revision);
    let mut bench = Bench::new(&history, 3, rules);
    let (first, second) = bench.connect_both(&history, 3);
    history.entries[3..6].iter().for_each(|entry| bench.delta(first, entry));
    assert_eq!(bench.refused.len(), 1);
    assert_eq!(position(&bench.served), history.position(3), "it goes on with what it has");
    bench.snapshot(second, &history, 6);
    assert_eq!(position(&bench.served), history.position(6));
    history.entries[6..].iter().for_each(|entry| bench.delta(second, entry));
    assert_eq!(position(&bench.served), history.position(8));
}

#[test]
fn a_state_that_can_not_be_read_is_refused_and_asked_for_again_later() {
    let history = History::of(8);
    let poison = history.position(4).revision..history.position(7).revision;
    let rules = SharedRules::poisoned(poison);
    let mut bench = Bench::new(&history, 3, rules);
    let (first, second) = bench.connect_both(&history, 3);
    bench.delta(first, &history.entries[3]);
    bench.snapshot(second, &history, 4);
    assert_eq!(bench.refused.len(), 2);
    bench.sent.clear();
    bench.pass(Duration::from_secs(2), &[(first, history.position(5)), (second, history.position(5))]);
    assert!(bench.refused.iter().any(|(revision, _)| *revision == history.position(5).revision), "newer ones too");
    assert!(bench.sent.is_empty(), "not at once");
    bench.pass(Duration::from_secs(20), &[(first, history.position(8)), (second, history.position(8))]);
    let (id, Up::Subscribe(Subscribe::Snapshot(_))) = bench.sent.pop().unwrap() else { panic!("a snapshot") };
    bench.snapshot(id, &history, 8);
    assert_eq!(position(&bench.served), history.position(8));
}

#[test]
fn a_silent_upstream_is_replaced_while_the_other_one_delivers() {
    let history = History::of(4);
    let (mut bench, first, second) = Bench::following(&history, 3);
    bench.pass(SILENCE_MAX + TICK * 2, &[(second, history.position(3))]);
    assert_eq!(bench.closed, [first]);
    let (_, node) = bench.dialed[2];
    assert!(node != bench.node_of(first) && node != bench.node_of(second));
    bench.delta(second, &history.entries[3]);
    assert_eq!(position(&bench.served), history.position(4));
}

#[test]
fn an_old_upstream_is_replaced_when_the_other_is_fresh_and_kept_in_an_election() {
    let history = History::of(4);
    let (mut bench, first, second) = Bench::following(&history, 3);
    // Both say that they have heard nothing from a leader for some seconds.
    for age in 1..=6 {
        bench.now += Duration::from_secs(1);
        bench.beat(first, history.position(3), Duration::from_secs(age));
        bench.beat(second, history.position(3), Duration::from_secs(age));
        bench.tell(Input::Timeout);
    }
    assert!(bench.closed.is_empty());
    bench.beat(second, history.position(3), Duration::ZERO);
    bench.pass(TICK, &[]);
    assert_eq!(bench.closed, [first]);
}

#[test]
fn upstreams_that_are_both_cut_off_are_replaced_by_the_node_that_claims_to_be_ahead() {
    let history = History::of(4);
    let (mut bench, first, second) = Bench::following(&history, 3);
    let taken = [bench.node_of(first), bench.node_of(second)];
    let ahead = (4..=13).map(NodeId).rfind(|node| !taken.contains(node)).unwrap();
    let candidates: Vec<_> =
        (1..=13).map(|node| Candidate { node: NodeId(node), is_voter: false, near: true }).collect();
    for (claimed, closed) in [(3, 0), (4, 1)] {
        bench.tell(Input::Candidates(candidates.clone(), Some((ahead, history.position(claimed).revision))));
        bench.now += AGE_MAX + TICK;
        for id in [first, second] {
            bench.beat(id, history.position(3), AGE_MAX + TICK);
        }
        bench.tell(Input::Timeout);
        assert_eq!(bench.closed.len(), closed, "claimed {claimed}: {:?}", bench.closed);
    }
    assert_eq!(bench.dialed.last().unwrap().1, ahead);
    let (id, _) = bench.dialed[bench.dialed.len() - 1];
    bench.tell(Input::Connected(id));
    bench.delta(id, &history.entries[3]);
    assert_eq!(position(&bench.served), history.position(4));
}

#[test]
fn an_upstream_that_stays_behind_is_replaced() {
    let history = History::of(4);
    let (mut bench, first, second) = Bench::following(&history, 3);
    bench.delta(first, &history.entries[3]);
    bench.pass(AGE_MAX + TICK * 3, &[(first, history.position(4)), (second, history.position(3))]);
    assert_eq!(bench.closed, [second]);
}

#[test]
fn nodes_that_feed_each_other_give_each_other_up() {
    let history = History::of(4);
    let (mut bench, first, second) = Bench::following(&history, 3);
    assert_eq!(bench.follower.standing().depth, 1);
    for id in [first, second] {
        let heartbeat = Heartbeat { position: history.position(3), depth: DEPTH_MAX + 1, age: Duration::ZERO };
        bench.receive(id, Down::Heartbeat(heartbeat));
    }
    assert_eq!(bench.follower.standing().depth, DEPTH_MAX + 2, "what it says grows with each turn of the circle");
    bench.pass(TICK, &[]);
    assert_eq!(bench.closed, [first, second]);
}

#[test]
fn a_redirect_is_followed() {
    let history = History::of(4);
    let (mut bench, first, second) = Bench::following(&history, 3);
    let other = (4..=13).map(NodeId).find(|node| bench.dialed.iter().all(|(_, dialed)| dialed != node)).unwrap();
    bench.receive(first, Down::Redirect(vec![bench.node_of(second), other]));
    assert_eq!(bench.dialed.last().unwrap().1, other);
}

#[test]
fn a_dial_that_hangs_is_given_up() {
    let history = History::of(4);
    let mut bench = Bench::new(&history, 3, SharedRules::default());
    assert_eq!(bench.dialed.len(), 1);
    bench.pass(DIAL_MAX + TICK, &[]);
    assert_eq!((bench.closed.len(), bench.dialed.len()), (1, 2));
    assert_ne!(bench.dialed[0].1, bench.dialed[1].1);
    let late = bench.dialed[0].0;
    bench.tell(Input::Connected(late));
    assert_eq!(bench.closed.len(), 2, "it comes too late");
}

#[test]
fn a_new_node_takes_one_snapshot_and_only_then_a_second_upstream() {
    let history = History::of(4);
    let mut bench = Bench::new(&history, 0, SharedRules::default());
    let (id, _) = bench.dialed[0];
    bench.tell(Input::Connected(id));
    assert_eq!(bench.sent, [(id, Up::Subscribe(Subscribe::After(None)))]);
    bench.beat(id, history.position(4), Duration::ZERO);
    bench.snapshot(id, &history, 4);
    assert_eq!(position(&bench.served), history.position(4));
    assert_eq!(bench.dialed.len(), 2);
}

#[test]
fn a_snapshot_of_the_past_is_not_believed() {
    let history = History::of(6);
    let (mut bench, first, _) = Bench::following(&history, 5);
    bench.snapshot(first, &history, 3);
    assert_eq!(position(&bench.served), history.position(5));
}

#[test]
fn a_disk_that_fails_keeps_the_node_where_it_is_and_it_tries_again() {
    let history = History::of(6);
    let (mut bench, first, second) = Bench::following(&history, 3);
    bench.durable = false;
    bench.delta(first, &history.entries[3]);
    bench.tell(Input::NotPersisted("no space".to_owned()));
    assert_eq!(bench.refused, [(history.position(4).revision, "no space".to_owned())]);
    bench.durable = true;
    bench.delta(first, &history.entries[4]);
    assert_eq!(position(&bench.served), history.position(3));
    bench.pass(Duration::from_secs(6), &[(first, history.position(5)), (second, history.position(5))]);
    assert!(bench.sent.contains(&(first, Up::Subscribe(Subscribe::After(Some(history.position(3)))))));
    bench.delta(first, &history.entries[3]);
    assert_eq!((position(&bench.served), bench.accepted), (history.position(4), 1));
}

#[test]
fn a_disk_that_is_slow_bounds_what_waits_for_it() {
    let mut history = History::of(3);
    (0..PENDING_MAX + 20).for_each(|_| history.grow());
    let (mut bench, first, _) = Bench::following(&history, 3);
    bench.durable = false;
    history.entries[3..].iter().for_each(|entry| bench.delta(first, entry));
    assert!(bench.sent.is_empty());
    let last = history.position(3 + PENDING_MAX);
    bench.tell(Input::Persisted(last.revision));
    assert_eq!(position(&bench.served), last);
    assert_eq!(bench.sent[0], (first, Up::Subscribe(Subscribe::After(Some(last)))), "what was dropped is asked for");
}

#[test]
fn a_quarantined_node_waits_for_something_newer_and_takes_it_as_a_whole() {
    let history = History::of(8);
    let mut bench = Bench::new(&history, 3, SharedRules::default());
    let bad = history.position(5).revision;
    bench.follower.quarantine(bench.now, bad, "it crashed".to_owned());
    let (id, _) = bench.dialed[0];
    bench.tell(Input::Connected(id));
    assert_eq!(bench.sent, [(id, Up::Subscribe(Subscribe::Snapshot(Revision(bad.0 + 1))))]);
    history.entries[3..5].iter().for_each(|entry| bench.delta(id, entry));
    assert_eq!(position(&bench.served), history.position(3), "it does not go near the bad one");
    bench.snapshot(id, &history, 7);
    assert_eq!((position(&bench.served), bench.accepted), (history.position(7), 1));
    bench.delta(id, &history.entries[7]);
    assert_eq!(position(&bench.served), history.position(8));
}

#[test]
fn garbage_from_an_upstream_never_panics() {
    let history = History::of(4);
    let (mut bench, first, _) = Bench::following(&history, 3);
    bench.receive(first, Down::Chunk(Bytes::from_static(b"unasked")));
    bench.receive(first, Down::Snapshot(Position { revision: Revision(u64::MAX), digest: Digest::default() }, 3));
    bench.receive(first, Down::Chunk(Bytes::from_static(b"bad")));
    assert!(bench.refused[0].1.contains("can not be read"), "{:?}", bench.refused);
    bench.receive(first, Down::Snapshot(history.position(4), u64::MAX));
    bench.receive(UpstreamId(77), Down::Redirect(Vec::new()));
    bench.tell(Input::Opened(first, Err("late".to_owned())));
    assert_eq!(position(&bench.served), history.position(3));
}

#[test]
fn an_entry_that_is_no_command_is_refused_with_the_reason() {
    let history = History::of(4);
    let (mut bench, first, _) = Bench::following(&history, 3);
    let entry = LogEntry { command: Bytes::from_static(b"?"), ..LogEntry::clone(&history.entries[3]) };
    bench.delta(first, &Arc::new(entry));
    assert!(bench.refused[0].1.contains("can not be read"), "{:?}", bench.refused);
}
