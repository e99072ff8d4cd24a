//! Asynchronous operations that have begun and not completed.
//!
//! **Owns** their bound, their ids and how they are stopped. **Must not know** what they do. **Enter at** [`Pending`].

use std::{collections::HashMap, future::Future, pin::Pin};

use bytes::Bytes;
use http::Response;
use tokio::task::AbortHandle;

use super::{OpError, Ops, Replied, body::Incoming, code};
use crate::{
    bindings::outbound::OutboundError,
    runtime::{
        frame::{Reader, Writer},
        limits,
        worker::{Body, BodyError},
    },
};

/// What an operation came to; it becomes a value only when it is delivered, because some need the isolate's tables.
pub(crate) enum Done {
    /// An encoded value.
    Value(Writer),
    /// Nothing to say.
    Undefined,
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
}

/// The table of operations in flight.
#[derive(Default)]
pub(crate) struct Pending {
    operations: HashMap<i32, Operation>,
    timers: usize,
    started: Vec<Started>,
    stopped: Vec<i32>,
}

impl Pending {
    /// Refuses an operation past the bounds, or whose id is in use.
    pub(super) fn admit(&self, op: i32, code: i32) -> Result<(), OpError> {
        let full = self.operations.len() >= limits::OPERATIONS_MAX;
        if full || (code == code::TIMER && self.timers >= limits::TIMERS_MAX) {
            return Err(OpError::throw("Error", "Too many operations are in flight."));
        }
        if self.operations.contains_key(&op) {
            return Err(OpError::throw("Error", "The operation's id is in use."));
        }
        Ok(())
    }

    pub(super) fn start(&mut self, op: i32, request: i32, code: i32, work: Work) {
        self.timers += usize::from(code == code::TIMER);
        self.operations.insert(op, Operation { request, code, task: None });
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

    /// Forgets a completed operation; its request, or `None` when it had been stopped before.
    pub(crate) fn complete(&mut self, op: i32) -> Option<i32> {
        let operation = self.operations.remove(&op)?;
        self.timers -= usize::from(operation.code == code::TIMER);
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
            self.timers += usize::from(operation.code == code::TIMER);
            self.operations.insert(op, Operation { task: None, ..operation });
            self.stopped.push(op);
        }
    }

    fn stop(&mut self, op: i32) -> Option<Operation> {
        let operation = self.operations.remove(&op)?;
        self.timers -= usize::from(operation.code == code::TIMER);
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
