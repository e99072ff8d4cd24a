//! Pure. End users get their answers from every node that is up.
//!
//! **Owns** which failures count. **Must not know** why a node may be excused. **Enter at** [`broken`].

use crate::history::{Excused, History};

pub(super) fn broken(history: &History) -> Vec<String> {
    let failed = history.visits.iter().filter(|visit| visit.excused == Excused::No).filter_map(|visit| {
        let reason = visit.served.as_ref().err()?;
        Some(format!("{} lane {} from {:.3?} to {:.3?}: {reason}", visit.node, visit.lane, visit.sent, visit.done))
    });
    let visited = history.visits.iter().any(|visit| visit.served.is_ok());
    let idle = (!visited).then(|| "nobody was served at all".to_owned());
    failed.chain(idle).collect()
}
