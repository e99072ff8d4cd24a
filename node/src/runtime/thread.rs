//! What the standard library does not say about threads.
//!
//! **Owns** the two system calls. **Must not know** why they are made. **Enter at** [`cpu_time`].
#![allow(unsafe_code, reason = "clock_gettime and setpriority have no safe form in std; both only take plain values")]

use std::{cell::Cell, time::Duration};

thread_local! {
    static TURN: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// CPU time that the calling thread has used.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if status != 0 {
        return Duration::ZERO;
    }
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Gives the calling thread the lowest priority, so that others go first. A thread can not take it back.
pub(crate) fn lower_priority() {
    // SAFETY: plain values; on Linux 0 means the calling thread. A refusal leaves the priority as it was.
    let _status = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}

/// An event gets a turn on the calling thread, which belongs to the heavy lane.
pub(crate) fn begin_turn() {
    TURN.set(Some(cpu_time()));
}

/// CPU time at which the turn began, once for each [`begin_turn`].
pub(crate) fn take_turn() -> Option<Duration> {
    TURN.take()
}
