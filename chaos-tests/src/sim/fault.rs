//! How the faults of a plan are made, and whether each has made itself felt.
//!
//! **Owns** the count of what happened. **Must not know** what nodes owe each other. **Enter at** [`require`] and
//! [`put_through`].

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use skerry_proto::id::NodeId;

use super::{
    net::Counts,
    plan::{Direction, Fault, Kind, Plan},
    world::World,
};
use crate::{clock, coverage::Coverage};

/// BOUND: how long a fault goes on so that it is felt, and how long it waits for a leader: an election takes a quarter of a
/// second.
const FELT_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// Every fault of the plan must happen, and the feed must have been used.
pub(super) fn require(plan: &Plan, coverage: &mut Coverage) {
    for fault in &plan.faults {
        let planned = plan.faults.iter().filter(|other| other.kind.name() == fault.kind.name()).count();
        coverage.require(fault.kind.name(), planned as u64);
    }
    coverage.require("terms", 2);
    coverage.require("commands acknowledged", 1);
    coverage.require("deploys served", 1);
    coverage.require("deltas taken by edges", 1);
    coverage.require("snapshots taken by edges", plan.edges as u64);
}

/// Makes a fault, and unmakes it.
pub(super) async fn put_through(world: &World, fault: &Fault, coverage: &mut Coverage) -> Result<()> {
    let before = world.net.counts();
    let down = make(world, &fault.kind).await?;
    tokio::time::sleep(fault.lasts).await;
    let deadline = clock::now() + FELT_WITHIN;
    while !is_felt(&fault.kind, world.net.counts().since(before), down) && clock::now() < deadline {
        tokio::time::sleep(PAUSE).await;
    }
    let is_felt = is_felt(&fault.kind, world.net.counts().since(before), down);
    coverage.saw(fault.kind.name(), u64::from(is_felt));
    world.heal().await
}

/// Returns how many nodes went down.
async fn make(world: &World, kind: &Kind) -> Result<usize> {
    let nodes = |some: &[u64]| some.iter().map(|id| NodeId(*id)).collect::<BTreeSet<_>>();
    match kind {
        Kind::Split(side) => world.split(&nodes(side)),
        Kind::Behead => world.split(&BTreeSet::from([leader(world).await?])),
        Kind::OneWay { other, direction } => {
            let leader = leader(world).await?;
            let mut others = world.voters().filter(|id| *id != leader);
            let other = others.nth(usize::try_from(*other)?).context("there is another voter")?;
            match direction {
                Direction::FromLeader => world.net.cut(leader, other),
                Direction::ToLeader => world.net.cut(other, leader),
            }
        }
        Kind::Noise { loss_percent, delay_ms } => world.net.disturb(*loss_percent, *delay_ms),
        Kind::Strand(edges) => nodes(edges).into_iter().for_each(|edge| world.split(&BTreeSet::from([edge]))),
        Kind::Lie(node) => world.net.let_lie(NodeId(*node)),
        Kind::Crash(some) | Kind::CrashEdges(some) => {
            let mut down = 0;
            for id in nodes(some) {
                down += usize::from(world.crash(id).await);
            }
            return Ok(down);
        }
    }
    Ok(0)
}

/// Whether it did anything to anybody.
fn is_felt(kind: &Kind, happened: Counts, down: usize) -> bool {
    match kind {
        Kind::Split(_) | Kind::Behead | Kind::OneWay { .. } | Kind::Strand(_) => happened.cut > 0,
        Kind::Noise { .. } => happened.lost > 0 && happened.late > 0,
        Kind::Crash(some) | Kind::CrashEdges(some) => down == some.len(),
        Kind::Lie(_) => happened.lies > 0,
    }
}

/// Whoever leads, once somebody does.
async fn leader(world: &World) -> Result<NodeId> {
    let waiting = async {
        loop {
            if let Some((leader, _)) = world.net.nodes().into_iter().find(|(_, raft)| raft.leads()) {
                return leader;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(FELT_WITHIN, waiting).await.context("nobody leads who could be cut off")
}
