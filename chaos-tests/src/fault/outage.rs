//! The whole control plane is down, and an edge starts meanwhile.
//!
//! **Owns** the order. **Must not know** how an edge remembers. **Enter at** [`outage`].

use anyhow::{Context, Result};

use crate::{cluster::until, stage::Stage};

/// Edges that were started without anybody to ask.
pub const BOOTS: &str = "edges started without a control plane";
/// What they served meanwhile.
pub const SERVED: &str = "visits without a control plane";

/// Kills all voters, then restarts the edge, sees it answer `visits`, and starts the voters again.
///
/// # Errors
/// When the edge does not serve, or the voters do not come back.
pub async fn outage(stage: &mut Stage, voters: &[usize], edge: usize, visits: u64) -> Result<()> {
    until("a deploy is in flight", async || (stage.workload.in_flight() > 0).then_some(())).await?;
    for voter in voters {
        stage.cluster.kill(*voter).await?;
    }
    stage.cluster.kill(edge).await?;
    stage.cluster.restart(edge).await.context("an edge starts while all voters are down")?;
    stage.coverage.saw(BOOTS, 1);
    let name = stage.cluster.doors()[edge].name.clone();
    let before = stage.workload.visits(&name);
    stage.workload.visited(&name, visits).await?;
    stage.coverage.saw(SERVED, stage.workload.visits(&name) - before);
    // The first one waits a moment for the others and then serves what it has.
    for voter in voters {
        stage.cluster.restart(*voter).await?;
    }
    Ok(())
}
