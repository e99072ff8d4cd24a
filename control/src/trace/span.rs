//! One span, from its beginning to its end.
//!
//! **Owns** what is kept of it. **Must not know** who began it, or why. **Enter at** [`Span`].

use std::time::Instant;

use bytes::Bytes;
use skerry_proto::otlp::{self, AnyValue, KeyValue, Status, any_value::Value, span::SpanKind, status::StatusCode};

use super::{TraceContext, Tracer};
use crate::clock;

/// Something that takes a while. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    context: Option<TraceContext>,
    record: Option<Box<Record>>,
}

/// What is kept of a span.
#[derive(Debug)]
pub struct Record {
    tracer: Tracer,
    began: Instant,
    span: otlp::Span,
}

impl Span {
    /// Outside of traces.
    #[must_use]
    pub fn none() -> Self {
        Self::handing_on(None)
    }

    /// Of which nothing is kept.
    pub(super) fn handing_on(context: Option<TraceContext>) -> Self {
        Self { context, record: None }
    }

    pub(super) fn recording(
        tracer: Tracer,
        context: TraceContext,
        parent: Option<&TraceContext>,
        kind: SpanKind,
        name: &'static str,
    ) -> Self {
        let span = otlp::Span {
            trace_id: Bytes::copy_from_slice(&context.trace_id),
            span_id: Bytes::copy_from_slice(&context.span_id),
            trace_state: context.state.as_deref().unwrap_or_default().to_owned(),
            parent_span_id: parent.map(|parent| Bytes::copy_from_slice(&parent.span_id)).unwrap_or_default(),
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: clock::unix_ns(),
            flags: u32::from(context.sampled),
            ..otlp::Span::default()
        };
        let record = Some(Box::new(Record { tracer, began: clock::monotonic(), span }));
        Self { context: Some(context), record }
    }

    /// Its name for its children; `None` outside of traces.
    #[must_use]
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Whether anything is kept of it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.record.is_some()
    }

    /// Says something about it, if it is kept.
    pub fn record(&mut self, say: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            say(record);
        }
    }
}

impl Record {
    /// What is done; few different ones.
    pub fn name(&mut self, name: String) {
        self.span.name = name;
    }

    /// An attribute.
    pub fn text(&mut self, key: &str, value: impl Into<String>) {
        self.attribute(key, Value::StringValue(value.into()));
    }

    /// An attribute.
    pub fn number(&mut self, key: &str, value: impl Into<i64>) {
        self.attribute(key, Value::IntValue(value.into()));
    }

    /// It failed: `kind` is one of few, `message` is for people.
    pub fn failed(&mut self, kind: &str, message: impl Into<String>) {
        self.text("error.type", kind);
        self.span.status = Some(Status { message: message.into(), code: StatusCode::Error.into() });
    }

    fn attribute(&mut self, key: &str, value: Value) {
        self.span.attributes.push(KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut span = std::mem::take(&mut self.span);
        let took = clock::monotonic().saturating_duration_since(self.began);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        span.end_time_unix_nano = span.start_time_unix_nano.saturating_add(took_ns);
        self.tracer.finished(span);
    }
}
