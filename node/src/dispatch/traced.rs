//! Traces of requests: what their spans say, in OpenTelemetry's names for HTTP, and the headers that carry them.
//!
//! **Owns** those names, and whose `traceparent` counts. **Must not know** how spans are kept. **Enter at** [`arrived`],
//! [`name_in`] and [`answered`].
//!
//! A worker sees its own span in `traceparent` where this node exports spans, so that its own telemetry can hang from it. What
//! a worker writes there itself goes out as it is; only a copy of what it saw becomes the name of the outgoing span.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use skerry_control::trace::{Record, Span, SpanKind, TraceContext, Tracer};

use crate::{
    bindings::outbound::OutboundError,
    worker::{Body, WorkerKey},
};

/// The header's name.
pub const PARENT: &str = "traceparent";
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// Begins the span of a request from outside. `traceparents` is how many of its lines are named so: two are none.
#[must_use]
pub fn arrived(tracer: &Tracer, headers: &mut HeaderMap, traceparents: usize) -> Span {
    let parent = if traceparents == 1 { named(headers) } else { None };
    let span = match (&parent, tracer.is_on()) {
        (None, false) => return Span::none(),
        (parent, _) => tracer.begin(parent.as_ref(), SpanKind::Server, "HTTP"),
    };
    if let (Some(context), true) = (span.context(), tracer.is_on()) {
        write(headers, context);
    }
    span
}

/// Says what a request from outside asks for.
pub fn asks(span: &mut Span, method: &Method, uri: &Uri, request_id: &str) {
    span.record(|record| {
        record.name(verb(method).to_owned());
        http(record, method, uri);
        record.text("url.scheme", uri.scheme_str().unwrap_or_default());
        record.text("skerry.request_id", request_id);
    });
}

/// Says who answers.
pub fn answered_by(record: &mut Record, worker: &WorkerKey) {
    record.text("skerry.account", worker.account.as_str());
    record.text("skerry.service", worker.service.as_str());
    record.text("skerry.environment", worker.environment.as_str());
    record.text("skerry.version", worker.version.as_str());
}

/// Says which route has led there; it becomes a part of the span's name.
pub fn routed(record: &mut Record, method: &Method, pattern: &impl ToString) {
    let pattern = pattern.to_string();
    record.name(format!("{} {pattern}", verb(method)));
    record.text("http.route", pattern);
}

/// Begins the span of a request that a worker makes: to another worker, or to the Internet.
pub fn made(tracer: &Tracer, event: Option<&TraceContext>, kind: SpanKind, request: &Request<Body>) -> Span {
    let mut span = tracer.below(event, kind, "HTTP");
    span.record(|record| {
        record.name(verb(request.method()).to_owned());
        http(record, request.method(), request.uri());
    });
    span
}

/// Names a span in the headers of the request that it is about, unless the worker has named another one than its `event`.
pub fn name_in(headers: &mut HeaderMap, span: &Span, event: Option<&TraceContext>) {
    let (Some(context), Some(event)) = (span.context(), event) else { return };
    let own = headers.get(PARENT);
    if own.is_some_and(|own| !own.to_str().is_ok_and(|own| event.is_named_by(own))) {
        return;
    }
    write(headers, context);
}

/// Says what came of it.
pub fn answered(span: &mut Span, status: StatusCode) {
    span.record(|record| {
        record.number("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            record.failed(status.as_str(), "");
        }
    });
}

/// Says what came of a request that a worker made.
pub fn returned(span: &mut Span, result: &Result<http::Response<Body>, OutboundError>) {
    match result {
        Ok(response) => answered(span, response.status()),
        Err(error) => span.record(|record| record.failed(kind(error), error.to_string())),
    }
}

fn kind(error: &OutboundError) -> &'static str {
    match error {
        OutboundError::Refused(_) => "refused",
        OutboundError::Network(_) => "network",
        OutboundError::TooManySubrequests | OutboundError::TooDeep => "limit",
        OutboundError::Worker(_) => "worker",
    }
}

/// What a URL asks for. Queries stay out: they carry what nobody wants to read in a trace.
fn http(record: &mut Record, method: &Method, uri: &Uri) {
    record.text("http.request.method", verb(method));
    record.text("url.path", uri.path());
    record.text("server.address", uri.host().unwrap_or_default());
    if let Some(port) = uri.port_u16() {
        record.number("server.port", port);
    }
}

/// The method, or the word for those that nobody knows: names of spans are few.
fn verb(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH") => known,
        _ => "_OTHER",
    }
}

fn named(headers: &HeaderMap) -> Option<TraceContext> {
    let parent = headers.get(PARENT)?.to_str().ok()?;
    let mut states = headers.get_all(STATE).iter().filter_map(|state| state.to_str().ok());
    match (states.next(), states.next()) {
        (state, None) => TraceContext::parse(parent, state),
        (Some(first), Some(second)) => {
            // RFC 9110 section 5.3: several lines are one list.
            let all: Vec<_> = [first, second].into_iter().chain(states).collect();
            TraceContext::parse(parent, Some(&all.join(",")))
        }
        (None, Some(_)) => None,
    }
}

fn write(headers: &mut HeaderMap, context: &TraceContext) {
    let text = HeaderValue::try_from(context.traceparent()).expect("digits and dashes are a header's value");
    headers.insert(HeaderName::from_static(PARENT), text);
    match context.state.as_deref().map(HeaderValue::from_str) {
        Some(Ok(state)) => drop(headers.insert(STATE, state)),
        _ => drop(headers.remove(STATE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_node_that_exports_nothing_leaves_headers_alone_and_hands_on_what_came() {
        let mut plain = HeaderMap::new();
        assert!(arrived(&Tracer::default(), &mut plain, 0).context().is_none());
        assert!(plain.is_empty());
        let mut sent = headers(&[(PARENT, SENT), ("tracestate", "a=1")]);
        let span = arrived(&Tracer::default(), &mut sent, 1);
        assert_eq!(sent, headers(&[(PARENT, SENT), ("tracestate", "a=1")]));
        let mut outgoing = HeaderMap::new();
        name_in(&mut outgoing, &span, span.context());
        assert_eq!(outgoing, sent);
    }

    #[test]
    fn a_worker_sees_its_own_span_and_an_unreadable_parent_is_forgotten() {
        let (tracer, _finished) = Tracer::new(1.0);
        let mut sent = headers(&[(PARENT, SENT)]);
        let span = arrived(&tracer, &mut sent, 1);
        assert_eq!(sent[PARENT], span.context().unwrap().traceparent());
        assert!(sent[PARENT].to_str().unwrap().starts_with(&SENT[..35]) && sent[PARENT] != SENT);
        let mut wrong = headers(&[(PARENT, "00-nonsense"), ("tracestate", "a=1")]);
        let span = arrived(&tracer, &mut wrong, 1);
        assert_eq!(wrong[PARENT], span.context().unwrap().traceparent());
        assert!(!wrong.contains_key("tracestate"));
        let mut twice = headers(&[(PARENT, SENT), (PARENT, OTHER)]);
        let span = arrived(&tracer, &mut twice, 2);
        assert_ne!(span.context().unwrap().traceparent()[..35], SENT[..35]);
    }

    #[test]
    fn the_workers_own_word_goes_out_and_a_copy_of_what_it_saw_does_not() {
        let (tracer, _finished) = Tracer::new(1.0);
        let mut seen = HeaderMap::new();
        let event = arrived(&tracer, &mut seen, 0);
        let span = tracer.below(event.context(), SpanKind::Client, "HTTP");
        let mut own = headers(&[(PARENT, OTHER)]);
        name_in(&mut own, &span, event.context());
        assert_eq!(own[PARENT], OTHER);
        name_in(&mut seen, &span, event.context());
        assert_eq!(seen[PARENT], span.context().unwrap().traceparent());
    }
}
