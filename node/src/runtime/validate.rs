//! Trying a worker out before it is accepted: its top-level scope runs in an isolate that is thrown away.
//!
//! **Owns** what an upload is told about its code. **Must not know** the upload's form. **Enter at**
//! [`Runtime::validate`].

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::{
    Runtime, event,
    frame::Writer,
    isolate::{Fault, Held, Isolate},
    limits,
    ops::Ops,
    origins::Origins,
    worker::{LoadError, PrepareError, Syntax, WorkerSpec},
};
use crate::{bindings::outbound::CallContext, clock};

/// What a worker's code offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// The handlers: `fetch`, `scheduled`, ...; empty when the code handles nothing.
    pub handlers: Vec<String>,
    /// How long loading took, by the clock on the wall.
    pub startup: Duration,
}

impl Runtime {
    /// Loads `worker` into an isolate of its own and says which handlers it has, or why it can not run. What its top-level
    /// scope logs goes to `context`.
    ///
    /// # Errors
    /// See [`PrepareError`]; what this node lacks is never called the code's fault.
    pub async fn validate(&self, worker: &Arc<WorkerSpec>, context: CallContext) -> Result<Validated, PrepareError> {
        if worker.code.syntax == Syntax::Component {
            // A component has no top-level scope; its start-up is part of each request.
            let handlers = self.components.validate(&worker.code).await?;
            return Ok(Validated { handlers, startup: Duration::ZERO });
        }
        let place = Arc::clone(&self.services.validations).acquire_owned();
        let Ok(place) = tokio::time::timeout(limits::VALIDATION_WAIT_MAX, place).await else {
            return Err(PrepareError::Busy("too many uploads are being tried out"));
        };
        let place = place.expect("the semaphore is never closed");
        let began = clock::monotonic();
        let ops = Ops::new(Arc::clone(worker), Arc::new(Origins::of(&worker.code)), context);
        let isolate = self.services.mould.isolate(ops, worker.limits.memory_bytes, Held::Validation(place));
        let isolate = isolate.map_err(|error| {
            tracing::error!(%error, "an isolate can not be made for an upload");
            PrepareError::Failed(format!("an isolate can not be made: {error}"))
        })?;
        let mut frame = Writer::new();
        event::load(&mut frame, worker, self.services.seed(), self.services.config.internal_modules);
        let (mut isolate, result) = self.load(isolate, frame, worker.limits.startup_cpu).await?;
        result.map_err(|fault| fault_error(&fault, worker))?;
        let handlers = match isolate.ops().report.take_loaded() {
            Some(loaded) => loaded?,
            None => return Err(plain("The worker did not finish loading.".to_owned()).into()),
        };
        Ok(Validated { handlers, startup: clock::monotonic().duration_since(began) })
    }

    async fn load(
        &self,
        mut isolate: Isolate,
        frame: Writer,
        budget: Duration,
    ) -> Result<(Isolate, Result<(), Fault>), PrepareError> {
        let running = self.services.ticker.running();
        let now_ms = clock::unix_ms() as f64;
        let mut run = Box::pin(async move {
            isolate.ops().begin_turn(now_ms);
            let result = isolate.load(frame.as_bytes(), now_ms, budget).await;
            drop(running);
            (isolate, result)
        });
        if let Some(done) = run.as_mut().now_or_never() {
            return Ok(done);
        }
        let (sender, receiver) = oneshot::channel();
        self.services.lane.push(Box::pin(async move {
            // Nobody may wait any more: the upload was cancelled.
            let _gone = sender.send(run.await);
        }));
        // The lane drops what it has not done when it ends, and a job that panics.
        receiver.await.map_err(|_dropped| PrepareError::Failed("the node is shutting down".to_owned()))
    }
}

fn fault_error(fault: &Fault, worker: &WorkerSpec) -> LoadError {
    plain(match fault {
        Fault::Cpu => {
            format!("Script startup exceeded CPU time limit of {} ms.", worker.limits.startup_cpu.as_millis())
        }
        Fault::Memory => format!("Script startup exceeded memory limit of {} bytes.", worker.limits.memory_bytes),
        Fault::Crash(reason) => reason.clone(),
    })
}

fn plain(message: String) -> LoadError {
    LoadError { message, file: None, line: None, column: None }
}
