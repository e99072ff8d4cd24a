//! Pure. Which isolate of a worker gets the next event.
//!
//! **Owns** the choice, and how long an event waits for a place. **Must not know** isolates, queues or threads. **Enter at**
//! [`choose`].
//!
//! Idle isolates come first, the most recently used one of them: its memory is warm and the others may fall idle for good. One that
//! ran last on the asking thread, whose core has its memory in its cache, comes before warmer ones, but only while there is
//! work for several: else each thread would keep one alive for itself. A new one is made while the worker may have more; then the least loaded takes the event, which may wait there.

use std::time::Duration;

/// What is known of one isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Events that it has or that wait for it.
    pub(crate) events: usize,
    /// When it last began an event, on any clock that does not go back.
    pub(crate) used_ms: u64,
    /// Whether it ran last on the thread that asks.
    pub(crate) is_near: bool,
}

/// What a worker may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Isolates.
    pub(crate) isolates: usize,
    /// Events in flight in one isolate.
    pub(crate) in_flight: usize,
    /// Events that may wait, over all its isolates.
    pub(crate) queue: usize,
}

/// Where an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// To the isolate at this place in the list.
    Existing(usize),
    /// To a new isolate.
    New,
    /// Nowhere: the queue is full.
    Overloaded,
}

/// BOUND: how long an event waits for a place when workers wait for its answer. They have places of their own meanwhile, and
/// where events of the same kind hold all there are, each would wait for the others until the wall limit of the outermost. Too
/// short refuses what a burst merely delays; too long holds the callers' places for nothing.
const NESTED_WAIT: Duration = Duration::from_secs(1);

/// How long an event may wait for a place that has `depth` workers above it and `wall` to live.
pub(crate) fn patience(depth: u32, wall: Duration) -> Duration {
    if depth == 0 { wall } else { wall.min(NESTED_WAIT) }
}

/// How much less recently used a near isolate may be: what is left of it in a cache after so long is not worth an isolate.
const NEAR_MS: u64 = 1000;

/// Chooses for one event. `room` says whether the node may have one more isolate.
pub(crate) fn choose(loads: &[Load], bounds: Bounds, room: bool) -> Choice {
    let idle = || loads.iter().enumerate().filter(|(_, load)| load.events == 0);
    let warmest_ms = idle().map(|(_, load)| load.used_ms).max().unwrap_or(0);
    let is_near = |load: &Load| load.is_near && warmest_ms - load.used_ms <= NEAR_MS;
    if let Some((at, _)) = idle().max_by_key(|(_, load)| (is_near(load), load.used_ms)) {
        return Choice::Existing(at);
    }
    if loads.len() < bounds.isolates.max(1) && room {
        return Choice::New;
    }
    let waiting: usize = loads.iter().map(|load| load.events.saturating_sub(bounds.in_flight)).sum();
    match loads.iter().enumerate().min_by_key(|(_, load)| load.events) {
        Some((at, load)) if load.events < bounds.in_flight || waiting < bounds.queue => Choice::Existing(at),
        _ => Choice::Overloaded,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { isolates: 2, in_flight: 4, queue: 3 };

    fn load(events: usize, used_ms: u64) -> Load {
        Load { events, used_ms, is_near: false }
    }

    #[test]
    fn the_warmest_idle_isolate_comes_first() {
        assert_eq!(choose(&[load(0, 1), load(0, 5), load(1, 9)], BOUNDS, true), Choice::Existing(1));
    }

    #[test]
    fn an_idle_isolate_of_the_same_thread_comes_before_a_warmer_one() {
        let near = Load { is_near: true, ..load(0, 1) };
        assert_eq!(choose(&[load(0, 5), near], BOUNDS, true), Choice::Existing(1));
        assert_eq!(
            choose(&[load(0, 2000), near], BOUNDS, true),
            Choice::Existing(0),
            "it has nothing in the cache any more"
        );
        let busy = Load { is_near: true, ..load(1, 9) };
        assert_eq!(choose(&[load(0, 5), busy], BOUNDS, true), Choice::Existing(0));
    }

    #[test]
    fn a_busy_worker_gets_a_new_isolate_while_it_may_have_one() {
        assert_eq!(choose(&[], BOUNDS, true), Choice::New);
        assert_eq!(choose(&[load(1, 0)], BOUNDS, true), Choice::New);
        assert_eq!(choose(&[load(1, 0)], BOUNDS, false), Choice::Existing(0));
        assert_eq!(choose(&[], BOUNDS, false), Choice::Overloaded);
    }

    #[test]
    fn the_least_loaded_isolate_takes_what_waits_until_the_queue_is_full() {
        assert_eq!(choose(&[load(4, 0), load(3, 0)], BOUNDS, true), Choice::Existing(1));
        assert_eq!(choose(&[load(5, 0), load(4, 0)], BOUNDS, true), Choice::Existing(1));
        assert_eq!(choose(&[load(6, 0), load(5, 0)], BOUNDS, true), Choice::Overloaded);
    }

    #[test]
    fn an_event_that_workers_wait_for_waits_only_briefly_for_a_place() {
        let wall = Duration::from_secs(300);
        assert_eq!(patience(0, wall), wall);
        assert_eq!(patience(1, wall), NESTED_WAIT);
        assert_eq!(patience(7, Duration::from_millis(10)), Duration::from_millis(10));
    }

    proptest! {
        #[test]
        fn events_never_pass_the_bounds(arrivals in 0_usize..60, isolates in 1_usize..4) {
            let bounds = Bounds { isolates, ..BOUNDS };
            let mut loads: Vec<Load> = Vec::new();
            let mut refused = 0;
            for _ in 0..arrivals {
                match choose(&loads, bounds, true) {
                    Choice::Existing(at) => loads[at].events += 1,
                    Choice::New => loads.push(load(1, 0)),
                    Choice::Overloaded => refused += 1,
                }
            }
            prop_assert!(loads.len() <= isolates);
            let accepted: usize = loads.iter().map(|load| load.events).sum();
            prop_assert!(accepted <= isolates * bounds.in_flight + bounds.queue);
            prop_assert_eq!(accepted + refused, arrivals);
        }
    }
}
