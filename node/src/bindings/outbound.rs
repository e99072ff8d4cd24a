//! The one door through which a worker reaches the world.
//!
//! **Owns** the list of effects that tenant code can have. **Must not know** how any of them is done. **Enter at**
//! [`Outbound`]. An implementation that refuses everything is a sandbox.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use http::{Request, Response};
use skerry_control::kv::{KvEntry, KvError, KvListOptions, KvPage, KvPut};
use skerry_proto::id::NamespaceId;

use crate::worker::{Body, ServiceTarget, WorkerKey};

/// Everything tenant code can do outside its own memory.
#[async_trait::async_trait]
pub trait Outbound: Send + Sync {
    /// An HTTP request to the Internet, with the egress rules applied. Redirects are the caller's business.
    async fn fetch(&self, cx: &CallContext, request: Request<Body>) -> Result<Response<Body>, OutboundError>;
    /// A request to another service of the account, in this process.
    async fn service(
        &self,
        cx: &CallContext,
        target: &Arc<ServiceTarget>,
        request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError>;
    /// One KV operation.
    async fn kv(&self, cx: &CallContext, namespace: &NamespaceId, call: KvCall) -> Result<KvReply, KvError>;
    /// A line of the worker's log. Never blocks; a full log drops the line and counts it.
    fn log(&self, cx: &CallContext, record: LogRecord);
    /// On whose behalf an isolate acts that `cx` was the first to need, where it acts for no event: its top-level scope, and
    /// what goes on after its event has ended. Only lines leave so. By default through the same door.
    fn detached(&self, cx: &CallContext) -> CallContext {
        CallContext { request_id: Arc::default(), ..cx.clone() }
    }
}

/// One KV operation, already within the limits of [`skerry_control::kv::limits`].
#[derive(Debug, Clone)]
pub enum KvCall {
    /// Reads some keys, 1 to 100.
    Get {
        /// The keys, in the order of the answer.
        keys: Vec<String>,
        /// How long this node may serve a cached value, in seconds.
        cache_ttl_seconds: Option<u64>,
    },
    /// Writes one key.
    Put {
        /// The key.
        key: String,
        /// What to write.
        put: KvPut,
    },
    /// Removes one key.
    Delete {
        /// The key.
        key: String,
    },
    /// Adds to a number kept as decimal text, in one transaction (`wasi:keyvalue/atomics`).
    Increment {
        /// The key; absent counts as 0.
        key: String,
        /// What to add.
        delta: i64,
    },
    /// Lists keys.
    List(KvListOptions),
}

/// The answer to a [`KvCall`].
#[derive(Debug, Clone)]
pub enum KvReply {
    /// One place for each key asked for.
    Entries(Vec<Option<KvEntry>>),
    /// A write or removal is durable.
    Done,
    /// The sum after an increment.
    Count(i64),
    /// A page of keys.
    Page(KvPage),
}

/// Why an outgoing request failed, in words for the worker's author.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutboundError {
    /// The address is not allowed. State: unchanged. Retry: no.
    #[error("{0}")]
    Refused(String),
    /// No connection, or it broke. State: unknown. Retry: for idempotent requests.
    #[error("{0}")]
    Network(String),
    /// More calls than the request may make. State: unchanged. Retry: no.
    #[error("Too many subrequests.")]
    TooManySubrequests,
    /// More worker invocations than one request may cause. State: unchanged. Retry: no.
    #[error("Subrequest depth limit exceeded. This request recursed through Workers too many times.")]
    TooDeep,
    /// The bound service failed. State: unknown. Retry: for idempotent requests.
    #[error("{0}")]
    Worker(String),
}

/// What is known about the event on whose behalf something is done. Cheap to clone.
#[derive(Clone)]
pub struct CallContext {
    /// Identifies the request in logs and error pages: 32 hexadecimal digits; empty where there is none.
    pub request_id: Arc<str>,
    /// The worker that runs.
    pub worker: WorkerKey,
    /// How many workers stand between the end user and this one; 0 for the first.
    pub depth: u32,
    /// Worker invocations of the whole request, shared by every worker it passes through.
    pub invocations: Arc<AtomicU32>,
    /// Outgoing calls of this event.
    pub subrequests: Arc<AtomicU32>,
    /// `Cloudflare-Workers-Version-Overrides` as received, handed on through service bindings.
    pub version_overrides: Option<Arc<str>>,
    /// The door itself.
    pub outbound: Arc<dyn Outbound>,
}

impl CallContext {
    /// BOUND: worker invocations one end-user request may cause; Cloudflare's documented limit.
    pub const INVOCATIONS_MAX: u32 = 32;

    /// Counts one outgoing call against `limit`.
    pub fn count_subrequest(&self, limit: u32) -> Result<(), OutboundError> {
        if self.subrequests.fetch_add(1, Ordering::Relaxed) < limit {
            Ok(())
        } else {
            Err(OutboundError::TooManySubrequests)
        }
    }

    /// Counts one more worker invocation of the whole request.
    pub fn count_invocation(&self) -> Result<(), OutboundError> {
        if self.invocations.fetch_add(1, Ordering::Relaxed) < Self::INVOCATIONS_MAX {
            Ok(())
        } else {
            Err(OutboundError::TooDeep)
        }
    }
}

impl std::fmt::Debug for CallContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallContext")
            .field("request_id", &self.request_id)
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

/// A line of a worker's log, or an exception.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// How serious it is.
    pub level: LogLevel,
    /// The formatted arguments. BOUND: 16 KiB, cut by the runtime.
    pub message: String,
    /// Where: the worker's own source position, or a stack for exceptions.
    pub position: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// How serious a line is; `Exception` is an uncaught error or unhandled rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// `console.debug`
    Debug,
    /// `console.info`
    Info,
    /// `console.log`
    Log,
    /// `console.warn`
    Warn,
    /// `console.error`
    Error,
    /// An uncaught error.
    Exception,
}

/// Bytes that a WebSocket carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketMessage {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A close frame.
    Close {
        /// RFC 6455 section 7.4.
        code: u16,
        /// At most 123 bytes.
        reason: String,
    },
}
