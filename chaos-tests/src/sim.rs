//! The agreement of voters in a simulation: real logs, real raft, a network in memory.
//!
//! **Owns** one run: a seed makes sizes, faults and work; first faults, then none, then the judgement. **Must not know** HTTP,
//! processes or QUIC. **Enter at** [`run`].
//!
//! What is repeated with a seed: how many voters, when they take snapshots, which faults come in which order and for how long,
//! which links lose and delay how much, and where work is asked for. What is not: openraft draws its election timeouts from
//! the system's randomness, and the log's fsync takes the time that the disk takes. For that reason time is real and merely
//! shorter (a heartbeat of 25 ms in place of 250): under a paused clock every fsync would outlast all timeouts.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};

use self::{plan::Plan, world::World};

pub mod invariant;
mod net;
mod plan;
pub mod record;
#[cfg(test)]
mod tests;
mod work;
mod world;

/// BOUND: how long voters may take to agree on everything once nothing disturbs them any more.
const AGREE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a run came to. Nothing was broken, or there would be an error instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survived {
    /// Voters.
    pub voters: usize,
    /// Faults.
    pub faults: usize,
    /// Questions that were lost or cut.
    pub lost: u64,
    /// Terms in which somebody led.
    pub terms: usize,
    /// Commands acknowledged.
    pub acknowledged: usize,
    /// Commands whose outcome is not known.
    pub unknown: usize,
}

/// Runs what `seed` says.
///
/// # Errors
/// Says which invariants were broken, or that the faults did not happen.
pub async fn run(seed: u64) -> Result<Survived> {
    let plan = Plan::of(seed);
    let world = World::start(plan.voters, plan.logs_per_snapshot, seed).await?;
    let work = work::start(&world, seed);
    for fault in &plan.faults {
        world.put_through(fault).await?;
    }
    world.heal().await?;
    let counts = work.stop().await;
    world.agree(AGREE_TIMEOUT).await;
    let (lost, record) = (world.net.lost(), world.finish().await);
    let broken = invariant::broken(&record);
    ensure!(broken.is_empty(), "seed {seed} ({plan:?}):\n{}", broken.join("\n"));
    ensure!(lost > 0 && !record.acknowledged.is_empty(), "seed {seed}: nothing was lost, or nothing acknowledged");
    Ok(Survived {
        voters: plan.voters,
        faults: plan.faults.len(),
        lost,
        terms: record.leaders.len(),
        acknowledged: record.acknowledged.len(),
        unknown: counts.unknown,
    })
}

impl fmt::Display for Survived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { voters, faults, lost, terms, acknowledged, unknown } = self;
        write!(
            f,
            "{voters} voters, {faults} faults, {lost} questions lost, {terms} terms, {acknowledged} commands \
             acknowledged, {unknown} unknown"
        )
    }
}
