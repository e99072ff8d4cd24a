//! Pure. How much CPU time the event in hand has used, and what the next tick does about it.
//!
//! **Owns** the CPU budget of one event. **Must not know** threads or wasmtime. **Enter at** [`Meter`].
//!
//! ```text
//! begin --tick--> inline --tick x2--> yield (the event goes to the heavy lane)
//! heavy: --tick--> continue, each tenth yields;  any: over budget --tick--> stop
//! ```
//! A tick that finds an event running says that it has used CPU time since its turn began, so the clock of the thread is
//! read only on ticks and events shorter than a tick pay nothing. What short events use is counted by sampling: one tick
//! hits them as often as they run. No tick comes while the host works for an event, so before an operation that may take
//! longer the clock is read, too.

use std::time::Duration;

use super::limits::{HEAVY_SLICE_TICKS, INLINE_TICKS_MAX};

/// Where an event runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the thread that brought it.
    Inline,
    /// On a thread of the heavy lane.
    Heavy,
}

/// What happens at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The event goes on.
    Continue,
    /// The event lets others run.
    Yield,
    /// The event is over its budget and ends.
    Stop,
}

/// What an event that has used `used` may use in its next turn; `None` when it is over its limit. A turn gets a tick at least,
/// since less can not be measured: an event passes its limit by two at most.
pub(crate) fn allowance(limit: Duration, used: Duration, tick: Duration) -> Option<Duration> {
    (used < limit).then(|| (limit - used).max(tick))
}

/// Counts one event.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Duration,
    used: Duration,
    place: Place,
    ticks: u32,
    turn_began: Option<Duration>,
    /// When the turn was under way at the latest, as long as its beginning is not known.
    under_way: Option<Duration>,
    exceeded: bool,
}

impl Meter {
    /// Nothing runs.
    pub(crate) fn new() -> Self {
        Self {
            budget: Duration::ZERO,
            used: Duration::ZERO,
            place: Place::Inline,
            ticks: 0,
            turn_began: None,
            under_way: None,
            exceeded: false,
        }
    }

    /// An event begins that may use `budget`.
    pub(crate) fn begin(&mut self, budget: Duration) {
        *self = Self { budget, ..Self::new() };
    }

    /// The event has been given a turn at `place`, on a thread that had used `cpu_time` then. The first turn, which
    /// `begin` gives, is inline on a thread whose past is not known: one tick at most is counted for its beginning.
    pub(crate) fn turn(&mut self, place: Place, cpu_time: Duration) {
        self.place = place;
        self.ticks = 0;
        self.turn_began = Some(cpu_time);
    }

    /// Whether nothing is known of when the turn began: [`Meter::works`] is of use.
    pub(crate) fn is_unknown(&self) -> bool {
        self.turn_began.is_none() && self.under_way.is_none()
    }

    /// The event has an operation begun that ticks may have to wait for, on a thread that has used `cpu_time`.
    pub(crate) fn works(&mut self, cpu_time: Duration) {
        if self.is_unknown() {
            self.under_way = Some(cpu_time);
        }
    }

    /// A tick found the event running on a thread that has used `cpu_time`.
    pub(crate) fn tick(&mut self, cpu_time: Duration, tick: Duration) -> Verdict {
        self.ticks += 1;
        // The first tick of a turn whose beginning is not known comes within one tick of it, or of the operation it waited for.
        let a_tick_ago = cpu_time.saturating_sub(tick);
        let began = self.turn_began.unwrap_or_else(|| self.under_way.map_or(a_tick_ago, |then| then.min(a_tick_ago)));
        self.used += cpu_time.saturating_sub(began);
        self.turn_began = Some(cpu_time);
        if self.used > self.budget {
            self.exceeded = true;
            return Verdict::Stop;
        }
        let limit = match self.place {
            Place::Inline => INLINE_TICKS_MAX,
            Place::Heavy => HEAVY_SLICE_TICKS,
        };
        if self.ticks >= limit { Verdict::Yield } else { Verdict::Continue }
    }

    /// CPU time that the thread has just used is not the event's.
    pub(crate) fn spare(&mut self, cpu_time: Duration) {
        // A turn of which nothing is known counts as a tick at most in any case.
        if let Some(began) = self.turn_began.as_mut().or(self.under_way.as_mut()) {
            *began += cpu_time;
        }
    }

    /// CPU time that ticks have seen so far.
    pub(crate) fn used(&self) -> Duration {
        self.used
    }

    /// Whether the event was stopped for its CPU time.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_event_that_has_used_its_time_gets_no_further_turn() {
        assert_eq!(allowance(50 * MS, 10 * MS, MS), Some(40 * MS));
        assert_eq!(allowance(50 * MS, 50 * MS - MS / 2, MS), Some(MS));
        assert_eq!(allowance(50 * MS, 50 * MS, MS), None);
        assert_eq!(allowance(50 * MS, 51 * MS, MS), None);
    }

    #[test]
    fn a_short_event_stays_inline_and_a_long_one_yields() {
        let mut meter = Meter::new();
        meter.begin(50 * MS);
        assert_eq!(meter.tick(10 * MS, MS), Verdict::Continue);
        assert_eq!(meter.tick(11 * MS, MS), Verdict::Yield);
        assert_eq!(meter.used(), 2 * MS);
    }

    #[test]
    fn the_budget_counts_cpu_time_and_not_the_ticks_of_a_preempted_thread() {
        let mut meter = Meter::new();
        meter.begin(5 * MS);
        meter.turn(Place::Heavy, Duration::ZERO);
        for _ in 0..100 {
            assert_ne!(meter.tick(3 * MS, MS), Verdict::Stop);
        }
        assert_eq!(meter.tick(6 * MS, MS), Verdict::Stop);
        assert!(meter.exceeded());
    }

    #[test]
    fn what_is_spared_does_not_count() {
        let mut meter = Meter::new();
        meter.begin(5 * MS);
        meter.turn(Place::Heavy, Duration::ZERO);
        meter.spare(100 * MS);
        assert_eq!(meter.tick(101 * MS, MS), Verdict::Continue);
        assert_eq!(meter.used(), MS);
        meter.begin(5 * MS);
        meter.spare(100 * MS);
        assert_eq!(meter.tick(200 * MS, MS), Verdict::Continue);
        assert_eq!(meter.used(), MS);
    }

    #[test]
    fn a_long_operation_counts_even_before_the_first_tick() {
        let mut meter = Meter::new();
        meter.begin(50 * MS);
        assert!(meter.is_unknown());
        meter.works(100 * MS);
        assert!(!meter.is_unknown());
        meter.works(120 * MS);
        assert_eq!(meter.tick(130 * MS, MS), Verdict::Continue);
        assert_eq!(meter.used(), 30 * MS);
        meter.works(150 * MS);
        assert_eq!(meter.tick(160 * MS, MS), Verdict::Stop);
        assert_eq!(meter.used(), 60 * MS);
    }

    #[test]
    fn a_short_operation_counts_as_the_tick_that_finds_it() {
        let mut meter = Meter::new();
        meter.begin(MS);
        meter.works(100 * MS);
        assert_eq!(meter.tick(100 * MS + MS / 4, MS), Verdict::Continue);
        assert_eq!(meter.used(), MS);
    }

    #[test]
    fn what_a_long_operation_spares_does_not_count() {
        let mut meter = Meter::new();
        meter.begin(5 * MS);
        meter.works(100 * MS);
        meter.spare(40 * MS);
        assert_eq!(meter.tick(142 * MS, MS), Verdict::Continue);
        assert_eq!(meter.used(), 2 * MS);
    }

    #[test]
    fn moving_to_another_thread_does_not_count_that_threads_past() {
        let mut meter = Meter::new();
        meter.begin(5 * MS);
        meter.tick(1000 * MS, MS);
        meter.turn(Place::Heavy, 9000 * MS);
        assert_eq!(meter.tick(9001 * MS, MS), Verdict::Continue);
        assert_eq!(meter.used(), 2 * MS);
    }
}
