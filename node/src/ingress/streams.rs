//! The answers of one HTTP/2 connection.
//!
//! **Owns** how long a peer may take nothing of an answer. **Must not know** what is in it. **Enter at** [`Streams`].
//!
//! A peer that reads nothing of an HTTP/1.1 connection blocks its writes, which [`super::paced`] sees. Of an HTTP/2 connection
//! it can read everything and still open no window for a stream: then hyper holds a piece of the answer until there is a
//! window, and asks for no other. No timer of hyper's looks at that.
//!
//! ```text
//! asked --a piece is handed on--> handed --asked for the next--> asked
//!                                   `--for too long--> cut: the worker's body is dropped; whoever asks gets an error
//! ```

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::Notify;

use super::limits;
use crate::{
    clock,
    worker::{Body, BodyError},
};

/// The answers that a connection is sending.
#[derive(Debug, Default)]
pub(super) struct Streams {
    // BOUND: H2_STREAMS_MAX live ones; each new one sweeps out those that have ended.
    open: Mutex<Vec<Weak<Mutex<Answer>>>>,
    added: Notify,
}

#[derive(Debug)]
struct Answer {
    /// `None`: it was cut.
    body: Option<Body>,
    /// What has not been handed on of the piece that the body gave last.
    rest: Bytes,
    /// Since when the peer has not taken what was handed on; `None` while the worker is waited for.
    handed: Option<Instant>,
}

impl Streams {
    /// A body that is cut when its reader stalls, see [`Streams::watch`].
    pub(super) fn watched(&self, body: Body) -> Body {
        let short = body.size_hint().upper();
        if short.is_some_and(|bytes| bytes <= limits::H2_PIECE_BYTES_MAX as u64) {
            // It is handed on whole: nothing waits for its reader.
            return body;
        }
        let answer = Arc::new(Mutex::new(Answer { body: Some(body), rest: Bytes::new(), handed: None }));
        let mut open = lock(&self.open);
        open.retain(|answer| answer.strong_count() > 0);
        open.push(Arc::downgrade(&answer));
        drop(open);
        self.added.notify_one();
        AnswerBody { answer }.boxed_unsync()
    }

    /// Cuts the answers of which the peer takes nothing for `patience`, for as long as this is polled.
    pub(super) async fn watch(&self, patience: Duration) -> Infallible {
        loop {
            match self.cut(clock::monotonic(), patience) {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => self.added.notified().await,
            }
        }
    }

    /// Cuts what has stalled; when to look again, if there is anything to look at.
    fn cut(&self, now: Instant, patience: Duration) -> Option<Instant> {
        let mut open = lock(&self.open);
        open.retain(|answer| answer.strong_count() > 0);
        let answers: Vec<Arc<Mutex<Answer>>> = open.iter().filter_map(Weak::upgrade).collect();
        drop(open);
        let due = answers.iter().filter_map(|answer| {
            let mut answer = lock(answer);
            answer.body.as_ref()?;
            let due = answer.handed.unwrap_or(now) + patience;
            if due > now {
                return Some(due);
            }
            let (body, rest) = (answer.body.take(), std::mem::take(&mut answer.rest));
            drop(answer);
            // The worker is told, which is not for under a lock.
            drop((body, rest));
            None
        });
        due.min()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of a body leaves it as a body that was polled, and of the list nothing can be half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answer {
    /// The next piece, a short one: what hyper holds of an answer that stalls is no longer the worker's to account for.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Some(Err(BodyError::Aborted("the client took nothing of it for too long".into()))));
        };
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.rest = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        if self.rest.len() <= limits::H2_PIECE_BYTES_MAX {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        }
        // A copy: a slice would keep the whole in memory for as long as the peer does not take it.
        let piece = Bytes::copy_from_slice(&self.rest.split_to(limits::H2_PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// An answer's body as hyper has it.
struct AnswerBody {
    answer: Arc<Mutex<Answer>>,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut answer = lock(&self.answer);
        answer.handed = None;
        let poll = answer.poll_piece(cx);
        if poll.is_ready() {
            answer.handed = Some(clock::monotonic());
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        let answer = lock(&self.answer);
        answer.rest.is_empty() && answer.body.as_ref().is_some_and(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let answer = lock(&self.answer);
        let mut hint = answer.body.as_ref().map(|body| body.size_hint()).unwrap_or_default();
        let rest = answer.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn answer(streams: &Streams, bytes: usize) -> Body {
        let body = Full::new(Bytes::from(vec![7; bytes])).map_err(|never| match never {}).boxed_unsync();
        streams.watched(body)
    }

    async fn piece(body: &mut Body) -> Result<usize, BodyError> {
        body.frame().await.unwrap().map(|frame| frame.into_data().unwrap().len())
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_is_cut_and_one_that_is_goes_on() {
        let streams = Streams::default();
        let (mut stalled, mut taken) = (answer(&streams, 100_000), answer(&streams, 100_000));
        assert_eq!(piece(&mut stalled).await.unwrap(), limits::H2_PIECE_BYTES_MAX);
        piece(&mut taken).await.unwrap();
        let at = lock(&stalled_since(&streams)).handed.unwrap();
        assert_eq!(streams.cut(at, PATIENCE), Some(at + PATIENCE), "the first that can be due");
        piece(&mut taken).await.unwrap();
        let next = streams.cut(at + PATIENCE, PATIENCE).unwrap();
        assert!(next > at + PATIENCE);
        assert!(piece(&mut stalled).await.is_err());
        assert_eq!(taken.collect().await.unwrap().to_bytes().len(), 100_000 - 2 * limits::H2_PIECE_BYTES_MAX);
    }

    /// The first answer.
    fn stalled_since(streams: &Streams) -> Arc<Mutex<Answer>> {
        lock(&streams.open)[0].upgrade().unwrap()
    }

    #[tokio::test]
    async fn a_worker_may_take_its_time() {
        let streams = Streams::default();
        let pending = http_body_util::StreamBody::new(futures_util::stream::pending());
        let mut body = streams.watched(pending.boxed_unsync());
        assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
        let later = clock::monotonic() + 10 * PATIENCE;
        assert_eq!(streams.cut(later, PATIENCE), Some(later + PATIENCE));
        drop(body);
        assert_eq!(streams.cut(later, PATIENCE), None);
    }

    #[tokio::test]
    async fn a_long_answer_keeps_its_length_and_content() {
        let streams = Streams::default();
        let mut body = answer(&streams, 40_000);
        assert_eq!(body.size_hint().exact(), Some(40_000));
        piece(&mut body).await.unwrap();
        assert_eq!(body.size_hint().exact(), Some(40_000 - limits::H2_PIECE_BYTES_MAX as u64));
        piece(&mut body).await.unwrap();
        assert!(!body.is_end_stream());
        piece(&mut body).await.unwrap();
        assert!(body.is_end_stream());
        drop(answer(&streams, 10));
        assert_eq!(lock(&streams.open).len(), 1, "a short one is not watched");
    }
}
