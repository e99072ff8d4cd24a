//! The whole control plane is down, and an edge starts meanwhile.
//!
//! **Owns** the order. **Must not know** how an edge remembers. **Enter at** [`outage`].

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{clock, stage::Stage};

/// Edges that were started without anybody to ask.
pub const BOOTS: &str = "edges started without a control plane";
/// What they served meanwhile.
pub const SERVED: &str = "visits without a control plane";

/// For how long.
pub const LASTED: &str = "seconds without a control plane";

/// Voters that were started without the others.
pub const ALONE: &str = "voters started without the others";

/// Who starts first once the voters are back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// All voters at once.
    Together,
    /// One voter, which has to show what it had; the others later.
    Alone,
}

/// What has to happen before the voters come back.
#[derive(Debug, Clone, Copy)]
pub struct Least {
    /// Visits that a node which started alone has answered.
    pub visits: u64,
    /// How long the edge has served alone.
    pub lasts: Duration,
}

/// BOUND: visits between two looks at the time; less than a second of them.
const VISITS_AT_ONCE: u64 = 5;

/// Kills all voters, then restarts the edge, sees it serve for as long as it has to, and starts the voters again.
///
/// # Errors
/// When the edge does not serve, or the voters do not come back.
pub async fn outage(stage: &mut Stage, voters: &[usize], edge: usize, least: Least, back: Return) -> Result<()> {
    for voter in voters {
        stage.cluster.kill(*voter).await?;
    }
    stage.cluster.kill(edge).await?;
    stage.cluster.restart(&[edge]).await.context("an edge starts while all voters are down")?;
    stage.coverage.saw(BOOTS, 1);
    let start = clock::now();
    let mut answered = served(stage, edge, least.visits).await?;
    while start.elapsed() < least.lasts {
        answered += served(stage, edge, VISITS_AT_ONCE).await?;
    }
    stage.coverage.saw(SERVED, answered);
    stage.coverage.saw(LASTED, start.elapsed().as_secs());
    if back == Return::Together {
        return stage.cluster.restart(voters).await;
    }
    let first = stage.pick(voters);
    stage.cluster.restart(&[first]).await.context("a voter starts while the others are down")?;
    served(stage, first, least.visits).await?;
    stage.coverage.saw(ALONE, 1);
    let others: Vec<usize> = voters.iter().copied().filter(|voter| *voter != first).collect();
    stage.cluster.restart(&others).await
}

/// Waits until a node has answered so many visits, and returns how many it was.
async fn served(stage: &Stage, at: usize, visits: u64) -> Result<u64> {
    let name = stage.cluster.doors()[at].name.clone();
    let before = stage.workload.visits(&name);
    stage.workload.visited(&name, visits).await?;
    Ok(stage.workload.visits(&name) - before)
}
