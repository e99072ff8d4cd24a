//! A pipe from the guest to whoever reads the body: a few chunks deep, and honest about how it ended.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::runtime::{
    limits,
    ops::pending::{Done, Work},
    worker::{Body, BodyError},
};

/// How the pipe ended; unset while it is open, and for ever when its isolate was discarded.
type End = Arc<OnceLock<Result<(), BodyError>>>;

/// The guest's end.
pub(super) struct Pipe {
    // BOUND: BODY_CHUNKS_MAX chunks; a write past them completes when the reader has taken one.
    chunks: Option<mpsc::Sender<Bytes>>,
    end: End,
}

/// A new pipe and the body that comes out of it; it breaks unless it has `length` bytes, where that is announced.
pub(super) fn pipe(length: Option<u64>) -> (Pipe, Body) {
    let (sender, chunks) = mpsc::channel(limits::BODY_CHUNKS_MAX);
    let end = End::default();
    let body = PipeBody { chunks, end: Arc::clone(&end), over: false, left: length };
    (Pipe { chunks: Some(sender), end }, body.boxed_unsync())
}

impl Pipe {
    pub(super) fn write(&self, chunk: Bytes) -> Work {
        let Some(chunks) = &self.chunks else { return Box::pin(std::future::ready(closed())) };
        match chunks.try_send(chunk) {
            Ok(()) => Box::pin(std::future::ready(Done::Undefined)),
            Err(mpsc::error::TrySendError::Closed(_)) => Box::pin(std::future::ready(closed())),
            Err(mpsc::error::TrySendError::Full(chunk)) => {
                let chunks = chunks.clone();
                Box::pin(async move {
                    match chunks.send(chunk).await {
                        Ok(()) => Done::Undefined,
                        Err(_) => closed(),
                    }
                })
            }
        }
    }

    pub(super) fn end(&mut self) {
        let _first_end_counts = self.end.set(Ok(()));
        self.chunks = None;
    }

    pub(super) fn ended(&self) -> bool {
        self.chunks.is_none()
    }

    pub(super) fn abort(self, why: &str) {
        let _first_end_counts = self.end.set(Err(BodyError::Aborted(why.into())));
    }
}

fn closed() -> Done {
    Done::Failed { name: "AbortError", message: "The other side of this body has gone away.".to_owned() }
}

struct PipeBody {
    chunks: mpsc::Receiver<Bytes>,
    end: End,
    over: bool,
    /// Bytes that are still to come, where the length is announced.
    left: Option<u64>,
}

impl PipeBody {
    fn chunk(&mut self, chunk: Bytes) -> Result<Frame<Bytes>, BodyError> {
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(chunk.len() as u64) else {
                self.over = true;
                return Err(BodyError::Aborted("it is longer than announced".into()));
            };
            *left = rest;
        }
        Ok(Frame::data(chunk))
    }
}

impl http_body::Body for PipeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match self.chunks.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(self.chunk(chunk))),
            Poll::Ready(None) => {
                self.over = true;
                match self.end.get() {
                    Some(Ok(())) if self.left.is_some_and(|left| left > 0) => {
                        Poll::Ready(Some(Err(BodyError::Aborted("it is shorter than announced".into()))))
                    }
                    Some(Ok(())) => Poll::Ready(None),
                    Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
                    None => Poll::Ready(Some(Err(BodyError::Aborted("the worker's isolate was discarded".into())))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
