//! Asynchronous operations that have begun and not completed.
//!
//! **Owns** their bound, their ids and how they are stopped. **Must not know** what they do. **Enter at** [`Pending`].

#[path = "pending/timers.rs"]
mod timers;

use std::{collections::HashMap, future::Future, pin::Pin};

use bytes::Bytes;
use http::Response;
use tokio::task::AbortHandle;

use self::timers::Timers;
use super::{
    OpError, Ops, Replied,
    body::Incoming,
    code, kv,
    room::{Granted, Taken},
};
use crate::{
    bindings::outbound::{KvReply, OutboundError},
    runtime::{
        frame::{Reader, Writer},
        limits,
        worker::{Body, BodyError},
    },
};

/// What an operation came to; it becomes a value only when it is delivered, because some need the isolate's tables.
pub(crate) enum Done {
    /// There is room for what it sends: it is to be begun anew, and finds the room taken.
    Again(Granted),
    /// An answer of KV, and the room that it takes until it is delivered.
    Kv {
        /// The answer.
        reply: KvReply,
        /// The room.
        _room: Option<Taken>,
    },
    /// A timer's wait is over.
    Elapsed,
    /// The host has what it was sent.
    Taken,
    /// The operation failed with this error.
    Failed {
        /// As in [`OpError::Throw`].
        name: &'static str,
        /// Its message.
        message: String,
    },
    /// An answer to an outgoing request.
    Response(Box<Result<Response<Body>, OutboundError>>),
    /// A piece of an incoming body; the body goes back to its place.
    Chunk {
        /// Whose piece.
        id: i32,
        /// The rest.
        incoming: Incoming,
        /// The piece, or `None` at the end.
        chunk: Result<Option<Bytes>, BodyError>,
    },
}

/// An operation's work.
pub(crate) type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What has begun.
pub(crate) enum Begun {
    /// All of the operation: what it came to is the reply, and nothing completes later.
    AtOnce(Done),
    /// The operation.
    Operation(Work),
    /// The wait for room for what it sends, of which nothing is kept.
    Wait(Work),
}

/// An operation that the guest has begun and the driver has to run.
pub(crate) struct Started {
    pub(crate) op: i32,
    pub(crate) work: Work,
}

#[derive(Debug)]
struct Operation {
    request: i32,
    code: i32,
    task: Option<AbortHandle>,
    /// Its result answers its event.
    is_answer: bool,
}

/// A completed operation.
pub(crate) struct Completed {
    /// The event that it belongs to.
    pub(crate) request: i32,
    /// The guest has handed it on: its result answers that event, and the guest does not hear of it.
    pub(crate) is_answer: bool,
}

/// The table of operations in flight.
#[derive(Default)]
pub(crate) struct Pending {
    operations: HashMap<i32, Operation>,
    timers: Timers,
    started: Vec<Started>,
    stopped: Vec<i32>,
}

impl Pending {
    /// Refuses an operation past the bounds, or whose id is in use.
    pub(super) fn admit(&self, op: i32, code: i32) -> Result<(), OpError> {
        let full = self.operations.len() >= limits::OPERATIONS_MAX;
        if full || (code == code::TIMER && self.timers.len() >= limits::TIMERS_MAX) {
            return Err(OpError::throw("Error", "Too many operations are in flight."));
        }
        if self.operations.contains_key(&op) {
            return Err(OpError::throw("Error", "The operation's id is in use."));
        }
        Ok(())
    }

    /// An operation that is a timer is due at some time.
    pub(super) fn is_due(&mut self, op: i32, due_us: u64) {
        self.timers.insert(op, due_us);
    }

    /// Which timer fires now that the wait of `op` is over.
    pub(crate) fn elapsed(&mut self, op: i32) -> Option<i32> {
        self.timers.elapsed(op)
    }

    pub(super) fn start(&mut self, op: i32, request: i32, code: i32, work: Work) {
        self.operations.insert(op, Operation { request, code, task: None, is_answer: false });
        self.started.push(Started { op, work });
    }

    /// What the guest has begun since the last call.
    pub(crate) fn take_started(&mut self) -> Vec<Started> {
        std::mem::take(&mut self.started)
    }

    /// Operations that the guest has stopped since the last call and that complete now, with an AbortError.
    pub(crate) fn take_stopped(&mut self) -> Vec<i32> {
        std::mem::take(&mut self.stopped)
    }

    /// The operation runs in `task` and can be stopped there.
    pub(crate) fn runs_in(&mut self, op: i32, task: AbortHandle) {
        match self.operations.get_mut(&op) {
            Some(operation) => operation.task = Some(task),
            None => task.abort(),
        }
    }

    /// Forgets a completed operation, or says that it had been stopped before.
    pub(crate) fn complete(&mut self, op: i32) -> Option<Completed> {
        let operation = self.operations.remove(&op)?;
        self.timers.remove(op);
        Some(Completed { request: operation.request, is_answer: operation.is_answer })
    }

    /// Makes the result of an operation the answer of its event, which is returned.
    pub(super) fn make_answer(&mut self, op: i32) -> Option<i32> {
        let operation = self.operations.get_mut(&op)?;
        operation.is_answer = true;
        Some(operation.request)
    }

    /// Stops every operation of a request.
    pub(crate) fn stop_request(&mut self, request: i32) {
        let ops: Vec<i32> =
            self.operations.iter().filter(|(_, operation)| operation.request == request).map(|(op, _)| *op).collect();
        for op in ops {
            self.stop(op);
        }
    }

    /// Stops an operation; its COMPLETE arrives with an AbortError. It stays in the table until then, so that its request is
    /// not taken for a hung one.
    pub(super) fn cut_off(&mut self, op: i32) {
        if let Some(operation) = self.stop(op) {
            self.operations.insert(op, Operation { task: None, ..operation });
            self.stopped.push(op);
        }
    }

    fn stop(&mut self, op: i32) -> Option<Operation> {
        let operation = self.operations.remove(&op)?;
        self.timers.remove(op);
        self.started.retain(|started| started.op != op);
        if let Some(task) = &operation.task {
            task.abort();
        }
        Some(operation)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        for operation in self.operations.values() {
            if let Some(task) = &operation.task {
                task.abort();
            }
        }
    }
}

impl Ops {
    /// What the guest is told that an operation of `request` came to.
    pub(crate) fn describe(&mut self, request: i32, done: Done, out: &mut Writer) {
        match done {
            Done::Again(granted) => {
                self.granted = Some(granted);
                out.bool(false);
            }
            Done::Kv { reply, _room } => kv::describe(reply, out),
            Done::Elapsed => drop(out.undefined()),
            Done::Taken => drop(out.bool(true)),
            Done::Failed { name, message } => drop(out.error(name, &message)),
            Done::Response(response) => self.response(request, *response, out),
            Done::Chunk { id, incoming, chunk } => {
                self.bodies.restore(id, incoming, !matches!(chunk, Ok(Some(_))));
                match chunk {
                    Ok(Some(bytes)) => out.bytes(&bytes),
                    Ok(None) => out.null(),
                    Err(error) => out.error("TypeError", &error.to_string()),
                };
            }
        }
    }

    /// TIMER_CLEAR (nothing arrives any more) and ABORT (its COMPLETE arrives with an AbortError).
    pub(super) fn abort(&mut self, args: &mut Reader<'_>) -> Replied {
        let op = args.int()?;
        let Some(operation) = self.pending.operations.get(&op) else { return Ok(false) };
        if operation.code == code::TIMER {
            let request = operation.request;
            self.pending.stop(op);
            self.requests.operation_ended(request);
        } else {
            self.pending.cut_off(op);
        }
        Ok(false)
    }
}
