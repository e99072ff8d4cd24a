//! Who caused what: spans, and the way of their names from one to the next.
//!
//! **Owns** when a span is kept, and the bounded queue of those that are over. **Must not know** where they are sent.
//! **Enter at** [`Tracer`].
//!
//! ```text
//! Tracer --begin(parent)--> Span --context--> a child here, a header, or a call over the mesh
//!                             `--dropped--> the queue --> whoever exports (the node's `telemetry/otlp.rs`)
//! ```
//! A tracer that is off keeps nothing and makes no names; it only hands on the name that a request brought along. Whether a span
//! is kept is decided once for each trace: by whoever began it, or by the ratio where it begins here.

mod context;
mod span;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use skerry_proto::otlp;
pub use skerry_proto::otlp::span::SpanKind;
use tokio::sync::mpsc;

pub use self::{
    context::{STATE_BYTES_MAX, TraceContext},
    span::{Record, Span},
};

/// BOUND: spans that wait to be sent; some MiB. What comes while it is full is dropped and counted.
const QUEUE_SPANS_MAX: usize = 8192;

/// Makes spans. Clones share everything; the default is off.
#[derive(Clone, Default)]
pub struct Tracer {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    queue: mpsc::Sender<otlp::Span>,
    /// A trace that begins here is kept when a random number is below it.
    kept_below: u64,
    dropped: AtomicU64,
}

/// Spans that are over, for whoever sends them.
pub type Finished = mpsc::Receiver<otlp::Span>;

impl Tracer {
    /// Keeps this share, 0 to 1, of the traces that begin here, and all that somebody else keeps.
    #[must_use]
    pub fn new(ratio: f64) -> (Self, Finished) {
        let (queue, finished) = mpsc::channel(QUEUE_SPANS_MAX);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float's cast to an integer saturates"
        )]
        let kept_below = (ratio * 2f64.powi(64)) as u64;
        (Self { inner: Some(Arc::new(Inner { queue, kept_below, dropped: AtomicU64::new(0) })) }, finished)
    }

    /// Whether spans are kept at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.inner.is_some()
    }

    /// Spans that were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.as_ref().map_or(0, |inner| inner.dropped.load(Ordering::Relaxed))
    }

    /// Begins a span under `parent`, or a trace.
    #[must_use]
    pub fn begin(&self, parent: Option<&TraceContext>, kind: SpanKind, name: &'static str) -> Span {
        let Some(inner) = &self.inner else { return Span::handing_on(parent.cloned()) };
        let context = match parent {
            Some(parent) => parent.child(),
            None => TraceContext::new(inner.keeps()),
        };
        if !context.sampled {
            return Span::handing_on(Some(context));
        }
        Span::recording(self.clone(), context, parent, kind, name)
    }

    /// As [`Tracer::begin`], where there is a trace already: what is done for nobody begins none.
    #[must_use]
    pub fn below(&self, parent: Option<&TraceContext>, kind: SpanKind, name: &'static str) -> Span {
        if parent.is_some() { self.begin(parent, kind, name) } else { Span::handing_on(None) }
    }

    fn finished(&self, span: otlp::Span) {
        if let Some(inner) = &self.inner
            && inner.queue.try_send(span).is_err()
        {
            inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Inner {
    fn keeps(&self) -> bool {
        self.kept_below == u64::MAX || u64::from_be_bytes(context::random()) < self.kept_below
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parent() -> TraceContext {
        TraceContext::parse(PARENT, Some("vendor=1")).unwrap()
    }

    #[test]
    fn a_tracer_that_is_off_hands_on_what_came_and_keeps_nothing() {
        let tracer = Tracer::default();
        assert!(tracer.begin(None, SpanKind::Server, "GET").context().is_none());
        let span = tracer.begin(Some(&parent()), SpanKind::Server, "GET");
        assert_eq!(span.context(), Some(&parent()));
        assert!(!span.is_kept());
    }

    #[test]
    fn spans_of_one_trace_know_their_parents() {
        let (tracer, mut finished) = Tracer::new(0.0);
        let mut server = tracer.begin(Some(&parent()), SpanKind::Server, "GET");
        server.record(|record| record.number("http.response.status_code", 200));
        let child = tracer.below(server.context(), SpanKind::Client, "kv get");
        drop(child);
        drop(server);
        let (child, server) = (finished.try_recv().unwrap(), finished.try_recv().unwrap());
        assert_eq!(hex::encode(&server.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(hex::encode(&server.parent_span_id), "00f067aa0ba902b7");
        assert_eq!((&child.trace_id, &child.parent_span_id), (&server.trace_id, &server.span_id));
        assert_eq!(
            (server.trace_state.as_str(), server.kind(), child.kind()),
            ("vendor=1", SpanKind::Server, SpanKind::Client)
        );
        assert!(server.end_time_unix_nano >= server.start_time_unix_nano);
    }

    #[test]
    fn who_began_a_trace_decides_whether_it_is_kept() {
        let (all, _finished) = Tracer::new(1.0);
        let unsampled = TraceContext { sampled: false, ..parent() };
        let span = all.begin(Some(&unsampled), SpanKind::Server, "GET");
        assert!(!span.is_kept());
        let context = span.context().unwrap();
        assert_eq!((context.trace_id, context.sampled), (unsampled.trace_id, false));
        assert!(all.begin(None, SpanKind::Server, "GET").is_kept());
        let (none, _finished) = Tracer::new(0.0);
        assert!(!none.begin(None, SpanKind::Server, "GET").is_kept());
        assert!(none.below(None, SpanKind::Client, "kv get").context().is_none());
    }

    #[test]
    fn what_does_not_fit_the_queue_is_dropped_and_counted() {
        let (tracer, mut finished) = Tracer::new(1.0);
        for _ in 0..QUEUE_SPANS_MAX + 3 {
            drop(tracer.begin(None, SpanKind::Server, "GET"));
        }
        assert_eq!(tracer.dropped(), 3);
        assert!(finished.try_recv().is_ok());
    }
}
