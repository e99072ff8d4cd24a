//! SIGSTOP of one node for longer than an election takes: it wakes up and believes what it believed before.
//!
//! **Owns** how long. **Must not know** which node it is. **Enter at** [`pause`].

use anyhow::Result;

use crate::stage::Stage;

/// The coverage of [`pause`].
pub const PAUSES: &str = "leaders stopped until another one led";

/// Stops the leader until another node leads and has acknowledged `deploys`, then lets it go on.
///
/// # Errors
/// When deploys do not go on.
pub async fn pause(stage: &mut Stage, voters: &[usize], deploys: u64) -> Result<()> {
    let old = stage.cluster.leader(voters).await?;
    let others: Vec<usize> = voters.iter().copied().filter(|at| *at != old).collect();
    stage.cluster.pause(old)?;
    stage.cluster.leader(&others).await?;
    stage.workload.progress(deploys).await?;
    stage.cluster.resume(old)?;
    stage.coverage.saw(PAUSES, 1);
    stage.workload.progress(deploys).await
}
