//! Components that are ready to run.
//!
//! **Owns** what is compiled and linked, once for all who ask at the same time. **Must not know** requests. **Enter at**
//! [`Library`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OnceCell, Semaphore};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::{
    ComponentBuildError,
    code::CodeCache,
    config::ComponentConfig,
    door,
    guest::{self, Guest},
    inspect::inspect,
    lru::Lru,
    seats::Seats,
};
use crate::worker::{Code, LoadError, Module, ModuleKind, PrepareError, WorkerKey, WorkerSpec};

/// BOUND: components compiled at once. Each uses every core and up to 1 GiB.
const COMPILES_MAX: usize = 1;

/// One worker that is ready to run.
pub(super) struct Prepared {
    /// The worker.
    pub(super) worker: Arc<WorkerSpec>,
    /// Its component, linked.
    pub(super) component: ProxyPre<Guest>,
    /// Its variables and secrets, as environment variables.
    pub(super) environment: Vec<(String, String)>,
    /// Who may run it now.
    pub(super) seats: Arc<Seats>,
}

/// Everything that is ready to run, within bounds.
pub(super) struct Library {
    linker: Linker<Guest>,
    pub(super) compiler: Arc<Compiler>,
    components: Mutex<Lru<blake3::Hash, Arc<OnceCell<ProxyPre<Guest>>>>>,
    prepared: Mutex<Lru<WorkerKey, Arc<OnceCell<Arc<Prepared>>>>>,
    seats_per_worker: usize,
}

/// Compiles one component after the other, in the order of asking.
pub(super) struct Compiler {
    engine: Engine,
    cache: CodeCache,
    /// Who compiles now.
    pub(super) turn: Arc<Semaphore>,
    time: Duration,
}

impl Library {
    pub(super) fn build(engine: Engine, config: &ComponentConfig) -> Result<Self, ComponentBuildError> {
        let cache = CodeCache::open(config.cache_dir.clone(), config.cache_bytes_max)
            .map_err(|source| ComponentBuildError::Cache { path: config.cache_dir.clone(), source })?;
        Ok(Self {
            linker: guest::linker(&engine).map_err(ComponentBuildError::Engine)?,
            compiler: Arc::new(Compiler {
                engine,
                cache,
                turn: Arc::new(Semaphore::new(COMPILES_MAX)),
                time: config.compile_time,
            }),
            components: Mutex::new(Lru::new(config.versions_max)),
            // A configuration change makes a new entry over the same component, so there are more of these; they are small.
            prepared: Mutex::new(Lru::new(config.versions_max * 4)),
            seats_per_worker: config.instances_per_worker_max,
        })
    }

    /// The worker, ready to run; compiled now if it never was. Waits for its turn for as long as that takes.
    pub(super) async fn prepare(&self, worker: &Arc<WorkerSpec>) -> Result<Arc<Prepared>, PrepareError> {
        let cell = lock(&self.prepared).get_or_insert_with(&worker.key, Arc::default);
        if let Some(prepared) = cell.get() {
            return Ok(prepared.clone());
        }
        cell.get_or_try_init(|| self.assemble(worker)).await.cloned()
    }

    /// The component in `module`, compiled and linked. Waits for its turn for as long as that takes.
    pub(super) async fn component(&self, module: &Module) -> Result<ProxyPre<Guest>, PrepareError> {
        let hash = blake3::hash(&module.bytes);
        let cell = lock(&self.components).get_or_insert_with(&hash, Arc::default);
        cell.get_or_try_init(|| self.load(module, hash)).await.cloned()
    }

    async fn assemble(&self, worker: &Arc<WorkerSpec>) -> Result<Arc<Prepared>, PrepareError> {
        let component = self.component(main_module(&worker.code)?).await?;
        let seats = self.seats_per_worker.min(worker.limits.isolates.saturating_mul(worker.limits.in_flight)).max(1);
        Ok(Arc::new(Prepared {
            worker: worker.clone(),
            component,
            environment: door::variables(worker),
            seats: Arc::new(Seats::new(seats, worker.limits.queue)),
        }))
    }

    async fn load(&self, module: &Module, hash: blake3::Hash) -> Result<ProxyPre<Guest>, PrepareError> {
        inspect(&module.name, &module.bytes)?;
        let compiled = self.compiler.clone().compile(module, hash).await?;
        let linked = self.linker.instantiate_pre(&compiled).and_then(ProxyPre::new);
        linked.map_err(|error| refused(module, format!("the component does not fit wasi:http: {error:#}")))
    }
}

impl Compiler {
    async fn compile(self: Arc<Self>, module: &Module, hash: blake3::Hash) -> Result<Component, PrepareError> {
        let turn = self.turn.clone().acquire_owned().await.expect("the semaphore is never closed");
        // The time begins here: those before it in the queue say nothing about this component.
        let (limit, wasm) = (self.time, module.bytes.clone());
        let compiling = tokio::task::spawn_blocking(move || {
            let compiled = self.cache.load_or_compile(&self.engine, &hash, &wasm);
            drop(turn);
            compiled
        });
        // A compile can not be interrupted. It goes on when nobody waits for it any more, so that its result reaches the cache, and
        // keeps its turn until then.
        match tokio::time::timeout(limit, compiling).await {
            Ok(Ok(compiled)) => {
                compiled.map_err(|error| refused(module, format!("the component is not valid: {error:#}")))
            }
            Ok(Err(panic)) => Err(PrepareError::Failed(format!("the compiler failed: {panic}"))),
            Err(_elapsed) => {
                let problem = format!("the component takes longer than {} s to compile", limit.as_secs());
                Err(refused(module, problem))
            }
        }
    }
}

fn refused(module: &Module, message: String) -> PrepareError {
    LoadError { message, file: Some(module.name.clone()), line: None, column: None }.into()
}

/// The file that holds the component: the main module, or the only component of the version.
pub(super) fn main_module(code: &Code) -> Result<&Module, LoadError> {
    let named =
        code.modules.iter().find(|module| module.name == code.main_module && module.kind == ModuleKind::Component);
    let mut components = code.modules.iter().filter(|module| module.kind == ModuleKind::Component);
    let only = components.next().filter(|_| components.next().is_none());
    named.or(only).ok_or_else(|| LoadError {
        message: "the main module is not a Wasm component".to_owned(),
        file: Some(code.main_module.clone()),
        line: None,
        column: None,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
