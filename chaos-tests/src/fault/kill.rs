//! kill -9 of one node while deploys are in flight.
//!
//! **Owns** the moment. **Must not know** which node it is. **Enter at** [`kill`].

use anyhow::Result;

use crate::{clock, cluster::until, stage::Stage};

/// The coverage of [`kill`].
pub const KILLS: &str = "kills with deploys in flight";
/// Deploys that went on without the node.
pub const WITHOUT: &str = "deploys while a node was dead";

/// Kills a node, sees `deploys` acknowledged without it, and starts it again.
///
/// # Errors
/// When deploys do not go on, or it does not come back.
pub async fn kill(stage: &mut Stage, at: usize, deploys: u64) -> Result<()> {
    until("a deploy is in flight", async || (stage.workload.in_flight() > 0).then_some(())).await?;
    stage.cluster.kill(at).await?;
    stage.coverage.saw(KILLS, 1);
    let (start, before) = (clock::now(), stage.workload.acknowledged());
    stage.workload.progress(1).await?;
    stage.times.push((format!("until a deploy without n{}", at + 1), start.elapsed()));
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(WITHOUT, stage.workload.acknowledged() - before);
    stage.cluster.restart(&[at]).await?;
    stage.workload.progress(deploys).await
}
