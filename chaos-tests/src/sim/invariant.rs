//! Pure. What the nodes of a simulation owe each other.
//!
//! **Owns** the list of invariants; each is a file. **Must not know** which faults there were. **Enter at** [`broken`].

use super::record::Record;

mod converged;
mod forward;
mod kept;
mod newest_leader;
mod same;
mod verified;

pub use self::{
    converged::CONVERGED, forward::FORWARD, kept::KEPT, newest_leader::NEWEST_LEADER, same::SAME, verified::VERIFIED,
};

type Invariant = (&'static str, fn(&Record) -> Vec<String>);

const ALL: [Invariant; 6] = [
    (NEWEST_LEADER, newest_leader::broken),
    (KEPT, kept::broken),
    (SAME, same::broken),
    (FORWARD, forward::broken),
    (VERIFIED, verified::broken),
    (CONVERGED, converged::broken),
];

/// What of a record breaks which invariant; each line begins with its name. Empty when nothing does.
#[must_use]
pub fn broken(record: &Record) -> Vec<String> {
    let judge = |(name, invariant): &Invariant| invariant(record).first().map(|what| format!("{name}: {what}"));
    ALL.iter().filter_map(judge).collect()
}
