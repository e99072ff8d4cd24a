//! Who may run now, who waits, and who is turned away.
//!
//! **Owns** a bounded number of places and a bounded queue for them. **Must not know** what is done in a place. **Enter at**
//! [`Seats`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use skerry_proto::id::AccountId;
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

/// The places of each account, as many for one as for another.
#[derive(Debug)]
pub(super) struct Accounts {
    seats: usize,
    queue: usize,
    // BOUND: accounts that have a place or wait for one, and those that had one since the last new account came.
    known: Mutex<HashMap<AccountId, Arc<Seats>>>,
}

impl Accounts {
    pub(super) fn new(seats: usize, queue: usize) -> Self {
        Self { seats, queue, known: Mutex::default() }
    }

    /// The account's places. Whoever takes one keeps the result until it has it.
    pub(super) fn seats(&self, account: &AccountId) -> Arc<Seats> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seats) = known.get(account) {
            return Arc::clone(seats);
        }
        // Whoever waits has a reference, and nobody gets one meanwhile.
        known.retain(|_, seats| Arc::get_mut(seats).is_none_or(|seats| seats.taken() > 0));
        let seats = Arc::new(Seats::new(self.seats, self.queue));
        known.insert(account.clone(), Arc::clone(&seats));
        seats
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

    #[tokio::test]
    async fn an_accounts_places_are_remembered_while_one_is_taken() {
        let accounts = Accounts::new(1, 0);
        let [first, second, third] = ["a", "b", "c"].map(|digit| digit.repeat(32).parse::<AccountId>().unwrap());
        let seat = accounts.seats(&first).take().await.unwrap();
        assert!(accounts.seats(&first).take().await.is_none());
        let _other = accounts.seats(&second).take().await.unwrap();
        assert!(accounts.seats(&first).take().await.is_none(), "the other account's coming changes nothing");
        drop(seat);
        let _third = accounts.seats(&third);
        let known = accounts.known.lock().unwrap();
        assert!(known.contains_key(&second) && known.contains_key(&third) && !known.contains_key(&first));
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
