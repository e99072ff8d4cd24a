//! A pipe from the guest to whoever reads the body: a few chunks deep, and honest about how it ended.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
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

/// A new pipe and the body that comes out of it.
pub(super) fn pipe() -> (Pipe, Body) {
    let (sender, chunks) = mpsc::channel(limits::BODY_CHUNKS_MAX);
    let end = End::default();
    let body = PipeBody { chunks, end: Arc::clone(&end), over: false };
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
    Done::Failed { name: "TypeError", message: "The other side of this body has gone away.".to_owned() }
}

struct PipeBody {
    chunks: mpsc::Receiver<Bytes>,
    end: End,
    over: bool,
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
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            Poll::Ready(None) => {
                self.over = true;
                match self.end.get() {
                    Some(Ok(())) => Poll::Ready(None),
                    Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
                    None => Poll::Ready(Some(Err(BodyError::Aborted("the worker's isolate was discarded".into())))),
                }
            }
        }
    }
}
