//! The one place in this crate that reads a clock.
//!
//! **Owns** what "now" is. **Must not know** who asks or why. **Enter at** [`monotonic`] and [`unix_ms`]. Everything that
//! decides takes the time as an argument; drivers read it here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now on a clock that never goes back; for durations and deadlines.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this file is where the crate reads its clocks")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch by the machine's clock; for what people and other machines see.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this file is where the crate reads its clocks")]
pub fn unix_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Nanoseconds since the Unix epoch by the machine's clock; for spans.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this file is where the crate reads its clocks")]
pub fn unix_ns() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// The machine's clock as files carry it.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this file is where the crate reads its clocks")]
pub fn system() -> SystemTime {
    SystemTime::now()
}

/// Whole seconds since the Unix epoch.
#[must_use]
pub fn unix_seconds() -> u64 {
    u64::try_from(unix_ms() / 1000).unwrap_or(0)
}
