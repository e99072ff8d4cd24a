//! The events that one isolate is working on.
//!
//! **Owns** who waits for an answer, and when an event is over. **Must not know** HTTP connections or pools. **Enter at**
//! [`Requests`].
//!
//! ```text
//! open --RESPOND, FAIL--> answered --DONE--> over
//!   |                         `--nothing pending--> over (a promise that can never settle; an open body breaks)
//!   |--DONE (scheduled)--> over
//!   `--nothing pending, unanswered--> over: the worker will never respond
//! any --cancelled, wall time--> the answer is an error; what is pending is stopped
//! ```

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::oneshot;

use super::{OpError, Ops, Replied};
use crate::{
    bindings::outbound::CallContext,
    runtime::{
        frame::Reader,
        position,
        worker::{Outcome, WorkerError},
    },
};

/// What the caller of an event gets.
pub(crate) type Answer = Result<Outcome, WorkerError>;

/// One event.
pub(crate) struct Request {
    context: CallContext,
    answer: Option<oneshot::Sender<Answer>>,
    pending: u32,
    sockets: u32,
    pipe: Option<i32>,
    over: bool,
    cpu: Duration,
    began: Instant,
    answered: Option<Instant>,
}

/// The table of events.
#[derive(Default)]
pub(crate) struct Requests {
    table: HashMap<i32, Request>,
    next: i32,
    /// Events that `settle` has to look at. BOUND: one entry for each thing that a delivery did to an event.
    touched: Vec<i32>,
}

impl Requests {
    /// Opens an event; its id.
    pub(crate) fn open(&mut self, context: CallContext, answer: oneshot::Sender<Answer>, now: Instant) -> i32 {
        self.next = self.next.wrapping_add(1).max(1);
        let request = Request {
            context,
            answer: Some(answer),
            pending: 0,
            sockets: 0,
            pipe: None,
            over: false,
            cpu: Duration::ZERO,
            began: now,
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
        match self.table.get(&id) {
            Some(request) => Ok(request.context.clone()),
            None if id < 0 => Err(OpError::throw(
                "Error",
                "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), setting a \
                 timeout, and generating random values are not allowed within global scope. To fix this error, perform \
                 this operation within a handler.",
            )),
            None => Err(OpError::throw(
                "Error",
                "Cannot perform I/O on behalf of a request that has ended. I/O objects (such as streams, request/response \
                 bodies, and others) created in the context of one request handler can not be used after it.",
            )),
        }
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

    pub(crate) fn socket_opened(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id) {
            request.sockets += 1;
        }
    }

    pub(crate) fn socket_closed(&mut self, id: i32) {
        if let Some(request) = self.table.get_mut(&id) {
            request.sockets = request.sockets.saturating_sub(1);
            self.touched.push(id);
        }
    }

    /// Adds CPU time to the event.
    pub(crate) fn spent(&mut self, id: i32, cpu: Duration) {
        if let Some(request) = self.table.get_mut(&id) {
            request.cpu += cpu;
        }
    }

    /// CPU time that the event has used in all.
    pub(crate) fn cpu(&self, id: i32) -> Duration {
        self.table.get(&id).map_or(Duration::ZERO, |request| request.cpu)
    }

    /// Answers an event that has no answer yet.
    pub(crate) fn answer(&mut self, id: i32, answer: Answer) {
        if let Some(request) = self.table.get_mut(&id)
            && let Some(waiting) = request.answer.take()
        {
            // Nobody may be waiting any more: the caller went away.
            let _gone = waiting.send(answer);
            self.touched.push(id);
        }
    }

    /// Ids of all events.
    pub(crate) fn ids(&self) -> Vec<i32> {
        self.table.keys().copied().collect()
    }

    /// Ids of events that have gone on for too long at `now`: unanswered past `wall`, or answered and still in
    /// `waitUntil` past `wait_until` without a body or socket to serve.
    pub(crate) fn overdue(&self, now: Instant, wall: Duration, wait_until: Duration) -> Vec<i32> {
        let late = |request: &Request| match request.answered {
            None => now.duration_since(request.began) > wall,
            Some(answered) => {
                request.pipe.is_none() && request.sockets == 0 && now.duration_since(answered) > wait_until
            }
        };
        self.table.iter().filter(|(_, request)| late(request)).map(|(id, _)| *id).collect()
    }
}

impl Ops {
    /// RESPOND
    pub(super) fn respond(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        let status = args.int()?;
        let status_text = args.text()?;
        let headers = header_map(args)?;
        let (body, pipe) = self.bodies.take(args.optional()?)?;
        let socket = match args.optional()? {
            None => None,
            Some(crate::runtime::frame::Value::Int(socket)) => Some(socket),
            Some(_) => return Err(crate::runtime::frame::FrameError::Unexpected.into()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = u16::try_from(status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or_else(|| OpError::throw("RangeError", "The response's status is out of range."))?;
        *response.headers_mut() = headers;
        if !status_text.is_empty()
            && response.status().canonical_reason() != Some(status_text)
            && let Ok(reason) = hyper::ext::ReasonPhrase::try_from(status_text.as_bytes())
        {
            response.extensions_mut().insert(reason);
        }
        if let Some(socket) = socket {
            response.extensions_mut().insert(self.sockets.accept(socket, id)?);
            self.requests.socket_opened(id);
        }
        if let Some(request) = self.requests.table.get_mut(&id) {
            request.pipe = pipe;
        }
        self.requests.answer(id, Ok(Outcome::Response(response)));
        Ok(false)
    }

    /// FAIL
    pub(super) fn fail(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        let message = args.text()?.to_owned();
        let stack = position::worker_frames(args.optional_text()?.unwrap_or_default());
        self.requests.answer(id, Err(WorkerError::Exception { message, stack }));
        Ok(false)
    }

    /// DONE
    pub(super) fn done(&mut self, args: &mut Reader<'_>) -> Replied {
        let id = args.int()?;
        self.requests.answer(id, Ok(Outcome::Done));
        if let Some(request) = self.requests.table.get_mut(&id) {
            request.over = true;
            self.requests.touched.push(id);
        }
        Ok(false)
    }

    /// Ends the events that are over, of those that something happened to since the last call.
    pub(crate) fn settle(&mut self, now: Instant) {
        let mut touched = std::mem::take(&mut self.requests.touched);
        for id in touched.drain(..) {
            let Some(request) = self.requests.table.get_mut(&id) else { continue };
            if request.answer.is_none() && request.answered.is_none() {
                request.answered = Some(now);
            }
            if request.over || (request.pending == 0 && request.sockets == 0) {
                self.end(id, WorkerError::NeverResponds);
            }
        }
        self.requests.touched = touched;
    }

    /// Nobody waits for the event any more: `waitUntil` may go on as after an answer, and what it still writes is refused.
    pub(crate) fn gave_up(&mut self, id: i32, now: Instant) {
        let Some(request) = self.requests.table.get_mut(&id) else { return };
        request.answered.get_or_insert(now);
        if let Some(pipe) = request.pipe.take() {
            self.bodies.break_pipe(pipe, "the caller went away");
        }
    }

    /// Ends an event now; `error` goes to whoever still waits for its answer.
    pub(crate) fn end(&mut self, id: i32, error: WorkerError) {
        let Some(mut request) = self.requests.table.remove(&id) else { return };
        self.pending.stop_request(id);
        if let Some(pipe) = request.pipe.take()
            && self.bodies.is_open_pipe(pipe)
        {
            self.bodies.break_pipe(pipe, &error.to_string());
        }
        self.sockets.end_request(id);
        if let Some(waiting) = request.answer.take() {
            let _gone = waiting.send(Err(error));
        }
    }
}

/// A flat list of names and values; the characters of a value are its bytes.
pub(super) fn header_map(args: &mut Reader<'_>) -> Result<HeaderMap, OpError> {
    let count = args.list()?;
    let mut headers = HeaderMap::with_capacity(count / 2);
    for _ in 0..count / 2 {
        let (name, value) = (args.text()?, args.text()?);
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_ignored| OpError::throw("TypeError", format!("Invalid header name: {name}")))?;
        headers.append(name, header_value(value)?);
    }
    Ok(headers)
}

fn header_value(text: &str) -> Result<HeaderValue, OpError> {
    let invalid = || OpError::throw("TypeError", "Invalid header value.");
    if text.is_ascii() {
        return HeaderValue::from_str(text).map_err(|_ignored| invalid());
    }
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    HeaderValue::from_bytes(&bytes.map_err(|_ignored| invalid())?).map_err(|_ignored| invalid())
}
