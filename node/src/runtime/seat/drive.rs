//! Running an isolate: turn after turn on the thread that brought it mail, or in the heavy lane.

use std::{
    future::Future,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures_util::FutureExt;

use super::{
    Isolate, Seat,
    turn::{self, Finished, Turn},
};
use crate::{
    clock,
    runtime::{limits, thread},
    task,
};

/// A turn's future: it gives the isolate back.
type Run = Pin<Box<dyn Future<Output = Finished> + Send>>;

/// What became of a turn on the thread that brought mail.
#[derive(PartialEq, Eq)]
enum Step {
    /// It is over.
    Taken,
    /// It goes on in the heavy lane.
    Moved,
    /// There was nothing to do, or somebody else does it.
    Nothing,
}

impl Seat {
    /// Gives the isolate its turns while there is something to do and nobody else runs it: here, or in the heavy lane when
    /// the worker's events take long.
    pub(super) fn drive(self: &Arc<Self>) {
        if !self.pace.is_long() {
            self.drive_inline();
            return;
        }
        let mut state = self.lock();
        // Whoever runs it, or will, comes back to the mail when it has put the isolate back.
        if state.running || std::mem::replace(&mut state.queued, true) {
            return;
        }
        drop(state);
        let seat = Arc::clone(self);
        self.services.lane.push(Box::pin(async move {
            seat.lock().queued = false;
            let _any = seat.drive_here(false);
        }));
    }

    fn drive_inline(self: &Arc<Self>) {
        let Some(_kept) = thread::keep() else {
            let _any = self.drive_here(false);
            return;
        };
        let began = clock::monotonic();
        if self.drive_here(!self.pace.is_brief()) {
            self.pace.kept(clock::monotonic().saturating_duration_since(began));
        }
    }

    /// With `rouse`, somebody looks after this thread's connections meanwhile. Returns whether there was anything to do.
    fn drive_here(self: &Arc<Self>, rouse: bool) -> bool {
        for turn in 0..limits::TURNS_MAX {
            match panic::catch_unwind(AssertUnwindSafe(|| self.take_turn(rouse && turn == 0))) {
                Ok(Step::Taken) => {}
                Ok(step) => return turn > 0 || step == Step::Moved,
                Err(_) => self.wrecked(),
            }
        }
        self.resume();
        true
    }

    fn take_turn(self: &Arc<Self>, rouse: bool) -> Step {
        let Some((isolate, turn)) = self.next() else { return Step::Nothing };
        if rouse {
            task::rouse_another_thread();
        }
        let Some(mut run) = self.begin(isolate, turn) else { return Step::Taken };
        match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(finished) => {
                self.finish(finished);
                Step::Taken
            }
            Poll::Pending => {
                self.move_to_lane(run);
                Step::Moved
            }
        }
    }

    fn move_to_lane(self: &Arc<Self>, run: Run) {
        let seat = Arc::clone(self);
        self.services.lane.push(Box::pin(async move {
            let rest = async { seat.finish(run.await) };
            let ended = AssertUnwindSafe(rest).catch_unwind().await;
            if ended.is_err() {
                seat.wrecked();
            }
            seat.resume();
        }));
    }

    /// A turn has panicked, and its isolate is gone with it: the callers of the events in it hear of a reset, because nobody
    /// is left who could answer.
    fn wrecked(&self) {
        tracing::error!(service = %self.worker.key.service, environment = %self.worker.key.environment, "a turn of an isolate panicked");
        let was_loaded = self.handlers.get().is_some();
        for call in self.bury() {
            // A load that panics does so in the next isolate, too.
            if was_loaded {
                Arc::clone(&call.pool).reassign(call);
            }
        }
    }

    /// Goes on with the mail on a thread of the ordinary kind.
    fn resume(self: &Arc<Self>) {
        let seat = Arc::clone(self);
        let _detached = task::spawn("isolate mail", async move { seat.drive() });
    }

    /// Takes the isolate and the next thing to do with it, unless somebody has it or there is nothing to do.
    fn next(&self) -> Option<(Box<Isolate>, Turn)> {
        let mut state = self.lock();
        if state.running {
            return None;
        }
        let turn = if !state.loaded && !state.calls.is_empty() {
            state.loaded = true;
            Turn::Load
        } else if let Some(mail) = state.mail.pop_front() {
            Turn::Mail(mail)
        } else if state.in_isolate < self.worker.limits.in_flight {
            Turn::Call(state.calls.pop_front()?)
        } else {
            return None;
        };
        let isolate = state.isolate.take()?;
        state.running = true;
        Some((isolate, turn))
    }

    /// Encodes the turn's event; `None` when there turns out to be nothing to tell the guest.
    fn begin(self: &Arc<Self>, mut isolate: Box<Isolate>, turn: Turn) -> Option<Run> {
        match turn::prepare(&mut isolate, self, turn) {
            Some(prepared) => {
                let running = self.services.ticker.running();
                Some(Box::pin(async move {
                    let finished = prepared.run(isolate).await;
                    drop(running);
                    finished
                }))
            }
            None => {
                self.put_back(isolate);
                None
            }
        }
    }
}
