//! The body of a component's answer.
//!
//! **Owns** telling a body that has ended from one whose guest has. **Must not know** how guests run. **Enter at**
//! [`ResponseBody`].
//!
//! ```text
//! Streaming --frame--> Streaming --end, trailers--> Over: the guest has `wait_until` left
//!    |  `--guest gone, nothing buffered--> Over (cut off)
//!    `--dropped after the first poll--> the guest is stopped: its client went away
//! ```
//! - The guest's side of a body lives in its resource table. A table that is dropped ends the body as if it were whole, so the
//!   table is handed over here when the guest has ended, and what is then still pending was cut off.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::failure::Failure;
use crate::worker::BodyError;

/// What is left of a guest.
pub(super) struct Ended {
    /// Why it stopped before its time.
    pub(super) failure: Option<Failure>,
    /// Its resources, the body's sending side among them.
    pub(super) _table: ResourceTable,
}

/// A body that the guest writes while the client reads.
pub(super) struct ResponseBody {
    body: HyperOutgoingBody,
    guest: GuestState,
    task: Option<AbortOnDropHandle<()>>,
    /// The guest's time after the answer begins when this is dropped.
    serving: Option<Serving>,
    was_polled: bool,
}

/// An answer is being sent.
pub(super) type Serving = oneshot::Sender<Infallible>;

enum GuestState {
    Runs(oneshot::Receiver<Ended>),
    Ended(Ended),
    Lost,
}

impl ResponseBody {
    pub(super) fn new(
        body: HyperOutgoingBody,
        ended: oneshot::Receiver<Ended>,
        task: AbortOnDropHandle<()>,
        serving: Serving,
    ) -> Self {
        let guest = GuestState::Runs(ended);
        Self { body, guest, task: Some(task), serving: Some(serving), was_polled: false }
    }

    /// Whether the guest has ended, now or before.
    fn guest_is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if let GuestState::Runs(ended) = &mut self.guest {
            match Pin::new(ended).poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(ended)) => self.guest = GuestState::Ended(ended),
                Poll::Ready(Err(_)) => self.guest = GuestState::Lost,
            }
        }
        true
    }

    fn cut_off(&self) -> BodyError {
        let reason: Arc<str> = match &self.guest {
            GuestState::Ended(Ended { failure: Some(failure), .. }) => failure.record().0.into(),
            GuestState::Lost => "the worker was stopped".into(),
            GuestState::Runs(_) | GuestState::Ended(_) => "the worker ended without finishing its response body".into(),
        };
        BodyError::Aborted(reason)
    }

    /// The body is over; the guest may go on without it for a while.
    fn over(&mut self) {
        drop(self.serving.take());
        if let Some(task) = self.task.take() {
            let _runs_on = task.detach();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        this.was_polled = true;
        let mut polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_pending() && this.guest_is_gone(cx) {
            // The guest may have written between the two looks; after this one it can not.
            polled = Pin::new(&mut this.body).poll_frame(cx);
            if polled.is_pending() {
                this.over();
                return Poll::Ready(Some(Err(this.cut_off())));
            }
        }
        polled.map(|frame| match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(_aborted)) => {
                this.over();
                Some(Err(this.cut_off()))
            }
            None => {
                this.over();
                // A guest that vanished without handing over its table ended the body, too.
                (this.guest_is_gone(cx) && matches!(this.guest, GuestState::Lost)).then(|| Err(this.cut_off()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body that nobody asked for (HEAD, 304) says nothing about the client; otherwise the client went away.
        if !self.was_polled {
            self.over();
        }
    }
}
