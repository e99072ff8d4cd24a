//! The isolates of one worker.
//!
//! **Owns** making them within the worker's and the node's bounds, and dropping them when they are idle. **Must not know**
//! what events do. **Enter at** [`Workers::submit`]. Which isolate takes an event is decided by [`super::pool`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    call::Call,
    isolate::Held,
    ops::Ops,
    origins::Origins,
    pace::Pace,
    pool::{self, Bounds, Choice, Load},
    seat::{Reassign, Seat},
    services::Services,
    thread,
    worker::{WorkerError, WorkerSpec},
};

/// One worker's isolates.
pub(crate) struct Workers {
    worker: Arc<WorkerSpec>,
    services: Arc<Services>,
    pace: Arc<Pace>,
    origins: Arc<Origins>,
    // BOUND: Limits::isolates seats.
    seats: Mutex<Vec<Arc<Seat>>>,
}

impl Workers {
    pub(crate) fn new(worker: Arc<WorkerSpec>, services: Arc<Services>) -> Arc<Self> {
        let origins = Arc::new(Origins::of(&worker.code));
        Arc::new(Self { worker, services, pace: Arc::default(), origins, seats: Mutex::new(Vec::new()) })
    }

    /// Gives an event to an isolate, or tells its caller why not.
    pub(crate) fn submit(self: &Arc<Self>, call: Call) {
        match self.seat(&call) {
            Ok(seat) => seat.submit(call),
            Err(error) => {
                let _gone = call.answer.send(Err(error));
            }
        }
    }

    /// Whether a new isolate is what the next event needs and the node has no room for it.
    pub(crate) fn wants_room(&self) -> bool {
        !self.services.census.has_room() && self.lock().iter().all(|seat| seat.is_dead())
    }

    /// The idle isolate that was used longest ago: when, and which.
    pub(crate) fn coldest(&self) -> Option<(u64, Arc<Seat>)> {
        let seats = self.lock();
        let idle = seats.iter().filter(|seat| !seat.is_dead() && seat.events() == 0);
        idle.map(|seat| (seat.used_ms(), Arc::clone(seat))).min_by_key(|(used_ms, _)| *used_ms)
    }

    /// Drops isolates that are idle since before `idle_before_ms`, and lets the others look at their clocks. Returns
    /// whether any is left.
    pub(crate) fn sweep(&self, idle_before_ms: u64) -> bool {
        let mut seats = self.lock();
        seats.retain(|seat| {
            let is_over = seat.is_dead() || (seat.used_ms() < idle_before_ms && seat.retire());
            !is_over
        });
        let busy: Vec<Arc<Seat>> = seats.iter().filter(|seat| seat.events() > 0).map(Arc::clone).collect();
        let any = !seats.is_empty();
        drop(seats);
        for seat in busy {
            seat.sweep();
        }
        any
    }

    /// Isolates, events in them or waiting, and their linear memory in bytes.
    pub(crate) fn tally(&self) -> (usize, usize, usize) {
        let seats = self.lock();
        let alive = seats.iter().filter(|seat| !seat.is_dead());
        alive.fold((0, 0, 0), |(isolates, events, bytes), seat| {
            (isolates + 1, events + seat.events(), bytes + seat.memory_bytes())
        })
    }

    fn seat(self: &Arc<Self>, call: &Call) -> Result<Arc<Seat>, WorkerError> {
        let limits = &self.worker.limits;
        let bounds = Bounds { isolates: limits.isolates, in_flight: limits.in_flight, queue: limits.queue };
        let mut seats = self.lock();
        seats.retain(|seat| !seat.is_dead());
        let here = thread::number();
        let load =
            |seat: &Arc<Seat>| Load { events: seat.events(), used_ms: seat.used_ms(), is_near: seat.thread() == here };
        let loads: Vec<Load> = seats.iter().map(load).collect();
        match pool::choose(&loads, bounds, self.services.census.has_room()) {
            Choice::Existing(at) => Ok(Arc::clone(&seats[at])),
            Choice::Overloaded => Err(WorkerError::Overloaded),
            Choice::New => {
                let context = call.context.outbound.detached(&call.context);
                let ops = Ops::new(Arc::clone(&self.worker), Arc::clone(&self.origins), context);
                let held = Held::Resident(self.services.census.enter());
                let isolate = self.services.mould.isolate(ops, limits.memory_bytes, held).map_err(|error| {
                    tracing::error!(%error, "an isolate can not be made");
                    WorkerError::Overloaded
                })?;
                let seat = Seat::new(
                    Arc::clone(&self.worker),
                    Arc::clone(&self.services),
                    Arc::clone(&self.pace),
                    Box::new(isolate),
                );
                seats.push(Arc::clone(&seat));
                Ok(seat)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reassign for Workers {
    fn reassign(self: Arc<Self>, call: Call) {
        self.submit(call);
    }
}
