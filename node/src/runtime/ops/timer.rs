//! Timers.
//!
//! **Owns** how long a timer waits. **Must not know** setTimeout. **Enter at** [`sleep`].

use std::time::Duration;

use super::{
    OpError,
    pending::{Done, Work},
};
use crate::runtime::frame::Reader;

/// BOUND: setTimeout's longest delay, 2^31-1 ms; longer ones fire at once in browsers, here they wait this long.
const DELAY_MS_MAX: f64 = 2_147_483_647.0;

/// The wait, and when it is over in microseconds of the clock that the isolate sees.
pub(super) fn sleep(args: &mut Reader<'_>, now_ms: f64) -> Result<(Work, u64), OpError> {
    let ms = args.number()?;
    let ms = if ms.is_finite() { ms.clamp(0.0, DELAY_MS_MAX) } else { 0.0 };
    let delay = Duration::from_micros((ms * 1000.0) as u64);
    let work = Box::pin(async move {
        tokio::time::sleep(delay).await;
        Done::Elapsed
    });
    Ok((work, ((now_ms + ms) * 1000.0) as u64))
}
