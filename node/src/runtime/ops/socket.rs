//! WebSockets of one isolate.
//!
//! **Owns** the table of sockets and what waits to be sent. **Must not know** the WebSocket class or RFC 6455. **Enter at**
//! [`Sockets`].

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::{OpError, Replied};
use crate::{
    bindings::outbound::SocketMessage,
    runtime::{
        frame::{FrameError, Reader, Value, Writer},
        limits,
        websocket::{self, Accepted, Ends, Incoming, Outgoing, SendError},
    },
};

struct Socket {
    request: i32,
    outgoing: Option<Outgoing>,
    /// What is sent before a response has carried the socket away. BOUND: as much as then goes into its queue.
    early: VecDeque<SocketMessage>,
}

impl Socket {
    fn has_early_room(&self, message: &SocketMessage) -> bool {
        let waiting: usize = self.early.iter().map(websocket::bytes).sum();
        self.early.len() < limits::SOCKET_MESSAGES_MAX
            && waiting + websocket::bytes(message) <= limits::SOCKET_QUEUE_BYTES_MAX
    }
}

/// A socket that the driver has to read from.
pub(crate) struct Opened {
    pub(crate) socket: i32,
    pub(crate) incoming: Incoming,
}

/// The table.
#[derive(Default)]
pub(crate) struct Sockets {
    table: HashMap<i32, Socket>,
    next: i32,
    opened: Vec<Opened>,
}

impl Sockets {
    /// Sockets that were opened since the last call.
    pub(crate) fn take_opened(&mut self) -> Vec<Opened> {
        std::mem::take(&mut self.opened)
    }

    /// The guest's end of a socket that came with an answer to a fetch.
    pub(crate) fn attach(&mut self, ends: Ends, request: i32) -> i32 {
        let id = self.insert(Socket { request, outgoing: Some(ends.outgoing), early: VecDeque::new() });
        self.opened.push(Opened { socket: id, incoming: ends.incoming });
        id
    }

    /// The event that a socket belongs to, while it is open.
    pub(crate) fn request_of(&self, id: i32) -> Option<i32> {
        self.table.get(&id).map(|socket| socket.request)
    }

    /// The other side has ended the socket: nothing can be sent any more. Whether it was open.
    pub(crate) fn ended(&mut self, id: i32) -> bool {
        self.table.remove(&id).is_some()
    }

    /// Drops the sockets of a request that is over; their other side sees the end.
    pub(super) fn end_request(&mut self, request: i32) {
        self.table.retain(|_, socket| socket.request != request);
    }

    pub(super) fn create(&mut self, reply: &mut Writer) -> Replied {
        if self.table.len() >= limits::RESOURCES_MAX {
            return Err(OpError::throw("Error", "Too many WebSockets are open."));
        }
        let id = self.insert(Socket { request: -1, outgoing: None, early: VecDeque::new() });
        reply.int(id);
        Ok(true)
    }

    /// A 101 response carries the socket away; what was sent before goes first.
    pub(super) fn accept(&mut self, id: i32, request: i32) -> Result<Accepted, OpError> {
        let Some(socket) = self.table.get_mut(&id).filter(|socket| socket.outgoing.is_none()) else {
            return Err(OpError::throw("TypeError", "This WebSocket was already accepted or used in a response."));
        };
        let (ours, theirs) = websocket::pair();
        socket.request = request;
        for message in socket.early.drain(..) {
            // As many fit as `send` let in.
            let _fits = ours.outgoing.try_send(message);
        }
        socket.outgoing = Some(ours.outgoing);
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
        Ok(false)
    }

    fn push(&mut self, id: i32, message: SocketMessage) -> Replied {
        // Sending into a socket that has ended is silently ignored, as the standard says.
        let Some(socket) = self.table.get_mut(&id) else { return Ok(false) };
        let full = match &socket.outgoing {
            None if !socket.has_early_room(&message) => true,
            None => {
                socket.early.push_back(message);
                false
            }
            Some(outgoing) => outgoing.try_send(message) == Err(SendError::Full),
        };
        if full {
            // Keeping more would let a client that does not read fill the host's memory.
            self.table.remove(&id);
            return Err(OpError::throw("Error", "The WebSocket's other side reads too slowly; it was closed."));
        }
        Ok(false)
    }

    fn insert(&mut self, socket: Socket) -> i32 {
        self.next = self.next.wrapping_add(1).max(1);
        self.table.insert(self.next, socket);
        self.next
    }
}
