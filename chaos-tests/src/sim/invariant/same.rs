//! Pure. Determinism: a revision is the same state at every node.
//!
//! **Owns** the comparison of digests. **Must not know** what a catalog contains. **Enter at** [`broken`].

use crate::sim::record::Record;

/// Its name.
pub const SAME: &str = "equal revisions have equal digests";

pub(super) fn broken(record: &Record) -> Vec<String> {
    let differ = record.digests.iter().filter(|(_, nodes)| {
        let mut digests = nodes.values();
        let first = digests.next();
        digests.any(|digest| Some(digest) != first)
    });
    differ.map(|(revision, nodes)| format!("at revision {revision} nodes show {nodes:?}")).collect()
}
