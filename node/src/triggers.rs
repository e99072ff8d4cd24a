//! Cron triggers.
//!
//! **Owns** when scheduled events fire on this node. **Must not know** what they do. **Enter at** [`run`].
//!
//! In a cluster the node that leads fires them, so that each fires once; while nobody leads, none does. A leader that is cut
//! off from the others goes on taking itself for one while they elect another, so a quorum has to confirm it in each minute.
//!
//! Nothing that an event does holds up the clock: each trigger that is due becomes a task that waits for its own account's
//! places. What can not run is said and counted, never dropped in silence.

mod places;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use skerry_control::{
    catalog::{Catalog, EnvironmentKey},
    control::Control,
};

use self::places::{Claim, Places};
use crate::{clock, dispatch::Dispatch, task::Tasks, telemetry::Metrics, worker::SCHEDULED_WALL};

const MINUTE_MS: i64 = 60_000;
/// BOUND: minutes that are made up for when the node was held up; what a stopped node missed stays missed, as on Cloudflare.
const LATE_MINUTES_MAX: i64 = 2;
/// BOUND: how long a due event waits for a place; as long as the events before it may take.
const WAIT_MAX: Duration = SCHEDULED_WALL;

/// Fires triggers until told to stop, in the minutes in which [`fires_here`] says so.
pub async fn run(dispatch: Dispatch, metrics: Arc<Metrics>, tasks: Tasks, control: Control) {
    let stopping = tasks.stopping();
    let places = Arc::new(Places::default());
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
        if !fires_here(&control).await {
            last = last.max(now);
            continue;
        }
        let minutes = minutes_due(last, now);
        if *minutes.start() > last + 1 {
            tracing::warn!(minutes = minutes.start() - last - 1, "cron triggers of past minutes are left out");
        }
        for minute in minutes {
            for (environment, cron) in due(&dispatch.catalog(), minute * MINUTE_MS) {
                let due = Due { environment, cron, at_ms: minute * MINUTE_MS };
                let Some(claim) = places.claim(&due.environment, &due.cron) else {
                    due.skipped(&metrics, "its last event has not ended");
                    continue;
                };
                let (dispatch, metrics) = (dispatch.clone(), Arc::clone(&metrics));
                tasks.spawn("scheduled event", due.fire(claim, dispatch, metrics));
            }
        }
        last = last.max(now);
    }
}

/// Whether this node leads and a quorum has said so since this was asked: whoever is elected later has let this minute pass.
pub async fn fires_here(control: &Control) -> bool {
    control.confirm().await.is_some()
}

/// A trigger at a minute in which it fires.
struct Due {
    environment: EnvironmentKey,
    cron: String,
    at_ms: i64,
}

impl Due {
    async fn fire(self, claim: Claim, dispatch: Dispatch, metrics: Arc<Metrics>) {
        let Ok(_place) = tokio::time::timeout(WAIT_MAX, claim.place()).await else {
            return self.skipped(&metrics, "too many events of its account or of the node run");
        };
        let Self { environment, cron, at_ms } = self;
        match dispatch.scheduled(&environment, cron.clone(), at_ms).await {
            Ok(()) => tracing::debug!(%environment, cron, "scheduled event done"),
            Err(error) => tracing::warn!(%environment, cron, %error, "scheduled event failed"),
        }
    }

    fn skipped(&self, metrics: &Metrics, why: &str) {
        metrics.skipped_triggers.inc();
        tracing::warn!(environment = %self.environment, cron = self.cron, why, "a scheduled event is skipped");
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
