//! Pure. What a seed means.
//!
//! **Owns** every choice of a run that does not depend on the machine. **Must not know** how faults are made. **Enter at**
//! [`Plan::of`].

use std::time::Duration;

use crate::rng::Rng;

/// Kinds of faults.
const KINDS: u64 = 8;

/// A run. Voters are numbered from 1, edges after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) voters: usize,
    pub(super) edges: usize,
    pub(super) logs_per_snapshot: u64,
    pub(super) faults: Vec<Fault>,
}

/// Something that lasts for a while, and until it has made itself felt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) lasts: Duration,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// These and the others do not hear of each other. Some voters, not all, and some edges.
    Split(Vec<u64>),
    /// Whoever leads is alone.
    Behead,
    /// Between whoever leads and another voter nothing passes in one direction.
    OneWay { other: u64, direction: Direction },
    /// Of a hundred questions and answers so many are lost, and each is late by up to so many milliseconds.
    Noise { loss_percent: u64, delay_ms: u64 },
    /// These voters are down, then start again on what they have written.
    Crash(Vec<u64>),
    /// The same for edges.
    CrashEdges(Vec<u64>),
    /// Each of these edges is alone.
    Strand(Vec<u64>),
    /// This node gives wrong bytes to whoever asks it for code.
    Lie(u64),
}

/// Which way nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    FromLeader,
    ToLeader,
}

impl Kind {
    /// As coverage counts it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Split(_) => "splits",
            Self::Behead => "leaders cut off",
            Self::OneWay { .. } => "one-way cuts",
            Self::Noise { .. } => "times of loss and delay",
            Self::Crash(_) => "crashes of voters",
            Self::CrashEdges(_) => "crashes of edges",
            Self::Strand(_) => "edges cut off",
            Self::Lie(_) => "nodes that lied about code",
        }
    }
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let voters = if rng.below(3) == 0 { 5 } else { 3 };
        let edges = 2 + rng.below(3);
        let logs_per_snapshot = 8 + rng.below(60);
        // Every run has each kind.
        let count = KINDS + rng.below(4);
        let first = rng.below(KINDS);
        let faults = (0..count).map(|turn| fault(&mut rng, (first + turn) % KINDS, voters, edges)).collect();
        let [voters, edges] = [voters, edges].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        Self { voters, edges, logs_per_snapshot, faults }
    }
}

fn fault(rng: &mut Rng, turn: u64, voters: u64, edges: u64) -> Fault {
    let kind = match turn {
        0 => Kind::Behead,
        1 => Kind::Noise { loss_percent: 5 + rng.below(30), delay_ms: 1 + rng.below(20) },
        2 => Kind::Crash(some(rng, 1, voters, voters)),
        3 => {
            let direction = if rng.below(2) == 0 { Direction::FromLeader } else { Direction::ToLeader };
            Kind::OneWay { other: rng.below(voters - 1), direction }
        }
        4 => Kind::CrashEdges(some(rng, voters + 1, edges, edges)),
        5 => {
            let mut side = some(rng, 1, voters, voters - 1);
            side.extend((1..=edges).filter(|_| rng.below(2) == 0).map(|edge| voters + edge));
            Kind::Split(side)
        }
        6 => Kind::Lie(1 + rng.below(voters + edges)),
        _ => Kind::Strand(some(rng, voters + 1, edges, edges)),
    };
    Fault { kind, lasts: Duration::from_millis(200 + rng.below(700)) }
}

/// Of `count` nodes from `first` on one at least, and `most` at most.
fn some(rng: &mut Rng, first: u64, count: u64, most: u64) -> Vec<u64> {
    let from = rng.below(count);
    (0..=rng.below(most)).map(|step| (from + step) % count + first).collect()
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
            let (voters, all) = (plan.voters as u64, (plan.voters + plan.edges) as u64);
            let mut kinds = std::collections::BTreeSet::new();
            for fault in &plan.faults {
                kinds.insert(fault.kind.name());
                let in_range = |nodes: &[u64], least, most| nodes.iter().all(|node| (least..=most).contains(node));
                let exists = match &fault.kind {
                    Kind::Split(side) => in_range(side, 1, all) && (1..=voters).any(|voter| !side.contains(&voter)),
                    Kind::Behead | Kind::Noise { .. } => true,
                    Kind::OneWay { other, .. } => *other < voters - 1,
                    Kind::Crash(nodes) => in_range(nodes, 1, voters),
                    Kind::CrashEdges(nodes) | Kind::Strand(nodes) => in_range(nodes, voters + 1, all),
                    Kind::Lie(node) => in_range(&[*node], 1, all),
                };
                assert!(exists, "seed {seed}: {fault:?}");
            }
            assert_eq!(kinds.len() as u64, KINDS, "seed {seed}: {kinds:?}");
        }
    }
}
