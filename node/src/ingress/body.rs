//! A request's body as it comes in.
//!
//! **Owns** its size and its pace. **Must not know** what it means. **Enter at** [`IncomingBody`].

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::worker::BodyError;

/// A body that ends with an error once it is too long or pauses too long.
pub(super) struct IncomingBody {
    body: Incoming,
    limit_bytes: u64,
    seen_bytes: u64,
    pause_max: Duration,
    /// Runs while a piece is waited for; made at the first wait, because most bodies are there at once.
    pause: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// Tells the connection that the body was too long, in case the worker fails over it.
    too_large: Arc<AtomicBool>,
}

impl IncomingBody {
    pub(super) fn new(body: Incoming, limit_bytes: u64, pause_max: Duration, too_large: Arc<AtomicBool>) -> Self {
        Self { body, limit_bytes, seen_bytes: 0, pause_max, pause: None, waiting: false, too_large }
    }

    /// Whether the peer has paused too long. Registers to be woken when it has.
    fn paused(&mut self, cx: &mut Context<'_>) -> bool {
        let pause_max = self.pause_max;
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause_max)));
        if !self.waiting {
            self.waiting = true;
            let deadline = Instant::from_std(crate::clock::monotonic()) + pause_max;
            pause.as_mut().reset(deadline);
        }
        pause.as_mut().poll(cx).is_ready()
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = false;
                this.seen_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.seen_bytes > this.limit_bytes {
                    this.too_large.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(BodyError::TooLarge { limit_bytes: this.limit_bytes })));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Aborted(error.to_string().into())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.paused(cx) => {
                let ms = this.pause_max.as_millis();
                Poll::Ready(Some(Err(BodyError::Aborted(format!("the client sent nothing for {ms} ms").into()))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
