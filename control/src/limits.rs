//! Pure. The control plane's bounds outside the catalog.
//!
//! **Owns** their numbers and reasons. **Must not know** who keeps them. **Enter at** [`BUNDLE_BYTES_MAX`].

use std::time::Duration;

/// BOUND: bytes of a bundle: Cloudflare's 64 MiB of script and 1 MiB for names and types.
pub const BUNDLE_BYTES_MAX: usize = 65 << 20;
/// BOUND: bytes of one command on the wire and in the log; larger ones would hold up heartbeats. Code never travels here.
pub const COMMAND_BYTES_MAX: usize = 8 << 20;
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
/// BOUND: bytes of a gossip datagram, the same on every node, because foca refuses larger ones than it may send itself. QUIC
/// over the smallest allowed path (1200 bytes of UDP payload) has room for about 1160.
pub const GOSSIP_DATAGRAM_BYTES: usize = 1100;
/// BOUND: bytes of one node's news; some forty then share a datagram. The numbers take at most 53, the rest is the version.
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
