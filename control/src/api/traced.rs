//! The API's own spans.
//!
//! **Owns** one span for each call, here and on the leader that it is carried to. **Must not know** what calls do. **Enter at**
//! [`call`].

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;

use crate::{
    control::{Carried, Control},
    trace::{SpanKind, TraceContext},
};

/// Goes around one call: takes up the caller's trace, or begins one where this node exports spans.
pub(crate) async fn call(State(control): State<Control>, mut request: Request, next: Next) -> Response {
    let parent = match request.extensions().get::<Carried>() {
        Some(carried) => carried.trace.clone(),
        None => named(request.headers()),
    };
    let tracer = control.tracer();
    if parent.is_none() && !tracer.is_on() {
        return next.run(request).await;
    }
    let mut span = tracer.begin(parent.as_ref(), SpanKind::Server, "api");
    span.record(|record| {
        let method = request.method().as_str();
        if let Some(route) = request.extensions().get::<MatchedPath>() {
            record.name(format!("{method} {}", route.as_str()));
            record.text("http.route", route.as_str());
        }
        record.text("http.request.method", method);
        record.text("url.path", request.uri().path());
    });
    if let Some(context) = span.context() {
        request.extensions_mut().insert(context.clone());
    }
    let response = next.run(request).await;
    let status = response.status();
    span.record(|record| {
        record.number("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            record.failed(status.as_str(), "");
        }
    });
    response
}

/// What a request's headers name. Two names are none.
fn named(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let (parent, None) = (parents.next()?, parents.next()) else { return None };
    let state = headers.get("tracestate").and_then(|state| state.to_str().ok());
    TraceContext::parse(parent.to_str().ok()?, state)
}
