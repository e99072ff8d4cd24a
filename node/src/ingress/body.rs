//! A request's body as it comes in.
//!
//! **Owns** its size and its pace. **Must not know** what it means. **Enter at** [`IncomingBody`].

use std::{
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

use super::patience::Patience;
use crate::worker::BodyError;

/// A body that ends with an error once it is too long or pauses too long.
pub(super) struct IncomingBody {
    body: Incoming,
    limit_bytes: u64,
    seen_bytes: u64,
    patience: Patience,
    /// Tells the connection that the body was too long, in case the worker fails over it.
    too_large: Arc<AtomicBool>,
}

impl IncomingBody {
    pub(super) fn new(body: Incoming, limit_bytes: u64, pause_max: Duration, too_large: Arc<AtomicBool>) -> Self {
        Self { body, limit_bytes, seen_bytes: 0, patience: Patience::new(pause_max), too_large }
    }
}

impl Body for IncomingBody {
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
