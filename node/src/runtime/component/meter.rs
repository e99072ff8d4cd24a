//! How much CPU time a call has used, and its end when that is too much.
//!
//! **Owns** the measure: a thread's CPU time while it polls the call, so waiting costs nothing and a busy machine does not
//! make a guest look slow. **Must not know** what the call does. **Enter at** [`Meter`].

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use wasmtime::UpdateDeadline;

use crate::runtime::thread;

/// One call's CPU time. Only the thread that polls the call writes it.
#[derive(Debug)]
pub(super) struct Meter {
    limit: u64,
    /// Nanoseconds used before the poll that runs now.
    spent: AtomicU64,
    /// The thread's CPU clock when the poll that runs now began.
    began: AtomicU64,
    is_exceeded: AtomicBool,
}

impl Meter {
    pub(super) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit: nanoseconds(limit),
            spent: AtomicU64::new(0),
            began: AtomicU64::new(0),
            is_exceeded: AtomicBool::new(false),
        })
    }

    /// CPU time used up to the last poll's end.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// Whether the call was ended for using too much.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed)
    }

    /// What a guest that is interrupted by a tick does next. A guest that has run for a whole tick gives way, so that others on
    /// its thread run in between.
    pub(super) fn on_tick(&self, tick: Duration) -> wasmtime::Result<UpdateDeadline> {
        let slice = thread_cpu_nanoseconds().saturating_sub(self.began.load(Ordering::Relaxed));
        if self.spent.load(Ordering::Relaxed) + slice > self.limit {
            self.is_exceeded.store(true, Ordering::Relaxed);
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(if slice >= nanoseconds(tick) / 2 { UpdateDeadline::Yield(1) } else { UpdateDeadline::Continue(1) })
    }

    fn begin(&self) {
        self.began.store(thread_cpu_nanoseconds(), Ordering::Relaxed);
    }

    fn end(&self) {
        let slice = thread_cpu_nanoseconds().saturating_sub(self.began.load(Ordering::Relaxed));
        self.spent.fetch_add(slice, Ordering::Relaxed);
    }
}

/// A future whose polls are measured.
pub(super) struct Metered<F> {
    future: Pin<Box<F>>,
    meter: Arc<Meter>,
}

impl<F: Future> Metered<F> {
    pub(super) fn new(future: F, meter: Arc<Meter>) -> Self {
        Self { future: Box::pin(future), meter }
    }

    /// CPU time used so far.
    pub(super) fn spent(&self) -> Duration {
        self.meter.spent()
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.begin();
        let polled = self.future.as_mut().poll(cx);
        self.meter.end();
        polled
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn thread_cpu_nanoseconds() -> u64 {
    nanoseconds(thread::cpu_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burn(duration: Duration) {
        let until = thread_cpu_nanoseconds() + nanoseconds(duration);
        while thread_cpu_nanoseconds() < until {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn only_polls_count() {
        let meter = Meter::new(Duration::from_secs(1));
        let work = async {
            burn(Duration::from_millis(2));
            tokio::task::yield_now().await;
            burn(Duration::from_millis(3));
        };
        let metered = Metered::new(work, meter.clone());
        burn(Duration::from_millis(20));
        metered.await;
        assert!(meter.spent() >= Duration::from_millis(5), "{:?}", meter.spent());
        assert!(meter.spent() < Duration::from_millis(20), "{:?}", meter.spent());
    }

    #[test]
    fn a_call_past_its_budget_is_interrupted() {
        let meter = Meter::new(Duration::from_millis(2));
        meter.begin();
        assert!(matches!(meter.on_tick(Duration::from_secs(1)), Ok(UpdateDeadline::Continue(1))));
        burn(Duration::from_millis(1));
        assert!(matches!(meter.on_tick(Duration::from_millis(1)), Ok(UpdateDeadline::Yield(1))));
        burn(Duration::from_millis(2));
        assert!(matches!(meter.on_tick(Duration::from_millis(1)), Ok(UpdateDeadline::Interrupt)));
        assert!(meter.is_exceeded());
    }
}
