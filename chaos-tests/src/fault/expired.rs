//! Certificates end: those of half of the nodes while they are away, and then everybody's, as half of the nodes believe.
//!
//! **Owns** the dates. **Must not know** how certificates are renewed. **Enter at** [`away`] and [`mistaken`].
//!
//! A node's certificate lives for seven days and is renewed when a third of that is left; an authority's for ten years. Every
//! node's wall clock is set, so the days pass in seconds.

use anyhow::{Context, Result, ensure};
use reqwest::Method;

use super::clock_step::believes;
use crate::{
    cluster::{Cluster, Role, until},
    stage::Stage,
};

/// Certificates that were renewed by nodes that were there.
pub const RENEWED: &str = "certificates renewed in time";
/// Voters that came back after their certificate had ended.
pub const BACK: &str = "voters back with an ended certificate";
/// Log lines of an edge that can not renew its certificate any more.
pub const TOLD: &str = "log lines that say how to go on";
/// Edges that joined again as who they were.
pub const REJOINED: &str = "edges that joined again as themselves";
/// Log lines of nodes that take the others' certificates for ended.
pub const DOUBTS: &str = "log lines about the ended authority";
/// Deploys that went on meanwhile.
pub const MEANWHILE: &str = "deploys while half of the nodes were cut off";

const DAY: i64 = 86_400;
/// More than two thirds of a certificate's life.
const RENEWAL: i64 = 5 * DAY;
/// What was made at the start has ended, and what was made at the renewal has not.
const ENDED: i64 = 8 * DAY;
const YEARS: i64 = 11 * 365 * DAY;

/// One voter and the edge are away for longer than their certificates live.
///
/// # Errors
/// When a certificate is not renewed in time, or a node does not come back.
pub async fn away(stage: &mut Stage, voters: &[usize], edge: usize, deploys: u64) -> Result<()> {
    let gone = stage.pick(voters);
    let there: Vec<usize> = voters.iter().copied().filter(|at| *at != gone).collect();
    stage.cluster.kill(gone).await?;
    stage.cluster.kill(edge).await?;
    for at in &there {
        believes(&stage.cluster, *at, RENEWAL).await?;
    }
    stage.workload.progress(deploys).await?;
    for at in &there {
        let name = stage.cluster.door_of(*at)?.name;
        let what = format!("{name} renews its certificate");
        until(&what, async || (stage.cluster.lines(&name, "has a new certificate") > 0).then_some(())).await?;
        stage.coverage.saw(RENEWED, 1);
    }
    for at in &there {
        believes(&stage.cluster, *at, ENDED).await?;
    }
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(MEANWHILE, 2 * deploys);
    for at in [gone, edge] {
        stage.cluster.set_clock(at, ENDED)?;
    }
    stage.cluster.restart(&[gone]).await.context("a voter makes its own certificate")?;
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(BACK, 1);
    rejoin(stage, edge, deploys).await
}

/// An edge whose certificate has ended serves what it has, and joins again as who it is.
async fn rejoin(stage: &mut Stage, edge: usize, deploys: u64) -> Result<()> {
    let name = stage.cluster.door_of(edge)?.name;
    // With its first token it would join again by itself, but who keeps those?
    stage.cluster.set_flags(edge, Vec::new());
    stage.cluster.restart(&[edge]).await.context("an edge whose certificate has ended serves what it has")?;
    stage.workload.visited(&name, 10).await?;
    let told = until("the edge says how it can go on", async || {
        Some(stage.cluster.lines(&name, "skerry cluster join-token")).filter(|lines| *lines > 0)
    });
    let told = told.await?;
    stage.coverage.saw(TOLD, told);
    let before = id(&stage.cluster, &name).await?;
    stage.cluster.kill(edge).await?;
    let invitation = stage.cluster.invitation(Role::Edge).await?;
    stage.cluster.set_flags(edge, invitation);
    stage.cluster.restart(&[edge]).await.context("with a new join token")?;
    stage.workload.progress(deploys).await?;
    let after = id(&stage.cluster, &name).await?;
    ensure!(before == after, "{name} was node {before} and is {after}");
    until("the edge follows again", async || {
        let edge = stage.cluster.door_of(edge).ok()?.cluster().await.ok()?["revision"].as_u64()?;
        let voter = stage.cluster.door_of(0).ok()?.cluster().await.ok()?["revision"].as_u64()?;
        (edge + 50 > voter).then_some(())
    })
    .await?;
    stage.coverage.saw(REJOINED, 1);
    Ok(())
}

/// The id that the cluster knows a node by.
async fn id(cluster: &Cluster, name: &str) -> Result<u64> {
    let node = cluster.write(Method::GET, &format!("/cluster/nodes/{name}"), None).await?;
    node["id"].as_u64().context("a node has an id")
}

/// One voter and the edge believe that years have passed, so that even the authority has ended; then their clocks are mended.
///
/// # Errors
/// When deploys do not go on, or a node does not come back.
pub async fn mistaken(stage: &mut Stage, voters: &[usize], edge: usize, deploys: u64) -> Result<()> {
    let wrong = [stage.pick(voters), edge];
    for at in wrong {
        believes(&stage.cluster, at, YEARS).await?;
    }
    for at in wrong {
        let name = stage.cluster.door_of(at)?.name;
        let what = format!("{name} takes a certificate for ended");
        let doubts = until(&what, async || Some(stage.cluster.lines(&name, "ended at")).filter(|lines| *lines > 0));
        let doubts = doubts.await?;
        stage.coverage.saw(DOUBTS, doubts);
        stage.workload.visited(&name, 10).await?;
    }
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(MEANWHILE, deploys);
    for at in wrong {
        believes(&stage.cluster, at, ENDED).await?;
    }
    stage.workload.progress(deploys).await
}
