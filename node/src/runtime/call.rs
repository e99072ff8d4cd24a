//! One event on its way through the runtime: what is asked, who waits, and whether anybody still does.
//!
//! **Owns** the race between an answer and a caller that goes away. **Must not know** isolates. **Enter at** [`Call`].

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicI32, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::{
    ops::request::{Answer, Flows},
    seat::{Mail, Reassign, Seat},
    worker::{Body, BodyError, Event},
};
use crate::bindings::outbound::CallContext;

/// An event that waits for an isolate.
pub(crate) struct Call {
    pub(crate) event: Event,
    /// When it came; its wall time counts from here.
    pub(crate) at: Instant,
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
    /// The isolate that it began in: the call may have waited at others, which died.
    seat: OnceLock<Weak<Seat>>,
}

impl Place {
    /// The call begins as request `id` of the seat's isolate; false when its caller has gone away.
    pub(crate) fn begin(&self, id: i32, seat: &Arc<Seat>) -> bool {
        // Before the id, which says that it is there. A call begins once.
        let _first = self.seat.set(Arc::downgrade(seat));
        self.request.compare_exchange(WAITING, id, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the caller has gone away.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.request.load(Ordering::Acquire) == CANCELLED
    }
}

/// Tells the isolate when the caller goes away before it has all it asked for.
pub(crate) struct Guard {
    place: Arc<Place>,
    armed: bool,
}

impl Guard {
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self { place, armed: true }
    }

    /// The caller has what it asked for.
    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }

    /// An answer whose body's reader counts as the caller until the body's end.
    pub(crate) fn watch(mut self, response: Response<Body>) -> Response<Body> {
        use http_body::Body as _;
        let exact = response.body().size_hint().exact();
        let flows = exact.is_none() || response.extensions().get::<Flows>().is_some();
        if response.body().is_end_stream() || !flows {
            // All of it is here: the isolate has nothing to do with it any more.
            self.disarm();
            return response;
        }
        let left = exact.or_else(|| announced(response.headers()));
        response.map(|body| Watched { body, guard: self, left }.boxed_unsync())
    }
}

/// The length that the worker promises. A connection takes no more than that, and drops the body without asking for its end.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let id = self.place.request.swap(CANCELLED, Ordering::AcqRel);
        if id > WAITING
            && let Some(seat) = self.place.seat.get().and_then(Weak::upgrade)
        {
            seat.post_later(Mail::Cancel { request: id });
        }
    }
}

struct Watched {
    body: Body,
    guard: Guard,
    /// Bytes that are still to come, where that is known.
    left: Option<u64>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        let is_over = match &poll {
            Poll::Pending => false,
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(length));
                self.left == Some(0)
            }
        };
        if is_over {
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

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;

    /// Reads `frames` frames of an answer of two, drops the rest, and says whether the isolate would hear of it.
    async fn is_cancelled_after(frames: usize, length: Option<&str>) -> bool {
        let place = Arc::new(Place::default());
        let stream = futures_util::stream::iter(["ab", "cd"].map(|text| Ok(Frame::data(Bytes::from(text)))));
        let mut builder = Response::builder();
        if let Some(length) = length {
            builder = builder.header(header::CONTENT_LENGTH, length);
        }
        let response = builder.body(StreamBody::new(stream).boxed_unsync()).unwrap();
        let mut watched = Guard::new(Arc::clone(&place)).watch(response);
        for _ in 0..frames {
            watched.body_mut().frame().await.unwrap().unwrap();
        }
        drop(watched);
        place.is_cancelled()
    }

    #[tokio::test]
    async fn an_answer_is_complete_when_all_that_it_announced_was_taken() {
        assert!(!is_cancelled_after(2, Some("4")).await);
        assert!(is_cancelled_after(1, Some("4")).await);
        assert!(is_cancelled_after(2, None).await, "there may be more");
    }
}
