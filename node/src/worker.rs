//! What the runtime is told about a worker, what it is asked to do, and what it answers.
//!
//! **Owns** the boundary between the runtime and everything above it. **Must not know** the catalog, sockets, or whether
//! the worker is JavaScript or a Wasm component. **Enter at** [`WorkerSpec`].

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use skerry_proto::id::{AccountId, EnvironmentName, NamespaceId, Revision, ServiceName, VersionId};

/// A request or response body as it passes between ingress, runtime and bindings.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// `request.cf` as JSON text, in a request's extensions. One for each connection.
#[derive(Debug, Clone)]
pub struct RequestCf(pub Arc<str>);

/// Why a body ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// The side that produced it went away. State: unknown. Retry: no.
    #[error("the body was cut off: {0}")]
    Aborted(Arc<str>),
    /// It grew past its limit. State: unknown. Retry: no.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that it passed.
        limit_bytes: u64,
    },
}

/// One version of one environment, ready to run. Isolates are shared only between equal [`WorkerKey`]s.
#[derive(Debug)]
pub struct WorkerSpec {
    /// What makes two specs interchangeable.
    pub key: WorkerKey,
    /// The code, shared by every spec of the version.
    pub code: Arc<Code>,
    /// The bindings of `env`, in no particular order; names are unique.
    pub env: Vec<(String, EnvValue)>,
    /// What the worker may use.
    pub limits: Limits,
    /// `compatibility_date` and flags, as uploaded.
    pub compatibility: Compatibility,
}

/// Which worker this is. `config_revision` changes whenever the effective configuration does, so an isolate never sees
/// two configurations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerKey {
    /// The tenant.
    pub account: AccountId,
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The version.
    pub version: VersionId,
    /// The catalog revision at which the effective configuration last changed.
    pub config_revision: Revision,
}

/// The files of a version.
#[derive(Debug, Clone)]
pub struct Code {
    /// How the entry point is written.
    pub syntax: Syntax,
    /// The name of the entry module, one of `modules`.
    pub main_module: String,
    /// Every file, by the name that imports use.
    pub modules: Vec<Module>,
}

/// How a version's entry point is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// An ES module with a default export.
    Modules,
    /// A script that calls `addEventListener`.
    ServiceWorker,
    /// A WASI component that exports `wasi:http/incoming-handler`.
    Component,
}

/// One file of a version.
#[derive(Debug, Clone)]
pub struct Module {
    /// The path that imports resolve to, such as `lib/router.js`.
    pub name: String,
    /// What the file is.
    pub kind: ModuleKind,
    /// Its content.
    pub bytes: Bytes,
}

/// What a file of a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleKind {
    /// An ES module.
    EsModule,
    /// Text, the default export is a string.
    Text,
    /// Bytes, the default export is an `ArrayBuffer`.
    Data,
    /// JSON, the default export is its value.
    Json,
    /// A core Wasm module (refused at upload until the runtime offers `WebAssembly`).
    Wasm,
    /// A WASI component.
    Component,
    /// A source map; never imported, used to translate positions in the log.
    SourceMap,
}

/// One value of `env`.
#[derive(Clone)]
pub enum EnvValue {
    /// A plain variable.
    Text(String),
    /// A variable given as JSON; the worker sees its value.
    Json(String),
    /// A secret in clear. Never logged: [`std::fmt::Debug`] hides it.
    Secret(String),
    /// A KV namespace.
    Kv(NamespaceId),
    /// Another service.
    Service(Arc<ServiceTarget>),
    /// `{id, tag, timestamp}` of the version that runs.
    VersionMetadata {
        /// The version's id.
        id: VersionId,
        /// The tag given at upload, empty when none.
        tag: String,
        /// RFC 3339.
        timestamp: String,
    },
}

impl std::fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Json(json) => f.debug_tuple("Json").field(json).finish(),
            Self::Secret(_) => f.write_str("Secret(..)"),
            Self::Kv(id) => f.debug_tuple("Kv").field(id).finish(),
            Self::Service(target) => f.debug_tuple("Service").field(target).finish(),
            Self::VersionMetadata { id, .. } => f.debug_tuple("VersionMetadata").field(id).finish(),
        }
    }
}

/// What a service binding points at, as written; in the extensions of a request, how it calls its target (absent: the
/// default export, without props); which environment serves it is decided at each call (DESIGN 4.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTarget {
    /// The name of the binding, for messages.
    pub binding: String,
    /// The service; always of the caller's account.
    pub service: ServiceName,
    /// The environment, or `None` for the one of the caller's name, else `production`.
    pub environment: Option<EnvironmentName>,
    /// The named entry point, or `None` for the default export.
    pub entrypoint: Option<String>,
    /// JSON that the target sees as `ctx.props`.
    pub props: Option<String>,
}

/// `compatibility_date` and flags.
#[derive(Debug, Clone, Default)]
pub struct Compatibility {
    /// `YYYY-MM-DD`, empty when not given.
    pub date: String,
    /// Flags as given.
    pub flags: Vec<String>,
}

/// What one worker may use. Each is enforced by the host, never by the guest's good will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one event. Default 50 ms, at most 30 s. Too low cuts off honest work; too high lets one tenant hold a core.
    pub cpu: Duration,
    /// Linear memory of one isolate or instance. Default 128 MiB.
    pub memory_bytes: usize,
    /// Outgoing calls of one request, bindings included. Default 1000.
    pub subrequests: u32,
    /// From the call's arrival, its wait for an isolate included, to its answer. After that `waitUntil` has 30 s, which begin
    /// when neither a body nor a socket is open any more. For fetch; default 5 min.
    pub wall: Duration,
    /// The same for a scheduled event. Default [`SCHEDULED_WALL`].
    pub scheduled_wall: Duration,
    /// CPU time of a module's top-level scope. Default 1 s.
    pub startup_cpu: Duration,
    /// Isolates of one version on this node. Default 2 per core.
    pub isolates: usize,
    /// Requests that may wait for an isolate. Default 1000; past it the answer is 503.
    pub queue: usize,
    /// Requests in flight in one isolate. Default 256.
    pub in_flight: usize,
}

/// BOUND: from a scheduled event's beginning to its end: as long as Cloudflare gives cron triggers.
pub const SCHEDULED_WALL: Duration = Duration::from_secs(900);

impl Limits {
    /// How long an event may take, its wait for an isolate included.
    #[must_use]
    pub fn wall_of(&self, event: &Event) -> Duration {
        match event {
            Event::Fetch(_) => self.wall,
            Event::Scheduled { .. } => self.scheduled_wall,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(50),
            memory_bytes: 128 << 20,
            subrequests: 1000,
            wall: Duration::from_secs(300),
            scheduled_wall: SCHEDULED_WALL,
            startup_cpu: Duration::from_secs(1),
            isolates: 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            queue: 1000,
            in_flight: 256,
        }
    }
}

/// Something that happens to a worker.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every event is a fetch: a box would cost each request an allocation"
)]
pub enum Event {
    /// An HTTP request.
    Fetch(http::Request<Body>),
    /// A cron trigger.
    Scheduled {
        /// The expression that fired.
        cron: String,
        /// Milliseconds since the Unix epoch.
        scheduled_time_ms: i64,
    },
}

/// What came of an event.
pub enum Outcome {
    /// The answer to a fetch. A 101 carries a `Accepted` WebSocket in its extensions.
    Response(http::Response<Body>),
    /// A scheduled event has run to its end.
    Done,
}

/// Why a worker did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkerError {
    /// The handler threw or rejected. State: unknown. Retry: no.
    #[error("uncaught exception: {message}")]
    Exception {
        /// The error's `name: message`.
        message: String,
        /// The worker's own source positions, one a line.
        stack: String,
    },
    /// The handler can never settle: nothing is pending. State: unknown. Retry: no.
    #[error("the worker's code will never generate a response")]
    NeverResponds,
    /// The event used more CPU time than its budget. State: unknown. Retry: no.
    #[error("the worker exceeded its CPU time limit of {limit_ms} ms")]
    CpuLimit {
        /// The budget.
        limit_ms: u64,
    },
    /// The isolate's memory is used up. State: unknown. Retry: no.
    #[error("the worker exceeded its memory limit of {limit_bytes} bytes")]
    MemoryLimit {
        /// The limit.
        limit_bytes: usize,
    },
    /// The event took longer than its wall time. State: unknown. Retry: no.
    #[error("the worker exceeded its wall time limit of {limit_ms} ms")]
    WallLimit {
        /// The limit.
        limit_ms: u64,
    },
    /// Every isolate is busy and the queue is full, or the code waits for others to be compiled. State: unchanged. Retry:
    /// yes, later.
    #[error("the worker is overloaded: too many requests queued")]
    Overloaded,
    /// The isolate was discarded while this event was in it, because of another event. State: unknown. Retry: for
    /// idempotent requests.
    #[error("the isolate was reset: {reason}")]
    Reset {
        /// What the other event did.
        reason: String,
    },
    /// The code can not be loaded. State: unchanged. Retry: no.
    #[error("the worker can not be loaded: {0}")]
    Load(LoadError),
    /// The event has no handler: a `fetch` for a worker that exports only `scheduled`. State: unchanged. Retry: no.
    #[error("the worker has no {handler} handler")]
    NoHandler {
        /// `fetch` or `scheduled`.
        handler: &'static str,
    },
}

/// Why a worker is not ready to run: its code's fault, or this node's.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PrepareError {
    /// The code can not be loaded. State: unchanged. Retry: no.
    #[error(transparent)]
    Code(#[from] LoadError),
    /// This node has no room or no time for it now. State: unchanged. Retry: yes, later.
    #[error("{0}")]
    Busy(&'static str),
    /// This node failed over it, which says nothing about the code. State: unchanged. Retry: yes.
    #[error("{0}")]
    Failed(String),
}

impl From<PrepareError> for WorkerError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Code(error) => Self::Load(error),
            PrepareError::Busy(_) => Self::Overloaded,
            PrepareError::Failed(reason) => Self::Reset { reason },
        }
    }
}

/// Why code can not be loaded; positions are those of the uploaded file.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{message}{}", position(.file, *.line, *.column))]
pub struct LoadError {
    /// What is wrong.
    pub message: String,
    /// The module.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// From 1.
    pub column: Option<u32>,
}

fn position(file: &Option<String>, line: Option<u32>, column: Option<u32>) -> String {
    match (file, line, column) {
        (Some(file), Some(line), Some(column)) => format!(" at {file}:{line}:{column}"),
        (Some(file), Some(line), None) => format!(" at {file}:{line}"),
        (Some(file), _, _) => format!(" in {file}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_event_has_a_quarter_of_an_hour() {
        let scheduled = Event::Scheduled { cron: "* * * * *".to_owned(), scheduled_time_ms: 0 };
        assert_eq!(Limits::default().wall_of(&scheduled), Duration::from_secs(15 * 60));
    }

    #[test]
    fn only_the_codes_own_fault_is_called_a_load_error() {
        let broken = LoadError { message: "SyntaxError".to_owned(), file: None, line: None, column: None };
        assert!(matches!(WorkerError::from(PrepareError::Code(broken)), WorkerError::Load(_)));
        assert!(matches!(WorkerError::from(PrepareError::Busy("full")), WorkerError::Overloaded));
        let failed = PrepareError::Failed("the compiler failed".to_owned());
        assert!(matches!(WorkerError::from(failed), WorkerError::Reset { .. }));
    }
}
