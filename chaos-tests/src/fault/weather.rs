//! Datagrams between nodes are lost, or late.
//!
//! **Owns** how bad it gets, and how it is known that it did. **Must not know** how they are carried. **Enter at** [`storm`]
//! and [`distance`].

use std::time::Duration;

use anyhow::Result;

use crate::{
    cluster::{relay::Weather, until},
    stage::Stage,
};

/// Datagrams that did not arrive.
pub const LOST: &str = "datagrams lost";
/// Deploys that were asked for while half of everything was lost, however they ended.
pub const ATTEMPTS: &str = "deploys tried in a storm";
/// Datagrams that arrived late.
pub const LATE: &str = "datagrams that took 80 ms";
/// Deploys that went on meanwhile.
pub const FAR: &str = "deploys across three regions";

/// Half of all datagrams, both ways.
const LOSS_PERCENT: u8 = 50;
/// One way, between continents.
const DELAY: Duration = Duration::from_millis(80);

/// Half of what the voters send each other is lost until `attempts` deploys have been tried and `lost` datagrams are gone; then
/// sees `deploys` acknowledged in good weather.
///
/// # Errors
/// When deploys do not go on afterwards.
pub async fn storm(stage: &mut Stage, voters: &[usize], attempts: u64, lost: u64, deploys: u64) -> Result<()> {
    let (before, tried) = (stage.cluster.relay()?.carried().lost, stage.workload.attempts());
    stage.cluster.relay()?.set_among(voters, Weather { loss_percent: LOSS_PERCENT, ..Weather::default() });
    let (workload, relay) = (&stage.workload, stage.cluster.relay()?);
    until(&format!("{attempts} deploys are tried and {lost} datagrams lost"), async || {
        let is_enough = workload.attempts() >= tried + attempts && relay.carried().lost >= before + lost;
        is_enough.then_some(())
    })
    .await?;
    stage.coverage.saw(ATTEMPTS, stage.workload.attempts() - tried);
    stage.cluster.relay()?.set_among(voters, Weather::default());
    stage.coverage.saw(LOST, stage.cluster.relay()?.carried().lost - before);
    stage.workload.progress(deploys).await
}

/// The nodes stand in three regions, one after the other; sees `deploys` acknowledged.
///
/// # Errors
/// When deploys do not go on.
pub async fn distance(stage: &mut Stage, regions: &[usize], deploys: u64) -> Result<()> {
    let before = stage.cluster.relay()?.carried().late;
    stage.cluster.relay()?.set_regions(regions, DELAY);
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(FAR, deploys);
    stage.coverage.saw(LATE, stage.cluster.relay()?.carried().late - before);
    Ok(())
}
