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
