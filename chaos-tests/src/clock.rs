//! Reads the clock, for measuring and for deadlines.
//!
//! **Owns** the only use of the system's clock in this crate. **Must not know** what is timed. **Enter at** [`now`].

use std::time::Instant;

/// This moment.
#[must_use]
pub fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    Instant::now()
}
