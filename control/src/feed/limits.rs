//! Pure. The feed's bounds.
//!
//! **Owns** their numbers and reasons. **Must not know** who keeps them. **Enter at** [`SUBSCRIBERS_MAX`].

use std::time::Duration;

/// BOUND: subscribers of a node, so copies of a delta that it sends: three voters reach 192 nodes, those reach 12 288.
pub const SUBSCRIBERS_MAX: usize = 64;
/// BOUND: voters that pass acknowledgements to this node; there are at most five, and a restarted one comes twice.
pub const ACKS_ONLY_MAX: usize = 16;
/// BOUND: nodes that a redirect names; with half of them gone there is still a choice.
pub const REDIRECTS_MAX: usize = 8;
/// BOUND: messages on their way to one subscriber. What waits behind them costs nothing: it lies in the tail that all share.
pub const WINDOW: usize = 32;
/// BOUND: bytes of a snapshot in one message; large enough to be cheap, small enough not to delay what shares the link.
pub const CHUNK_BYTES: usize = 64 << 10;
/// BOUND: bytes of a snapshot that a follower takes. A catalog at its limits has tens of megabytes.
pub const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
/// BOUND: deltas that are applied and not yet durable. A disk that stands still for this long makes the follower ask again.
pub const PENDING_MAX: usize = 1000;
/// BOUND: nodes whose acknowledgements are kept; four times the largest cluster that is tested.
pub const ACKS_MAX: usize = 4096;
/// BOUND: bytes of the reason of a refusal; two digests and a sentence.
pub const REASON_BYTES_MAX: usize = 512;
/// BOUND: steps from a node to a voter. Two suffice for 4000 nodes; nodes that feed each other count past it in seconds.
pub const DEPTH_MAX: u32 = 6;

/// BOUND: the time between heartbeats; three of them missing replace an upstream.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// BOUND: how much fresher a node must be to say so before its next heartbeat, so that freshness does not lose a second at
/// each step.
pub const FRESHER: Duration = Duration::from_millis(500);
/// BOUND: the time between two messages with acknowledgements: 20 small messages a second from each subscriber at most.
pub const ACKS_EVERY: Duration = Duration::from_millis(50);
/// BOUND: how long an upstream may be silent.
pub const SILENCE_MAX: Duration = Duration::from_secs(3);
/// BOUND: how old an upstream's state may be while the other one's is fresher, and how long one may stay behind the other.
pub const AGE_MAX: Duration = Duration::from_secs(3);
/// BOUND: how old it may be when nobody is fresher and nobody claims to be ahead: an election takes two seconds, and must
/// not tear down the tree.
pub const AGE_ALONE_MAX: Duration = Duration::from_secs(10);
/// BOUND: how long a dial may take: three round trips around the world, and one of them lost.
pub const DIAL_MAX: Duration = Duration::from_secs(2);
/// BOUND: how long the first message of a subscriber, or the answer to a repeated question, may take.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);
/// BOUND: how long a subscriber may take nothing at all; its place is needed.
pub const STALL_MAX: Duration = Duration::from_secs(30);
/// BOUND: how long an encoded snapshot is kept when nobody reads it.
pub const SNAPSHOT_KEPT: Duration = Duration::from_secs(30);
/// BOUND: how fresh a node must have been to dial for both slots at once: then what it missed are a few deltas.
pub const DIAL_BOTH_AGE_MAX: Duration = Duration::from_secs(30);
/// BOUND: the time between two attempts of one slot, doubled from the first to the last.
pub const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// BOUND: how long a node that failed is not asked again, doubled from the first to the last.
/// When every voter was away, this is how long the cluster is stale after they come back.
pub const AVOID: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// BOUND: the time between two snapshots that are taken because a revision was refused, doubled from the first to the last.
pub const RECOVER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// BOUND: the time between two looks for a place nearer to the voters.
pub const REBALANCE: Duration = Duration::from_secs(60);
/// BOUND: how long the follower sleeps at most; what it watches has seconds.
pub const TICK: Duration = Duration::from_millis(500);

/// BOUND: records between two snapshots on disk; replaying that many takes about a second.
pub const RECORDS_PER_SNAPSHOT: usize = 5000;
/// BOUND: bytes of records between two snapshots on disk.
pub const RECORD_BYTES_PER_SNAPSHOT: usize = 8 << 20;
/// BOUND: snapshots that are kept, so that a damaged one has a predecessor.
pub const SNAPSHOTS_KEPT: usize = 3;
/// BOUND: bytes of one record: a command and what is said about it.
pub const RECORD_BYTES_MAX: usize = crate::limits::COMMAND_BYTES_MAX + 1024;
/// BOUND: starts that the journal keeps; two decide.
pub const BOOTS_KEPT: usize = 8;
/// BOUND: how long a revision must be served before a crash is not blamed on it.
pub const SETTLE: Duration = Duration::from_secs(60);
