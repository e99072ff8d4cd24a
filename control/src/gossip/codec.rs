//! Pure. foca's headers and members as protobuf messages.
//!
//! **Owns** the bytes of a datagram up to its news. **Must not know** what they make a member do. **Enter at** [`Codec`].

use foca::{Header, Member, Message, State};
use prost::{
    Message as _,
    bytes::{Buf, BufMut},
};
use skerry_proto::{gossip as wire, id::NodeId};

use super::identity::Identity;

/// Why bytes are no datagram of ours, or do not fit into one. State: unchanged. Retry: no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodecError {
    /// No room is left in the datagram.
    #[error("the datagram is full")]
    Full,
    /// Not the message that should stand here.
    #[error("a gossip message does not parse")]
    Parse(#[source] prost::DecodeError),
    /// A field has a value that it can not have.
    #[error("field {field} of a gossip message is missing or out of range")]
    Field {
        /// Which.
        field: &'static str,
    },
}

/// Writes and reads headers and members.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Codec;

impl foca::Codec<Identity> for Codec {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<Identity>, buf: impl BufMut) -> Result<(), CodecError> {
        encode(&header_to_wire(header), buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        header_from_wire(&wire::Header::decode_length_delimited(buf).map_err(CodecError::Parse)?)
    }

    fn encode_member(&mut self, member: &Member<Identity>, buf: impl BufMut) -> Result<(), CodecError> {
        let message = wire::Member {
            identity: Some(identity_to_wire(member.id())),
            incarnation: member.incarnation().into(),
            state: state_to_wire(member.state()).into(),
        };
        encode(&message, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        let message = wire::Member::decode_length_delimited(buf).map_err(CodecError::Parse)?;
        let state = match message.state() {
            wire::member::State::Unspecified => return Err(CodecError::Field { field: "state" }),
            wire::member::State::Alive => State::Alive,
            wire::member::State::Suspect => State::Suspect,
            wire::member::State::Down => State::Down,
        };
        let identity = identity_from_wire(message.identity, "identity")?;
        Ok(Member::new(identity, small(message.incarnation, "incarnation")?, state))
    }
}

/// A datagram that tells a suspect what is said of it.
pub(super) fn reminder(own: &Identity, suspect: &Member<Identity>) -> Result<Vec<u8>, CodecError> {
    use foca::Codec as _;
    // An incarnation counts only when it is higher than the known one, so 0 says nothing.
    let header = Header { src: *own, src_incarnation: 0, dst: *suspect.id(), message: Message::Gossip };
    let mut bytes = Vec::new();
    Codec.encode_header(&header, &mut bytes)?;
    bytes.put_u16(1);
    Codec.encode_member(suspect, &mut bytes)?;
    Ok(bytes)
}

/// Writes all of it or nothing, as foca demands.
fn encode(message: &impl prost::Message, mut buf: impl BufMut) -> Result<(), CodecError> {
    message.encode_length_delimited(&mut buf).ok().ok_or(CodecError::Full)
}

fn header_to_wire(header: &Header<Identity>) -> wire::Header {
    use wire::header::Kind;
    let (kind, probe, subject) = match &header.message {
        Message::Ping(probe) => (Kind::Ping, *probe, None),
        Message::Ack(probe) => (Kind::Ack, *probe, None),
        Message::PingReq { target, probe_number } => (Kind::PingRequest, *probe_number, Some(target)),
        Message::IndirectPing { origin, probe_number } => (Kind::IndirectPing, *probe_number, Some(origin)),
        Message::IndirectAck { target, probe_number } => (Kind::IndirectAck, *probe_number, Some(target)),
        Message::ForwardedAck { origin, probe_number } => (Kind::ForwardedAck, *probe_number, Some(origin)),
        Message::Announce => (Kind::Announce, 0, None),
        Message::Feed => (Kind::Feed, 0, None),
        Message::Gossip => (Kind::Gossip, 0, None),
        Message::Broadcast => (Kind::Broadcast, 0, None),
        Message::TurnUndead => (Kind::TurnUndead, 0, None),
    };
    wire::Header {
        source: Some(identity_to_wire(&header.src)),
        source_incarnation: header.src_incarnation.into(),
        destination: Some(identity_to_wire(&header.dst)),
        kind: kind.into(),
        probe_number: probe.into(),
        subject: subject.map(identity_to_wire),
    }
}

fn header_from_wire(header: &wire::Header) -> Result<Header<Identity>, CodecError> {
    use wire::header::Kind;
    let probe_number = small(header.probe_number, "probe_number")?;
    let subject = || identity_from_wire(header.subject, "subject");
    let message = match header.kind() {
        Kind::Unspecified => return Err(CodecError::Field { field: "kind" }),
        Kind::Ping => Message::Ping(probe_number),
        Kind::Ack => Message::Ack(probe_number),
        Kind::PingRequest => Message::PingReq { target: subject()?, probe_number },
        Kind::IndirectPing => Message::IndirectPing { origin: subject()?, probe_number },
        Kind::IndirectAck => Message::IndirectAck { target: subject()?, probe_number },
        Kind::ForwardedAck => Message::ForwardedAck { origin: subject()?, probe_number },
        Kind::Announce => Message::Announce,
        Kind::Feed => Message::Feed,
        Kind::Gossip => Message::Gossip,
        Kind::Broadcast => Message::Broadcast,
        Kind::TurnUndead => Message::TurnUndead,
    };
    Ok(Header {
        src: identity_from_wire(header.source, "source")?,
        src_incarnation: small(header.source_incarnation, "source_incarnation")?,
        dst: identity_from_wire(header.destination, "destination")?,
        message,
    })
}

fn identity_to_wire(identity: &Identity) -> wire::Identity {
    wire::Identity { node_id: identity.node.0, boot: identity.boot, generation: identity.generation }
}

fn identity_from_wire(identity: Option<wire::Identity>, field: &'static str) -> Result<Identity, CodecError> {
    match identity {
        Some(wire::Identity { node_id, boot, generation }) if node_id != 0 => {
            Ok(Identity { node: NodeId(node_id), boot, generation })
        }
        _ => Err(CodecError::Field { field }),
    }
}

fn state_to_wire(state: State) -> wire::member::State {
    match state {
        State::Alive => wire::member::State::Alive,
        State::Suspect => wire::member::State::Suspect,
        State::Down => wire::member::State::Down,
    }
}

fn small<T: TryFrom<u32>>(value: u32, field: &'static str) -> Result<T, CodecError> {
    T::try_from(value).ok().ok_or(CodecError::Field { field })
}

#[cfg(test)]
mod tests {
    use foca::Codec as _;
    use proptest::prelude::*;

    use super::*;

    fn identity() -> impl Strategy<Value = Identity> {
        (1..=u64::MAX, any::<u64>(), any::<u64>()).prop_map(|(node, boot, generation)| Identity {
            node: NodeId(node),
            boot,
            generation,
        })
    }

    fn message() -> impl Strategy<Value = Message<Identity>> {
        (0..11_u8, any::<u8>(), identity()).prop_map(|(kind, probe_number, other)| match kind {
            0 => Message::Ping(probe_number),
            1 => Message::Ack(probe_number),
            2 => Message::PingReq { target: other, probe_number },
            3 => Message::IndirectPing { origin: other, probe_number },
            4 => Message::IndirectAck { target: other, probe_number },
            5 => Message::ForwardedAck { origin: other, probe_number },
            6 => Message::Announce,
            7 => Message::Feed,
            8 => Message::Gossip,
            9 => Message::Broadcast,
            _ => Message::TurnUndead,
        })
    }

    prop_compose! {
        fn header()(src in identity(), src_incarnation in any::<u16>(), dst in identity(), message in message())
            -> Header<Identity> {
            Header { src, src_incarnation, dst, message }
        }
    }

    prop_compose! {
        fn member()(id in identity(), incarnation in any::<u16>(), state in 0..3_u8) -> Member<Identity> {
            Member::new(id, incarnation, [State::Alive, State::Suspect, State::Down][usize::from(state)])
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_beyond_it(header in header(), members in prop::collection::vec(member(), 0..5)) {
            let mut bytes = Vec::new();
            Codec.encode_header(&header, &mut bytes).unwrap();
            for member in &members {
                Codec.encode_member(member, &mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            prop_assert_eq!(Codec.decode_header(&mut rest).unwrap(), header);
            for member in &members {
                prop_assert_eq!(&Codec.decode_member(&mut rest).unwrap(), member);
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn a_member_that_does_not_fit_leaves_nothing_behind(member in member(), room in 0..40_usize) {
            let mut whole = Vec::new();
            Codec.encode_member(&member, &mut whole).unwrap();
            let mut limited = Vec::new().limit(room);
            let encoded = Codec.encode_member(&member, &mut limited);
            prop_assert_eq!(encoded.is_ok(), whole.len() <= room);
            prop_assert!(encoded.is_ok() || limited.get_ref().is_empty());
        }

        #[test]
        fn random_bytes_are_an_error_or_a_message(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Codec.decode_header(&bytes[..]);
            let _ = Codec.decode_member(&bytes[..]);
        }

        #[test]
        fn changed_bytes_are_an_error_or_a_message(header in header(), at in any::<usize>(), to in any::<u8>()) {
            let mut bytes = Vec::new();
            Codec.encode_header(&header, &mut bytes).unwrap();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = Codec.decode_header(&bytes[..]);
        }
    }

    #[test]
    fn what_a_field_can_not_hold_is_refused_by_name() {
        let life = Some(wire::Identity { node_id: 1, boot: 1, generation: 0 });
        let kind = wire::header::Kind::Ping.into();
        let good = wire::Header { source: life, destination: life, kind, ..wire::Header::default() };
        let refused = |header: wire::Header| {
            let error = Codec.decode_header(&header.encode_length_delimited_to_vec()[..]).unwrap_err();
            let CodecError::Field { field } = error else { panic!("{error}") };
            field
        };
        let nobody = Some(wire::Identity::default());
        assert_eq!(refused(wire::Header { source: None, ..good }), "source");
        assert_eq!(refused(wire::Header { destination: nobody, ..good }), "destination");
        assert_eq!(refused(wire::Header { kind: 99, ..good }), "kind");
        assert_eq!(refused(wire::Header { probe_number: 256, ..good }), "probe_number");
        assert_eq!(refused(wire::Header { source_incarnation: 65_536, ..good }), "source_incarnation");
        let indirect = wire::header::Kind::ForwardedAck.into();
        assert_eq!(refused(wire::Header { kind: indirect, ..good }), "subject");
        let stateless = wire::Member { identity: life, ..wire::Member::default() };
        let error = Codec.decode_member(&stateless.encode_length_delimited_to_vec()[..]).unwrap_err();
        assert_eq!(error, CodecError::Field { field: "state" });
    }
}
