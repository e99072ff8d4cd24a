//! WebSockets of one isolate.
//!
//! **Owns** the table of sockets and what waits to be sent. **Must not know** the WebSocket class or RFC 6455. **Enter at**
//! [`Sockets`].
//!
//! ```text
//! SOCKET_NEW --> early --RESPOND--> open --both sides have closed, the other side is gone--> forgotten
//!                  |                 |`--a message finds no room--> broken --the other side is gone--> forgotten
//!                  |                 ^
//!                  |              attach (an answer to the worker brought it)
//!                  `--a message finds no room--> broken
//! any --its event ends--> forgotten
//! ```
//! - early: messages wait for the response that carries the socket away.  - open: they go to the other side.
//! - broken: the other side sees the end. The entry stays until that side has ended too, of which the guest is told as of any
//!   other end; nothing is sent meanwhile. One that broke early goes with its event, since no response can carry it away.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{OpError, Ops, Replied};
use crate::{
    bindings::outbound::SocketMessage,
    runtime::{
        frame::{FrameError, Reader, Value, Writer},
        limits,
        websocket::{self, Accepted, Ends, Incoming, Outgoing, SendError},
    },
};

/// BOUND: messages of all sockets of one isolate that wait for whoever reads them, outside its own memory: 32 full queues, as
/// much as its bodies may take (`BODY_BYTES_MAX`).
const SOCKETS_BYTES_MAX: usize = 32 * limits::SOCKET_QUEUE_BYTES_MAX;

/// Who asked for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The caller of its event, which is there to serve it.
    Caller,
    /// The worker, by a request of its own.
    Worker,
}

/// The two sides of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Guest,
    Other,
}

struct Socket {
    /// The event that it belongs to.
    request: i32,
    origin: Origin,
    way: Way,
    /// Which side has closed first.
    closed_by: Option<Side>,
}

/// Where messages of the guest go.
enum Way {
    /// To wait for a response that carries the socket away, each with its share of the room. BOUND: as much as then goes into
    /// the socket's queue.
    Early(VecDeque<(SocketMessage, OwnedSemaphorePermit)>),
    /// To the other side.
    Open(Outgoing),
    /// Nowhere.
    Broken,
}

impl Way {
    fn send(&mut self, message: SocketMessage, room: &Arc<Semaphore>) -> Result<(), SendError> {
        match self {
            Self::Broken => Err(SendError::Ended),
            Self::Early(early) if !has_early_room(early, &message) => Err(SendError::Full),
            Self::Early(early) => {
                let share = websocket::share(room, &message)?;
                early.push_back((message, share));
                Ok(())
            }
            Self::Open(outgoing) if outgoing.has_ended() => Err(SendError::Ended),
            Self::Open(outgoing) => {
                let share = websocket::share(room, &message)?;
                outgoing.try_send_sharing(message, share)
            }
        }
    }
}

fn has_early_room(early: &VecDeque<(SocketMessage, OwnedSemaphorePermit)>, message: &SocketMessage) -> bool {
    let waiting: usize = early.iter().map(|(message, _)| websocket::bytes(message)).sum();
    early.len() < limits::SOCKET_MESSAGES_MAX && waiting + websocket::bytes(message) <= limits::SOCKET_QUEUE_BYTES_MAX
}

/// A socket that the driver has to read from.
pub(crate) struct Opened {
    pub(crate) socket: i32,
    pub(crate) incoming: Incoming,
}

/// The table.
pub(crate) struct Sockets {
    // BOUND: RESOURCES_MAX, and as many as are attached past it, which are broken from the start.
    table: HashMap<i32, Socket>,
    next: i32,
    opened: Vec<Opened>,
    /// What all sockets share.
    room: Arc<Semaphore>,
}

impl Default for Sockets {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(SOCKETS_BYTES_MAX));
        Self { table: HashMap::new(), next: 0, opened: Vec::new(), room }
    }
}

impl Sockets {
    /// Sockets that were opened since the last call.
    pub(crate) fn take_opened(&mut self) -> Vec<Opened> {
        std::mem::take(&mut self.opened)
    }

    /// The guest's end of a socket that came with an answer to a fetch. One past the bound is broken from the start.
    pub(crate) fn attach(&mut self, ends: Ends, request: i32) -> i32 {
        let Ends { outgoing, incoming } = ends;
        let way = if self.is_full() { Way::Broken } else { Way::Open(outgoing) };
        let socket = self.insert(Socket { request, origin: Origin::Worker, way, closed_by: None });
        self.opened.push(Opened { socket, incoming });
        socket
    }

    /// The event that a socket belongs to, while there is something to hear of it, and who asked for the socket.
    pub(crate) fn owner(&self, id: i32) -> Option<(i32, Origin)> {
        self.table.get(&id).map(|socket| (socket.request, socket.origin))
    }

    /// The other side has ended the socket: nothing can be sent any more.
    pub(crate) fn ended(&mut self, id: i32) {
        self.table.remove(&id);
    }

    /// The other side has closed in order. The socket stays for the guest's own close.
    pub(crate) fn closed(&mut self, id: i32) {
        self.close_side(id, Side::Other);
    }

    /// Drops the sockets of a request that is over; their other side sees the end.
    pub(super) fn end_request(&mut self, request: i32) {
        if !self.table.is_empty() {
            self.table.retain(|_, socket| socket.request != request);
        }
    }

    fn create(&mut self, request: i32) -> Result<i32, OpError> {
        if self.is_full() {
            return Err(OpError::throw("Error", "Too many WebSockets are open."));
        }
        let way = Way::Early(VecDeque::new());
        Ok(self.insert(Socket { request, origin: Origin::Caller, way, closed_by: None }))
    }

    /// A 101 response carries the socket away; what was sent before goes first.
    pub(super) fn accept(&mut self, id: i32, request: i32) -> Result<Accepted, OpError> {
        let socket = self.table.get_mut(&id).filter(|socket| socket.request == request).ok_or_else(in_use)?;
        let Way::Early(early) = &mut socket.way else { return Err(in_use()) };
        let (ours, theirs) = websocket::pair();
        for (message, share) in early.drain(..) {
            // As many fit as `send` let in.
            let _fits = ours.outgoing.try_send_sharing(message, share);
        }
        socket.way = Way::Open(ours.outgoing);
        self.opened.push(Opened { socket: id, incoming: ours.incoming });
        Ok(Accepted::new(theirs))
    }

    pub(super) fn send(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        let message = match args.value()? {
            Value::Text(text) => SocketMessage::Text(text.to_owned()),
            Value::Bytes(bytes) => SocketMessage::Binary(Bytes::copy_from_slice(bytes)),
            _ => return Err(FrameError::Unexpected.into()),
        };
        if websocket::bytes(&message) > limits::SOCKET_MESSAGE_BYTES_MAX {
            return Err(OpError::throw("TypeError", "WebSocket messages are at most 1 MiB."));
        }
        self.push(id, message)
    }

    pub(super) fn close(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        let code = args.int()?;
        let reason = args.optional_text()?.unwrap_or_default().to_owned();
        let code = u16::try_from(code).unwrap_or(1005);
        let _too_late = self.push(id, SocketMessage::Close { code, reason });
        self.close_side(id, Side::Guest);
        Ok(false)
    }

    fn push(&mut self, id: i32, message: SocketMessage) -> Replied {
        // Sending into a socket that has ended is silently ignored, as the standard says.
        let Some(socket) = self.table.get_mut(&id) else { return Ok(false) };
        if socket.way.send(message, &self.room) == Err(SendError::Full) {
            // Keeping more would let a client that does not read fill the host's memory.
            socket.way = Way::Broken;
            return Err(OpError::throw("Error", "The WebSocket's other side reads too slowly; it was closed."));
        }
        Ok(false)
    }

    /// Forgets a socket that both sides have closed. What waits for its reader still arrives.
    fn close_side(&mut self, id: i32, side: Side) {
        let Some(socket) = self.table.get_mut(&id) else { return };
        if *socket.closed_by.get_or_insert(side) != side {
            self.table.remove(&id);
        }
    }

    fn is_full(&self) -> bool {
        self.table.len() >= limits::RESOURCES_MAX
    }

    fn insert(&mut self, socket: Socket) -> i32 {
        self.next = self.next.wrapping_add(1).max(1);
        self.table.insert(self.next, socket);
        self.next
    }
}

impl Ops {
    /// SOCKET_NEW
    pub(super) fn socket_new(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let request = args.int()?;
        self.requests.check(request)?;
        reply.int(self.sockets.create(request)?);
        Ok(true)
    }
}

fn in_use() -> OpError {
    OpError::throw("TypeError", "This WebSocket was already accepted or used in a response.")
}

#[cfg(test)]
#[path = "socket/tests.rs"]
mod tests;
