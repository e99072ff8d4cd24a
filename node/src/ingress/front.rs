//! From an end user's request to its answer.
//!
//! **Owns** what is checked and changed on the way to a worker and back. **Must not know** how a worker is found or run.
//! **Enter at** [`Front::answer`].

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use prometheus_client::metrics::gauge::Gauge;
use skerry_control::catalog::Scheme;

use super::{
    body::IncomingBody,
    connection, limits,
    peer::{Connection, Proxies, wants_socket},
    respond::{self, Refusal},
};
use crate::{
    bindings::egress::remove_hop_by_hop,
    clock,
    config::IngressLimits,
    dispatch::{
        Dispatch,
        request_id::RequestId,
        socket::{self, Role},
    },
    runtime::websocket::Accepted,
    telemetry::{Metrics, OutcomeClass},
    worker::Body,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-skerry-request-id");

/// What end users' requests are held to.
#[derive(Debug, Clone)]
pub struct FrontConfig {
    /// Sizes and times.
    pub limits: IngressLimits,
    /// Who is believed about the end user.
    pub proxies: Proxies,
}

/// What answers.
pub struct FrontDeps {
    /// Finds and runs workers.
    pub dispatch: Dispatch,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Answers end users.
pub struct Front {
    config: FrontConfig,
    builder: auto::Builder<TokioExecutor>,
    deps: FrontDeps,
}

/// Counts a connection as open while it lives.
pub(super) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Front {
    /// Ready to answer.
    #[must_use]
    pub fn build(config: FrontConfig, deps: FrontDeps) -> Self {
        let builder = connection::builder(&config.limits);
        Self { config, builder, deps }
    }

    pub(super) fn builder(&self) -> &auto::Builder<TokioExecutor> {
        &self.builder
    }

    pub(super) fn proxies(&self) -> &Proxies {
        &self.config.proxies
    }

    pub(super) fn open_connection(&self) -> OpenConnection {
        let open = self.deps.metrics.connections.clone();
        open.inc();
        OpenConnection(open)
    }

    pub(super) fn tls_failed(&self) {
        self.deps.metrics.tls_failures.inc();
    }

    /// Answers one request, whatever happens.
    pub(super) async fn answer(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let began = clock::monotonic();
        let id = self.deps.dispatch.request_id();
        let accept = request.headers().get(header::ACCEPT).cloned();
        let (mut response, outcome) = match self.forward(&connection, &id, request).await {
            Ok(response) => (response, OutcomeClass::Answered),
            Err(refusal) => {
                let outcome = refusal.outcome();
                refusal.log(&id.text);
                (respond::page(&refusal, &id.text, accept.as_ref()), outcome)
            }
        };
        let text = HeaderValue::from_str(&id.text).expect("a request id is hexadecimal digits");
        response.headers_mut().insert(REQUEST_ID, text);
        self.deps.metrics.request(outcome, clock::monotonic().duration_since(began));
        Ok(response)
    }

    async fn forward(
        &self,
        connection: &Connection,
        id: &RequestId,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let limit_bytes = self.config.limits.body_bytes_max;
        if request.body().size_hint().lower() > limit_bytes {
            return Err(Refusal::BodyTooLarge);
        }
        let (mut parts, body) = request.into_parts();
        // hyper's own limit is of its buffer, which may hold as much again before it is looked at.
        if header_bytes(&parts.headers) > limits::HEADER_BYTES_MAX {
            return Err(Refusal::HeadersTooLarge);
        }
        let handshake = wants_socket(&parts.headers).then(|| Handshake::take(&mut parts)).flatten();
        remove_hop_by_hop(&mut parts.headers);
        let scheme = connection.stamp(&mut parts.headers);
        parts.uri = absolute(&parts, scheme)?;
        parts.extensions.insert(connection.cf(parts.version));
        if handshake.is_some() {
            // Workers look for it to tell a WebSocket from a plain request.
            parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        let mut too_large = None;
        let body = if body.is_end_stream() {
            Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
        } else {
            let mark = Arc::clone(too_large.insert(Arc::new(AtomicBool::new(false))));
            IncomingBody::new(body, limit_bytes, self.config.limits.body_timeout, mark).boxed_unsync()
        };
        let request = Request::from_parts(parts, body);
        match self.deps.dispatch.answer(id.clone(), scheme, request).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                switch(connection, handshake, response)
            }
            Ok(mut response) => {
                clean(&mut response);
                Ok(response)
            }
            // The worker failed over a body that was cut; the client should learn the reason.
            Err(_) if too_large.is_some_and(|mark| mark.load(Ordering::Relaxed)) => Err(Refusal::BodyTooLarge),
            Err(error) => Err(Refusal::Dispatch(error)),
        }
    }
}

/// As they lie on the wire: names, values and four bytes between and after.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// What a WebSocket handshake leaves behind when its request goes to the worker.
struct Handshake {
    upgrade: OnUpgrade,
    key: HeaderValue,
}

impl Handshake {
    /// `None` when the handshake is not one of RFC 6455: then the worker sees a plain request.
    fn take(parts: &mut http::request::Parts) -> Option<Self> {
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY)?.clone();
        let is_13 = parts.headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        let upgrade = parts.extensions.remove::<OnUpgrade>()?;
        (is_13 && parts.version == Version::HTTP_11).then_some(Self { upgrade, key })
    }
}

/// The request's URL as the end user wrote it.
fn absolute(parts: &http::request::Parts, scheme: Scheme) -> Result<Uri, Refusal> {
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if path.as_str().len() > limits::URL_BYTES_MAX {
        return Err(Refusal::UrlTooLong);
    }
    let path = if path.as_str().starts_with('/') { path } else { PathAndQuery::from_static("/") };
    let authority = match (parts.uri.authority(), parts.headers.get(header::HOST)) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).or(Err(Refusal::BadHost))?,
        (None, None) => return Err(Refusal::BadHost),
    };
    let authority = normal(authority, scheme)?;
    let uri = Uri::builder().scheme(scheme.as_str()).authority(authority).path_and_query(path).build();
    uri.or(Err(Refusal::BadHost))
}

/// The authority as URLs show it: lower-case, without the scheme's own port. Most are so already.
fn normal(authority: Authority, scheme: Scheme) -> Result<Authority, Refusal> {
    let text = authority.as_str();
    if text.contains('@') || authority.host().is_empty() {
        return Err(Refusal::BadHost);
    }
    let port = match scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
    };
    let has_port = text.ends_with(port) && authority.port_u16().is_some();
    if !has_port && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(authority);
    }
    let text = if has_port { &text[..text.len() - port.len()] } else { text };
    Authority::try_from(text.to_ascii_lowercase()).or(Err(Refusal::BadHost))
}

/// Removes what only concerns the worker's side of the connection.
fn clean(response: &mut Response<Body>) {
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
}

/// Connects the end user's socket with the worker's.
fn switch(
    connection: &Connection,
    handshake: Option<Handshake>,
    mut response: Response<Body>,
) -> Result<Response<Body>, Refusal> {
    let ends = response.extensions_mut().remove::<Accepted>().and_then(|accepted| accepted.take());
    let (Some(handshake), Some(ends)) = (handshake, ends) else { return Err(Refusal::NotASocket) };
    clean(&mut response);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, socket::accept_key(&handshake.key));
    let stopping = connection.tasks.stopping();
    connection.tasks.spawn("websocket", socket::serve(handshake.upgrade, Role::Server, ends, stopping));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(uri: &str, host: Option<&str>) -> Result<String, Refusal> {
        let mut request = Request::get(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        absolute(&parts, Scheme::Https).map(|uri| uri.to_string())
    }

    #[test]
    fn the_url_is_the_one_that_was_asked_for() {
        assert_eq!(url("/a?b", Some("app.test:8443")).unwrap(), "https://app.test:8443/a?b");
        assert_eq!(url("http://proxy.test/a", Some("other.test")).unwrap(), "https://proxy.test/a");
        assert_eq!(url("*", Some("app.test")).unwrap(), "https://app.test/");
        assert_eq!(url("/A", Some("APP.test:443")).unwrap(), "https://app.test/A");
        assert_eq!(url("/", Some("app.test:80")).unwrap(), "https://app.test:80/");
        assert_eq!(url("/", Some("[::1]:443")).unwrap(), "https://[::1]/");
    }

    #[test]
    fn a_bad_host_is_refused() {
        for host in [None, Some(""), Some("a b"), Some("user@app.test"), Some("app.test/path"), Some(":80")] {
            assert!(matches!(url("/", host), Err(Refusal::BadHost)), "{host:?}");
        }
    }

    #[test]
    fn a_long_url_is_refused() {
        let long = format!("/{}", "a".repeat(limits::URL_BYTES_MAX));
        assert!(matches!(url(&long, Some("app.test")), Err(Refusal::UrlTooLong)));
    }
}
