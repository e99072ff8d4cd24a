//! The tick: wasmtime's epoch, moved on each millisecond while something runs.
//!
//! **Owns** the thread that ticks. **Must not know** what a tick means to whom. **Enter at** [`Ticker::running`].
//! A node with nothing to do has no timer: the thread parks when nothing has run for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::Engine;

/// How long one tick takes.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without anything running before the thread parks: waking it costs a system call, which busy nodes should not pay
/// for each event.
const QUIET_TICKS_MAX: u32 = 100;

/// Handle to the ticking thread, which ends with the last clone.
#[derive(Clone)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    _end: Arc<End>,
}

struct Shared {
    running: AtomicU32,
    parked: AtomicBool,
    stop: AtomicBool,
}

/// Ends the thread when the last handle goes.
struct End {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// While this lives, ticks come.
pub(crate) struct Running {
    shared: Arc<Shared>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::Release);
    }
}

impl Ticker {
    /// Starts the thread for `engine`.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            running: AtomicU32::new(0),
            parked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let handle = thread::Builder::new().name("skerry-tick".to_owned()).spawn({
            let (shared, engine) = (Arc::clone(&shared), engine.clone());
            move || tick(&shared, &engine)
        })?;
        let thread = handle.thread().clone();
        let end = Arc::new(End { shared: Arc::clone(&shared), thread: thread.clone() });
        Ok(Self { shared, thread, _end: end })
    }

    /// Says that something runs.
    pub(crate) fn running(&self) -> Running {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running { shared: Arc::clone(&self.shared) }
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    let mut quiet = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        if shared.running.load(Ordering::Acquire) > 0 {
            quiet = 0;
            engine.increment_epoch();
            continue;
        }
        quiet += 1;
        if quiet < QUIET_TICKS_MAX {
            continue;
        }
        shared.parked.store(true, Ordering::SeqCst);
        // Looked at again after `parked` is set: whoever came in between either is seen here or sees `parked`.
        while shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.parked.store(false, Ordering::SeqCst);
        quiet = 0;
    }
}
