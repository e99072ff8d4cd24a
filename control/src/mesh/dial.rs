//! Pure. When a connection to a peer is made, and what callers do meanwhile.
//!
//! **Owns** that there is one attempt at a time, and the pause after one that failed. **Must not know** sockets. **Enter
//! at** [`Dial::want`].
//!
//! ```text
//!            want                  connected
//!   Down ----------> Down, trying -----------> Up --outdated--> Outdated --want--> Outdated, trying
//!     ^  <--pause--- failed |                   | lost               | lost              | connected: Up
//!     `-----------------------------------------+--------------------+                   | failed: Outdated, pause
//! ```
//! - want: a caller needs the connection. Without one, the first attempt is waited for. While attempts fail, callers fail
//!   at once and attempts go on behind them, each after a pause that doubles from [`PAUSE_MIN`] to [`PAUSE_MAX`].
//! - connected: callers use the connection.  - failed: pause.
//! - lost: the connection is gone. One that lived shorter than [`STABLE_AFTER`] counts as a failure, so that a peer that
//!   accepts and hangs up is not dialled in a circle.
//! - outdated: the connection works, but should be replaced (certificates, another address): callers use it until there
//!   is a new one.
//! - heard: the peer called us, so it lives: forget the failures.

use std::time::{Duration, Instant};

/// BOUND: the pause after a first failure: a peer that restarts is back within a few of them.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(50);
/// BOUND: the longest pause: a dead peer costs a few packets every two seconds, and is found again that soon.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(2);
/// BOUND: how long a failure is believed: after that, a caller waits for an attempt again.
pub(super) const BELIEVED_FOR: Duration = Duration::from_secs(10);
/// BOUND: a connection that lives shorter than this is a failure.
pub(super) const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The dialling of one peer in one class.
#[derive(Debug)]
pub(super) struct Dial {
    line: Line,
    attempt: Attempt,
    failures: u32,
    failed_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Down,
    Up { since: Instant },
    Outdated { since: Instant },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    None,
    Running,
    Pause { until: Instant },
}

/// What a caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advice {
    /// Start an attempt first, and report its end by [`Dial::connected`] or [`Dial::failed`].
    pub(super) start: bool,
    pub(super) then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Use the connection.
    Use,
    /// Wait for the attempt.
    Wait,
    /// Fail: the peer does not answer.
    Fail,
}

impl Dial {
    pub(super) fn new() -> Self {
        Self { line: Line::Down, attempt: Attempt::None, failures: 0, failed_at: None }
    }

    /// A caller needs the connection.
    pub(super) fn want(&mut self, now: Instant) -> Advice {
        if self.attempt != Attempt::Running && self.failed_at.is_some_and(|at| now >= at + BELIEVED_FOR) {
            self.forget();
        }
        let due = match self.attempt {
            Attempt::None => true,
            Attempt::Running => false,
            Attempt::Pause { until } => now >= until,
        };
        let start = due && !matches!(self.line, Line::Up { .. });
        if start {
            self.attempt = Attempt::Running;
        }
        let then = match self.line {
            Line::Up { .. } | Line::Outdated { .. } => Then::Use,
            Line::Down if self.failures == 0 => Then::Wait,
            Line::Down => Then::Fail,
        };
        Advice { start, then }
    }

    /// The attempt made a connection.
    pub(super) fn connected(&mut self, now: Instant) {
        self.line = Line::Up { since: now };
        self.attempt = Attempt::None;
    }

    /// The attempt made none.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        self.attempt = Attempt::Pause { until: now + pause(self.failures) };
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self, now: Instant) {
        let (Line::Up { since } | Line::Outdated { since }) = self.line else { return };
        self.line = Line::Down;
        let was_stable = now.saturating_duration_since(since) >= STABLE_AFTER;
        match self.attempt {
            Attempt::Running if was_stable => self.failures = 0,
            Attempt::Running => {}
            _ if was_stable => self.forget(),
            _ => self.failed(now),
        }
    }

    /// The connection was closed on purpose, because nobody needs it.
    pub(super) fn closed(&mut self) {
        self.line = Line::Down;
        if self.attempt != Attempt::Running {
            self.forget();
        }
    }

    /// The connection should be replaced.
    pub(super) fn outdated(&mut self) {
        if let Line::Up { since } = self.line {
            self.line = Line::Outdated { since };
        }
    }

    /// The peer called us.
    pub(super) fn heard(&mut self) {
        self.failures = 0;
        self.failed_at = None;
        if matches!(self.attempt, Attempt::Pause { .. }) {
            self.attempt = Attempt::None;
        }
    }

    fn forget(&mut self) {
        (self.failures, self.failed_at, self.attempt) = (0, None, Attempt::None);
    }
}

fn pause(failures: u32) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAIL: Advice = Advice { start: false, then: Then::Fail };
    const USE: Advice = Advice { start: false, then: Then::Use };
    const WAIT: Advice = Advice { start: false, then: Then::Wait };

    /// Any instant: only differences count.
    fn zero() -> Instant {
        crate::clock::monotonic()
    }

    fn start(then: Then) -> Advice {
        Advice { start: true, then }
    }

    #[test]
    fn callers_share_the_first_attempt() {
        let (mut dial, now) = (Dial::new(), zero());
        assert_eq!(dial.want(now), start(Then::Wait));
        assert_eq!(dial.want(now), WAIT);
        dial.connected(now);
        assert_eq!(dial.want(now), USE);
    }

    #[test]
    fn a_dead_peer_fails_at_once_while_attempts_go_on_behind() {
        let (mut dial, mut now) = (Dial::new(), zero());
        assert_eq!(dial.want(now), start(Then::Wait));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            dial.failed(now);
            assert_eq!(dial.want(now), FAIL);
            let failed = now;
            while !dial.want(now).start {
                now += Duration::from_millis(1);
            }
            pauses.push((now - failed).as_millis());
            assert_eq!(dial.want(now), FAIL);
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        dial.connected(now);
        assert_eq!(dial.want(now), USE);
    }

    #[test]
    fn an_old_failure_is_no_reason_to_fail() {
        let (mut dial, now) = (Dial::new(), zero());
        dial.want(now);
        dial.failed(now);
        assert_eq!(dial.want(now + BELIEVED_FOR), start(Then::Wait));
    }

    #[test]
    fn a_peer_that_calls_is_dialled_at_once() {
        let (mut dial, now) = (Dial::new(), zero());
        dial.want(now);
        dial.failed(now);
        dial.heard();
        assert_eq!(dial.want(now), start(Then::Wait));
    }

    #[test]
    fn a_peer_that_hangs_up_at_once_is_not_dialled_in_a_circle() {
        let (mut dial, now) = (Dial::new(), zero());
        dial.want(now);
        dial.connected(now);
        dial.lost(now);
        assert_eq!(dial.want(now), FAIL);
        dial.heard();
        dial.want(now);
        dial.connected(now);
        dial.lost(now + STABLE_AFTER);
        assert_eq!(dial.want(now + STABLE_AFTER), start(Then::Wait));
    }

    #[test]
    fn an_outdated_connection_is_used_until_it_is_replaced() {
        let (mut dial, now) = (Dial::new(), zero());
        dial.want(now);
        dial.connected(now);
        dial.outdated();
        assert_eq!(dial.want(now), start(Then::Use));
        assert_eq!(dial.want(now), USE);
        dial.failed(now);
        assert_eq!(dial.want(now), USE);
        assert_eq!(dial.want(now + PAUSE_MIN), start(Then::Use));
        dial.connected(now);
        assert_eq!(dial.want(now + BELIEVED_FOR), USE);
    }

    proptest! {
        #[test]
        fn whatever_happens_there_is_one_attempt_and_no_peer_is_given_up(
            events in prop::collection::vec((0_u8..7, 0_u64..3000), 0..200),
        ) {
            let (mut dial, mut now, mut running) = (Dial::new(), zero(), false);
            for (event, wait_ms) in events {
                now += Duration::from_millis(wait_ms);
                match event {
                    0 | 1 => {
                        let advice = dial.want(now);
                        prop_assert!(!(advice.start && running), "two attempts");
                        running |= advice.start;
                        prop_assert!(advice.then != Then::Wait || running, "waits for nothing");
                    }
                    2 if running => { dial.connected(now); running = false; }
                    3 if running => { dial.failed(now); running = false; }
                    4 => dial.lost(now),
                    5 => dial.outdated(),
                    6 => dial.heard(),
                    _ => {}
                }
            }
            if running {
                dial.failed(now);
            }
            let advice = dial.want(now + PAUSE_MAX);
            prop_assert!(advice.start || advice.then == Then::Use);
        }
    }
}
