//! Room in the host's memory for what an isolate sends and what it is sent.
//!
//! **Owns** how many bytes each kind may take. **Must not know** what the bytes are. **Enter at** [`Room`].
//!
//! A kind has room of its own for each of those who take bytes away, so that clients which read slowly do not keep a worker
//! from its store.
//!
//! | bytes | taken away by | without room |
//! |---|---|---|
//! | bodies | who reads them | a stream waits, and a whole answer becomes one |
//! | arguments | the operation's end | the operation waits, and they stay in the guest's memory |
//! | replies | the isolate's next turn | the operation waits |

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pending::Work;
use crate::runtime::{limits, ops::pending::Done};

/// Room that is taken until this is dropped.
pub(crate) type Taken = OwnedSemaphorePermit;

/// What an operation had to wait for; it is begun anew with it.
pub(crate) enum Granted {
    /// For its arguments.
    Arguments(Taken),
    /// For a chunk of a body.
    Chunk(super::body::Place),
}

/// The room of one isolate.
pub(crate) struct Room {
    bodies: Arc<Semaphore>,
    arguments: Arc<Semaphore>,
    replies: Arc<Semaphore>,
}

impl Room {
    /// All of it.
    pub(super) fn new() -> Self {
        let of = |bytes| Arc::new(Semaphore::new(bytes));
        Self {
            bodies: of(limits::BODY_BYTES_MAX),
            arguments: of(limits::ARGUMENT_BYTES_MAX),
            replies: of(limits::REPLY_BYTES_MAX),
        }
    }

    /// What streams take from.
    pub(super) fn bodies(&self) -> &Arc<Semaphore> {
        &self.bodies
    }

    /// What replies take from.
    pub(super) fn replies(&self) -> &Arc<Semaphore> {
        &self.replies
    }

    /// For a body that is handed over whole. Half of the room is left to streams: a few large answers to clients that read
    /// slowly must not hold those up.
    pub(super) fn whole_body(&self, bytes: usize) -> Option<Taken> {
        if self.bodies.available_permits() < bytes.saturating_add(limits::BODY_BYTES_MAX / 2) {
            return None;
        }
        Arc::clone(&self.bodies).try_acquire_many_owned(permits(bytes)).ok()
    }

    /// For an operation's arguments: at once, or [`Done::Again`] once there is room.
    pub(super) fn arguments(&self, bytes: usize, granted: Option<Granted>) -> Result<Taken, Work> {
        let wanted = permits(bytes);
        match granted {
            Some(Granted::Arguments(room)) if room.num_permits() >= bytes => return Ok(room),
            _ => {}
        }
        let room = Arc::clone(&self.arguments);
        Arc::clone(&room).try_acquire_many_owned(wanted).map_err(|_full| -> Work {
            Box::pin(async move { Done::Again(Granted::Arguments(wait(room, wanted).await)) })
        })
    }
}

/// Waits for room, in the order of asking.
pub(super) async fn wait(room: Arc<Semaphore>, bytes: u32) -> Taken {
    room.acquire_many_owned(bytes).await.expect("no isolate closes its room")
}

/// Bytes as a semaphore counts them.
pub(super) fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A copy of `bytes` that takes room until its last reader has let go of it.
pub(super) fn copied(bytes: &[u8], room: Taken) -> Bytes {
    Bytes::from_owner(Copied { bytes: bytes.into(), _room: room })
}

struct Copied {
    bytes: Box<[u8]>,
    _room: Taken,
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
