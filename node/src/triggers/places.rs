//! Who may run a scheduled event now.
//!
//! **Owns** one event for each trigger, and the shares of accounts. **Must not know** clocks or what an event does. **Enter at**
//! [`Places::claim`].

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use skerry_control::catalog::EnvironmentKey;
use skerry_proto::id::AccountId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// BOUND: scheduled events that run at once on this node; more wait.
const RUNNING_MAX: usize = 64;
/// BOUND: of these, events of one account: a quarter, so that one whose events hang leaves room for the others.
const RUNNING_OF_ACCOUNT_MAX: usize = 16;

type Trigger = (EnvironmentKey, String);

/// The node's places.
#[derive(Debug)]
pub(super) struct Places {
    /// BOUND: one for each trigger of the catalog.
    claimed: Mutex<HashSet<Trigger>>,
    /// BOUND: one for each account that has had a trigger.
    accounts: Mutex<HashMap<AccountId, Arc<Semaphore>>>,
    node: Arc<Semaphore>,
}

/// The right of one trigger to have an event waiting or running. Given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    places: Arc<Places>,
    trigger: Trigger,
}

/// An event's place while it runs.
#[derive(Debug)]
pub(super) struct Place {
    _of_account: OwnedSemaphorePermit,
    _of_node: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self { claimed: Mutex::default(), accounts: Mutex::default(), node: Arc::new(Semaphore::new(RUNNING_MAX)) }
    }
}

impl Places {
    /// `None` while the trigger's last event has not ended.
    pub(super) fn claim(self: &Arc<Self>, environment: &EnvironmentKey, cron: &str) -> Option<Claim> {
        let trigger = (environment.clone(), cron.to_owned());
        let is_new = lock(&self.claimed).insert(trigger.clone());
        is_new.then(|| Claim { places: Arc::clone(self), trigger })
    }

    fn account(&self, account: &AccountId) -> Arc<Semaphore> {
        let mut accounts = lock(&self.accounts);
        let places =
            accounts.entry(account.clone()).or_insert_with(|| Arc::new(Semaphore::new(RUNNING_OF_ACCOUNT_MAX)));
        Arc::clone(places)
    }
}

impl Claim {
    /// Waits for a place: first for one of the account's, so that only as many of its events wait for the node's.
    pub(super) async fn place(&self) -> Place {
        const OPEN: &str = "the semaphore is never closed";
        let account = self.places.account(&self.trigger.0.service.account);
        let of_account = account.acquire_owned().await.expect(OPEN);
        let of_node = Arc::clone(&self.places.node).acquire_owned().await.expect(OPEN);
        Place { _of_account: of_account, _of_node: of_node }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.places.claimed).remove(&self.trigger);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one call, so a panic leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use skerry_control::catalog::ServiceKey;
    use skerry_proto::id::ServiceName;

    use super::*;

    fn environment(account: char) -> EnvironmentKey {
        let account = AccountId::new(&account.to_string().repeat(32)).unwrap();
        ServiceKey { account, name: ServiceName::new("app").unwrap() }.production()
    }

    #[test]
    fn a_trigger_has_one_event_at_a_time() {
        let places = Arc::new(Places::default());
        let claim = places.claim(&environment('a'), "* * * * *").unwrap();
        assert!(places.claim(&environment('a'), "* * * * *").is_none());
        assert!(places.claim(&environment('a'), "0 * * * *").is_some());
        drop(claim);
        assert!(places.claim(&environment('a'), "* * * * *").is_some());
    }

    #[test]
    fn an_account_whose_events_hang_leaves_room_for_others() {
        let places = Arc::new(Places::default());
        let claims: Vec<_> =
            (0..=RUNNING_MAX).map(|number| places.claim(&environment('a'), &number.to_string()).unwrap()).collect();
        let hanging: Vec<_> = claims.iter().filter_map(|claim| claim.place().now_or_never()).collect();
        assert_eq!(hanging.len(), RUNNING_OF_ACCOUNT_MAX);
        let other = places.claim(&environment('b'), "* * * * *").unwrap();
        assert!(other.place().now_or_never().is_some());
        drop(hanging);
        assert!(claims[RUNNING_MAX].place().now_or_never().is_some());
    }
}
