//! The door of what a worker does on behalf of no event.
//!
//! **Owns** where lines go that its top-level scope logs, or code that goes on after its event. **Must not know** events.
//! **Enter at** [`Unowned::context`]. Nothing else leaves by it: the runtime refuses operations that belong to no event.

use std::sync::Arc;

use http::{Request, Response};
use skerry_control::kv::KvError;
use skerry_proto::id::NamespaceId;

use super::{
    Dispatch,
    door::{environment_of, write_line},
};
use crate::{
    bindings::outbound::{CallContext, KvCall, KvReply, LogRecord, Outbound, OutboundError},
    tails::{self, Source},
    worker::{Body, ServiceTarget, WorkerKey},
};

/// A door for lines only.
pub(super) struct Unowned {
    dispatch: Dispatch,
}

const NO_EVENT: &str = "Cannot perform I/O on behalf of no request.";

impl Unowned {
    /// For an isolate of `worker`.
    pub(super) fn context(dispatch: &Dispatch, worker: WorkerKey) -> CallContext {
        CallContext {
            request_id: Arc::default(),
            worker,
            depth: 0,
            invocations: Arc::default(),
            subrequests: Arc::default(),
            version_overrides: None,
            outbound: Arc::new(Self { dispatch: dispatch.clone() }),
        }
    }
}

#[async_trait::async_trait]
impl Outbound for Unowned {
    async fn fetch(&self, _: &CallContext, _: Request<Body>) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Refused(NO_EVENT.into()))
    }

    async fn service(
        &self,
        _: &CallContext,
        _: &ServiceTarget,
        _: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Refused(NO_EVENT.into()))
    }

    async fn kv(&self, _: &CallContext, _: &NamespaceId, _: KvCall) -> Result<KvReply, KvError> {
        Err(KvError::Invalid { status: 400, message: NO_EVENT.into() })
    }

    fn log(&self, cx: &CallContext, record: LogRecord) {
        let deps = &self.dispatch.inner.deps;
        deps.metrics.worker_lines.inc();
        write_line(&cx.request_id, &cx.worker, &record);
        let environment = environment_of(&cx.worker);
        if let Some(channel) = deps.tails.channel(&environment) {
            tails::send_line(&channel, &Source { environment, version: cx.worker.version.clone() }, &record);
        }
    }
}
