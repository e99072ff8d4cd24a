//! Large bodies, a few at a time.
//!
//! **Owns** how many requests may hold a large body in memory, and how long others wait. **Must not know** what the
//! bodies contain. **Enter at** [`Turns`].

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// BOUND: uploads, KV bulk calls and large KV values at a time; each holds up to 64 or 100 MB a few times over, so this
/// many stay within a few GB in the worst case. Others wait.
const LARGE_BODIES_MAX: usize = 8;
/// BOUND: how long one waits; a client that sends at all is through within seconds, and one that does not loses its turn
/// after [`STALL`](super::body::STALL).
const TURN_WAIT: Duration = Duration::from_secs(30);

/// The turns of one node. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    wait: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(LARGE_BODIES_MAX)), wait: TURN_WAIT }
    }
}

impl Turns {
    /// Waits for a turn, which ends when the permit is dropped. Nothing of the body may have been read before.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        match tokio::time::timeout(self.wait, Arc::clone(&self.free).acquire_owned()).await {
            Ok(turn) => Ok(turn.expect("the semaphore is never closed")),
            Err(_) => Err(ApiError::Unavailable(format!("{LARGE_BODIES_MAX} large requests are being read"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_gets_no_turn_in_time_is_told_to_come_back() {
        let turns = Turns { wait: Duration::from_millis(20), ..Turns::default() };
        let mut taken = Vec::new();
        for _ in 0..LARGE_BODIES_MAX {
            taken.push(turns.take().await.unwrap());
        }
        assert!(matches!(turns.take().await, Err(ApiError::Unavailable(_))));
        taken.pop();
        taken.push(turns.take().await.unwrap());
    }
}
