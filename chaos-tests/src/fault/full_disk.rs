//! Not one byte fits on the disk of a voter.
//!
//! **Owns** when it is full and how the node is known to have met that. **Must not know** what it writes. **Enter at**
//! [`fill`].

use anyhow::{Context, Result};

use crate::{cluster::until, stage::Stage};

/// Bytes that it took to fill the disk.
pub const FILLED: &str = "bytes until the disk was full";
/// Lines in which the node says so.
pub const NOTICED: &str = "log lines about the full disk";
/// Deploys that went on meanwhile.
pub const MEANWHILE: &str = "deploys while a disk was full";

/// Fills the disk of a voter, sees `deploys` acknowledged, makes room, and starts the voter again.
///
/// # Errors
/// When deploys do not go on, the node does not notice, or does not come back.
pub async fn fill(stage: &mut Stage, at: usize, deploys: u64) -> Result<()> {
    stage.coverage.saw(FILLED, stage.cluster.fill_disk(at)?);
    let log = stage.cluster.log(&stage.cluster.doors()[at].name);
    let lines = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter(|line| line.contains("No space left on device")).count() as u64
    };
    let before = stage.workload.acknowledged();
    stage.workload.progress(deploys).await?;
    let noticed = until("the node meets the full disk", async || Some(lines()).filter(|lines| *lines > 0)).await?;
    stage.coverage.saw(NOTICED, noticed);
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(MEANWHILE, stage.workload.acknowledged() - before);
    stage.cluster.empty_disk(at)?;
    // What was not written is not known to be whole, so the node does not go on by itself; an operator starts it again.
    stage.cluster.kill(at).await?;
    stage.cluster.restart(&[at]).await.context("with room on its disk again")?;
    stage.workload.progress(deploys).await
}
