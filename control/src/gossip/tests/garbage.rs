//! What a member does with datagrams that no member would send.

use std::time::{Duration, Instant};

use bytes::Bytes;
use foca::{Codec as _, Header, Member, Message};
use proptest::prelude::*;
use skerry_proto::id::NodeId;

use crate::{
    clock,
    gossip::{
        codec::Codec,
        identity::Identity,
        members::Liveness,
        roster::{Profile, Roster},
        swim::{Action, Input, Swim, SwimConfig},
    },
    limits::{GOSSIP_DATAGRAM_BYTES, UNLISTED_NODES_MAX},
};

fn life(node: u64) -> Identity {
    Identity::started(NodeId(node), 1)
}

/// Node 1 of three, and its clock: a millisecond passes with each input.
struct Bench {
    swim: Swim,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let config = SwimConfig { identity: life(1), feature_level: 1, version: "1".into(), seed: [7; 32] };
        let now = clock::monotonic();
        let mut bench = Self { swim: Swim::new(now, config), now };
        bench.publish();
        bench
    }

    fn handle(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.now += Duration::from_millis(1);
        self.swim.handle(self.now, input, &mut actions);
        actions
    }

    fn receive(&mut self, from: u64, bytes: Vec<u8>) -> Vec<Action> {
        self.handle(Input::Datagram { from: NodeId(from), bytes: bytes.into() })
    }

    /// A roster makes it publish.
    fn publish(&mut self) {
        self.handle(Input::Roster(Roster::new([1, 2, 3].map(NodeId), Profile::Lan)));
    }

    fn sees(&mut self, node: u64) -> Option<Liveness> {
        self.publish();
        self.swim.members().state(NodeId(node)).map(|state| state.alive)
    }

    fn bad(&self) -> u64 {
        self.swim.status().bad
    }
}

fn datagram(src: Identity, dst: Identity, message: Message<Identity>, members: &[Member<Identity>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header { src, src_incarnation: 0, dst, message };
    Codec.encode_header(&header, &mut bytes).unwrap();
    if !members.is_empty() {
        bytes.extend_from_slice(&u16::try_from(members.len()).unwrap().to_be_bytes());
    }
    for member in members {
        Codec.encode_member(member, &mut bytes).unwrap();
    }
    bytes
}

#[test]
fn nobody_speaks_for_another() {
    let mut bench = Bench::new();
    let forged = datagram(life(2), life(1), Message::Gossip, &[Member::alive(life(3))]);
    bench.receive(3, forged.clone());
    assert_eq!((bench.bad(), bench.sees(2)), (1, None));
    bench.receive(2, forged);
    assert_eq!((bench.bad(), bench.sees(2), bench.sees(3)), (1, Some(Liveness::Alive), Some(Liveness::Alive)));
}

#[test]
fn a_boot_that_can_not_have_been_is_not_outbid() {
    let mut bench = Bench::new();
    let later = Identity { boot: u64::MAX, generation: u64::MAX, ..life(1) };
    assert_eq!(bench.receive(2, datagram(life(2), later, Message::Ping(1), &[])), []);
    let later = Identity { boot: 1 << 30, ..life(1) };
    assert_eq!(bench.receive(2, datagram(life(2), later, Message::Ping(1), &[])), []);
    assert_eq!(bench.bad(), 2);
}

#[test]
fn a_turn_undead_in_a_loop_makes_one_new_life_a_second() {
    let mut bench = Bench::new();
    bench.receive(2, datagram(life(2), life(1), Message::Gossip, &[Member::alive(life(3))]));
    let second = life(1).next_life().unwrap();
    let told = |bench: &mut Bench, own| {
        let sent = bench.receive(2, datagram(life(2), own, Message::TurnUndead, &[]));
        assert!(sent.len() < 10);
        bench.swim.status().rejoins
    };
    assert_eq!(told(&mut bench, life(1)), 1);
    for _ in 0..100 {
        assert_eq!(told(&mut bench, second), 1);
    }
    bench.now += Duration::from_secs(1);
    assert_eq!(told(&mut bench, second), 2);
}

#[test]
fn later_lives_in_a_loop_are_outbid_once_a_second() {
    let mut bench = Bench::new();
    for generation in 1..=100 {
        bench.receive(2, datagram(life(2), Identity { generation, ..life(1) }, Message::Ping(1), &[]));
    }
    assert_eq!(bench.swim.status().rejoins, 1);
}

#[test]
fn a_suspect_that_speaks_is_told_so_that_it_can_object() {
    let mut bench = Bench::new();
    let suspect = Member::new(life(3), 0, foca::State::Suspect);
    bench.receive(2, datagram(life(2), life(1), Message::Gossip, std::slice::from_ref(&suspect)));
    assert_eq!(bench.sees(3), Some(Liveness::Suspect));
    let sent = bench.receive(3, datagram(life(3), life(1), Message::Ack(9), &[]));
    let [Action::Send { to: NodeId(3), bytes }] = &sent[..] else { panic!("{sent:?}") };
    let mut rest = &bytes[..];
    assert_eq!(Codec.decode_header(&mut rest).unwrap().dst, life(3));
    assert_eq!(Codec.decode_member(&rest[2..]).unwrap(), suspect);
}

#[test]
fn invented_members_do_not_grow_the_memory_for_ever() {
    let mut bench = Bench::new();
    let mut node = 1000;
    for _ in 0..UNLISTED_NODES_MAX / 40 * 3 {
        let invented: Vec<_> = (0..40).map(|place| Member::alive(life(node + place))).collect();
        node += 40;
        bench.receive(2, datagram(life(2), life(1), Message::Gossip, &invented));
    }
    assert_eq!(bench.sees(2), Some(Liveness::Alive));
    let known = bench.swim.members().iter().count();
    assert!(known <= 3 + UNLISTED_NODES_MAX, "{known}");
}

#[test]
fn too_large_a_datagram_is_refused() {
    let mut bench = Bench::new();
    let mut bytes = datagram(life(2), life(1), Message::Ping(1), &[]);
    bytes.resize(GOSSIP_DATAGRAM_BYTES + 1, 0);
    bench.receive(2, bytes);
    assert_eq!((bench.bad(), bench.sees(2)), (1, None));
}

proptest! {
    #[test]
    fn random_datagrams_never_panic(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20)) {
        let mut bench = Bench::new();
        for bytes in datagrams {
            bench.receive(2, bytes);
        }
        prop_assert!(bench.swim.status().received > 0);
    }

    #[test]
    fn changed_datagrams_never_panic(changes in prop::collection::vec((0..12_u8, any::<usize>(), any::<u8>(), any::<bool>()), 1..40)) {
        let mut bench = Bench::new();
        for (kind, at, to, cut) in changes {
            let message = match kind {
                0 => Message::Ping(1),
                1 => Message::Ack(1),
                2 => Message::PingReq { target: life(3), probe_number: 1 },
                3 => Message::IndirectPing { origin: life(3), probe_number: 1 },
                4 => Message::IndirectAck { target: life(3), probe_number: 1 },
                5 => Message::ForwardedAck { origin: life(3), probe_number: 1 },
                6 => Message::Feed,
                7 => Message::Broadcast,
                8 => Message::TurnUndead,
                _ => Message::Gossip,
            };
            let members = [Member::alive(life(3)), Member::down(life(1)), Member::new(life(1), 9, foca::State::Suspect)];
            let mut bytes = datagram(life(2), life(1), message, &members);
            let at = at % bytes.len();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = to;
            }
            bench.receive(2, bytes);
            bench.now += Duration::from_millis(200);
            bench.handle(Input::Timeout);
        }
    }
}

#[test]
fn an_empty_datagram_is_bad() {
    let mut bench = Bench::new();
    bench.handle(Input::Datagram { from: NodeId(2), bytes: Bytes::new() });
    assert_eq!(bench.bad(), 1);
}
