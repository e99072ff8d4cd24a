//! Pure. Where a worker's events begin, on the thread that brings them or in the heavy lane, and whether somebody should look
//! after that thread's connections meanwhile.
//!
//! **Owns** what is remembered of how long they ran. **Must not know** threads or isolates. **Enter at** [`Pace`].
//!
//! ```text
//! short --an event that ran past its inline ticks, or broke a limit--> long --an event that no tick saw--> short
//! ```
//! An event on the thread that brought it keeps everybody else of that thread waiting, for up to
//! [`INLINE_TICKS_MAX`] ticks. A worker may do that once, and not with each of its events.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use super::limits::INLINE_TICKS_MAX;

/// For whoever keeps its thread for longer another one is woken. That one then takes the next request, too, far from the isolate's
/// memory in the first one's cache: with a limit of 100 us a chain of nine workers, 0.3 ms in all, took half as long again.
const BRIEF: Duration = Duration::from_micros(500);

/// What the last events of one worker say about its next one.
#[derive(Debug)]
pub(crate) struct Pace {
    long: AtomicBool,
    /// For how long an event may keep its thread, in nanoseconds.
    usual_ns: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        // Nothing is known of a new worker, and its first event compiles its code.
        Self { long: AtomicBool::new(false), usual_ns: AtomicU64::new(nanoseconds(10 * BRIEF)) }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Pace {
    /// Whether the next event likely leaves its thread before anybody notices.
    pub(crate) fn is_brief(&self) -> bool {
        self.usual_ns.load(Ordering::Relaxed) <= nanoseconds(BRIEF)
    }

    /// An event has kept the thread that brought it for so long. A long time counts at once, a brief one little by little.
    pub(crate) fn kept(&self, time: Duration) {
        let usual = self.usual_ns.load(Ordering::Relaxed);
        self.usual_ns.store(nanoseconds(time).max(usual - usual / 4), Ordering::Relaxed);
    }

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
    fn a_worker_is_brief_once_its_events_have_been_for_a_while() {
        let pace = Pace::default();
        assert!(!pace.is_brief(), "nothing is known yet");
        (0..9).for_each(|_| pace.kept(BRIEF / 4));
        assert!(pace.is_brief());
        pace.kept(5 * BRIEF);
        assert!(!pace.is_brief());
        pace.kept(BRIEF / 4);
        assert!(!pace.is_brief(), "every other event may be long");
    }

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
