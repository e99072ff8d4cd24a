//! A pipe from the guest to whoever reads the body: a few chunks deep, and honest about how it ended.
//!
//! A chunk takes room in its pipe until it is taken out, and in the isolate until its bytes are gone. One that finds no room
//! stays with the guest, which writes it again once there is.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, mpsc};

use crate::runtime::{
    limits,
    ops::{
        pending::{Begun, Done},
        room::{self, Granted, Taken},
    },
    worker::{Body, BodyError},
};

/// How the pipe ended; unset while it is open, and for ever when its isolate was discarded.
type End = Arc<OnceLock<Result<(), BodyError>>>;

/// The guest's end.
pub(super) struct Pipe {
    // BOUND: BODY_CHUNKS_MAX chunks of BODY_PIPE_BYTES_MAX bytes.
    chunks: Option<mpsc::Sender<Chunk>>,
    room: Arc<Semaphore>,
    /// What all pipes of the isolate share.
    shared: Arc<Semaphore>,
    end: End,
}

struct Chunk {
    bytes: Bytes,
    _room: Taken,
}

/// Room for a chunk of a pipe.
pub(crate) struct Place {
    slot: mpsc::OwnedPermit<Chunk>,
    room: Taken,
    shared: Taken,
}

/// A new pipe and the body that comes out of it; it breaks unless it has `length` bytes, where that is announced.
pub(super) fn pipe(length: Option<u64>, shared: Arc<Semaphore>) -> (Pipe, Body) {
    let (sender, chunks) = mpsc::channel(limits::BODY_CHUNKS_MAX);
    let end = End::default();
    let body = PipeBody { chunks, end: Arc::clone(&end), over: false, left: length };
    let room = Arc::new(Semaphore::new(limits::BODY_PIPE_BYTES_MAX));
    (Pipe { chunks: Some(sender), room, shared, end }, body.boxed_unsync())
}

impl Pipe {
    /// Takes a chunk, in the place that it was granted or in one that is free.
    pub(super) fn write(&self, chunk: &[u8], granted: Option<Place>) -> Begun {
        let Some(chunks) = self.chunks.as_ref().filter(|chunks| !chunks.is_closed()) else {
            return Begun::AtOnce(closed());
        };
        let granted = granted.filter(|place| place.room.num_permits() >= chunk.len());
        match granted.or_else(|| self.place(chunks, chunk.len())) {
            Some(Place { slot, room, shared }) => {
                slot.send(Chunk { bytes: room::copied(chunk, shared), _room: room });
                Begun::AtOnce(Done::Taken)
            }
            None => self.wait(chunks.clone(), chunk.len()),
        }
    }

    /// A place that is free now.
    fn place(&self, chunks: &mpsc::Sender<Chunk>, bytes: usize) -> Option<Place> {
        let bytes = room::permits(bytes);
        Some(Place {
            slot: chunks.clone().try_reserve_owned().ok()?,
            room: Arc::clone(&self.room).try_acquire_many_owned(bytes).ok()?,
            shared: Arc::clone(&self.shared).try_acquire_many_owned(bytes).ok()?,
        })
    }

    fn wait(&self, chunks: mpsc::Sender<Chunk>, bytes: usize) -> Begun {
        let (room, shared, bytes) = (Arc::clone(&self.room), Arc::clone(&self.shared), room::permits(bytes));
        let reader = chunks.clone();
        Begun::Wait(Box::pin(async move {
            let place = async move {
                let slot = chunks.reserve_owned().await.ok()?;
                Some(Place { slot, room: room::wait(room, bytes).await, shared: room::wait(shared, bytes).await })
            };
            let place = tokio::select! {
                place = place => place,
                // Otherwise room would be waited for that the reader no longer gives back.
                () = reader.closed() => None,
            };
            place.map_or_else(closed, |place| Done::Again(Granted::Chunk(place)))
        }))
    }

    pub(super) fn end(&mut self) {
        let _first_end_counts = self.end.set(Ok(()));
        self.chunks = None;
    }

    pub(super) fn ended(&self) -> bool {
        self.chunks.is_none()
    }

    /// Whether somebody may still read what is written. A connection lets go of a body that has all of its announced length.
    pub(super) fn is_read(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| !chunks.is_closed())
    }

    pub(super) fn abort(self, why: &str) {
        let _first_end_counts = self.end.set(Err(BodyError::Aborted(why.into())));
    }
}

fn closed() -> Done {
    Done::Failed { name: "AbortError", message: "The other side of this body has gone away.".to_owned() }
}

struct PipeBody {
    chunks: mpsc::Receiver<Chunk>,
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
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(self.chunk(chunk.bytes))),
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

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
