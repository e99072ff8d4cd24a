//! Where long calls go on, so that short ones do not wait behind them.
//!
//! **Owns** a few threads at the lowest priority. **Must not know** what a call computes. **Enter at** [`HeavyLane`].
//!
//! A call begins on the thread of its request. Once it has used [`ComponentConfig::heavy_after`] of CPU time it moves here,
//! with everything it holds, at a point where it gave way anyway. The kernel then lets every other thread run first.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use super::{
    config::ComponentConfig,
    meter::{Meter, Metered},
};
use crate::runtime::thread;

/// A handle to the threads for long calls. The threads end with the last handle.
#[derive(Debug, Clone)]
pub(super) struct HeavyLane {
    threads: Arc<Threads>,
    after: Duration,
}

#[derive(Debug)]
struct Threads(Option<Runtime>);

impl HeavyLane {
    pub(super) fn build(config: &ComponentConfig) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.heavy_threads.max(1))
            .thread_name("skerry-heavy")
            .enable_all()
            .on_thread_start(thread::become_heavy)
            .build()?;
        Ok(Self { threads: Arc::new(Threads(Some(runtime))), after: config.heavy_after })
    }

    /// Runs `call` to its end: here at first, in the lane once it proves long. Dropping the returned future ends the call.
    pub(super) async fn drive<F>(self, call: F, meter: Arc<Meter>) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match (Light { call: Some(Metered::new(call, meter)), after: self.after }).await {
            Progress::Done(output) => output,
            Progress::Long(call) => self.finish(call).await,
        }
    }

    async fn finish<F>(&self, call: Metered<F>) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let runtime = self.threads.0.as_ref().expect("the runtime is taken only when the last handle is dropped");
        match AbortOnDropHandle::new(runtime.spawn(call)).await {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The lane is being shut down with the process; whoever waits is being dropped, too.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The last handle may be dropped on an async thread, where waiting for the threads is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Polls a call until it is done or has proved long.
struct Light<F> {
    call: Option<Metered<F>>,
    after: Duration,
}

enum Progress<F: Future> {
    Done(F::Output),
    Long(Metered<F>),
}

impl<F: Future> Future for Light<F> {
    type Output = Progress<F>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Progress<F>> {
        let call = self.call.as_mut().expect("not polled again after it was ready");
        if let Poll::Ready(output) = Pin::new(call).poll(cx) {
            return Poll::Ready(Progress::Done(output));
        }
        let is_long = self.call.as_ref().is_some_and(|call| call.spent() > self.after);
        match is_long.then(|| self.call.take()).flatten() {
            Some(call) => Poll::Ready(Progress::Long(call)),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_call_moves_to_the_lane_and_a_short_one_stays() {
        let mut config = ComponentConfig::new("unused".into());
        config.heavy_after = Duration::from_micros(200);
        let lane = HeavyLane::build(&config).unwrap();
        let name = || std::thread::current().name().map(str::to_owned);

        let short = async move { name() };
        let meter = Meter::new(Duration::from_secs(1));
        assert_ne!(lane.clone().drive(short, meter).await.as_deref(), Some("skerry-heavy"));

        let meter = Meter::new(Duration::from_secs(1));
        let watch = meter.clone();
        let long = async move {
            // Each turn is a poll; the call is moved after the first one that ends past the threshold.
            while watch.spent() <= Duration::from_micros(400) {
                std::hint::black_box((0..20_000_u64).sum::<u64>());
                tokio::task::yield_now().await;
            }
            name()
        };
        assert_eq!(lane.drive(long, meter).await.as_deref(), Some("skerry-heavy"));
    }
}
