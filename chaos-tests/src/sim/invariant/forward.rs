//! Pure. Monotony: what a node shows never goes back, not even over a crash.
//!
//! **Owns** the order of what was seen at each node. **Must not know** other nodes. **Enter at** [`broken`].

use std::collections::BTreeMap;

use crate::sim::record::Record;

/// Its name.
pub const FORWARD: &str = "a node's revision never goes back";

pub(super) fn broken(record: &Record) -> Vec<String> {
    let mut newest = BTreeMap::new();
    let back = record.shown.iter().filter_map(|(node, revision)| {
        let before = newest.insert(*node, *revision).filter(|before| before > revision)?;
        Some(format!("{node} showed {before} and then {revision}"))
    });
    back.collect()
}
