//! The leader is cut off from the other voters.
//!
//! **Owns** the three ways to cut. **Must not know** how packets are dropped. **Enter at** [`cut`].

use anyhow::Result;

use crate::{api::Worker, clock, cluster::until, stage::Stage};

/// Packets dropped.
pub const DROPPED: &str = "packets dropped";
/// Cuts in which the rest elected a leader of its own.
pub const ELECTED: &str = "leaders elected without the one cut off";
/// Deploys that went on meanwhile.
pub const MEANWHILE: &str = "deploys during a cut";

/// A service that is deployed at each node in turn.
const BESIDE: &str = "beside";

/// Which packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// All.
    Both,
    /// Those that the leader sends.
    From,
    /// Those that are sent to the leader.
    To,
}

/// Cuts the leader off from the other voters, sees another one elected, `deploys` acknowledged and one at each other node, and
/// heals the network.
///
/// # Errors
/// When no other leader is elected, or deploys do not go on.
pub async fn cut(stage: &mut Stage, voters: &[usize], direction: Direction, deploys: u64) -> Result<()> {
    let old = stage.cluster.leader(voters).await?;
    let others: Vec<usize> = voters.iter().copied().filter(|at| *at != old).collect();
    for other in &others {
        if direction != Direction::To {
            stage.cluster.network().cut(old, *other)?;
        }
        if direction != Direction::From {
            stage.cluster.network().cut(*other, old)?;
        }
    }
    let start = clock::now();
    stage.cluster.leader(&others).await?;
    stage.coverage.saw(ELECTED, 1);
    stage.times.push((format!("until another leader, cut {direction:?}"), start.elapsed()));
    let before = stage.workload.acknowledged();
    stage.workload.progress(deploys).await?;
    stage.times.push((format!("until {deploys} deploys, cut {direction:?}"), start.elapsed()));
    // Also where the node that is cut off is the first one asked, as an edge may that reaches all.
    let cut_off = stage.cluster.door_of(old)?.name;
    for door in stage.cluster.doors().iter().filter(|door| door.name != cut_off) {
        let worker = Worker::module("export default { fetch() { return new Response('during a cut') } }");
        let deploy = async || door.deploy(BESIDE, worker.clone(), door.name.clone()).await;
        until(&format!("a deploy at {}", door.name), async || deploy().await.done().ok()).await?;
    }
    stage.coverage.saw(MEANWHILE, stage.workload.acknowledged() - before);
    stage.coverage.saw(DROPPED, stage.cluster.network().heal()?);
    stage.workload.progress(deploys).await
}
