//! Cron triggers.
//!
//! **Owns** when scheduled events fire on this node. **Must not know** what they do. **Enter at** [`run`].

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use skerry_control::catalog::{Catalog, EnvironmentKey};
use tokio::sync::Semaphore;

use crate::{clock, dispatch::Dispatch, task::Tasks};

const MINUTE_MS: i64 = 60_000;
/// BOUND: scheduled events that run at once on this node; more wait for these.
const RUNNING_MAX: usize = 64;
/// BOUND: minutes that are made up for when the node was held up; what a stopped node missed stays missed, as on Cloudflare.
const LATE_MINUTES_MAX: i64 = 2;

/// Fires triggers until told to stop.
pub async fn run(dispatch: Dispatch, tasks: Tasks) {
    let stopping = tasks.stopping();
    let room = Arc::new(Semaphore::new(RUNNING_MAX));
    let mut last = clock::unix_ms().div_euclid(MINUTE_MS);
    loop {
        let now_ms = clock::unix_ms();
        let wait_ms = MINUTE_MS - now_ms.rem_euclid(MINUTE_MS);
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let now = clock::unix_ms().div_euclid(MINUTE_MS);
        for minute in minutes_due(last, now) {
            for (environment, cron) in due(&dispatch.catalog(), minute * MINUTE_MS) {
                let Ok(room) = Arc::clone(&room).acquire_owned().await else { return };
                let dispatch = dispatch.clone();
                tasks.spawn("scheduled event", async move {
                    fire(&dispatch, &environment, cron, minute * MINUTE_MS).await;
                    drop(room);
                });
            }
        }
        last = last.max(now);
    }
}

async fn fire(dispatch: &Dispatch, environment: &EnvironmentKey, cron: String, at_ms: i64) {
    match dispatch.scheduled(environment, cron.clone(), at_ms).await {
        Ok(()) => tracing::debug!(%environment, cron, "scheduled event done"),
        Err(error) => tracing::warn!(%environment, cron, %error, "scheduled event failed"),
    }
}

/// The minutes after `last` up to `now`, the newest few when there are many; none when the clock went back.
fn minutes_due(last: i64, now: i64) -> RangeInclusive<i64> {
    (last + 1).max(now - LATE_MINUTES_MAX + 1)..=now
}

/// Every trigger that fires in the minute of `at_ms`, of environments that have something deployed.
fn due(catalog: &Catalog, at_ms: i64) -> Vec<(EnvironmentKey, String)> {
    let mut due = Vec::new();
    for service in catalog.all_services() {
        for environment in service.environments.values().filter(|environment| environment.live().is_some()) {
            for cron in environment.crons.iter().filter(|cron| cron.fires_at(at_ms)) {
                due.push((service.key.environment(environment.name.clone()), cron.to_string()));
            }
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minute_is_looked_at_once() {
        assert_eq!(minutes_due(10, 11), 11..=11);
        assert!(minutes_due(10, 10).is_empty());
        assert!(minutes_due(10, 5).is_empty());
        assert_eq!(minutes_due(10, 12), 11..=12);
    }

    #[test]
    fn a_long_pause_is_not_made_up_for() {
        assert_eq!(minutes_due(10, 1000), 999..=1000);
    }
}
