//! Reads the clock, for measuring and for deadlines.
//!
//! **Owns** the only use of the system's clocks in this crate. **Must not know** what is timed. **Enter at** [`now`].

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// This moment.
#[must_use]
pub fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    Instant::now()
}

/// The machine's time of day, in seconds since the Unix epoch.
#[must_use]
pub fn unix_seconds() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
