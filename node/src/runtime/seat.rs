//! One isolate at work: its mail, its turn, and what its operations start.
//!
//! **Owns** that at most one thread runs the isolate, and that every event in it gets an answer. **Must not know** which
//! isolate an event should go to. **Enter at** [`Seat::submit`].
//!
//! ```text
//!            .------------------ next mail ----------------.
//!            v                                             |
//! idle --mail--> running --settled--> (start operations) --+--nothing left--> idle
//!                  | |--yields--> heavy lane --settled--> (start operations), idle, mail again
//!                  `--fault, panic--> dead: every event in it is answered, what waits goes elsewhere
//! ```
//! Whoever brings mail runs the isolate on its own thread if nobody does; the run is never suspended there, so a caller
//! that is cancelled can not leave it half done. What takes longer than two ticks goes on in the heavy lane. A panic is the
//! host's own mistake; it ends here, or it would leave the isolate running for ever and its thread without an end.

#[path = "seat/drive.rs"]
mod drive;
#[path = "seat/turn.rs"]
mod turn;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;

use self::turn::Finished;
use super::{
    call::Call,
    isolate::{Fault, Isolate},
    ops::{
        pending::{Done, Started},
        socket::Opened,
    },
    pace::Pace,
    pool,
    services::Services,
    thread,
    ticker::TICK,
    worker::{LoadError, WorkerError, WorkerSpec},
};
use crate::{bindings::outbound::SocketMessage, clock, task};

/// Something that happened to an isolate.
pub(crate) enum Mail {
    /// An operation has come to its end.
    Complete {
        /// Which.
        op: i32,
        /// With what.
        done: Done,
    },
    /// The caller of an event went away.
    Cancel {
        /// The event.
        request: i32,
    },
    /// A message arrived on a WebSocket.
    Socket {
        /// On which.
        socket: i32,
        /// `None`: it ended without a close.
        message: Option<SocketMessage>,
        /// Lets the next message in when it is dropped.
        permit: Option<OwnedSemaphorePermit>,
    },
    /// The host has ended events by itself.
    Ended {
        /// Which.
        requests: Vec<i32>,
    },
    /// Look for events that have gone on for too long.
    Sweep,
}

/// Who takes calls that an isolate has not begun when it dies.
pub(crate) trait Reassign: Send + Sync {
    /// Gives the call to another isolate, or answers it.
    fn reassign(self: Arc<Self>, call: Call);
}

/// One isolate with its mail.
pub(crate) struct Seat {
    worker: Arc<WorkerSpec>,
    services: Arc<Services>,
    /// Shared by the worker's isolates.
    pace: Arc<Pace>,
    state: Mutex<State>,
    /// What the worker exports, once it is loaded.
    handlers: OnceLock<Vec<String>>,
    events: AtomicUsize,
    used_ms: AtomicU64,
    memory_bytes: AtomicUsize,
    /// See [`thread::number`]; 0 before the first turn.
    thread: AtomicU32,
    dead: AtomicBool,
}

struct State {
    /// BOUND: one entry for each operation in flight, socket message under its permit, cancelled or ended event, and second
    /// of a long turn.
    mail: VecDeque<Mail>,
    /// BOUND: the pool's queue; see [`super::pool::choose`]. A call waits for its wall time at most; see [`Seat::sweep`].
    calls: VecDeque<Call>,
    isolate: Option<Box<Isolate>>,
    loaded: bool,
    running: bool,
    /// The heavy lane has a job that will run the isolate.
    queued: bool,
    in_isolate: usize,
}

impl Seat {
    pub(crate) fn new(
        worker: Arc<WorkerSpec>,
        services: Arc<Services>,
        pace: Arc<Pace>,
        isolate: Box<Isolate>,
    ) -> Arc<Self> {
        let state = State {
            mail: VecDeque::new(),
            calls: VecDeque::new(),
            isolate: Some(isolate),
            loaded: false,
            running: false,
            queued: false,
            in_isolate: 0,
        };
        Arc::new(Self {
            worker,
            services,
            pace,
            state: Mutex::new(state),
            handlers: OnceLock::new(),
            events: AtomicUsize::new(0),
            used_ms: AtomicU64::new(0),
            memory_bytes: AtomicUsize::new(0),
            thread: AtomicU32::new(0),
            dead: AtomicBool::new(false),
        })
    }

    /// Events in the isolate and waiting for it.
    pub(crate) fn events(&self) -> usize {
        self.events.load(Ordering::Relaxed)
    }

    /// When it last began an event, in milliseconds since the Unix epoch.
    pub(crate) fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }

    /// Linear memory after its last event.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// The number of the thread on which it ran last.
    pub(crate) fn thread(&self) -> u32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// Whether the isolate is gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Takes an event, and runs the isolate if nobody does.
    pub(crate) fn submit(self: &Arc<Self>, call: Call) {
        self.used_ms.store(u64::try_from(clock::unix_ms()).unwrap_or(0), Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        if self.is_dead() {
            drop(state);
            self.events.fetch_sub(1, Ordering::Relaxed);
            Arc::clone(&call.pool).reassign(call);
            return;
        }
        state.calls.push_back(call);
        drop(state);
        self.drive();
    }

    /// Takes mail, and runs the isolate if nobody does.
    pub(crate) fn post(self: &Arc<Self>, mail: Mail) {
        let mut state = self.lock();
        if self.is_dead() {
            return;
        }
        state.mail.push_back(mail);
        drop(state);
        self.drive();
    }

    /// Takes mail from a place where JavaScript must not run, such as a destructor.
    pub(crate) fn post_later(self: &Arc<Self>, mail: Mail) {
        let seat = Arc::clone(self);
        let _entered = self.services.handle.enter();
        let _detached = task::spawn("isolate mail", async move { seat.post(mail) });
    }

    /// Lets the isolate look for events that have gone on for too long, and answers those that have waited for too long.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let (now, limits) = (clock::monotonic(), &self.worker.limits);
        let mut state = self.lock();
        if !state.calls.is_empty() {
            // Whoever has the isolate's last place may wait for one of these calls.
            let is_full = state.in_isolate >= limits.in_flight;
            let is_late = |call: &Call| {
                let depth = if is_full { call.context.depth } else { 0 };
                let patience = pool::patience(depth, limits.wall_of(&call.event));
                call.place.is_cancelled() || now.duration_since(call.at) > patience
            };
            let (late, calls): (Vec<Call>, _) = std::mem::take(&mut state.calls).into_iter().partition(is_late);
            state.calls = calls.into();
            let less = |events: usize| Some(events.saturating_sub(late.len()));
            let _always = self.events.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            drop(state);
            for call in late {
                let error = match call.context.depth {
                    0 => turn::wall_error(limits.wall_of(&call.event)),
                    _ => WorkerError::Overloaded,
                };
                let _gone = call.answer.send(Err(error));
            }
        } else {
            drop(state);
        }
        self.post(Mail::Sweep);
    }

    /// Drops an isolate that has nothing to do; false when it has.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.lock();
        let idle = !state.running && state.mail.is_empty() && state.calls.is_empty() && state.in_isolate == 0;
        if !idle {
            return false;
        }
        self.dead.store(true, Ordering::Release);
        let isolate = state.isolate.take();
        drop(state);
        // Unmapping memory takes time: not under the lock.
        drop(isolate);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(self: &Arc<Self>, finished: Finished) {
        let Finished { mut isolate, request, result, is_load } = finished;
        let cpu = isolate.meter().used();
        let ops = isolate.ops();
        ops.requests.spent(request, cpu);
        if !is_load {
            self.pace.ended(cpu, TICK, result.is_err());
        }
        if let Err(fault) = result {
            self.discard(isolate, request, &fault, is_load);
            return;
        }
        if is_load {
            match ops.report.take_loaded() {
                Some(Ok(handlers)) => {
                    // Loaded once.
                    let _first = self.handlers.set(handlers);
                    self.put_back(isolate);
                }
                Some(Err(error)) => self.fail_load(isolate, error),
                None => self.fail_load(isolate, no_report()),
            }
            return;
        }
        let started = ops.pending.take_started();
        let stopped = ops.pending.take_stopped();
        let opened = ops.sockets.take_opened();
        ops.settle(clock::monotonic());
        let ended = ops.requests.take_ended();
        self.start(&mut isolate, started);
        if !stopped.is_empty() {
            let mut state = self.lock();
            state.mail.extend(stopped.into_iter().map(aborted));
        }
        if !ended.is_empty() {
            self.lock().mail.push_back(Mail::Ended { requests: ended });
        }
        for socket in opened {
            self.listen(socket);
        }
        self.put_back(isolate);
    }

    /// Runs operations: those that end at once are mail at once, the others become tasks.
    fn start(self: &Arc<Self>, isolate: &mut Isolate, started: Vec<Started>) {
        for Started { op, mut work } in started {
            match work.as_mut().now_or_never() {
                Some(done) => self.lock().mail.push_back(Mail::Complete { op, done }),
                None => {
                    let seat = Arc::clone(self);
                    let running = task::spawn("isolate operation", async move {
                        let done = work.await;
                        seat.post(Mail::Complete { op, done });
                    });
                    isolate.ops().pending.runs_in(op, running.abort_handle());
                }
            }
        }
    }

    /// Reads a WebSocket, one message ahead of the guest.
    fn listen(self: &Arc<Self>, socket: Opened) {
        let seat = Arc::downgrade(self);
        let Opened { socket, mut incoming } = socket;
        let _detached = task::spawn("isolate socket", async move {
            let room = Arc::new(tokio::sync::Semaphore::new(1));
            let mut open = true;
            while open {
                let message = incoming.recv().await;
                open = !matches!(message, None | Some(SocketMessage::Close { .. }));
                let permit = Arc::clone(&room).acquire_owned().await.ok();
                let Some(seat) = seat.upgrade() else { return };
                seat.post(Mail::Socket { socket, message, permit });
            }
        });
    }

    fn put_back(&self, mut isolate: Box<Isolate>) {
        self.memory_bytes.store(isolate.memory_bytes(), Ordering::Relaxed);
        self.thread.store(thread::number(), Ordering::Relaxed);
        let in_isolate = isolate.ops().requests.len();
        let mut state = self.lock();
        state.in_isolate = in_isolate;
        state.running = false;
        state.isolate = Some(isolate);
        self.events.store(in_isolate + state.calls.len(), Ordering::Relaxed);
    }

    /// Every event in the isolate is answered: the one that broke it with the reason, the others with a reset.
    fn discard(&self, mut isolate: Box<Isolate>, culprit: i32, fault: &Fault, is_load: bool) {
        let error = turn::worker_error(fault, &self.worker.limits, is_load);
        tracing::warn!(service = %self.worker.key.service, environment = %self.worker.key.environment, %error, "isolate discarded");
        let ops = isolate.ops();
        for id in ops.requests.ids() {
            let error = if id == culprit { error.clone() } else { WorkerError::Reset { reason: error.to_string() } };
            ops.end(id, error);
        }
        let calls = self.bury();
        drop(isolate);
        for call in calls {
            if is_load {
                let _gone = call.answer.send(Err(error.clone()));
            } else {
                Arc::clone(&call.pool).reassign(call);
            }
        }
    }

    fn fail_load(&self, isolate: Box<Isolate>, error: LoadError) {
        let calls = self.bury();
        drop(isolate);
        for call in calls {
            let _gone = call.answer.send(Err(WorkerError::Load(error.clone())));
        }
    }

    /// Marks the seat dead; returns the events that it had not begun.
    fn bury(&self) -> VecDeque<Call> {
        let mut state = self.lock();
        self.dead.store(true, Ordering::Release);
        self.events.store(0, Ordering::Relaxed);
        let mail = std::mem::take(&mut state.mail);
        let calls = std::mem::take(&mut state.calls);
        let isolate = state.isolate.take();
        drop(state);
        drop((mail, isolate));
        calls
    }
}

fn aborted(op: i32) -> Mail {
    Mail::Complete { op, done: Done::Failed { name: "AbortError", message: "The operation was aborted".to_owned() } }
}

fn no_report() -> LoadError {
    LoadError { message: "The worker did not finish loading.".to_owned(), file: None, line: None, column: None }
}
