//! A WebSocket between the world and a worker, as two bounded channels.
//!
//! **Owns** the ends that ingress and the runtime hold. **Must not know** RFC 6455 framing. **Enter at** [`Accepted`].
//!
//! A message takes room in its channel from being sent to being received: places and bytes, because one side may be an end
//! user who reads nothing, and what waits for it lies in the host's memory.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

use super::limits;
use crate::bindings::outbound::SocketMessage;

/// One side's end.
#[derive(Debug)]
pub struct Ends {
    /// Messages to the other side.
    pub outgoing: Outgoing,
    /// Messages from the other side. The socket has ended when this has, after a `Close` when it ended in order.
    pub incoming: Incoming,
}

/// The end into which messages go. BOUND: 256 messages and 2 MiB wait.
#[derive(Debug)]
pub struct Outgoing {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
}

/// The end from which messages come.
#[derive(Debug)]
pub struct Incoming {
    queue: mpsc::Receiver<Queued>,
}

#[derive(Debug)]
struct Queued {
    message: SocketMessage,
    /// Gives its room back when the message is received, or lost with the channel.
    _room: OwnedSemaphorePermit,
    /// As `_room`, for the room that the sender's sockets share, where they do.
    _share: Option<OwnedSemaphorePermit>,
}

/// Why a message was not taken. State: unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The other side reads too slowly. State: unchanged. Retry: once it has read.
    #[error("the WebSocket's queue is full")]
    Full,
    /// The other side is gone. State: unchanged. Retry: no.
    #[error("the WebSocket has ended")]
    Ended,
}

impl Outgoing {
    /// Sends a message, once there is room for it.
    pub async fn send(&self, message: SocketMessage) -> Result<(), SendError> {
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(weight(&message)) => room.or(Err(SendError::Ended))?,
            // Otherwise a side that is gone would be waited for.
            () = self.queue.closed() => return Err(SendError::Ended),
        };
        self.queue.send(Queued { message, _room: room, _share: None }).await.or(Err(SendError::Ended))
    }

    /// Sends a message if there is room for it now.
    pub fn try_send(&self, message: SocketMessage) -> Result<(), SendError> {
        self.try_queue(message, None)
    }

    /// As `try_send`, for a message that has taken its `share` of the room of all sockets of its sender.
    pub(crate) fn try_send_sharing(
        &self,
        message: SocketMessage,
        share: OwnedSemaphorePermit,
    ) -> Result<(), SendError> {
        self.try_queue(message, Some(share))
    }

    /// Whether the other side is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.queue.is_closed()
    }

    fn try_queue(&self, message: SocketMessage, share: Option<OwnedSemaphorePermit>) -> Result<(), SendError> {
        let room = match Arc::clone(&self.room).try_acquire_many_owned(weight(&message)) {
            Ok(room) => room,
            Err(_) if self.has_ended() => return Err(SendError::Ended),
            Err(TryAcquireError::NoPermits) => return Err(SendError::Full),
            Err(TryAcquireError::Closed) => return Err(SendError::Ended),
        };
        self.queue.try_send(Queued { message, _room: room, _share: share }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Ended,
        })
    }
}

impl Incoming {
    /// The next message; `None` when the other side is gone.
    pub async fn recv(&mut self) -> Option<SocketMessage> {
        self.queue.recv().await.map(|queued| queued.message)
    }
}

/// About what a place in a queue takes beside the bytes of its message: many empty messages are something, too.
const PLACE_BYTES: u32 = 128;

/// A message's share of the room of all sockets of its sender; taken until it is received.
pub(crate) fn share(room: &Arc<Semaphore>, message: &SocketMessage) -> Result<OwnedSemaphorePermit, SendError> {
    let bytes = weight(message).saturating_add(PLACE_BYTES);
    Arc::clone(room).try_acquire_many_owned(bytes).or(Err(SendError::Full))
}

/// Bytes that a message takes of its channel's room; never more than all of it, so that none waits for ever.
fn weight(message: &SocketMessage) -> u32 {
    let bytes = bytes(message).min(limits::SOCKET_QUEUE_BYTES_MAX);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Bytes that a message carries.
pub(crate) fn bytes(message: &SocketMessage) -> usize {
    match message {
        SocketMessage::Text(text) => text.len(),
        SocketMessage::Binary(bytes) => bytes.len(),
        SocketMessage::Close { reason, .. } => reason.len(),
    }
}

/// The end that the receiver of a 101 response takes out of its extensions, once.
#[derive(Debug, Clone)]
pub struct Accepted {
    ends: Arc<Mutex<Option<Ends>>>,
}

impl Accepted {
    /// Wraps an end for a response's extensions.
    #[must_use]
    pub fn new(ends: Ends) -> Self {
        Self { ends: Arc::new(Mutex::new(Some(ends))) }
    }

    /// The end; `None` when it was taken before.
    #[must_use]
    pub fn take(&self) -> Option<Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connected pair of ends.
#[must_use]
pub fn pair() -> (Ends, Ends) {
    let (to_b, from_a) = channel();
    let (to_a, from_b) = channel();
    (Ends { outgoing: to_b, incoming: from_b }, Ends { outgoing: to_a, incoming: from_a })
}

fn channel() -> (Outgoing, Incoming) {
    let (sender, receiver) = mpsc::channel(limits::SOCKET_MESSAGES_MAX);
    let room = Arc::new(Semaphore::new(limits::SOCKET_QUEUE_BYTES_MAX));
    (Outgoing { queue: sender, room }, Incoming { queue: receiver })
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        task::{Context, Waker},
    };

    use bytes::Bytes;

    use super::*;

    fn message(bytes: usize) -> SocketMessage {
        SocketMessage::Binary(Bytes::from(vec![0; bytes]))
    }

    #[tokio::test]
    async fn what_waits_is_bounded_by_bytes_and_by_messages() {
        let (ours, mut theirs) = pair();
        for _ in 0..2 {
            ours.outgoing.try_send(message(limits::SOCKET_MESSAGE_BYTES_MAX)).unwrap();
        }
        assert_eq!(ours.outgoing.try_send(message(1)), Err(SendError::Full));
        theirs.incoming.recv().await.unwrap();
        ours.outgoing.try_send(message(limits::SOCKET_MESSAGE_BYTES_MAX)).unwrap();
        while theirs.incoming.queue.try_recv().is_ok() {}
        for _ in 0..limits::SOCKET_MESSAGES_MAX {
            ours.outgoing.try_send(message(0)).unwrap();
        }
        assert_eq!(ours.outgoing.try_send(message(0)), Err(SendError::Full));
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_told_of_the_end() {
        let (ours, theirs) = pair();
        for _ in 0..2 {
            ours.outgoing.send(message(limits::SOCKET_MESSAGE_BYTES_MAX)).await.unwrap();
        }
        let waiting = ours.outgoing.send(message(1));
        tokio::pin!(waiting);
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(theirs);
        assert_eq!(waiting.await, Err(SendError::Ended));
        assert_eq!(ours.outgoing.try_send(message(1)), Err(SendError::Ended));
    }
}
