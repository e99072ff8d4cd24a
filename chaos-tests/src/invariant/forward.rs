//! Pure. What a node shows never goes back, not even over a restart.
//!
//! **Owns** the order of what was seen at each node. **Must not know** other nodes. **Enter at** [`broken`].

use std::collections::BTreeMap;

use crate::history::History;

pub(super) fn broken(history: &History) -> Vec<String> {
    let revisions = history.sightings.iter().map(|seen| ((&seen.node, "revision".to_owned()), seen.at, seen.revision));
    let served = history.visits.iter().filter_map(|visit| {
        let number = *visit.served.as_ref().ok()?;
        Some(((&visit.node, format!("lane {}", visit.lane)), visit.done, number))
    });
    let mut newest = BTreeMap::new();
    revisions
        .chain(served)
        .filter_map(|(place, at, number)| {
            let before = newest.insert(place.clone(), (at, number));
            let (then, more) = before.filter(|(_, before)| *before > number)?;
            let (node, what) = place;
            Some(format!("{node} showed {what} {more} at {then:.3?}, then {number} at {at:.3?}"))
        })
        .collect()
}
