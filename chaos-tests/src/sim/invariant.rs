//! Pure. What the voters owe each other.
//!
//! **Owns** five invariants. **Must not know** which faults there were. **Enter at** [`broken`].

use std::collections::BTreeMap;

use super::record::Record;

/// Raft's first promise.
pub const ONE_LEADER: &str = "no two leaders in a term";
/// Durability.
pub const KEPT: &str = "what was acknowledged is in every catalog";
/// Determinism.
pub const SAME: &str = "equal revisions have equal digests";
/// Monotony.
pub const FORWARD: &str = "a node's revision never goes back";
/// Liveness.
pub const CONVERGED: &str = "all nodes agree once faults are over";

type Invariant = (&'static str, fn(&Record) -> Vec<String>);

const ALL: [Invariant; 5] =
    [(ONE_LEADER, one_leader), (KEPT, kept), (SAME, same), (FORWARD, forward), (CONVERGED, converged)];

/// What of a record breaks which invariant; each line begins with its name. Empty when nothing does.
#[must_use]
pub fn broken(record: &Record) -> Vec<String> {
    let judge = |(name, invariant): &Invariant| invariant(record).first().map(|what| format!("{name}: {what}"));
    ALL.iter().filter_map(judge).collect()
}

fn one_leader(record: &Record) -> Vec<String> {
    let several = record.leaders.iter().filter(|(_, leaders)| leaders.len() > 1);
    several.map(|(term, leaders)| format!("in term {term} led {leaders:?}")).collect()
}

fn kept(record: &Record) -> Vec<String> {
    let lost = |(node, last): (_, &super::record::Last)| {
        let lost = record.acknowledged.difference(&last.labels).next()?.clone();
        Some(format!("{node} has lost {lost}"))
    };
    record.finals.iter().filter_map(lost).collect()
}

fn same(record: &Record) -> Vec<String> {
    let differ = record.digests.iter().filter(|(_, nodes)| {
        let mut digests = nodes.values();
        let first = digests.next();
        digests.any(|digest| Some(digest) != first)
    });
    differ.map(|(revision, nodes)| format!("at revision {revision} nodes show {nodes:?}")).collect()
}

fn forward(record: &Record) -> Vec<String> {
    let mut newest = BTreeMap::new();
    let back = record.shown.iter().filter_map(|(node, revision)| {
        let before = newest.insert(*node, *revision).filter(|before| before > revision)?;
        Some(format!("{node} showed {before} and then {revision}"))
    });
    back.collect()
}

fn converged(record: &Record) -> Vec<String> {
    let mut finals = record.finals.iter();
    let Some((first, state)) = finals.next() else { return vec!["no node was looked at".to_owned()] };
    let differ = finals.filter(|(_, other)| (other.revision, other.digest) != (state.revision, state.digest));
    differ
        .map(|(node, other)| {
            format!(
                "{first} is at {} {:?}, {node} at {} {:?}",
                state.revision, state.digest, other.revision, other.digest
            )
        })
        .collect()
}
