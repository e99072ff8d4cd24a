//! Runs workers: JavaScript in isolates of the engine image, components as instances of their own.
//!
//! **Owns** isolates, instances and their limits. **Must not know** the catalog, hostnames or sockets. **Enter at**
//! [`Runtime`]. The modules in the order in which they build on each other, from the top: `workers` (one worker's isolates)
//! over `seat` (one isolate at work) over `isolate` (the crossing) over `ops` (what a guest may ask for).

pub mod component;
pub mod validate;
mod workers;

mod call;
mod event;
mod isolate;
mod ops;
mod seat;
mod services;

mod census;
mod engine;
pub mod image;
mod lane;
mod pool;
mod ticker;

pub mod config;
mod frame;
mod limits;
mod meter;
mod origins;
mod pace;
mod position;
mod source_map;
mod thread;
pub mod websocket;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

pub use crate::worker;
use crate::{
    bindings::outbound::CallContext,
    clock,
    runtime::{
        call::{Call, Guard, Place},
        census::Census,
        component::{ComponentBuildError, ComponentConfig, ComponentRuntime},
        config::RuntimeConfig,
        isolate::Mould,
        lane::Lane,
        services::Services,
        ticker::Ticker,
        worker::{Event, Outcome, PrepareError, Syntax, WorkerError, WorkerKey, WorkerSpec},
        workers::Workers,
    },
    task::Tasks,
};

/// Why the runtime can not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no engine image. State: unchanged. Retry: see the source.
    #[error("the JavaScript engine is not available")]
    Image(#[from] image::ImageError),
    /// wasmtime can not work on this machine. State: unchanged. Retry: no.
    #[error("wasmtime can not be set up")]
    Engine(#[source] wasmtime::Error),
    /// A thread can not be started. State: unchanged. Retry: yes.
    #[error("a thread can not be started")]
    Thread(#[from] std::io::Error),
    /// Wasm components can not be run. State: unchanged. Retry: see the source.
    #[error("the component runtime is not available")]
    Component(#[from] ComponentBuildError),
}

/// Figures for metrics and the status page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Workers that have an isolate.
    pub workers: usize,
    /// Isolates.
    pub isolates: usize,
    /// Events that isolates or instances have or that wait for one.
    pub events: usize,
    /// Linear memory of all isolates in bytes; most of it is shared with the engine image or was never touched.
    pub memory_bytes: usize,
}

/// Runs workers. Clones share everything.
#[derive(Clone)]
pub struct Runtime {
    services: Arc<Services>,
    components: ComponentRuntime,
    // BOUND: RuntimeConfig::isolates_max workers have an isolate; the sweep removes those without.
    workers: Arc<RwLock<HashMap<WorkerKey, Arc<Workers>>>>,
    tasks: Tasks,
}

/// How often events and isolates are looked at for having gone on, or been idle, for too long.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

impl Runtime {
    /// Makes or loads the engine image and starts the runtime's threads. Blocks for up to some seconds on a machine that has
    /// no image in its cache yet; must be called inside a tokio runtime.
    pub fn build(config: RuntimeConfig) -> Result<Self, BuildError> {
        let engine = engine::build(config.isolates_max).map_err(BuildError::Engine)?;
        let module = image::load(&engine.engine, &config.cache_dir)?;
        let mould = Mould::new(&engine.engine, &module).map_err(BuildError::Engine)?;
        let components = ComponentRuntime::build(&ComponentConfig {
            heavy_threads: config.heavy_threads,
            wait_until: config.wait_until,
            ..ComponentConfig::new(config.cache_dir.join("components"))
        })?;
        let handle = tokio::runtime::Handle::current();
        let services = Arc::new(Services {
            ticker: Ticker::start(&engine.engine)?,
            lane: Lane::start(config.heavy_threads, &handle)?,
            handle,
            census: Arc::new(Census::new(engine.isolates_max)),
            validations: Arc::new(Semaphore::new(limits::VALIDATIONS_MAX as usize)),
            mould,
            config,
        });
        let runtime = Self { services, components, workers: Arc::default(), tasks: Tasks::new() };
        runtime.start_sweep();
        Ok(runtime)
    }

    /// Runs one event and returns its answer; a streaming answer goes on after that. Dropping the future, or the body of the
    /// answer before its end, tells the worker that its caller went away.
    pub async fn call(
        &self,
        worker: &Arc<WorkerSpec>,
        event: Event,
        context: CallContext,
    ) -> Result<Outcome, WorkerError> {
        if worker.code.syntax == Syntax::Component {
            return self.components.call(worker, event, context).await;
        }
        let workers = self.workers_of(worker);
        if workers.wants_room() {
            self.make_room();
        }
        let (answer, waiting) = oneshot::channel();
        let place = Arc::new(Place::default());
        let at = clock::monotonic();
        let call = Call { event, at, context, answer, place: Arc::clone(&place), pool: Arc::clone(&workers) as _ };
        let mut guard = Guard::new(place);
        workers.submit(call);
        match waiting.await.unwrap_or_else(|_| Err(reset())) {
            Ok(Outcome::Response(response)) => Ok(Outcome::Response(guard.watch(response))),
            answer => {
                guard.disarm();
                answer
            }
        }
    }

    /// Does what can be done before a worker's first event: a component is compiled. JavaScript is read when an isolate is made,
    /// which takes less than a millisecond.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub async fn prepare(&self, worker: &Arc<WorkerSpec>) -> Result<(), PrepareError> {
        match worker.code.syntax {
            Syntax::Component => self.components.prepare(worker).await,
            Syntax::Modules | Syntax::ServiceWorker => Ok(()),
        }
    }

    /// Figures of this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        let mut stats = Stats { workers: workers.len(), events: self.components.running(), ..Stats::default() };
        for workers in workers.values() {
            let (isolates, events, memory_bytes) = workers.tally();
            stats.isolates += isolates;
            stats.events += events;
            stats.memory_bytes += memory_bytes;
        }
        stats
    }

    /// Waits until no event is left, at most for `deadline`, then drops every isolate. Returns how many events were cut off.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        let drained = async {
            while self.stats().events > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _in_time = tokio::time::timeout(deadline, drained).await;
        let left = self.stats().events;
        self.tasks.stop(Duration::from_secs(1)).await;
        let workers = std::mem::take(&mut *self.workers.write().unwrap_or_else(PoisonError::into_inner));
        drop(workers);
        left
    }

    fn workers_of(&self, worker: &Arc<WorkerSpec>) -> Arc<Workers> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(workers) = workers.get(&worker.key) {
            return Arc::clone(workers);
        }
        drop(workers);
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        let entry = workers.entry(worker.key.clone());
        Arc::clone(entry.or_insert_with(|| Workers::new(Arc::clone(worker), Arc::clone(&self.services))))
    }

    /// Drops the idle isolate that was used longest ago, of any worker.
    fn make_room(&self) {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        let coldest = workers.values().filter_map(|workers| workers.coldest()).min_by_key(|(used_ms, _)| *used_ms);
        drop(workers);
        if let Some((_, seat)) = coldest {
            // One that has just been given an event stays, and the new worker waits its turn or is told "overloaded".
            let _retired = seat.retire();
        }
    }

    fn start_sweep(&self) {
        let stopping = self.tasks.stopping();
        let workers = Arc::downgrade(&self.workers);
        let idle_ms = u64::try_from(self.services.config.idle.as_millis()).unwrap_or(u64::MAX);
        self.tasks.spawn("runtime sweep", async move {
            let mut period = tokio::time::interval(SWEEP_PERIOD);
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    _ = period.tick() => {}
                }
                let Some(workers) = workers.upgrade() else { return };
                sweep(&workers, idle_ms);
            }
        });
    }
}

fn sweep(workers: &RwLock<HashMap<WorkerKey, Arc<Workers>>>, idle_ms: u64) {
    let now_ms = u64::try_from(clock::unix_ms()).unwrap_or(0);
    let all: Vec<(WorkerKey, Arc<Workers>)> = {
        let workers = workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|(key, workers)| (key.clone(), Arc::clone(workers))).collect()
    };
    for (key, swept) in all {
        if swept.sweep(now_ms.saturating_sub(idle_ms)) {
            continue;
        }
        // Somebody may have submitted an event since: the map's and our reference are the only ones when nobody has.
        let mut workers = workers.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&swept) <= 2 && !swept.sweep(0) {
            workers.remove(&key);
        }
    }
}

fn reset() -> WorkerError {
    WorkerError::Reset { reason: "the isolate was discarded".to_owned() }
}
