//! Pure. Raft's first promise: whoever has followed a leader follows no older one.
//!
//! **Owns** the order of those whom each voter took entries or heartbeats from. **Must not know** how they were elected.
//! **Enter at** [`broken`].
//!
//! Leaders are ordered by term and then by node, as openraft's advanced mode has them: a term may have several leaders, each
//! with a greater node than the one before, whose votes outbid it, so that only the last one commits. One leader at most in
//! a term, as in the paper, is not promised.

use crate::sim::record::Record;

/// Its name.
pub const NEWEST_LEADER: &str = "a voter that has followed a leader follows no older one";

pub(super) fn broken(record: &Record) -> Vec<String> {
    let back = |(node, leaders): (_, &Vec<_>)| {
        let pairs = leaders.windows(2).filter(|pair| pair[1] < pair[0]);
        let say = |pair: &[(u64, skerry_proto::id::NodeId)]| {
            let ((before, first), (after, second)) = (pair[0], pair[1]);
            format!("{node} followed {first} in term {before} and then {second} in term {after}")
        };
        pairs.map(say).collect::<Vec<_>>()
    };
    record.followed.iter().flat_map(back).collect()
}
