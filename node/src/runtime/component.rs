//! Runs workers that are WASI components.
//!
//! **Owns** compiling, linking and running `wasi:http` components within their limits. **Must not know** JavaScript, the catalog
//! or sockets. **Enter at** [`ComponentRuntime`].
//!
//! A component answers each request in a fresh instance, so requests share nothing but the code. What it may import is listed in
//! [`inspect`]; every effect leaves through [`door`].

mod code;
mod config;
mod door;
mod engine;
mod failure;
mod guest;
mod inspect;
mod keyvalue;
mod lane;
mod library;
mod lru;
mod memory;
mod meter;
mod outgoing;
mod response;
mod run;
mod seats;
mod stdio;
mod ticker;
mod variables;
mod wit;

#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc};

use tokio::time::timeout;

pub use self::config::ComponentConfig;
use self::{
    failure::Failure,
    lane::HeavyLane,
    library::{Library, Prepared},
    run::Call,
    seats::{Accounts, Seat, Seats},
    ticker::Ticker,
};
use crate::bindings::outbound::CallContext;
use crate::clock;
use crate::runtime::pool;
use crate::worker::{Code, Event, Outcome, PrepareError, WorkerError, WorkerSpec};

/// Runs components. Cheap to clone.
#[derive(Clone)]
pub struct ComponentRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    library: Library,
    /// The places of the whole node, in front of the engine's pool.
    seats: Seats,
    /// How many of them an account may have at once: all but a quarter, so that there is something left for the others.
    accounts: Accounts,
    ticker: Ticker,
    lane: HeavyLane,
    config: ComponentConfig,
}

/// Why components can not be run on this machine.
#[derive(Debug, thiserror::Error)]
pub enum ComponentBuildError {
    /// wasmtime refuses its settings, mostly for want of address space. State: unchanged. Retry: with fewer instances.
    #[error("the component engine can not be built")]
    Engine(#[source] wasmtime::Error),
    /// The cache can not be used. State: unchanged. Retry: once the directory is writable.
    #[error("the cache of compiled components at {} can not be used", .path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A thread can not be started. State: unchanged. Retry: yes.
    #[error("a thread for components can not be started")]
    Thread(#[source] io::Error),
}

impl ComponentRuntime {
    /// BOUND: requests that wait for a place on the node, over all workers; past it the answer is 503. An account's own queue,
    /// in front of that, has three quarters of it.
    const QUEUE_MAX: usize = 10_000;

    /// Builds the engine and opens the cache. Blocks for some milliseconds.
    ///
    /// # Errors
    /// See [`ComponentBuildError`].
    pub fn build(config: &ComponentConfig) -> Result<Self, ComponentBuildError> {
        let engine = engine::build(config).map_err(ComponentBuildError::Engine)?;
        let ticker = Ticker::start(engine.clone(), config.tick).map_err(ComponentBuildError::Thread)?;
        let lane = HeavyLane::build(config).map_err(ComponentBuildError::Thread)?;
        let library = Library::build(engine, config)?;
        let instances_max = config.instances_max as usize;
        let seats = Seats::new(instances_max, Self::QUEUE_MAX);
        let accounts = Accounts::new(but_a_quarter(instances_max), but_a_quarter(Self::QUEUE_MAX));
        let config = config.clone();
        Ok(Self { shared: Arc::new(Shared { library, seats, accounts, ticker, lane, config }) })
    }

    /// Compiles and links the worker, so that its first request finds it ready. Waits for its turn for as long as that takes.
    ///
    /// # Errors
    /// The upload can not run here, or this node has failed; the message says why.
    pub async fn prepare(&self, worker: &Arc<WorkerSpec>) -> Result<(), PrepareError> {
        self.shared.library.prepare(worker).await.map(|_prepared| ())
    }

    /// Judges an upload as [`ComponentRuntime::prepare`] would, without a worker. Returns the names of its handlers.
    ///
    /// # Errors
    /// The upload can not run here, or this node can not say so now; the message says why.
    pub async fn validate(&self, code: &Code) -> Result<Vec<String>, PrepareError> {
        let module = library::main_module(code)?;
        let Shared { library, config, .. } = &*self.shared;
        match timeout(config.load_wait + config.compile_time, library.component(module)).await {
            Ok(made) => made.map(|_component| vec!["fetch".to_owned()]),
            Err(_elapsed) => Err(PrepareError::Busy("other components are still being compiled")),
        }
    }

    /// Instances that exist now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.shared.seats.taken()
    }

    /// Gives `event` to an instance of the worker. Dropping the returned future stops the instance.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn call(&self, worker: &Arc<WorkerSpec>, event: Event, cx: CallContext) -> Result<Outcome, WorkerError> {
        let wall = worker.limits.wall_of(&event);
        let until = clock::monotonic() + wall;
        let Event::Fetch(request) = event else {
            return Err(WorkerError::NoHandler { handler: "scheduled" });
        };
        let shared = &self.shared;
        let patience = shared.config.load_wait.min(wall);
        let prepared = timeout(patience, shared.library.prepare(worker)).await;
        let prepared = prepared.map_err(|_late| WorkerError::Overloaded)??;
        let left = until.saturating_duration_since(clock::monotonic());
        let seats = match timeout(pool::patience(cx.depth, left), shared.seats_for(&prepared)).await {
            Ok(Some(seats)) => seats,
            Err(_late) if cx.depth == 0 => return Err(Failure::wall(wall).error()),
            _ => return Err(WorkerError::Overloaded),
        };
        let call = Call {
            prepared,
            _seats: seats,
            _running: shared.ticker.running(),
            tick: shared.config.tick,
            lane: shared.lane.clone(),
            until,
            wait_until: shared.config.wait_until,
        };
        call.fetch(request, cx).await.map(Outcome::Response)
    }
}

impl Shared {
    /// A place among the worker's, one among its account's and one among the node's; `None` when a queue is full.
    async fn seats_for(&self, prepared: &Prepared) -> Option<[Seat; 3]> {
        let own = prepared.seats.take().await?;
        let account = self.accounts.seats(&prepared.worker.key.account).take().await?;
        Some([own, account, self.seats.take().await?])
    }
}

/// Three quarters, rounded up: an account may have the only place.
fn but_a_quarter(all: usize) -> usize {
    all - all / 4
}
