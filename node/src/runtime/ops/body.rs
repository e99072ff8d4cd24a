//! Bodies as streams: pieces that the guest reads from the host, and pipes that it writes for the host.
//!
//! **Owns** the table of bodies of one isolate and their back-pressure. **Must not know** requests or streams in
//! JavaScript. **Enter at** [`Bodies`].
//!
//! An id names either an *incoming* body (a request's, or the answer to a fetch) or a *pipe*. Either can be handed on as the
//! body of a response or a request; an incoming one then passes through without entering the guest. Each belongs to an event
//! and goes with it: whoever is at its other end sees it dropped or broken.

#[path = "body/pipe.rs"]
mod pipe;

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use self::pipe::Pipe;
pub(crate) use self::pipe::Place;
use super::{
    OpError, Ops, Replied,
    pending::{Begun, Done},
    room::{self, Granted, Taken},
};
use crate::runtime::{
    frame::{FrameError, Reader, Value, Writer},
    limits,
    worker::{Body, BodyError},
};

/// A body in the table.
struct Held {
    /// The event that it belongs to.
    request: i32,
    entry: Entry,
}

enum Entry {
    Incoming(Incoming),
    /// The read `op` is in flight, which has it.
    Reading {
        op: i32,
    },
    Pipe {
        pipe: Pipe,
        reader: Option<Body>,
    },
}

/// A body that comes from the host.
pub(crate) struct Incoming {
    body: Body,
    rest: Bytes,
}

/// The table.
#[derive(Default)]
pub(crate) struct Bodies {
    // BOUND: RESOURCES_MAX; whoever inserts has asked `is_full`.
    table: HashMap<i32, Held>,
    next: i32,
    /// Pieces that went at once in this turn.
    at_once: u32,
}

impl Bodies {
    /// Whether there is no room for one more.
    pub(crate) fn is_full(&self) -> bool {
        self.table.len() >= limits::RESOURCES_MAX
    }

    /// A turn of the isolate begins.
    pub(super) fn begin_turn(&mut self) {
        self.at_once = 0;
    }

    /// Registers a body of which a piece may have been taken, and which the guest may read for an event.
    pub(crate) fn insert_incoming(&mut self, request: i32, incoming: Incoming) -> i32 {
        self.insert(request, Entry::Incoming(incoming))
    }

    /// A read is over: the body goes back, unless it was cancelled meanwhile or has ended.
    pub(crate) fn restore(&mut self, id: i32, incoming: Incoming, ended: bool) {
        if ended {
            self.table.remove(&id);
        } else if let Some(Held { entry: entry @ Entry::Reading { .. }, .. }) = self.table.get_mut(&id) {
            *entry = Entry::Incoming(incoming);
        }
    }

    /// Breaks a pipe: its reader gets an error.
    pub(crate) fn break_pipe(&mut self, id: i32, why: &str) {
        if let Some(Held { entry: Entry::Pipe { pipe, .. }, .. }) = self.table.remove(&id) {
            pipe.abort(why);
        }
    }

    /// Whether `id` is a pipe that has not been ended and whose reader has not gone away.
    pub(crate) fn is_open_pipe(&self, id: i32) -> bool {
        matches!(self.table.get(&id), Some(Held { entry: Entry::Pipe { pipe, .. }, .. }) if pipe.is_read())
    }

    /// Lets go of every body of an event that is over: producers see theirs dropped, the readers of pipes get an error.
    pub(super) fn end_request(&mut self, request: i32, why: &dyn fmt::Display) {
        if self.table.is_empty() {
            return;
        }
        let of_request = self.table.iter().filter(|(_, held)| held.request == request);
        let ids: Vec<i32> = of_request.map(|(id, _)| *id).collect();
        for id in ids {
            self.break_pipe(id, &why.to_string());
        }
    }

    fn create(&mut self, request: i32, length: Option<u64>, room: Arc<Semaphore>) -> i32 {
        let (pipe, reader) = pipe::pipe(length, room);
        self.insert(request, Entry::Pipe { pipe, reader: Some(reader) })
    }

    pub(super) fn abort(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        self.break_pipe(id, args.text()?);
        Ok(false)
    }

    /// A piece that has arrived is taken at once: each that is waited for costs the guest a turn.
    pub(super) fn read(&mut self, op: i32, args: &mut Reader<'_>) -> Result<Begun, OpError> {
        let id = args.int()?;
        let Some(Held { entry: entry @ Entry::Incoming(_), .. }) = self.table.get_mut(&id) else {
            return Err(OpError::throw("TypeError", "This body can not be read: it has ended or is being read."));
        };
        let Entry::Incoming(mut incoming) = std::mem::replace(entry, Entry::Reading { op }) else {
            unreachable!("the entry was matched above");
        };
        if self.at_once < limits::PIECES_AT_ONCE_MAX
            && let Some(chunk) = incoming.chunk().now_or_never()
        {
            self.at_once += 1;
            return Ok(Begun::AtOnce(Done::Chunk { id, incoming, chunk }));
        }
        Ok(Begun::Operation(Box::pin(async move {
            let chunk = incoming.chunk().await;
            Done::Chunk { id, incoming, chunk }
        })))
    }

    pub(super) fn write(&mut self, args: &mut Reader<'_>, granted: Option<Granted>) -> Result<Begun, OpError> {
        let id = args.int()?;
        let chunk = args.bytes()?;
        if chunk.len() > limits::BODY_CHUNK_BYTES_MAX {
            return Err(OpError::throw(
                "RangeError",
                "This chunk is larger than 64 KiB; the prelude writes it in pieces.",
            ));
        }
        let granted = match granted {
            Some(Granted::Chunk(place)) => Some(place),
            _ => None,
        };
        // As the pipe itself says when its reader has gone: the prelude takes it for the end of the interest, not a failure.
        let Some(Held { entry: Entry::Pipe { pipe, .. }, .. }) = self.table.get(&id) else {
            return Err(OpError::throw("AbortError", "This body has ended."));
        };
        let begun = pipe.write(chunk, granted);
        let Begun::AtOnce(done) = begun else { return Ok(begun) };
        if self.at_once == limits::PIECES_AT_ONCE_MAX {
            return Ok(Begun::Operation(Box::pin(std::future::ready(done))));
        }
        self.at_once += 1;
        Ok(Begun::AtOnce(done))
    }

    pub(super) fn end(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        if let Some(Held { entry: Entry::Pipe { pipe, reader }, .. }) = self.table.get_mut(&id) {
            pipe.end();
            // A pipe that nobody has taken yet stays, so that a body written before it is sent arrives.
            if reader.is_none() {
                self.table.remove(&id);
            }
        }
        Ok(false)
    }

    /// The body that a RESPOND or FETCH names: nothing, text, bytes, which take `room`, or an id, which is also returned.
    pub(super) fn take(
        &mut self,
        value: Option<Value<'_>>,
        room: Option<Taken>,
    ) -> Result<(Body, Option<i32>), OpError> {
        match value {
            None => Ok((empty(), None)),
            Some(Value::Text(text)) => Ok((whole(text.as_bytes(), room), None)),
            Some(Value::Bytes(bytes)) => Ok((whole(bytes, room), None)),
            Some(Value::Int(id)) => match self.table.remove(&id) {
                Some(Held { entry: Entry::Incoming(incoming), .. }) => Ok((incoming.into_body(), None)),
                Some(Held { request, entry: Entry::Pipe { pipe, reader: Some(reader) } }) => {
                    if !pipe.ended() {
                        self.table.insert(id, Held { request, entry: Entry::Pipe { pipe, reader: None } });
                    }
                    Ok((reader, Some(id)))
                }
                Some(held) => {
                    self.table.insert(id, held);
                    Err(OpError::throw("TypeError", "This body is in use."))
                }
                None => Err(OpError::throw("TypeError", "This body has ended.")),
            },
            Some(_) => Err(OpError::throw("TypeError", "This is no body.")),
        }
    }

    fn insert(&mut self, request: i32, entry: Entry) -> i32 {
        self.next = self.next.wrapping_add(1).max(1);
        self.table.insert(self.next, Held { request, entry });
        self.next
    }
}

impl Ops {
    /// BODY_NEW
    pub(super) fn body_new(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let request = args.int()?;
        let length = match args.optional()? {
            None => None,
            Some(Value::Int(length)) => u64::try_from(length).ok(),
            Some(Value::Number(length)) => Some(length as u64),
            Some(_) => return Err(FrameError::Unexpected.into()),
        };
        self.requests.check(request)?;
        if self.bodies.is_full() {
            return Err(OpError::throw("Error", TOO_MANY));
        }
        reply.int(self.bodies.create(request, length, Arc::clone(self.room.bodies())));
        Ok(true)
    }

    /// BODY_CANCEL
    pub(super) fn body_cancel(&mut self, args: &mut Reader<'_>) -> Replied {
        // The producer sees its body dropped.
        if let Some(Held { entry: Entry::Reading { op }, .. }) = self.bodies.table.remove(&args.int()?) {
            self.pending.cut_off(op);
        }
        Ok(false)
    }
}

/// What the guest is told of one body more than the bound.
pub(super) const TOO_MANY: &str = "Too many bodies are open.";

impl Incoming {
    /// `rest` has been taken from `body` already.
    pub(crate) fn new(body: Body, rest: Bytes) -> Self {
        Self { body, rest }
    }

    /// A body that breaks after `rest`.
    pub(crate) fn broken(rest: Bytes, error: BodyError) -> Self {
        let failed = futures_util::stream::once(std::future::ready(Err(error)));
        Self { body: http_body_util::StreamBody::new(failed).boxed_unsync(), rest }
    }

    /// The next 1 to 64 KiB, or `None` at the end. Can be dropped and called again.
    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        while self.rest.is_empty() {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error),
                // Trailers have no place in fetch's model.
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let length = self.rest.len().min(limits::BODY_CHUNK_BYTES_MAX);
        Ok(Some(self.rest.split_to(length)))
    }

    fn into_body(self) -> Body {
        if self.rest.is_empty() {
            return self.body;
        }
        let first = futures_util::stream::once(std::future::ready(Ok(http_body::Frame::data(self.rest))));
        let rest = http_body_util::BodyStream::new(self.body);
        http_body_util::StreamBody::new(futures_util::StreamExt::chain(first, rest)).boxed_unsync()
    }
}

/// A body of nothing.
pub(crate) fn empty() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is there already.
fn whole(bytes: &[u8], room: Option<Taken>) -> Body {
    let bytes = match room {
        Some(room) => room::copied(bytes, room),
        None => Bytes::copy_from_slice(bytes),
    };
    http_body_util::Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// How many bytes a body has that is named as a whole.
pub(super) fn whole_bytes(value: Option<&Value<'_>>) -> usize {
    match value {
        Some(Value::Text(text)) => text.len(),
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
#[path = "body/tests.rs"]
mod tests;
