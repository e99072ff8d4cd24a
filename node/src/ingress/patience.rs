//! How long a peer may keep somebody waiting.
//!
//! **Owns** one timer, made at the first wait: most things are there at once. **Must not know** what is waited for. **Enter
//! at** [`Patience`].

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// Patience with one peer, renewed by each step forward.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None, waiting: false }
    }

    /// How long it lasts.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The peer has done something.
    pub(super) fn renew(&mut self) {
        self.waiting = false;
    }

    /// The peer has done nothing. Whether that has gone on for too long; registers to be woken when it has.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::from_std(crate::clock::monotonic()) + limit);
        }
        timer.as_mut().poll(cx) == Poll::Ready(())
    }
}
