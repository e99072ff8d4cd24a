//! Large bodies, a few at a time.
//!
//! **Owns** how many requests may hold a large body in memory, and what is large. **Must not know** what the bodies contain.
//! **Enter at** [`Turns`].

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// BOUND: bytes of a body that takes no turn: thousands of them at a time are no burden.
pub(crate) const SMALL_BODY_BYTES_MAX: usize = 1 << 20;
/// BOUND: larger bodies at a time: uploads, backups, KV bulk calls and large KV values, and as many answers of KV until they are
/// sent; each holds up to 64 or 100 MB a few times over, so this many stay within a few GB in the worst case. Others wait.
pub(crate) const LARGE_BODIES_MAX: usize = 8;

/// Turns with large bodies. Clones share them. The API has its own, others for answers, whose readers may be slow, and so have the
/// requests that other nodes carry here: on the leader a carried upload waits for one of the API's while it holds one of those,
/// and with the same turns for both, eight would wait for each other.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_BODIES_MAX)))
    }
}

impl Turns {
    /// Waits for a turn, which ends when the permit is dropped.
    pub(crate) async fn take(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Waits for a turn for so long; `None` when there was none.
    pub(crate) async fn take_within(&self, wait: Duration) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(wait, self.take()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_gets_no_turn_in_time_goes_without_one() {
        let (turns, wait) = (Turns::default(), Duration::from_millis(20));
        let mut taken = Vec::new();
        for _ in 0..LARGE_BODIES_MAX {
            taken.push(turns.take().await);
        }
        assert!(turns.take_within(wait).await.is_none());
        taken.pop();
        assert!(turns.take_within(wait).await.is_some());
    }
}
