//! A door by which log lines leave, and nothing else.
//!
//! **Owns** refusing every other effect. **Must not know** where the lines go. **Enter at** [`LinesOnly`].

use std::sync::Arc;

use http::{Request, Response};
use skerry_control::kv::KvError;
use skerry_proto::id::NamespaceId;

use super::outbound::{CallContext, KvCall, KvReply, LogRecord, Outbound, OutboundError};
use crate::worker::{Body, ServiceTarget};

/// Refuses with `refusal`, and gives each line to `log`.
pub struct LinesOnly<F> {
    /// What the worker's code learns.
    pub refusal: &'static str,
    /// Takes a line; never blocks.
    pub log: F,
}

#[async_trait::async_trait]
impl<F: Fn(&CallContext, LogRecord) + Send + Sync> Outbound for LinesOnly<F> {
    async fn fetch(&self, _: &CallContext, _: Request<Body>) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Refused(self.refusal.into()))
    }

    async fn service(
        &self,
        _: &CallContext,
        _: &Arc<ServiceTarget>,
        _: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        Err(OutboundError::Refused(self.refusal.into()))
    }

    async fn kv(&self, _: &CallContext, _: &NamespaceId, _: KvCall) -> Result<KvReply, KvError> {
        Err(KvError::Invalid { status: 400, message: self.refusal.into() })
    }

    fn log(&self, cx: &CallContext, record: LogRecord) {
        (self.log)(cx, record);
    }
}
