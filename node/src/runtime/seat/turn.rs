//! One turn of an isolate: what it is told, and under which budget.

use std::{sync::Arc, time::Duration};

use super::{Isolate, Mail, Seat};
use crate::{
    bindings::outbound::SocketMessage,
    clock,
    runtime::{
        call::Call,
        event,
        frame::Writer,
        isolate::Fault,
        meter,
        ops::pending::{Completed, Done},
        services::Services,
        ticker,
        worker::{Event, Limits, LoadError, ServiceTarget, WorkerError},
    },
};

/// What an isolate does next.
#[expect(clippy::large_enum_variant, reason = "one at a time, moved once; a box would cost every call an allocation")]
pub(super) enum Turn {
    Load,
    Call(Call),
    Mail(Mail),
}

/// An encoded turn.
pub(super) struct Prepared {
    frame: Writer,
    request: i32,
    budget: Duration,
    now_ms: f64,
    is_load: bool,
}

/// A turn that is over.
pub(super) struct Finished {
    pub(super) isolate: Box<Isolate>,
    pub(super) request: i32,
    pub(super) result: Result<(), Fault>,
    pub(super) is_load: bool,
}

impl Prepared {
    pub(super) async fn run(self, mut isolate: Box<Isolate>) -> Finished {
        let Self { frame, request, budget, now_ms, is_load } = self;
        let result = if is_load {
            isolate.load(frame.as_bytes(), now_ms, budget).await
        } else {
            isolate.deliver(frame.as_bytes(), now_ms, budget).await
        };
        isolate.recycle(frame);
        Finished { isolate, request, result, is_load }
    }
}

/// In place of the event, for a turn that belongs to none.
const NOBODY: i32 = -1;

/// Encodes what the turn tells the guest; `None` when its event is gone.
pub(super) fn prepare(isolate: &mut Isolate, seat: &Arc<Seat>, turn: Turn) -> Option<Prepared> {
    let (worker, services) = (&seat.worker, &seat.services);
    let mut frame = isolate.scratch();
    let now_ms = clock::unix_ms() as f64;
    isolate.ops().begin_turn(now_ms);
    let request = match turn {
        Turn::Load => {
            event::load(&mut frame, worker, services.seed(), services.config.internal_modules);
            let budget = worker.limits.startup_cpu;
            return Some(Prepared { frame, request: NOBODY, budget, now_ms, is_load: true });
        }
        Turn::Call(call) => begin_call(isolate, &mut frame, call, seat),
        Turn::Mail(mail) => open_mail(isolate, &mut frame, mail, services),
    };
    let Some(request) = request else {
        isolate.recycle(frame);
        return None;
    };
    let used = isolate.ops().requests.cpu(request);
    match meter::allowance(worker.limits.cpu, used, ticker::TICK) {
        Some(budget) => Some(Prepared { frame, request, budget, now_ms, is_load: false }),
        None => Some(end_over_limit(isolate, frame, request, &worker.limits)),
    }
}

/// Ends an event that has used its CPU time in earlier turns: the guest hears that instead of what was to happen next.
fn end_over_limit(isolate: &mut Isolate, mut frame: Writer, request: i32, limits: &Limits) -> Prepared {
    let ops = isolate.ops();
    ops.end(request, cpu_error(limits));
    frame.clear();
    event::ended(&mut frame, &ops.requests.take_ended());
    Prepared { frame, request: NOBODY, budget: limits.cpu, now_ms: ops.now_ms, is_load: false }
}

fn begin_call(isolate: &mut Isolate, frame: &mut Writer, call: Call, seat: &Arc<Seat>) -> Option<i32> {
    let ops = isolate.ops();
    let handlers = seat.handlers.get().map_or(&[][..], Vec::as_slice);
    let Call { event, at, context, answer, place, .. } = call;
    let (handler, entrypoint) = match &event {
        Event::Fetch(request) => {
            ("fetch", request.extensions().get::<Arc<ServiceTarget>>().and_then(|to| to.entrypoint.as_ref()))
        }
        Event::Scheduled { .. } => ("scheduled", None),
    };
    // Named entry points are the guest's to find.
    if entrypoint.is_none() && !handlers.iter().any(|name| name == handler) {
        let _gone = answer.send(Err(WorkerError::NoHandler { handler }));
        return None;
    }
    if place.is_cancelled() {
        return None;
    }
    if ops.bodies.is_full() {
        let _gone = answer.send(Err(WorkerError::Overloaded));
        return None;
    }
    let id = ops.requests.open(context, answer, at, seat.worker.limits.wall_of(&event));
    if !place.begin(id, seat) {
        ops.end(id, WorkerError::NeverResponds);
        return None;
    }
    match event {
        Event::Fetch(request) => event::fetch(frame, ops, id, request),
        Event::Scheduled { cron, scheduled_time_ms } => event::scheduled(frame, ops, id, &cron, scheduled_time_ms),
    }
    Some(id)
}

fn open_mail(isolate: &mut Isolate, frame: &mut Writer, mail: Mail, services: &Services) -> Option<i32> {
    let ops = isolate.ops();
    match mail {
        Mail::Complete { op, done } => {
            let op = match done {
                Done::Elapsed => ops.pending.elapsed(op)?,
                _ => op,
            };
            let Completed { request, is_answer } = ops.pending.complete(op)?;
            ops.requests.operation_ended(request);
            if is_answer {
                ops.answer_by(request, done);
                return None;
            }
            event::complete(frame, ops, op, request, done);
            Some(request)
        }
        Mail::Cancel { request } => {
            if !ops.requests.contains(request) || ops.end_handed_on(request) {
                return None;
            }
            ops.gave_up(request, clock::monotonic());
            event::cancel(frame, request);
            Some(request)
        }
        Mail::Socket { socket, message, permit } => {
            let (request, origin) = ops.sockets.owner(socket)?;
            event::socket(frame, socket, message.as_ref());
            ops.requests.refill_cpu(request);
            match message {
                None => ops.sockets.ended(socket),
                Some(SocketMessage::Close { .. }) => ops.sockets.closed(socket),
                Some(_) => {}
            }
            // One that was closed in order may stay for the guest's own close, but keeps nothing alive any more.
            if matches!(message, None | Some(SocketMessage::Close { .. })) {
                ops.requests.socket_closed(request, origin);
            }
            drop(permit);
            Some(request)
        }
        Mail::Ended { requests } => {
            event::ended(frame, &requests);
            Some(NOBODY)
        }
        Mail::Sweep => {
            for (id, wall) in ops.overdue(clock::monotonic(), services.config.wait_until) {
                ops.end(id, wall_error(wall));
            }
            let ended = ops.requests.take_ended();
            if ended.is_empty() {
                return None;
            }
            event::ended(frame, &ended);
            Some(NOBODY)
        }
    }
}

fn cpu_error(limits: &Limits) -> WorkerError {
    WorkerError::CpuLimit { limit_ms: u64::try_from(limits.cpu.as_millis()).unwrap_or(u64::MAX) }
}

pub(super) fn wall_error(limit: Duration) -> WorkerError {
    WorkerError::WallLimit { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}

/// What the caller is told about a fault.
pub(super) fn worker_error(fault: &Fault, limits: &Limits, is_load: bool) -> WorkerError {
    match fault {
        Fault::Cpu if is_load => load_error(format!(
            "The worker's top-level scope exceeded its CPU time limit of {} ms.",
            limits.startup_cpu.as_millis()
        )),
        Fault::Crash(reason) if is_load => load_error(reason.clone()),
        Fault::Cpu => cpu_error(limits),
        Fault::Memory => WorkerError::MemoryLimit { limit_bytes: limits.memory_bytes },
        Fault::Crash(reason) => WorkerError::Reset { reason: reason.clone() },
    }
}

fn load_error(message: String) -> WorkerError {
    WorkerError::Load(LoadError { message, file: None, line: None, column: None })
}
