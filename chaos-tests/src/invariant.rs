//! Pure. What must be true of every run, whatever happened in it.
//!
//! **Owns** the list of invariants; each is a file. **Must not know** faults or processes. **Enter at** [`broken`].

use crate::history::History;

mod acknowledged;
mod after_deploy;
mod converged;
mod forward;
mod serving;

/// An invariant: its name, and what of a history breaks it.
pub type Invariant = (&'static str, fn(&History) -> Vec<String>);

/// Every invariant.
pub const ALL: [Invariant; 5] = [
    ("an acknowledged deploy is never lost", acknowledged::broken),
    ("all nodes converge on one revision", converged::broken),
    ("what a node shows never goes back", forward::broken),
    ("a version is served only after its deploy", after_deploy::broken),
    ("end users' requests do not fail on nodes that are up", serving::broken),
];

/// BOUND: examples in a message; one cause usually breaks hundreds of records.
const EXAMPLES: usize = 5;

/// What of a history breaks which invariant; empty when nothing does.
#[must_use]
pub fn broken(history: &History) -> Vec<String> {
    let judged = ALL.iter().map(|(name, invariant)| (name, invariant(history)));
    judged.filter(|(_, broken)| !broken.is_empty()).map(|(name, broken)| message(name, &broken)).collect()
}

/// Whether the nodes show the same by now.
#[must_use]
pub fn agree(history: &History) -> bool {
    converged::broken(history).is_empty()
}

fn message(name: &str, broken: &[String]) -> String {
    let examples = broken.iter().take(EXAMPLES).map(|line| format!("\n    {line}")).collect::<String>();
    format!("broken {} times: {name}{examples}", broken.len())
}

#[cfg(test)]
mod tests;
