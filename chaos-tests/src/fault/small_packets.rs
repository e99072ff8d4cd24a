//! The network carries only the smallest packets that QUIC works with, and tells half of the hosts nothing about it.
//!
//! **Owns** what happens on it. **Must not know** how nodes find out. **Enter at** [`squeeze`].

use anyhow::Result;

use super::kill;
use crate::{cluster::Role, stage::Stage};

/// Bytes of the largest packet: IPv6's least, and what tunnels leave.
pub const MTU_BYTES: u32 = 1280;
/// Packets that the network did not carry.
pub const TOO_LARGE: &str = "packets that were too large";
/// Nodes that joined, were killed, and came back.
pub const MOVES: &str = "joins and restarts over small packets";

/// Kills a voter, and admits an edge, while `deploys` go on.
///
/// # Errors
/// When one of them does not come up, or deploys do not go on.
pub async fn squeeze(stage: &mut Stage, at: usize, deploys: u64) -> Result<()> {
    stage.workload.progress(deploys).await?;
    kill::kill(stage, at, deploys).await?;
    let edge = stage.cluster.join(Role::Edge, None).await?;
    stage.workload.admit(stage.cluster.door_of(edge)?).await?;
    stage.coverage.saw(MOVES, 2);
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(TOO_LARGE, stage.cluster.network().too_large()?);
    Ok(())
}
