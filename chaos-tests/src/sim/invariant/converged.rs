//! Pure. Liveness: once nothing is wrong any more, all nodes come to the same state.
//!
//! **Owns** the comparison of nodes with each other. **Must not know** what they should have. **Enter at** [`broken`].

use crate::sim::record::{Last, Record};

/// Its name.
pub const CONVERGED: &str = "all nodes agree once faults are over";

pub(super) fn broken(record: &Record) -> Vec<String> {
    let mut finals = record.finals.iter();
    let Some((first, state)) = finals.next() else { return vec!["no node was looked at".to_owned()] };
    let differ = finals.filter(|(_, other)| (other.revision, other.digest) != (state.revision, state.digest));
    let show = |last: &Last| format!("at {} {:?}", last.revision, last.digest);
    differ.map(|(node, other)| format!("{first} is {}, {node} {}", show(state), show(other))).collect()
}
