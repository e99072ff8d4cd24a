//! Pure. What a seed means.
//!
//! **Owns** every choice of a run that does not depend on the machine. **Must not know** how faults are made. **Enter at**
//! [`Plan::of`].

use std::time::Duration;

use crate::rng::Rng;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) voters: usize,
    pub(super) logs_per_snapshot: u64,
    pub(super) faults: Vec<Fault>,
}

/// Something that lasts for a while. Nodes are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) lasts: Duration,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// These and the others do not hear of each other.
    Split(Vec<u64>),
    /// Whoever leads is alone.
    Behead,
    /// What the first sends does not reach the second.
    OneWay(u64, u64),
    /// Of a hundred questions and answers so many are lost, and each is late by up to so many milliseconds.
    Noise { loss_percent: u64, delay_ms: u64 },
    /// These are down, then start again on what they have written.
    Crash(Vec<u64>),
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let voters = if rng.below(3) == 0 { 5 } else { 3 };
        let logs_per_snapshot = 8 + rng.below(60);
        let count = 5 + rng.below(4);
        // Every run has each kind at least once in five.
        let faults = (0..count).map(|turn| fault(&mut rng, turn % 5, voters as u64)).collect();
        Self { voters, logs_per_snapshot, faults }
    }
}

fn fault(rng: &mut Rng, turn: u64, voters: u64) -> Fault {
    let kind = match turn {
        0 => Kind::Behead,
        1 => Kind::Noise { loss_percent: 5 + rng.below(30), delay_ms: 1 + rng.below(20) },
        2 => Kind::Crash(some(rng, voters)),
        3 => {
            let from = rng.below(voters);
            Kind::OneWay(from + 1, (from + 1 + rng.below(voters - 1)) % voters + 1)
        }
        _ => Kind::Split(some(rng, voters)),
    };
    Fault { kind, lasts: Duration::from_millis(200 + rng.below(700)) }
}

/// One node at least; now and then all of them.
fn some(rng: &mut Rng, voters: u64) -> Vec<u64> {
    let first = rng.below(voters);
    (0..=rng.below(voters)).map(|step| (first + step) % voters + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_each_time_and_another_one_something_else() {
        assert_eq!(Plan::of(7), Plan::of(7));
        assert_ne!(Plan::of(7), Plan::of(8));
    }

    #[test]
    fn every_run_has_every_kind_of_fault_and_only_nodes_that_exist() {
        for seed in 0..500 {
            let plan = Plan::of(seed);
            let exists = |node: &u64| (1..=plan.voters as u64).contains(node);
            let mut kinds = [0; 5];
            for fault in &plan.faults {
                let (kind, nodes) = match &fault.kind {
                    Kind::Split(nodes) => (0, nodes.clone()),
                    Kind::Behead => (1, Vec::new()),
                    Kind::OneWay(from, to) => (2, vec![*from, *to]),
                    Kind::Noise { .. } => (3, Vec::new()),
                    Kind::Crash(nodes) => (4, nodes.clone()),
                };
                kinds[kind] += 1;
                assert!(nodes.iter().all(exists), "seed {seed}: {fault:?}");
                assert!(kind != 2 || nodes[0] != nodes[1], "seed {seed}: {fault:?}");
            }
            assert!(kinds.iter().all(|count| *count > 0), "seed {seed}: {kinds:?}");
        }
    }
}
