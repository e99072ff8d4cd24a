//! Three voters, five, and three again, while deploys run.
//!
//! **Owns** who joins and who stops voting. **Must not know** how raft changes its members. **Enter at**
//! [`grow_and_shrink`].

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use super::Size;
use crate::{cluster::Role, stage::Stage};

/// So few that raft makes snapshots all the time, and as few as a node takes; thousands are usual.
pub(super) const LOGS_PER_SNAPSHOT: u64 = 100;
/// Log lines of nodes that have written one, which only this filter shows.
pub(super) const LOG: &str = "info,openraft=warn,skerry_control::raft=debug";

const SNAPSHOTS: &str = "snapshots of the log";
const FIVE: &str = "times five nodes voted";
const THREE: &str = "times three of five nodes voted";

/// Two voters join, become edges and voters again, `rounds` times, and are edges in the end.
pub(super) async fn grow_and_shrink(stage: &mut Stage, size: Size) -> Result<()> {
    stage.coverage.require(FIVE, size.rounds);
    stage.coverage.require(THREE, size.rounds);
    stage.coverage.require(SNAPSHOTS, size.rounds);
    for _ in 0..2 {
        let at = stage.cluster.join(Role::Voter, None).await?;
        stage.workload.admit(stage.cluster.doors()[at].clone()).await?;
    }
    for round in 0..size.rounds {
        if round > 0 {
            roles(stage, "voter").await?;
        }
        stage.cluster.wait_for_voters(5).await?;
        stage.coverage.saw(FIVE, 1);
        stage.workload.progress(size.deploys).await?;
        roles(stage, "edge").await?;
        stage.cluster.wait_for_voters(3).await?;
        stage.coverage.saw(THREE, 1);
        stage.workload.progress(size.deploys).await?;
    }
    // A short run has not filled the log by then.
    for _ in 0..LOGS_PER_SNAPSHOT {
        if snapshots(stage) >= size.rounds {
            break;
        }
        stage.workload.progress(size.deploys).await?;
    }
    stage.coverage.saw(SNAPSHOTS, snapshots(stage));
    Ok(())
}

fn snapshots(stage: &Stage) -> u64 {
    let names = stage.cluster.doors().into_iter().map(|door| door.name);
    names.map(|name| stage.cluster.lines(&name, "a snapshot is written")).sum()
}

async fn roles(stage: &Stage, role: &str) -> Result<()> {
    for name in ["n4", "n5"] {
        let body = json!({ "role": role });
        stage.cluster.write(Method::PATCH, &format!("/cluster/nodes/{name}"), Some(body)).await?;
    }
    Ok(())
}
