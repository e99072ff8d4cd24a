//! Pure. Durability: what was acknowledged is in every catalog in the end, at voters and at edges, and served where it has
//! code.
//!
//! **Owns** the comparison of what proposers were told with what nodes have. **Must not know** how it came to them. **Enter
//! at** [`broken`].

use crate::sim::record::{Last, Record};

/// Its name.
pub const KEPT: &str = "what was acknowledged is in every catalog";

pub(super) fn broken(record: &Record) -> Vec<String> {
    let lost = |(node, last): (_, &Last)| {
        let lost = record.acknowledged.iter().find(|label| !last.labels.contains(*label));
        let idle = record.acknowledged.iter().find(|label| last.idle.contains(*label));
        lost.map(|label| format!("{node} has lost {label}"))
            .or_else(|| idle.map(|label| format!("{node} does not serve {label}")))
    };
    record.finals.iter().filter_map(lost).collect()
}
