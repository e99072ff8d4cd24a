//! Pure. Whether a run put the cluster through what it was meant to.
//!
//! **Owns** the count of everything that a scenario requires; a run in which it did not happen proves nothing, so it fails.
//! **Must not know** how faults are made. **Enter at** [`Coverage`].

use std::{collections::BTreeMap, fmt};

/// What happened in a run, and how often at least it must.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<&'static str, Count>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    seen: u64,
    least: u64,
}

impl Coverage {
    /// A run must show `what` so often.
    pub fn require(&mut self, what: &'static str, least: u64) {
        self.counts.entry(what).or_default().least = least;
    }

    /// It has happened, so often.
    pub fn saw(&mut self, what: &'static str, count: u64) {
        self.counts.entry(what).or_default().seen += count;
    }

    /// What happened too seldom.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let missing = self.counts.iter().filter(|(_, count)| count.seen < count.least);
        missing.map(|(what, count)| format!("{what}: {} times, needed {}", count.seen, count.least)).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.counts.iter().map(|(what, count)| format!("{} {what}", count.seen)).collect();
        f.write_str(&counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_did_not_happen_is_named() {
        let mut coverage = Coverage::default();
        coverage.require("kill", 2);
        coverage.require("packets dropped", 1);
        coverage.saw("kill", 1);
        assert_eq!(coverage.missing(), ["kill: 1 times, needed 2", "packets dropped: 0 times, needed 1"]);
        coverage.saw("kill", 1);
        coverage.saw("packets dropped", 70);
        assert_eq!(coverage.missing(), Vec::<String>::new());
        assert_eq!(coverage.to_string(), "2 kill, 70 packets dropped");
    }
}
