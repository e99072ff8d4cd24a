//! Clusters of real nodes under faults, small. `make chaos` runs the same, larger, and with other seeds.
//!
//! One network exists at a time on a machine, so these wait for each other. Left to `make chaos` is what takes a minute and more
//! however small it is: `joins` and `expired` wait until nodes have given up, and in `poison` a revision counts as good once it
//! was served for a minute.

use anyhow::Result;
use skerry_chaos_tests::{
    cluster::network,
    programs::Programs,
    scenario::{Scenario, Size},
};

async fn play(scenario: Scenario) -> Result<()> {
    if !network::is_allowed() {
        return Ok(());
    }
    let report = scenario.run(&Programs::beside_this_one()?, 1, Size::SMALL).await?;
    println!("{}: {report}", scenario.name());
    Ok(())
}

#[tokio::test]
async fn each_node_is_killed_in_turn_while_deploys_run() -> Result<()> {
    play(Scenario::Kills).await
}

#[tokio::test]
async fn a_leader_in_the_minority_is_replaced_and_comes_back() -> Result<()> {
    play(Scenario::Cuts).await
}

#[tokio::test]
async fn a_leader_that_wakes_up_late_does_no_harm() -> Result<()> {
    play(Scenario::Pauses).await
}

#[tokio::test]
async fn an_edge_starts_and_serves_without_a_control_plane() -> Result<()> {
    play(Scenario::Outage).await
}

#[tokio::test]
async fn a_voter_that_starts_before_the_others_serves_what_it_had() -> Result<()> {
    play(Scenario::Alone).await
}

#[tokio::test]
async fn a_full_disk_stops_one_vote_and_nothing_else() -> Result<()> {
    play(Scenario::FullDisk).await
}

#[tokio::test]
async fn voters_come_and_go_under_load() -> Result<()> {
    play(Scenario::Membership).await
}

#[tokio::test]
async fn strangers_and_noise_at_the_mesh_change_nothing() -> Result<()> {
    play(Scenario::Hostile).await
}

#[tokio::test]
async fn half_of_the_datagrams_are_lost_and_no_deploy() -> Result<()> {
    play(Scenario::Loss).await
}

#[tokio::test]
async fn deploys_go_on_across_three_regions() -> Result<()> {
    play(Scenario::Delay).await
}

#[tokio::test]
async fn a_wrong_clock_changes_nothing() -> Result<()> {
    play(Scenario::Clock).await
}

#[tokio::test]
async fn small_packets_are_enough() -> Result<()> {
    play(Scenario::Mtu).await
}

#[tokio::test]
async fn a_wiped_voter_does_not_come_back_under_its_old_id() -> Result<()> {
    play(Scenario::Wiped).await
}
