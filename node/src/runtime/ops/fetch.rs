//! Outgoing requests, to the Internet and to other services.
//!
//! **Owns** the way from an operation's arguments to a request. **Must not know** how a request is sent. **Enter at**
//! [`Ops::fetch`].

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use hyper::ext::ReasonPhrase;

use super::{
    OpError, Ops,
    body::{self, Incoming},
    headers,
    pending::{Done, Work},
    room::Taken,
};
use crate::{
    bindings::outbound::{CallContext, OutboundError},
    runtime::{
        frame::{Reader, Writer},
        websocket::Accepted,
        worker::{Body, EnvValue, ServiceTarget, WorkerError},
    },
};

impl Ops {
    /// SERVICE_FETCH
    pub(super) fn service_fetch(
        &mut self,
        context: CallContext,
        args: &mut Reader<'_>,
        room: Option<Taken>,
    ) -> Result<Work, OpError> {
        let binding = args.text()?;
        let target = self.worker.env.iter().find_map(|(name, value)| match value {
            EnvValue::Service(target) if name == binding => Some(Arc::clone(target)),
            _ => None,
        });
        let target = target.ok_or_else(|| OpError::throw("TypeError", format!("{binding} is no service binding.")))?;
        self.fetch(context, Some(target), args, room)
    }

    /// FETCH; with a target, SERVICE_FETCH. The head has its part of the room until the answer's comes, the body until it has
    /// been read.
    pub(super) fn fetch(
        &mut self,
        context: CallContext,
        target: Option<Arc<ServiceTarget>>,
        args: &mut Reader<'_>,
        mut room: Option<Taken>,
    ) -> Result<Work, OpError> {
        let method = args.text()?;
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_ignored| OpError::throw("TypeError", format!("Invalid HTTP method string: {method}")))?;
        let uri = uri(args.text()?)?;
        let fields = headers::read(args)?;
        let content = args.optional()?;
        let body_room = room.as_mut().and_then(|room| room.split(body::whole_bytes(content.as_ref())));
        let (body, _pipe) = self.bodies.take(content, body_room)?;
        context
            .count_subrequest(self.worker.limits.subrequests)
            .map_err(|error| OpError::throw("Error", error.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = fields;
        Ok(Box::pin(async move {
            let response = match &target {
                Some(target) => context.outbound.service(&context, target, request).await,
                None => context.outbound.fetch(&context, request).await,
            };
            drop(room);
            Done::Response(Box::new(response))
        }))
    }

    /// The value of a completed FETCH.
    pub(crate) fn response(&mut self, request: i32, response: Result<Response<Body>, OutboundError>, out: &mut Writer) {
        let mut response = match response {
            Ok(response) => response,
            Err(error) => {
                out.error(error_class(&error), &error.to_string());
                return;
            }
        };
        if self.bodies.is_full() {
            out.error("Error", body::TOO_MANY);
            return;
        }
        let socket = response.extensions_mut().remove::<Accepted>().and_then(|accepted| accepted.take());
        let status = response.status();
        let reason = response.extensions().get::<ReasonPhrase>().map(|reason| reason.as_bytes().to_vec());
        out.list(5).int(i32::from(status.as_u16()));
        match reason {
            Some(reason) => out.latin1(&reason),
            None => out.text(status.canonical_reason().unwrap_or_default()),
        };
        headers::write(out, None, response.headers());
        let body = response.into_body();
        if http_body::Body::is_end_stream(&body) {
            out.undefined();
        } else {
            out.int(self.bodies.insert_incoming(request, Incoming::new(body, Bytes::new())));
        }
        match socket {
            Some(ends) => {
                self.requests.socket_opened(request);
                out.int(self.sockets.attach(ends, request));
            }
            None => drop(out.undefined()),
        }
    }
}

/// The answer of an event whose guest has handed on what it fetched: as if the guest had read and sent it.
pub(super) fn handed_on(response: Result<Response<Body>, OutboundError>) -> Result<Response<Body>, WorkerError> {
    let response = response.map_err(|error| exception(error_class(&error), &error.to_string()))?;
    let (mut from, body) = response.into_parts();
    let mut response = Response::new(body);
    *response.status_mut() = from.status;
    *response.headers_mut() = from.headers;
    if let Some(reason) = from.extensions.remove::<ReasonPhrase>() {
        response.extensions_mut().insert(reason);
    }
    if let Some(socket) = from.extensions.remove::<Accepted>() {
        response.extensions_mut().insert(socket);
    }
    Ok(response)
}

/// What the caller of an event hears when it fails with an error of the host's.
pub(super) fn exception(name: &str, message: &str) -> WorkerError {
    WorkerError::Exception { message: format!("{name}: {message}"), stack: String::new() }
}

fn error_class(error: &OutboundError) -> &'static str {
    match error {
        // fetch() rejects with a TypeError for what went wrong on the network.
        OutboundError::Network(_) | OutboundError::Refused(_) => "TypeError",
        _ => "Error",
    }
}

/// A serialised WHATWG URL as a URI: without fragment and user information, which become neither.
fn uri(href: &str) -> Result<Uri, OpError> {
    let invalid = || OpError::throw("TypeError", format!("Invalid URL: {href}"));
    let href = href.split('#').next().unwrap_or(href);
    if let Ok(uri) = href.parse::<Uri>()
        && uri.scheme().is_some()
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    {
        return Ok(uri);
    }
    let (scheme, rest) = href.split_once("://").ok_or_else(invalid)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let mut text = format!("{scheme}://{host}");
    for byte in path.bytes() {
        // The characters that a URL may contain and a URI may not.
        if matches!(byte, b'`' | b'^' | b'|' | b'{' | b'}' | b'"' | b'<' | b'>' | b'\\' | b' ') || !byte.is_ascii() {
            text.push_str(&format!("%{byte:02X}"));
        } else {
            text.push(char::from(byte));
        }
    }
    text.parse().map_err(|_ignored| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_uris_without_fragment_and_user() {
        assert_eq!(uri("https://u:p@example.com/a?b#c").unwrap(), "https://example.com/a?b");
        assert_eq!(uri("http://u@example.com?q=^`").unwrap(), "http://example.com/?q=%5E%60");
    }

    #[test]
    fn what_is_no_url_is_a_type_error() {
        assert!(matches!(uri("example"), Err(OpError::Throw { name: "TypeError", .. })));
    }
}
