//! A call's way out: every effect of a guest goes through here.
//!
//! **Owns** counting what a guest asks for and naming its bindings. **Must not know** WASI. **Enter at** [`Door`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{Request, Response};
use skerry_control::kv::KvError;
use skerry_proto::id::NamespaceId;

use crate::{
    bindings::outbound::{CallContext, KvCall, KvReply, LogLevel, LogRecord, OutboundError},
    clock,
    worker::{Body, EnvValue, ServiceTarget, WorkerSpec},
};

/// BOUND: bytes of one log line, as [`LogRecord::message`] says.
pub(super) const LINE_BYTES_MAX: usize = 16 << 10;

/// One call's way out.
#[derive(Debug)]
pub(super) struct Door {
    worker: Arc<WorkerSpec>,
    cx: CallContext,
    has_failed: AtomicBool,
}

impl Door {
    pub(super) fn new(worker: Arc<WorkerSpec>, cx: CallContext) -> Arc<Self> {
        Arc::new(Self { worker, cx, has_failed: AtomicBool::new(false) })
    }

    /// Says that the guest has been stopped; bodies that it did not finish are then cut off, not ended.
    pub(super) fn fail(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    /// Whether the guest has been stopped.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// A request to the Internet.
    pub(super) async fn fetch(&self, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        self.count()?;
        self.cx.outbound.fetch(&self.cx, request).await
    }

    /// A request to a bound service.
    pub(super) async fn service(
        &self,
        target: &Arc<ServiceTarget>,
        request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        self.count()?;
        self.cx.outbound.service(&self.cx, target, request).await
    }

    /// One KV operation.
    pub(super) async fn kv(&self, namespace: &NamespaceId, call: KvCall) -> Result<KvReply, KvError> {
        self.count().map_err(|error| KvError::Invalid { status: 429, message: error.to_string() })?;
        self.cx.outbound.kv(&self.cx, namespace, call).await
    }

    /// The service binding called `name`, whatever its case: host names have none.
    pub(super) fn service_binding(&self, name: &str) -> Option<&Arc<ServiceTarget>> {
        self.worker.env.iter().find_map(|(binding, value)| match value {
            EnvValue::Service(target) if binding.eq_ignore_ascii_case(name) => Some(target),
            _ => None,
        })
    }

    /// The KV binding called `name`.
    pub(super) fn kv_binding(&self, name: &str) -> Option<&NamespaceId> {
        self.worker.env.iter().find_map(|(binding, value)| match value {
            EnvValue::Kv(namespace) if binding == name => Some(namespace),
            _ => None,
        })
    }

    /// The variables and secrets by name, in the order of [`WorkerSpec::env`].
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        variables(&self.worker)
    }

    /// A line of the worker's log.
    pub(super) fn log(&self, level: LogLevel, message: String, position: Option<String>) {
        let record = LogRecord { level, message: cut(message), position, at_ms: clock::unix_ms() };
        self.cx.outbound.log(&self.cx, record);
    }

    fn count(&self) -> Result<(), OutboundError> {
        self.cx.count_subrequest(self.worker.limits.subrequests)
    }
}

/// What a component sees of `env` as text: variables, JSON variables, secrets, and version metadata as JSON.
pub(super) fn variables(worker: &WorkerSpec) -> Vec<(String, String)> {
    let text = |value: &EnvValue| match value {
        EnvValue::Text(text) | EnvValue::Json(text) | EnvValue::Secret(text) => Some(text.clone()),
        EnvValue::VersionMetadata { id, tag, timestamp } => {
            Some(serde_json::json!({ "id": id.to_string(), "tag": tag, "timestamp": timestamp }).to_string())
        }
        EnvValue::Kv(_) | EnvValue::Service(_) => None,
    };
    worker.env.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn cut(mut message: String) -> String {
    if message.len() > LINE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(LINE_BYTES_MAX));
    }
    message
}
