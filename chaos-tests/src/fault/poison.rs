//! Revisions that one node can not live with: it can not store their code, or it crashes after them.
//!
//! **Owns** how a node is made to fail at what others do, from outside. **Must not know** how it notices. **Enter at**
//! [`unstorable`] and [`deadly`].

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::{
    clock,
    cluster::{Cluster, door::Door, until},
    stage::Stage,
    workload::service,
};

/// Revisions of which the leader knows that the node does not serve them, and why.
pub const REPORTED: &str = "revisions reported as refused";
/// What the node served meanwhile.
pub const SERVED: &str = "visits while a node refused revisions";
/// Deploys that went on meanwhile.
pub const MEANWHILE: &str = "deploys while a node refused them";
/// Starts at which the node went back to what it had served for a minute.
pub const WENT_BACK: &str = "starts at the last good revision";

/// How long a revision is served until a crash is not blamed on it; `SETTLE` of the feed, and a little.
const SETTLED: Duration = Duration::from_secs(65);

/// An edge can not write down code any more, as on a disk that has become read-only. Sees it refuse what is new and serve what
/// it has, for `visits`, while `deploys` go on; then mends the disk.
///
/// # Errors
/// When the refusal is not known at the leader, or the node does not serve.
pub async fn unstorable(stage: &mut Stage, edge: usize, visits: u64, deploys: u64) -> Result<()> {
    let name = stage.cluster.door_of(edge)?.name;
    // Stopped and not killed: what is killed is suspected, which is the other half of this scenario.
    stage.cluster.stop(edge).await?;
    stage.cluster.freeze_code(edge)?;
    stage.cluster.restart(&[edge]).await.context("with code that can only be read")?;
    stage.workload.progress(deploys).await?;
    let reason = until("the leader knows that the edge refuses a revision", async || {
        refusal(&stage.cluster, &name).await.ok().flatten()
    });
    let reason = reason.await?;
    ensure!(reason.contains("can not be stored"), "{name} does not say what is wrong: {reason}");
    stage.coverage.saw(REPORTED, 1);
    let before = stage.workload.visits(&name);
    stage.workload.visited(&name, visits).await?;
    stage.coverage.saw(SERVED, stage.workload.visits(&name) - before);
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(MEANWHILE, 2 * deploys);
    stage.cluster.stop(edge).await?;
    stage.cluster.thaw_code(edge);
    stage.cluster.restart(&[edge]).await?;
    stage.workload.progress(deploys).await
}

/// An edge crashes twice after the same revision. Sees it come back with the one that it served for a minute before, say so, and
/// go on with the next one.
///
/// # Errors
/// When it does not.
pub async fn deadly(stage: &mut Stage, edge: usize, deploys: u64) -> Result<()> {
    let name = stage.cluster.door_of(edge)?.name;
    // A node that has just joined begins with nothing, and nothing is what it then has served for a minute.
    stage.cluster.stop(edge).await?;
    stage.cluster.restart(&[edge]).await?;
    let since = clock::now();
    while since.elapsed() < SETTLED {
        stage.workload.visited(&name, 10).await?;
    }
    // From here on it may show something older, which nobody else may.
    stage.workload.dismiss(&name);
    let held = stage.workload.hold().await?;
    let bad = newest(&stage.cluster).await?;
    until("the edge has the newest revision", async || (revision(&stage.cluster, edge).await? >= bad).then_some(()))
        .await?;
    for _ in 0..2 {
        stage.cluster.kill(edge).await?;
        stage.cluster.restart(&[edge]).await?;
    }
    let good = revision(&stage.cluster, edge).await.context("the edge says its revision")?;
    ensure!(good < bad, "{name} serves revision {good} again, after which it crashed twice");
    let door = stage.cluster.door_of(edge)?;
    let numbers = stage.workload.numbers();
    ensure!(!shows(&door, &numbers).await?, "{name} serves what came after the revision that it went back to");
    let reason = until("the leader knows that the edge went back", async || {
        refusal(&stage.cluster, &name).await.ok().flatten().filter(|reason| reason.contains("crashed twice"))
    });
    reason.await?;
    stage.coverage.saw(WENT_BACK, 1);
    drop(held);
    stage.workload.progress(deploys).await?;
    until("the edge goes on with what is newer", async || {
        let is_served = shows(&door, &numbers).await.ok()? && refusal(&stage.cluster, &name).await.ok()?.is_none();
        is_served.then_some(())
    })
    .await?;
    stage.workload.admit(door).await
}

/// Whether a node serves in every lane what was acknowledged by then, or something newer.
async fn shows(door: &Door, numbers: &[(u64, u64)]) -> Result<bool> {
    for (lane, (acknowledged, _)) in numbers.iter().enumerate() {
        let served: u64 = door.visit(&service(lane)).await?.parse()?;
        if served < *acknowledged {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Why a node does not serve the newest revision, as the leader knows it.
async fn refusal(cluster: &Cluster, name: &str) -> Result<Option<String>> {
    let known = propagation(cluster).await?;
    let refused = known["refused"].as_array().context("a list of refusals")?;
    let own = refused.iter().find(|refusal| refusal["name"] == name);
    Ok(own.and_then(|refusal| refusal["reason"].as_str()).map(str::to_owned))
}

async fn newest(cluster: &Cluster) -> Result<u64> {
    propagation(cluster).await?["revision"].as_u64().context("a revision")
}

async fn propagation(cluster: &Cluster) -> Result<Value> {
    cluster.write(Method::GET, "/cluster/propagation", None).await
}

async fn revision(cluster: &Cluster, at: usize) -> Option<u64> {
    cluster.door_of(at).ok()?.cluster().await.ok()?["revision"].as_u64()
}
