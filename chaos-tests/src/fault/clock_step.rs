//! The wall clock of one voter is ten minutes wrong, one way and then the other.
//!
//! **Owns** whose clock, and how it is known that the node believes it. **Must not know** how a process is fooled. **Enter
//! at** [`step`].

use anyhow::Result;

use crate::{
    api::{Answer, Worker},
    clock,
    cluster::{Cluster, door::TELLING, until},
    stage::Stage,
};

/// The coverage of [`step`]: workers on the node see it.
pub const STEPS: &str = "times a voter's clock was wrong";
/// Deploys that went on meanwhile.
pub const MEANWHILE: &str = "deploys with a wrong clock";

const TEN_MINUTES: i64 = 600;
/// Answers with the time of the node that runs it.
const CODE: &str = "export default { fetch() { return new Response(String(Date.now())) } }";
/// How far an answer may be from what the clock was set to: the library reads its file each second, and the answer travels.
const SLACK: i64 = 60;

/// Sets a voter's clock ahead, back, and right again, and sees `deploys` acknowledged each time.
///
/// # Errors
/// When deploys do not go on, or the node does not believe its clock.
pub async fn step(stage: &mut Stage, at: usize, deploys: u64) -> Result<()> {
    for wrong in [TEN_MINUTES, -TEN_MINUTES] {
        believes(&stage.cluster, at, wrong).await?;
        stage.coverage.saw(STEPS, 1);
        stage.workload.progress(deploys).await?;
        stage.coverage.saw(MEANWHILE, deploys);
    }
    believes(&stage.cluster, at, 0).await?;
    stage.workload.progress(deploys).await
}

/// Deploys the worker that tells the time, and waits until every node runs it.
///
/// # Errors
/// When one does not.
pub async fn deploy(cluster: &Cluster) -> Result<()> {
    let doors = cluster.doors();
    until("a worker tells the time", async || {
        for door in &doors {
            if let Answer::Done(_) = door.deploy(TELLING, Worker::module(CODE), TELLING.to_owned()).await {
                return Some(());
            }
        }
        None
    })
    .await?;
    for door in &doors {
        until(&format!("{} tells the time", door.name), async || door.time().await.ok()).await?;
    }
    Ok(())
}

/// Sets a node's clock, and waits until its workers see it.
///
/// # Errors
/// When they do not.
pub async fn believes(cluster: &Cluster, at: usize, seconds: i64) -> Result<()> {
    cluster.set_clock(at, seconds)?;
    let door = &cluster.doors()[at];
    until(&format!("the clock of {} is {seconds:+} s wrong", door.name), async || {
        let told = door.time().await.ok()?;
        ((told - clock::unix_seconds() - seconds).abs() <= SLACK).then_some(())
    })
    .await
}
