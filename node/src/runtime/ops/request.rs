//! The events that one isolate is working on.
//!
//! **Owns** who waits for an answer, and when an event is over. **Must not know** HTTP connections or pools. **Enter at**
//! [`Requests`].
//!
//! ```text
//! open --HAND_ON--> handed on --the operation completes, the caller goes away--> over
//!   |--RESPOND, FAIL--> answered --DONE--> over
//!   |                         `--nothing pending--> over (a promise that can never settle; an open body breaks)
//!   |--DONE (scheduled)--> over
//!   `--nothing pending, unanswered--> over: the worker will never respond
//! any --cancelled, wall time--> the answer is an error; what is pending is stopped
//! ```

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use http::{Response, StatusCode};
use tokio::sync::oneshot;

use super::{OpError, Ops, Replied, body, fetch, headers, pending::Done, socket::Origin};
use crate::{
    bindings::outbound::{CallContext, LogLevel, LogRecord},
    runtime::{
        frame::{FrameError, Reader, Value, Writer},
        limits, position,
        worker::{Outcome, WorkerError},
    },
};

/// What the caller of an event gets.
pub(crate) type Answer = Result<Outcome, WorkerError>;

/// In the extensions of an answer whose body the worker is still writing.
#[derive(Clone)]
pub(crate) struct Flows;

/// One event.
pub(crate) struct Request {
    context: CallContext,
    answer: Option<oneshot::Sender<Answer>>,
    pending: u32,
    /// Open sockets that it serves: one at most, its answer.
    accepted: u32,
    /// Open sockets that the worker has asked for.
    opened: u32,
    pipe: Option<i32>,
    guest: Guest,
    cpu: Duration,
    began: Instant,
    /// From `began` to the answer.
    wall: Duration,
    answered: Option<Instant>,
}

/// What the guest still has to do with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guest {
    /// It works on it.
    Works,
    /// Nothing: the result of an operation is the answer.
    HandedOn,
    /// Nothing: it has brought it to its end.
    Done,
}

/// The table of events.
#[derive(Default)]
pub(crate) struct Requests {
    table: HashMap<i32, Request>,
    next: i32,
    /// Events that `settle` has to look at. BOUND: one entry for each thing that a delivery did to an event.
    touched: Vec<i32>,
    /// Events that the host has ended, of which the guest does not know yet. BOUND: the events there were.
    ended: Vec<i32>,
}

impl Requests {
    /// Opens an event that came at `began` and may take `wall`; its id.
    pub(crate) fn open(
        &mut self,
        context: CallContext,
        answer: oneshot::Sender<Answer>,
        began: Instant,
        wall: Duration,
    ) -> i32 {
        self.next = self.next.wrapping_add(1).max(1);
        let request = Request {
            context,
            answer: Some(answer),
            pending: 0,
            accepted: 0,
            opened: 0,
            pipe: None,
            guest: Guest::Works,
            cpu: Duration::ZERO,
            began,
            wall,
            answered: None,
        };
        self.table.insert(self.next, request);
        self.touched.push(self.next);
        self.next
    }

    /// Events that are not over.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The event is still there.
    pub(crate) fn contains(&self, id: i32) -> bool {
        self.table.contains_key(&id)
    }

    /// In whose name an operation of the event acts.
    pub(crate) fn context(&self, id: i32) -> Result<CallContext, OpError> {
        self.open_event(id).map(|request| request.context.clone())
    }

    /// An event for which the guest may still do something: what it hands on is over for it.
    fn open_event(&self, id: i32) -> Result<&Request, OpError> {
        self.table.get(&id).filter(|request| request.guest != Guest::HandedOn).ok_or_else(|| no_event(id))
    }

    /// Refuses what is asked for on behalf of no event.
    pub(super) fn check(&self, id: i32) -> Result<(), OpError> {
        self.open_event(id).map(|_open| ())
    }

    /// Events that the host has ended since the last call: the guest has to be told.
    pub(crate) fn take_ended(&mut self) -> Vec<i32> {
        std::mem::take(&mut self.ended)
    }

    pub(super) fn operation_started(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id) {
            request.pending += 1;
        }
    }

    pub(crate) fn operation_ended(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id) {
            request.pending = request.pending.saturating_sub(1);
            self.touched.push(id);
        }
    }

    /// The worker has opened a socket.
    pub(crate) fn socket_opened(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id) {
            request.opened += 1;
        }
    }

    fn socket_accepted(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id) {
            request.accepted += 1;
        }
    }

    pub(crate) fn socket_closed(&mut self, id: i32, origin: Origin) {
        if let Some(request) = self.table.get_mut(&id) {
            let open = match origin {
                Origin::Caller => &mut request.accepted,
                Origin::Worker => &mut request.opened,
            };
            *open = open.saturating_sub(1);
            self.touched.push(id);
        }
    }

    /// Adds CPU time to the event.
    pub(crate) fn spent(&mut self, id: i32, cpu: Duration) {
        if let Some(request) = self.table.get_mut(&id) {
            request.cpu += cpu;
        }
    }

    /// CPU time that the event has used, since its last message while it serves a WebSocket.
    pub(crate) fn cpu(&self, id: i32) -> Duration {
        self.table.get(&id).map_or(Duration::ZERO, |request| request.cpu)
    }

    /// A message of a WebSocket has arrived: each has a budget of its own while the event serves a socket, or that could not
    /// live for long. A worker that only talks to sockets it has opened, maybe to itself, has what any event has.
    pub(crate) fn refill_cpu(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id).filter(|request| request.accepted > 0) {
            request.cpu = Duration::ZERO;
        }
    }

    /// Answers an event that has no answer yet.
    fn answer(&mut self, id: i32, answer: Answer, now_ms: f64) {
        if let Some(request) = self.table.get_mut(&id)
            && let Some(waiting) = request.answer.take()
        {
            self.touched.push(id);
            if let Err(Err(error)) = waiting.send(answer) {
                // The caller went away.
                request.log(error, now_ms);
            }
        }
    }

    /// The guest has nothing left to do for the event.
    fn end_by_guest(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id) {
            request.guest = Guest::Done;
            self.touched.push(id);
        }
    }

    /// Ids of all events.
    pub(crate) fn ids(&self) -> Vec<i32> {
        self.table.keys().copied().collect()
    }
}

impl Request {
    /// Tells the worker's author what nobody waits for any more.
    fn log(&self, error: WorkerError, now_ms: f64) {
        let (level, message, position) = match error {
            WorkerError::Exception { message, stack } => (LogLevel::Exception, message, Some(stack)),
            WorkerError::NeverResponds => {
                (LogLevel::Warn, "The event was ended: nothing it waits for can ever settle.".to_owned(), None)
            }
            WorkerError::WallLimit { .. } => (
                LogLevel::Warn,
                "waitUntil() tasks did not complete within the allowed time after the response and have been cancelled."
                    .to_owned(),
                None,
            ),
            error => (LogLevel::Exception, error.to_string(), None),
        };
        let position = position.filter(|stack| !stack.is_empty());
        self.context.outbound.log(&self.context, LogRecord { level, message, position, at_ms: now_ms as i64 });
    }
}

impl Ops {
    /// RESPOND
    pub(super) fn respond(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let id = args.int()?;
        let status = args.int()?;
        let status_text = args.text()?;
        let fields = headers::read(args)?;
        let content = args.optional()?;
        let room = match body::whole_bytes(content.as_ref()) {
            0..=limits::BODY_INLINE_BYTES_MAX => None,
            bytes => match self.room.whole_body(bytes) {
                Some(room) => Some(room),
                None => {
                    reply.bool(false);
                    return Ok(true);
                }
            },
        };
        let (body, pipe) = self.bodies.take(content, room)?;
        let socket = match args.optional()? {
            None => None,
            Some(Value::Int(socket)) => Some(socket),
            Some(_) => return Err(FrameError::Unexpected.into()),
        };
        let is_over = matches!(args.optional()?, Some(Value::Bool(true)));
        let mut response = Response::new(body);
        *response.status_mut() = u16::try_from(status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or_else(|| OpError::throw("RangeError", "The response's status is out of range."))?;
        *response.headers_mut() = fields;
        if !status_text.is_empty()
            && response.status().canonical_reason() != Some(status_text)
            && let Ok(reason) = hyper::ext::ReasonPhrase::try_from(status_text.as_bytes())
        {
            response.extensions_mut().insert(reason);
        }
        if let Some(socket) = socket {
            response.extensions_mut().insert(self.sockets.accept(socket, id)?);
            self.requests.socket_accepted(id);
        }
        if let (Some(pipe), Some(request)) = (pipe, self.requests.table.get_mut(&id)) {
            request.pipe = Some(pipe);
            response.extensions_mut().insert(Flows);
        }
        self.requests.answer(id, Ok(Outcome::Response(response)), self.now_ms);
        if is_over {
            self.requests.end_by_guest(id);
        }
        Ok(false)
    }

    /// FAIL
    pub(super) fn fail(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        let message = args.text()?.to_owned();
        let stack = position::worker_frames(args.optional_text()?.unwrap_or_default());
        let stack = self.in_sources(|origins| origins.stack(&stack).into_owned());
        self.requests.answer(id, Err(WorkerError::Exception { message, stack }), self.now_ms);
        Ok(false)
    }

    /// DONE
    pub(super) fn done(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        self.requests.answer(id, Ok(Outcome::Done), self.now_ms);
        self.requests.end_by_guest(id);
        Ok(false)
    }

    /// HAND_ON
    pub(super) fn hand_on(&mut self, args: &mut Reader<'_>) -> Replied {
        let event = self.pending.make_answer(args.int()?);
        if let Some(request) = event.and_then(|id| self.requests.table.get_mut(&id)) {
            request.guest = Guest::HandedOn;
        }
        Ok(false)
    }

    /// Answers an event by what the guest has handed on, and ends it.
    pub(crate) fn answer_by(&mut self, id: i32, done: Done) {
        let answer = match done {
            Done::Response(response) => fetch::handed_on(*response).map(Outcome::Response),
            Done::Failed { name, message } => Err(fetch::exception(name, &message)),
            _ => Err(WorkerError::NeverResponds),
        };
        self.requests.answer(id, answer, self.now_ms);
        self.requests.end_by_guest(id);
        self.end(id, WorkerError::NeverResponds);
    }

    /// Ends an event whose caller went away and whose guest has nothing left to do for it; false for any other.
    pub(crate) fn end_handed_on(&mut self, id: i32) -> bool {
        let handed_on = |request: &&mut Request| request.guest == Guest::HandedOn;
        let Some(request) = self.requests.table.get_mut(&id).filter(handed_on) else { return false };
        request.answer = None;
        request.guest = Guest::Done;
        self.end(id, WorkerError::NeverResponds);
        true
    }

    /// Ends the events that are over, of those that something happened to since the last call.
    pub(crate) fn settle(&mut self, now: Instant) {
        // The guest has begun anew what it was granted room for, or never will.
        self.granted = None;
        let mut touched = std::mem::take(&mut self.requests.touched);
        for id in touched.drain(..) {
            let Some(request) = self.requests.table.get_mut(&id) else { continue };
            if request.answer.is_none() && request.answered.is_none() {
                request.answered = Some(now);
            }
            let waits = request.pending > 0 || request.accepted > 0 || request.opened > 0;
            if request.guest == Guest::Done || !waits {
                self.end(id, WorkerError::NeverResponds);
            }
        }
        self.requests.touched = touched;
    }

    /// Events that have gone on for too long at `now`, each with its wall time: unanswered past that, or answered and still
    /// in `waitUntil` past `wait_until`, which begins when there is neither a body nor a socket to serve any more. Sockets that
    /// the worker has opened are such work, or one that it opens to itself would live for ever.
    pub(crate) fn overdue(&mut self, now: Instant, wait_until: Duration) -> Vec<(i32, Duration)> {
        let Self { requests, bodies, .. } = self;
        let is_late = |request: &mut Request| match request.answered {
            None => now.duration_since(request.began) > request.wall,
            Some(_) if request.accepted > 0 || request.pipe.is_some_and(|pipe| bodies.is_open_pipe(pipe)) => {
                request.answered = Some(now);
                false
            }
            Some(answered) => now.duration_since(answered) > wait_until,
        };
        requests.table.iter_mut().filter_map(|(id, request)| is_late(request).then_some((*id, request.wall))).collect()
    }

    /// Nobody waits for the event any more: `waitUntil` may go on as after an answer, and what it still writes is refused.
    pub(crate) fn gave_up(&mut self, id: i32, now: Instant) {
        let Some(request) = self.requests.table.get_mut(&id) else { return };
        request.answered.get_or_insert(now);
        if let Some(pipe) = request.pipe.take() {
            self.bodies.break_pipe(pipe, "the caller went away");
        }
    }

    /// Ends an event now; `error` goes to whoever still waits for its answer, else to the worker's log unless the worker
    /// itself has brought the event to its end.
    pub(crate) fn end(&mut self, id: i32, error: WorkerError) {
        let Some(mut request) = self.requests.table.remove(&id) else { return };
        self.pending.stop_request(id);
        self.bodies.end_request(id, &error);
        self.codecs.end_request(id);
        self.sockets.end_request(id);
        let untold = match request.answer.take() {
            None => request.guest != Guest::Done,
            Some(waiting) => waiting.send(Err(error.clone())).is_err(),
        };
        if untold {
            request.log(error, self.now_ms);
        }
        if request.guest == Guest::Works {
            self.requests.ended.push(id);
        }
    }
}

/// Why nothing can be done on behalf of `id`, which is no event.
fn no_event(id: i32) -> OpError {
    if id < 0 {
        return OpError::throw(
            "Error",
            "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), setting a \
             timeout, and generating random values are not allowed within global scope. To fix this error, perform this \
             operation within a handler.",
        );
    }
    OpError::throw(
        "Error",
        "Cannot perform I/O on behalf of a request that has ended. I/O objects (such as streams, request/response bodies, \
         and others) created in the context of one request handler can not be used after it.",
    )
}
