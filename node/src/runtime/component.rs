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

use std::{io, path::PathBuf, sync::Arc, time::Duration};

pub use self::config::ComponentConfig;
use self::{lane::HeavyLane, library::Library, run::Call, seats::Seats, ticker::Ticker};
use crate::bindings::outbound::CallContext;
use crate::worker::{Code, Event, LoadError, Outcome, WorkerError, WorkerSpec};

/// Runs components. Cheap to clone.
#[derive(Clone)]
pub struct ComponentRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    library: Library,
    /// The places of the whole node, in front of the engine's pool.
    seats: Seats,
    ticker: Ticker,
    tick: Duration,
    lane: HeavyLane,
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
    /// BOUND: requests that wait for a place on the node, over all workers; past it the answer is 503.
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
        let seats = Seats::new(config.instances_max as usize, Self::QUEUE_MAX);
        Ok(Self { shared: Arc::new(Shared { library, seats, ticker, tick: config.tick, lane }) })
    }

    /// Compiles and links the worker, so that its first request finds it ready.
    ///
    /// # Errors
    /// The upload can not run here; the message says why.
    pub async fn prepare(&self, worker: &Arc<WorkerSpec>) -> Result<(), LoadError> {
        self.shared.library.prepare(worker).await.map(|_prepared| ())
    }

    /// Judges an upload as [`ComponentRuntime::prepare`] would, without a worker. Returns the names of its handlers.
    ///
    /// # Errors
    /// The upload can not run here; the message says why.
    pub async fn validate(&self, code: &Code) -> Result<Vec<String>, LoadError> {
        let module = library::main_module(code)?;
        self.shared.library.component(module).await?;
        Ok(vec!["fetch".to_owned()])
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
        let Event::Fetch(request) = event else {
            return Err(WorkerError::NoHandler { handler: "scheduled" });
        };
        let shared = &self.shared;
        let prepared = shared.library.prepare(worker).await.map_err(WorkerError::Load)?;
        let own = prepared.seats.take().await.ok_or(WorkerError::Overloaded)?;
        let node = shared.seats.take().await.ok_or(WorkerError::Overloaded)?;
        let call = Call {
            prepared,
            _seats: (own, node),
            _running: shared.ticker.running(),
            tick: shared.tick,
            lane: shared.lane.clone(),
        };
        call.fetch(request, cx).await.map(Outcome::Response)
    }
}
