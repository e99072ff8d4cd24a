//! Scenarios in which all nodes are well, and what lies between them is not: the network, and the time of day.
//!
//! **Owns** how often each fault comes, and what must have happened. **Must not know** how it is made. **Enter at** [`play`].

use anyhow::Result;

use super::{EDGE, Scenario, Size, VOTERS};
use crate::{
    fault::{clock_step, small_packets, weather},
    stage::Stage,
};

/// The nodes of `delay` in their regions: a voter in each, edges in the second and third.
const REGIONS: [usize; 5] = [0, 1, 2, 1, 2];
/// Datagrams that a storm takes at least, for each deploy that is tried in it.
const LOST_PER_ATTEMPT: u64 = 50;

pub(super) async fn play(scenario: Scenario, stage: &mut Stage, size: Size) -> Result<()> {
    let Size { rounds, deploys, .. } = size;
    match scenario {
        Scenario::Loss => {
            stage.coverage.require(weather::LOST, rounds * deploys * LOST_PER_ATTEMPT);
            stage.coverage.require(weather::ATTEMPTS, rounds * deploys);
            for _ in 0..rounds {
                weather::storm(stage, &VOTERS, deploys, deploys * LOST_PER_ATTEMPT, deploys).await?;
            }
        }
        Scenario::Delay => {
            stage.coverage.require(weather::FAR, rounds * deploys);
            stage.coverage.require(weather::LATE, rounds * deploys * 10);
            weather::distance(stage, &REGIONS, rounds * deploys).await?;
        }
        Scenario::Clock => {
            stage.coverage.require(clock_step::STEPS, 4 * rounds);
            stage.coverage.require(clock_step::MEANWHILE, 4 * rounds * deploys);
            for _ in 0..rounds {
                let leader = stage.cluster.leader(&VOTERS).await?;
                clock_step::step(stage, leader, deploys).await?;
                let leader = stage.cluster.leader(&VOTERS).await?;
                let others: Vec<usize> = VOTERS.into_iter().filter(|at| *at != leader).collect();
                let other = stage.pick(&others);
                clock_step::step(stage, other, deploys).await?;
            }
        }
        _ => {
            stage.coverage.require(small_packets::TOO_LARGE, 1);
            stage.coverage.require(small_packets::MOVES, 2);
            let at = stage.pick(&[VOTERS[0], VOTERS[1], VOTERS[2], EDGE]);
            small_packets::squeeze(stage, at, deploys).await?;
        }
    }
    Ok(())
}
