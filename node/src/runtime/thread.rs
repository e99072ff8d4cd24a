//! What the standard library does not say about threads.
//!
//! **Owns** the system calls and the threads' numbers. **Must not know** what they are for. **Enter at** [`cpu_time`].

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

static THREADS: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static NUMBER: u32 = THREADS.fetch_add(1, Ordering::Relaxed);
    static TURN: Cell<Option<Duration>> = const { Cell::new(None) };
    static KEPT: Cell<bool> = const { Cell::new(false) };
}

/// While this lives, an event keeps the calling thread from everything else.
pub(crate) struct Kept(());

/// Says that an event keeps the calling thread; `None` when another one does already, within which it runs, or when the thread
/// has nothing else to do.
pub(crate) fn keep() -> Option<Kept> {
    (!KEPT.replace(true)).then_some(Kept(()))
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.set(false);
    }
}

/// The calling thread's own number, from 1.
pub(crate) fn number() -> u32 {
    NUMBER.with(|number| *number)
}

/// CPU time that the calling thread has used.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Gives the calling thread to long events for good, at the lowest priority, so that others go first. A thread can not take
/// that back.
pub(crate) fn become_heavy() {
    KEPT.set(true);
    // On Linux this is the calling thread's alone. SCHED_IDLE measured no better for the neighbours, and would leave long
    // events a fifth of the little that they get on a busy machine. A refusal leaves a separate set of threads, which is
    // most of the benefit.
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "long events run at normal priority");
    }
}

/// An event gets a turn on the calling thread, which belongs to the heavy lane.
pub(crate) fn begin_turn() {
    TURN.set(Some(cpu_time()));
}

/// CPU time at which the turn began, once for each [`begin_turn`].
pub(crate) fn take_turn() -> Option<Duration> {
    TURN.take()
}
