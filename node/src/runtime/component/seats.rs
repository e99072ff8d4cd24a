//! Who may run now, who waits, and who is turned away.
//!
//! **Owns** a bounded number of places and a bounded queue for them. **Must not know** what is done in a place. **Enter at**
//! [`Seats`].

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places to run in, with a queue in front.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    seats: usize,
    waiting: AtomicUsize,
    queue: usize,
}

/// A place; free again when dropped.
pub(super) type Seat = OwnedSemaphorePermit;

impl Seats {
    pub(super) fn new(seats: usize, queue: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(seats)), seats, waiting: AtomicUsize::new(0), queue }
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.seats.saturating_sub(self.free.available_permits())
    }

    /// Takes a place, waiting in the queue for one; `None` when the queue is full.
    pub(super) async fn take(&self) -> Option<Seat> {
        if let Ok(seat) = self.free.clone().try_acquire_owned() {
            return Some(seat);
        }
        let _place = Waiting::enter(self)?;
        Some(self.free.clone().acquire_owned().await.expect("the semaphore is never closed"))
    }
}

struct Waiting<'a>(&'a Seats);

impl<'a> Waiting<'a> {
    fn enter(seats: &'a Seats) -> Option<Self> {
        let place = Self(seats);
        (seats.waiting.fetch_add(1, Ordering::Relaxed) < seats.queue).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn past_the_queue_callers_are_turned_away_and_places_are_handed_on() {
        let seats = Arc::new(Seats::new(1, 1));
        let first = seats.take().await.unwrap();
        let mut second = tokio_test_poll(seats.take());
        assert!(second.poll().is_none());
        assert!(seats.take().await.is_none());
        drop(first);
        let _second = second.finish().await.unwrap();
        // The one who waited has left the queue, so it has room again.
        let mut third = tokio_test_poll(seats.take());
        assert!(third.poll().is_none());
    }

    struct Polled<F: Future>(std::pin::Pin<Box<F>>);

    fn tokio_test_poll<F: Future>(future: F) -> Polled<F> {
        Polled(Box::pin(future))
    }

    impl<F: Future> Polled<F> {
        fn poll(&mut self) -> Option<F::Output> {
            match self.0.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            }
        }

        async fn finish(self) -> F::Output {
            self.0.await
        }
    }
}
