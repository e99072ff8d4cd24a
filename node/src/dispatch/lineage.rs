//! What a request brings along from the requests that caused it.
//!
//! **Owns** what is handed on from one event to those that it causes. **Must not know** how a request finds its worker.
//! **Enter at** [`Lineage`].

use std::sync::{Arc, atomic::AtomicU32};

use http::{HeaderMap, HeaderName};
use skerry_control::trace::TraceContext;

use super::{header_text, request_id::RequestId};
use crate::{bindings::outbound::CallContext, worker::RequestCf};

/// Names the versions that a tester wants, by service (RFC 8941 dictionary).
pub const OVERRIDES: HeaderName = HeaderName::from_static("cloudflare-workers-version-overrides");

/// An event's place among those of one request.
pub(super) struct Lineage {
    pub(super) id: RequestId,
    pub(super) depth: u32,
    pub(super) invocations: Arc<AtomicU32>,
    pub(super) overrides: Option<Arc<str>>,
    pub(super) journey: Journey,
}

/// How a request has come to an event; its door keeps it for the requests that the event makes.
#[derive(Default)]
pub(super) struct Journey {
    /// Nodes and proxies that it came through; see [`hops`](super::hops).
    pub(super) hops: u32,
    /// The event's span.
    pub(super) span: Option<TraceContext>,
    /// `request.cf` of every worker that it reaches in this process; `None` when no end user's request began it.
    pub(super) cf: Option<RequestCf>,
}

impl Lineage {
    /// The lineage of an event that no worker has caused.
    pub(super) fn first(id: RequestId, headers: &HeaderMap, journey: Journey) -> Self {
        let overrides = header_text(headers, &OVERRIDES).map(Arc::from);
        Self { id, depth: 0, invocations: Arc::new(AtomicU32::new(1)), overrides, journey }
    }

    /// The lineage of a request that a worker makes to another: one deeper, of the same request.
    pub(super) fn below(cx: &CallContext, id: RequestId, headers: &HeaderMap, journey: Journey) -> Self {
        let own = header_text(headers, &OVERRIDES).map(Arc::from);
        Self {
            id: RequestId { text: Arc::clone(&cx.request_id), random: id.random },
            depth: cx.depth + 1,
            invocations: Arc::clone(&cx.invocations),
            overrides: own.or_else(|| cx.version_overrides.clone()),
            journey,
        }
    }
}
