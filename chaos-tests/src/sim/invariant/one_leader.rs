//! Pure. Raft's first promise: a term has one leader at most.
//!
//! **Owns** the comparison of those who sent log entries as leaders. **Must not know** how they were elected. **Enter at**
//! [`broken`].

use crate::sim::record::Record;

/// Its name.
pub const ONE_LEADER: &str = "no two leaders in a term";

pub(super) fn broken(record: &Record) -> Vec<String> {
    let several = record.leaders.iter().filter(|(_, leaders)| leaders.len() > 1);
    several.map(|(term, leaders)| format!("in term {term} led {leaders:?}")).collect()
}
