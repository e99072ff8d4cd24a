//! Places that an account has a part of.
//!
//! **Owns** that a place of an account is also one of all. **Must not know** what it is a place for. **Enter at** [`Share`].

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that an account may have, of those that all have.
#[derive(Debug, Clone)]
pub(super) struct Share {
    everyone: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// A place of an account, and the same of all.
pub(super) type Place = [OwnedSemaphorePermit; 2];

impl Share {
    pub(super) fn of(everyone: &Arc<Semaphore>, own_max: usize) -> Self {
        Self { everyone: Arc::clone(everyone), own: Arc::new(Semaphore::new(own_max)) }
    }

    /// The account's own first: whoever waits for it keeps nobody else's.
    pub(super) async fn take(&self) -> Place {
        let take = async |places: &Arc<Semaphore>| {
            Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
        };
        [take(&self.own).await, take(&self.everyone).await]
    }

    #[cfg(test)]
    pub(super) fn try_take(&self) -> Option<Place> {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        Some([take(&self.own)?, take(&self.everyone)?])
    }

    /// Whether the next one would have to wait.
    pub(super) fn is_used_up(&self) -> bool {
        self.own.available_permits() == 0 || self.everyone.available_permits() == 0
    }
}
