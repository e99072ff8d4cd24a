//! Pure. A version is served only after its bundle verified: what is served is what the catalog names.
//!
//! **Owns** the comparison of what was served with what the catalog names. **Must not know** who gave it. **Enter at**
//! [`broken`].

use crate::sim::record::Record;

/// Its name.
pub const VERIFIED: &str = "a version is served only after its bundle verified";

pub(super) fn broken(record: &Record) -> Vec<String> {
    let wrong = record.served.iter().filter(|served| served.code != served.wanted);
    wrong
        .map(|served| {
            format!("{} serves {} with {:?}, not {:?}", served.node, served.label, served.code, served.wanted)
        })
        .collect()
}
