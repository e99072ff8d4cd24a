//! Scenarios in which something of one node is no good: its disk, its certificate, its code, or its way into the cluster.
//!
//! **Owns** the order, and what must have happened. **Must not know** how it is made. **Enter at** [`play`].

use anyhow::Result;

use super::{EDGE, Scenario, Size, VOTERS};
use crate::{
    fault::{applicants, expired, poison, wiped},
    stage::Stage,
};

/// The host of `wiped` on which an old copy is started; the one before it is the new voter's.
const SPARE: usize = 5;
/// The host of `joins` on which everybody applies; another cluster stands on the next one.
const OUTSIDE: usize = 4;

pub(super) async fn play(scenario: Scenario, stage: &mut Stage, size: Size) -> Result<()> {
    let Size { deploys, visits, .. } = size;
    match scenario {
        Scenario::Joins => {
            stage.coverage.require(applicants::TURNED_AWAY, 12);
            applicants::apply_all(stage, OUTSIDE, deploys).await
        }
        Scenario::Wiped => {
            stage.coverage.require(wiped::REFUSED, 2);
            stage.coverage.require(wiped::TURNED_AWAY, 1);
            stage.coverage.require(wiped::BESIDE, 2 * deploys);
            let at = stage.pick(&VOTERS);
            wiped::wipe(stage, at, SPARE, deploys).await
        }
        Scenario::Expired => {
            stage.coverage.require(expired::RENEWED, 2);
            stage.coverage.require(expired::BACK, 1);
            stage.coverage.require(expired::TOLD, 1);
            stage.coverage.require(expired::REJOINED, 1);
            stage.coverage.require(expired::DOUBTS, 2);
            stage.coverage.require(expired::MEANWHILE, 3 * deploys);
            expired::away(stage, &VOTERS, EDGE, deploys).await?;
            expired::mistaken(stage, &VOTERS, EDGE, deploys).await
        }
        _ => {
            stage.coverage.require(poison::REPORTED, 1);
            stage.coverage.require(poison::SERVED, visits);
            stage.coverage.require(poison::MEANWHILE, 2 * deploys);
            stage.coverage.require(poison::WENT_BACK, 1);
            poison::unstorable(stage, EDGE, visits, deploys).await?;
            poison::deadly(stage, EDGE, deploys).await
        }
    }
}
