//! One event on its way through the runtime: what is asked, who waits, and whether anybody still does.
//!
//! **Owns** the race between an answer and a caller that goes away. **Must not know** isolates. **Enter at** [`Call`].

use std::{
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicI32, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::{
    ops::request::Answer,
    seat::{Mail, Reassign, Seat},
    worker::{Body, BodyError, Event},
};
use crate::bindings::outbound::CallContext;

/// An event that waits for an isolate.
pub(crate) struct Call {
    pub(crate) event: Event,
    pub(crate) context: CallContext,
    pub(crate) answer: oneshot::Sender<Answer>,
    pub(crate) place: Arc<Place>,
    /// Where the call goes when its isolate dies before it has begun.
    pub(crate) pool: Arc<dyn Reassign>,
}

const WAITING: i32 = 0;
const CANCELLED: i32 = -1;

/// Where a call is: not begun, or request `id` of an isolate, or given up.
#[derive(Debug, Default)]
pub(crate) struct Place {
    request: AtomicI32,
}

impl Place {
    /// The call begins as request `id`; false when its caller has gone away.
    pub(crate) fn begin(&self, id: i32) -> bool {
        self.request.compare_exchange(WAITING, id, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the caller has gone away.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.request.load(Ordering::Acquire) == CANCELLED
    }
}

/// Tells the isolate when the caller goes away before it has all it asked for.
pub(crate) struct Guard {
    seat: Weak<Seat>,
    place: Arc<Place>,
    armed: bool,
}

impl Guard {
    pub(crate) fn new(seat: &Arc<Seat>, place: Arc<Place>) -> Self {
        Self { seat: Arc::downgrade(seat), place, armed: true }
    }

    /// The caller has what it asked for.
    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }

    /// A body whose reader counts as the caller until its end.
    pub(crate) fn watch(mut self, body: Body) -> Body {
        use http_body::Body as _;
        if body.is_end_stream() || body.size_hint().exact().is_some() {
            // All of it is here: the isolate has nothing to do with it any more.
            self.disarm();
            return body;
        }
        Watched { body, guard: self }.boxed_unsync()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let id = self.place.request.swap(CANCELLED, Ordering::AcqRel);
        if id > WAITING
            && let Some(seat) = self.seat.upgrade()
        {
            seat.post_later(Mail::Cancel { request: id });
        }
    }
}

struct Watched {
    body: Body,
    guard: Guard,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(poll, Poll::Ready(None | Some(Err(_)))) {
            self.guard.disarm();
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
