//! A cluster in a simulation: real raft and its logs, the real relays of the feed, real bundles, a network in memory.
//!
//! **Owns** one run: a seed makes sizes, faults and work; first faults, then none, then the judgement. **Must not know** HTTP,
//! processes or QUIC. **Enter at** [`run`].
//!
//! What is repeated with a seed: how many voters and edges, when voters take snapshots, which faults come in which order and
//! for how long at least, which links lose and delay how much, and where work is asked for. What is not: openraft draws its
//! election timeouts from the system's randomness, and the log's fsync takes the time that the disk takes. For that reason time
//! is real and merely shorter (a heartbeat of 25 ms in place of 250): under a paused clock every fsync would outlast all
//! timeouts. The feed's clock runs as much faster.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};

use self::{plan::Plan, record::Record, world::World};
use crate::coverage::Coverage;

mod code;
mod fault;
mod feed;
pub mod invariant;
mod net;
mod plan;
pub mod record;
#[cfg(test)]
mod tests;
mod work;
mod world;

/// BOUND: how long nodes may take to agree on everything once nothing disturbs them any more.
const AGREE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a run came to. Nothing was broken, or there would be an error instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survived {
    voters: usize,
    edges: usize,
    coverage: Coverage,
    /// Commands whose outcome is not known.
    unknown: usize,
}

/// Runs what `seed` says.
///
/// # Errors
/// Says which invariants were broken, or which faults did not happen.
pub async fn run(seed: u64) -> Result<Survived> {
    let plan = Plan::of(seed);
    let world = World::start(&plan, seed).await?;
    let (work, mut coverage) = (work::start(&world, seed), Coverage::default());
    fault::require(&plan, &mut coverage);
    for fault in &plan.faults {
        fault::put_through(&world, fault, &mut coverage).await?;
    }
    let counts = work.stop().await;
    world.agree(AGREE_TIMEOUT).await;
    let (network, feed) = (world.net.counts(), world.feeds.figures());
    let record = world.finish().await;
    let broken = invariant::broken(&record);
    ensure!(broken.is_empty(), "seed {seed} ({plan:?}):\n{}", broken.join("\n"));
    count(&record, network, feed, &mut coverage);
    let missing = coverage.missing();
    ensure!(missing.is_empty(), "seed {seed}: nothing was broken, but what was to be tried did not happen: {}", {
        missing.join("; ")
    });
    Ok(Survived { voters: plan.voters, edges: plan.edges, coverage, unknown: counts.unknown })
}

fn count(record: &Record, network: net::Counts, feed: feed::Figures, coverage: &mut Coverage) {
    coverage.saw("terms", record.terms().len() as u64);
    coverage.saw("commands acknowledged", record.acknowledged.len() as u64);
    coverage.saw("deploys served", record.served.len() as u64);
    coverage.saw("deltas taken by edges", feed.deltas);
    coverage.saw("snapshots taken by edges", feed.snapshots);
    coverage.saw("revisions refused by edges", feed.refusals);
    coverage.saw("messages cut", network.cut);
    coverage.saw("messages lost", network.lost);
    coverage.saw("messages late", network.late);
    coverage.saw("questions to nodes that were down", network.unheard);
    coverage.saw("wrong bytes given for code", network.lies);
}

impl fmt::Display for Survived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { voters, edges, coverage, unknown } = self;
        write!(f, "{voters} voters, {edges} edges, {coverage}, {unknown} outcomes unknown")
    }
}
