//! Pure. A version is served only after somebody has asked for its deploy.
//!
//! **Owns** the comparison of visits with deploys. **Must not know** whether a deploy succeeded: its effect may be seen before
//! its answer. **Enter at** [`broken`].

use std::{collections::BTreeMap, time::Duration};

use crate::history::History;

pub(super) fn broken(history: &History) -> Vec<String> {
    let mut asked: BTreeMap<(usize, u64), Duration> = BTreeMap::new();
    for deploy in &history.deploys {
        let first = asked.entry((deploy.lane, deploy.number)).or_insert(deploy.sent);
        *first = deploy.sent.min(*first);
    }
    let early = history.visits.iter().filter_map(|visit| {
        let number = *visit.served.as_ref().ok()?;
        let (node, lane, done) = (&visit.node, visit.lane, visit.done);
        match asked.get(&(lane, number)) {
            Some(sent) if *sent <= done => None,
            Some(sent) => {
                Some(format!("{node} served deploy {number} of lane {lane} at {done:.3?}, before {sent:.3?}"))
            }
            None => Some(format!("{node} served deploy {number} of lane {lane}, which nobody asked for")),
        }
    });
    early.collect()
}
