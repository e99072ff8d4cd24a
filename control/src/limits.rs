//! Pure. The control plane's bounds outside the catalog.
//!
//! **Owns** their numbers and reasons. **Must not know** who keeps them. **Enter at** [`BUNDLE_BYTES_MAX`].

use std::time::Duration;

/// BOUND: bytes of a bundle: Cloudflare's 64 MiB of script and 1 MiB for names and types.
pub const BUNDLE_BYTES_MAX: usize = 65 << 20;
/// BOUND: bytes of all bundles on an edge, where the operator does not say otherwise; thousands of versions.
pub const BUNDLES_BYTES_MAX: u64 = 10 << 30;
/// BOUND: bytes of one command on the wire and in the log; larger ones would hold up heartbeats. Code never travels here.
pub const COMMAND_BYTES_MAX: usize = 8 << 20;
/// BOUND: bytes of log entries in one message to another voter; an entry that is larger travels alone. Small enough that an answer
/// comes soon, large enough that a voter that was away catches up at the speed of its link.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// BOUND: bytes a second of the slowest link between voters, 4 Mbit/s: what is large may take so much longer.
pub const LINK_BYTES_PER_SECOND: u64 = 512 << 10;
/// BOUND: how long a snapshot may take to another voter: the largest one at twice the slowest link's speed.
pub const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(3600);
/// BOUND: how long one chunk of a snapshot may wait for the link, or the answer for the other voter's disk.
pub const SNAPSHOT_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// BOUND: how long a proposal waits for its outcome before it counts as unknown. An fsync takes milliseconds, an election
/// two seconds.
pub const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// BOUND: proposals that wait at once; more than that is overload, and each keeps a task.
pub const PROPOSALS_MAX: usize = 10_000;
/// BOUND: log entries between two snapshots; replaying that many takes well under a second.
pub const LOGS_PER_SNAPSHOT: u64 = 5000;
/// BOUND: log entries kept behind a snapshot, so that a follower that is a little behind needs no snapshot.
pub const LOGS_KEPT: u64 = 1000;
/// BOUND: bytes of log entries kept in memory for the feed; thousands of deploys. A follower that is further behind takes a
/// snapshot.
pub const TAIL_BYTES_MAX: usize = 16 << 20;
/// BOUND: bytes of one frame between nodes. A command has 8 MiB at most, and what is longer travels in chunks.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// BOUND: bytes of a call's head: a method and a traceparent of 55 characters.
pub const CALL_HEAD_BYTES_MAX: usize = 1 << 10;
/// BOUND: bytes of an answer's head: a refusal with its message.
pub const ANSWER_HEAD_BYTES_MAX: usize = 8 << 10;
/// BOUND: bytes of a refusal's message; one long sentence.
pub const REFUSAL_BYTES_MAX: usize = 4 << 10;
/// BOUND: calls that a node serves at once, for each class of connection; each keeps a task and what it has read.
pub const CALLS_MAX: usize = 2048;
/// BOUND: streams that a peer may keep open on one connection.
pub const STREAMS_MAX: u32 = 256;
/// BOUND: connections from one node in one class: two while it changes its certificate, and two that it has forgotten.
pub const PEER_CONNECTIONS_MAX: usize = 4;
/// BOUND: connections of joining nodes, which have shown no certificate, at once.
pub const JOIN_CONNECTIONS_MAX: usize = 16;
/// BOUND: how long a joining node's connection lives: a proposal, twice the way across the world, and the answer.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
/// BOUND: handshakes that run at once; each costs a signature and some kilobytes.
pub const HANDSHAKES_MAX: usize = 256;
/// BOUND: handshakes that may run before callers must prove their address with one more round trip.
pub const HANDSHAKES_UNPROVEN_MAX: usize = 64;
/// BOUND: how long the first request of a call may take to arrive: 16 MiB at 4 Mbit/s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// BOUND: received datagrams that wait for gossip; it reads thousands each second, and newer ones say more.
pub const DATAGRAMS_MAX: usize = 1024;
/// BOUND: bytes that fit a datagram on every path that QUIC works on: 1200 less its headers.
pub const DATAGRAM_BYTES_MAX: usize = 1150;
/// BOUND: bytes of a certificate request; ours have 250.
pub const CERTIFICATE_REQUEST_BYTES_MAX: usize = 8 << 10;
/// BOUND: how long a node's certificate is valid; it is renewed when a third is left. What is stolen is soon worth nothing.
pub const NODE_CERTIFICATE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// BOUND: bytes of a snapshot that one voter sends another: ten thousand services with their history.
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;
/// BOUND: bytes of an API request's body that is carried to the leader: an upload of the largest bundle, with its form.
pub const API_BODY_BYTES_MAX: usize = BUNDLE_BYTES_MAX + (2 << 20);
/// BOUND: bytes of a gossip datagram, the same on every node, because foca refuses larger ones than it may send itself. QUIC
/// over the smallest allowed path (1200 bytes of UDP payload) has room for about 1160.
pub const GOSSIP_DATAGRAM_BYTES: usize = 1100;
/// BOUND: bytes of one node's news; some forty then share a datagram. The numbers take at most 64, the rest is the version.
pub const NEWS_BYTES_MAX: usize = 200;
/// BOUND: bytes of the version in a node's news.
pub const NEWS_VERSION_BYTES_MAX: usize = 64;
/// BOUND: nodes that gossip tells of and the catalog does not list: those that joined a moment ago. A cluster has a thousand.
pub const UNLISTED_NODES_MAX: usize = 2048;
/// BOUND: datagrams that wait for gossip; more are dropped, as the network does. Several seconds' worth for one node of a thousand.
pub const GOSSIP_INBOX_MAX: usize = 1024;
/// BOUND: how far ahead another member may say that this node's boot counter was. More is a broken peer: a node that starts once
/// a minute needs two years for it.
pub const BOOT_LEAD_MAX: u64 = 1 << 20;

/// How long bytes may be on their way to another node.
#[must_use]
pub(crate) fn link_time(bytes: usize) -> Duration {
    Duration::from_millis(bytes as u64 * 1000 / LINK_BYTES_PER_SECOND)
}
