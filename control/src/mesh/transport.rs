//! How QUIC behaves between nodes.
//!
//! **Owns** windows, timers and buffers. **Must not know** TLS or calls. **Enter at** [`for_class`].

use std::{sync::Arc, time::Duration};

use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt,
    crypto::{CryptoError, HmacKey},
};

use super::{MeshConfig, class::Class};
use crate::limits::{HANDSHAKES_MAX, STREAMS_MAX};

const MIB: u32 = 1 << 20;
/// BOUND: what a peer may send ahead of its reader on one stream: 1 Gbit/s over 64 ms.
const STREAM_WINDOW: u32 = 8 * MIB;
/// BOUND: what a caller may send ahead before it is known to be a member.
const UNKNOWN_WINDOW: u32 = MIB;
/// BOUND: bytes of datagrams that wait to be sent or read: gossip's are a kilobyte, and older ones say less.
const DATAGRAM_BUFFER: usize = 64 << 10;
/// A first guess: voters are at most 60 ms apart. quinn's 333 ms would repeat a lost first packet after a second.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// BOUND: every path that QUIC works on carries this (RFC 9000 section 14); discovery finds more.
const MTU_FLOOR: u16 = 1200;
/// BOUND: packets of handshakes that have not been looked at yet.
const HANDSHAKE_BUFFER: u64 = 64 << 10;
/// BOUND: between two answers to packets of connections that nobody knows: a thousand peers hear of a restart within two
/// seconds, and garbage is answered with less than it has.
const RESET_INTERVAL: Duration = Duration::from_millis(2);
const ID_BYTES: usize = 8;

/// For a connection that this node makes.
pub(super) fn for_class(config: &MeshConfig, class: Class) -> TransportConfig {
    let mut transport = base(config);
    transport.receive_window(receive_window(class)).send_window(send_window(class));
    // One: the other side's welcome.
    transport.max_concurrent_uni_streams(VarInt::from_u32(1)).max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport.keep_alive_interval(Some(config.keep_alive));
    match class {
        Class::Raft | Class::Objects => transport.send_fairness(false),
        Class::Feed => transport.datagram_receive_buffer_size(Some(DATAGRAM_BUFFER)),
        Class::Bulk | Class::Join => &mut transport,
    };
    transport
}

/// For a connection that another node makes: nothing is allowed until [`admit`].
pub(super) fn for_callers(config: &MeshConfig) -> TransportConfig {
    let mut transport = base(config);
    transport.receive_window(VarInt::from_u32(UNKNOWN_WINDOW)).send_window(send_window(Class::Feed));
    transport.max_concurrent_uni_streams(VarInt::from_u32(0)).max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport.datagram_receive_buffer_size(Some(DATAGRAM_BUFFER));
    transport
}

/// Lets a caller in whose class is known now.
pub(super) fn admit(connection: &quinn::Connection, class: Class) {
    if class != Class::Join {
        connection.set_receive_window(receive_window(class));
        connection.set_send_window(send_window(class));
    }
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(if class == Class::Join { 1 } else { STREAMS_MAX }));
}

/// BOUND: memory that callers can make this node use before it has looked at them.
pub(super) fn limit_handshakes(server: &mut quinn::ServerConfig) {
    server.max_incoming(2 * HANDSHAKES_MAX).incoming_buffer_size(HANDSHAKE_BUFFER);
    server.incoming_buffer_size_total(HANDSHAKE_BUFFER * 64);
}

fn base(config: &MeshConfig) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(IdleTimeout::try_from(config.idle_timeout).ok()).initial_rtt(INITIAL_RTT);
    transport.stream_receive_window(VarInt::from_u32(STREAM_WINDOW));
    transport.initial_mtu(MTU_FLOOR).min_mtu(MTU_FLOOR).mtu_discovery_config(Some(MtuDiscoveryConfig::default()));
    transport.datagram_receive_buffer_size(None).datagram_send_buffer_size(DATAGRAM_BUFFER);
    transport
}

/// BOUND: what a peer may send ahead of its readers on a whole connection.
fn receive_window(class: Class) -> VarInt {
    VarInt::from_u32(match class {
        Class::Raft | Class::Objects | Class::Feed => 16 * MIB,
        Class::Bulk => 32 * MIB,
        Class::Join => MIB,
    })
}

/// BOUND: what is kept until the other side has it.
fn send_window(class: Class) -> u64 {
    match class {
        Class::Raft | Class::Objects | Class::Feed => 16 << 20,
        Class::Bulk => 32 << 20,
        Class::Join => 1 << 20,
    }
}

/// The endpoint's settings. The keys for resets come from the node's own key, so that a node that was killed and came
/// back tells its peers at once that their connections are gone, where they would wait for the idle timeout.
pub(super) fn endpoint_config(node_key: &[u8]) -> EndpointConfig {
    let reset_key = blake3::derive_key("skerry mesh 2026 stateless reset", node_key);
    let mut config = EndpointConfig::new(Arc::new(ResetKey(reset_key)));
    // quinn's own ids are made with a key of the process, and it sends no reset for others.
    config.cid_generator(|| Box::new(RandomIds)).min_reset_interval(RESET_INTERVAL);
    config
}

/// Ids of connections that say nothing.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&crate::mint::random::<ID_BYTES>())
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// BLAKE3 in its keyed mode.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(data).finalize_xof().fill(signature);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut expected = [0; 32];
        self.sign(data, &mut expected);
        let same = subtle::ConstantTimeEq::ct_eq(&expected[..], signature);
        if bool::from(same) { Ok(()) } else { Err(CryptoError) }
    }
}
