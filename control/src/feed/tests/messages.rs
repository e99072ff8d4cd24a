use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use skerry_proto::id::{NodeId, Revision};

use super::lab::History;
use crate::feed::{
    acks::{Ack, Refusal},
    message::{Down, Heartbeat, Subscribe, Up},
};

#[test]
fn messages_arrive_as_they_were_sent() {
    let history = History::of(3);
    let position = history.position(2);
    let ack = Ack { node: NodeId(4), revision: Revision(3), refused: None, boot: 2, sequence: 9 };
    let refused = Some(Refusal::new(Revision(5), "because"));
    let refusing = Ack { refused, ..ack.clone() };
    for up in [
        Up::Subscribe(Subscribe::After(None)),
        Up::Subscribe(Subscribe::After(Some(position))),
        Up::Subscribe(Subscribe::Snapshot(Revision(7))),
        Up::Subscribe(Subscribe::AcksOnly),
        Up::Acks(vec![Arc::new(ack), Arc::new(refusing)]),
    ] {
        assert_eq!(Up::decode(up.encode()), Ok(up));
    }
    for down in [
        Down::Redirect(vec![NodeId(1), NodeId(9)]),
        Down::Snapshot(position, 1 << 40),
        Down::Chunk(Bytes::from_static(b"part")),
        Down::Delta(Arc::clone(&history.entries[1])),
        Down::Heartbeat(Heartbeat { position, depth: 2, age: Duration::from_millis(1500) }),
    ] {
        assert_eq!(Down::decode(down.encode()), Ok(down));
    }
}

#[test]
fn an_age_that_is_not_known_is_very_old() {
    let position = History::of(1).position(1);
    let sent = Down::Heartbeat(Heartbeat { position, depth: 7, age: Duration::MAX });
    let Ok(Down::Heartbeat(heartbeat)) = Down::decode(sent.encode()) else { panic!("a heartbeat") };
    assert!(heartbeat.age > Duration::from_secs(3600));
}

proptest! {
    #[test]
    fn garbage_is_an_error_or_a_message_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let frame = Bytes::from(bytes);
        let _ = Up::decode(frame.clone());
        let _ = Down::decode(frame);
    }

    #[test]
    fn a_message_with_a_flipped_bit_is_an_error_or_a_message(at in 0usize..1000, bit in 0u8..8) {
        let history = History::of(1);
        let mut bytes = Down::Delta(Arc::clone(&history.entries[0])).encode().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = Down::decode(bytes.into());
    }
}
