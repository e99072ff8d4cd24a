//! A request's body as it comes in.
//!
//! **Owns** its size and its pace, and what becomes of the rest that a worker does not want. **Must not know** what it means.
//! **Enter at** [`IncomingBody`].

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;

use super::{limits, patience::Patience};
use crate::{config::IngressLimits, task, worker::BodyError};

/// What becomes of the rest when nobody wants it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The connection deals with it.
    Left,
    /// It is read, within a bound, because the next request of the connection comes after it.
    Drained,
}

/// A body that ends with an error once it is too long or pauses too long.
pub(super) struct IncomingBody {
    // `None` once its rest is being read for nobody, or can not be.
    reading: Option<Reading>,
    rest: Rest,
    /// Where the rest is read: a body can be dropped on any thread.
    handle: Handle,
}

struct Reading {
    body: Incoming,
    limit_bytes: u64,
    seen_bytes: u64,
    patience: Patience,
    /// Tells the connection that the body was too long, in case the worker fails over it.
    too_large: Arc<AtomicBool>,
}

impl IncomingBody {
    /// Must be called in the runtime.
    pub(super) fn new(body: Incoming, limits: &IngressLimits, rest: Rest, too_large: Arc<AtomicBool>) -> Self {
        let patience = Patience::new(limits.body_timeout);
        let reading = Reading { body, limit_bytes: limits.body_bytes_max, seen_bytes: 0, patience, too_large };
        Self { reading: Some(reading), rest, handle: Handle::current() }
    }
}

impl Body for Reading {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.patience.renew();
                this.seen_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.seen_bytes > this.limit_bytes {
                    this.too_large.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(BodyError::TooLarge { limit_bytes: this.limit_bytes })));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Aborted(error.to_string().into())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.patience.is_over(cx) => {
                let ms = this.patience.limit().as_millis();
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

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let poll = Pin::new(reading).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = &poll {
            self.reading = None;
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.reading.as_ref().is_none_or(Reading::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.reading.as_ref().map_or_else(|| SizeHint::with_exact(0), Reading::size_hint)
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        let Some(reading) = self.reading.take() else { return };
        let is_short = reading.size_hint().lower() <= limits::DRAINED_BYTES_MAX;
        if self.rest == Rest::Drained && is_short && !reading.is_end_stream() {
            let _entered = self.handle.enter();
            let _detached = task::spawn("unwanted body", drain(reading));
        }
    }
}

/// Reads the rest of a body. The connection goes on after its end, and closes when this stops before.
async fn drain(mut reading: Reading) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = reading.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > limits::DRAINED_BYTES_MAX {
            return;
        }
    }
}
