//! Pure. Where a worker's events begin: on the thread that brings them, or in the heavy lane.
//!
//! **Owns** what is remembered of how long they ran. **Must not know** threads or isolates. **Enter at** [`Pace`].
//!
//! ```text
//! short --an event that ran past its inline ticks, or broke a limit--> long --an event that no tick saw--> short
//! ```
//! An event on the thread that brought it keeps everybody else of that thread waiting, for up to
//! [`INLINE_TICKS_MAX`] ticks. A worker may do that once, and not with each of its events.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::limits::INLINE_TICKS_MAX;

/// What the last events of one worker say about its next one.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    long: AtomicBool,
}

impl Pace {
    /// Whether the next event begins in the heavy lane.
    pub(crate) fn is_long(&self) -> bool {
        self.long.load(Ordering::Relaxed)
    }

    /// A turn of an event has used `cpu`, in ticks of `tick`; `broke` when it broke a limit.
    pub(crate) fn ended(&self, cpu: Duration, tick: Duration, broke: bool) {
        let long = self.is_long();
        if !long && (broke || cpu >= INLINE_TICKS_MAX * tick) {
            self.long.store(true, Ordering::Relaxed);
        } else if long && cpu.is_zero() && !broke {
            self.long.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    #[test]
    fn a_long_event_sends_the_next_to_the_lane_and_a_short_one_brings_it_back() {
        let pace = Pace::default();
        pace.ended(TICK, TICK, false);
        assert!(!pace.is_long(), "one tick may hit any event");
        pace.ended(2 * TICK, TICK, false);
        assert!(pace.is_long());
        pace.ended(TICK, TICK, false);
        assert!(pace.is_long());
        pace.ended(Duration::ZERO, TICK, false);
        assert!(!pace.is_long());
    }

    #[test]
    fn an_event_that_broke_a_limit_is_long_however_short_it_was() {
        let pace = Pace::default();
        pace.ended(Duration::ZERO, TICK, true);
        assert!(pace.is_long());
    }
}
