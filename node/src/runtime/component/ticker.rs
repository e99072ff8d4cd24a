//! The heartbeat that lets running guests be interrupted.
//!
//! **Owns** one thread that advances an engine's epoch while calls run, and sleeps while none do. **Must not know** what is
//! done on a tick. **Enter at** [`Ticker`].

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use wasmtime::Engine;

/// Keeps an engine's epoch going. The thread ends with the ticker.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
}

/// While one of these lives, the epoch advances.
#[derive(Debug)]
pub(super) struct Running {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    is_stopped: AtomicBool,
    /// Whether the thread sleeps until it is woken.
    is_parked: Mutex<bool>,
    wake: Condvar,
}

/// BOUND: ticks without a call before the thread sleeps. Fewer would wake it for every request of a quiet node.
const IDLE_TICKS: u32 = 50;

impl Ticker {
    pub(super) fn start(engine: Engine, tick: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ticking = shared.clone();
        std::thread::Builder::new().name("skerry-tick".to_owned()).spawn(move || ticking.run(&engine, tick))?;
        Ok(Self { shared })
    }

    /// Says that a call runs, until the answer is dropped.
    pub(super) fn running(&self) -> Running {
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.shared.unpark();
        }
        Running { shared: self.shared.clone() }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.shared.unpark();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn run(&self, engine: &Engine, tick: Duration) {
        let mut idle_ticks = 0;
        while !self.is_stopped.load(Ordering::SeqCst) {
            std::thread::sleep(tick);
            engine.increment_epoch();
            idle_ticks = if self.is_idle() { idle_ticks + 1 } else { 0 };
            if idle_ticks >= IDLE_TICKS {
                self.park();
                idle_ticks = 0;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }

    fn park(&self) {
        let mut is_parked = self.is_parked.lock().unwrap_or_else(PoisonError::into_inner);
        *is_parked = true;
        // Looked at under the lock: a call that begins after this look finds the flag set and clears it.
        while *is_parked && self.is_idle() && !self.is_stopped.load(Ordering::SeqCst) {
            is_parked = self.wake.wait(is_parked).unwrap_or_else(PoisonError::into_inner);
        }
        *is_parked = false;
    }

    fn unpark(&self) {
        let mut is_parked = self.is_parked.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *is_parked) {
            self.wake.notify_one();
        }
    }
}
