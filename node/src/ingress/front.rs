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

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use skerry_control::trace::{Span, Tracer};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    answer,
    body::{IncomingBody, Rest},
    connection, host, limits,
    listener::Place,
    operations::Readiness,
    paced::Pace,
    peer::{Connection, Proxies, wants_socket},
    respond::{self, Refusal},
    survey::Survey,
};
use crate::{
    bindings::framing::remove_hop_by_hop,
    clock,
    config::IngressLimits,
    dispatch::{
        Arrival, Dispatch, hops,
        request_id::RequestId,
        socket::{self, Role},
        traced,
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
    /// Makes spans.
    pub tracer: Tracer,
    /// Whether connections may stay.
    pub readiness: Readiness,
}

/// Answers end users.
pub struct Front {
    config: FrontConfig,
    builder: auto::Builder<TokioExecutor>,
    deps: FrontDeps,
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

    /// How long an end user's connection may stall.
    pub(super) fn pace(&self) -> Pace {
        Pace { opening: self.config.limits.header_timeout, writing: self.config.limits.body_timeout }
    }

    pub(super) fn proxies(&self) -> &Proxies {
        &self.config.proxies
    }

    pub(super) fn place(&self, room: OwnedSemaphorePermit) -> Place {
        Place::new(self.deps.metrics.connections.clone(), room)
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
        let (version, is_head) = (request.version(), request.method() == Method::HEAD);
        let mut span = Span::none();
        let (mut response, outcome) = match self.forward(&connection, (&id, &mut span), request).await {
            Ok(response) => (response, OutcomeClass::Answered),
            Err(refusal) => {
                let outcome = refusal.outcome();
                refusal.log(&id.text);
                let mut page = respond::page(&refusal, &id.text, accept.as_ref());
                answer::finish(&mut page, is_head);
                (page, outcome)
            }
        };
        traced::answered(&mut span, response.status());
        let text = HeaderValue::from_str(&id.text).expect("a request id is hexadecimal digits");
        response.headers_mut().insert(REQUEST_ID, text);
        if !self.deps.readiness.is_ready() {
            connection.dismiss(version, &mut response);
        }
        self.deps.metrics.request(outcome, clock::monotonic().duration_since(began));
        Ok(response)
    }

    async fn forward(
        &self,
        connection: &Arc<Connection>,
        (id, span): (&RequestId, &mut Span),
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        if request.body().size_hint().lower() > self.config.limits.body_bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
        let (mut parts, body) = request.into_parts();
        let survey = Survey::of(&parts.headers);
        *span = traced::arrived(&self.deps.tracer, &mut parts.headers, survey.traceparents);
        refuse(&parts.method, &survey)?;
        let is_head = parts.method == Method::HEAD;
        let mut handshake = None;
        if survey.hop_by_hop {
            handshake = wants_socket(&parts.headers).then(|| Handshake::take(&mut parts)).flatten();
            remove_hop_by_hop(&mut parts.headers);
        }
        let scheme = connection.stamp(&mut parts.headers);
        parts.uri = host::absolute(&mut parts, scheme)?;
        traced::asks(span, &parts.method, &parts.uri, &id.text);
        parts.extensions.insert(connection.cf(parts.version));
        if handshake.is_some() {
            // Workers look for it to tell a WebSocket from a plain request.
            parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        let is_h2 = parts.version == Version::HTTP_2;
        let mut too_large = None;
        let body = if body.is_end_stream() {
            answer::empty()
        } else {
            let mark = Arc::clone(too_large.insert(Arc::new(AtomicBool::new(false))));
            // A client that asked whether to send its body may not send it after an answer.
            let is_followed = !is_h2 && !parts.headers.contains_key(header::EXPECT);
            let rest = if is_followed { Rest::Drained } else { Rest::Left };
            IncomingBody::new(body, &self.config.limits, rest, mark).boxed_unsync()
        };
        let request = Request::from_parts(parts, body);
        let arrival = Arrival { id: id.clone(), scheme, hops: survey.hops, span };
        match self.deps.dispatch.answer(arrival, request).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                switch(connection, handshake, response)
            }
            Ok(mut response) => {
                answer::finish(&mut response, is_head);
                Ok(if is_h2 { response.map(|body| connection.streams.watched(body)) } else { response })
            }
            // The worker failed over a body that was cut; the client should learn the reason.
            Err(_) if too_large.is_some_and(|mark| mark.load(Ordering::Relaxed)) => Err(Refusal::BodyTooLarge),
            Err(error) => Err(Refusal::Dispatch(error)),
        }
    }
}

/// What no worker is asked, whatever it says otherwise.
fn refuse(method: &Method, survey: &Survey) -> Result<(), Refusal> {
    // RFC 9110 section 9.3.6: it asks a proxy for a tunnel, and names no resource.
    if *method == Method::CONNECT {
        return Err(Refusal::Tunnel);
    }
    // hyper's own limit is of its buffer, which may hold as much again before it is looked at.
    if survey.bytes > limits::HEADER_BYTES_MAX {
        return Err(Refusal::HeadersTooLarge);
    }
    // RFC 9112 section 3.2: whoever reads the other line sees another host.
    if survey.hosts > 1 {
        return Err(Refusal::BadHost);
    }
    if survey.hops > hops::HOPS_MAX {
        return Err(Refusal::Loop);
    }
    Ok(())
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

/// Connects the end user's socket with the worker's.
fn switch(
    connection: &Arc<Connection>,
    handshake: Option<Handshake>,
    mut response: Response<Body>,
) -> Result<Response<Body>, Refusal> {
    let ends = response.extensions_mut().remove::<Accepted>().and_then(|accepted| accepted.take());
    let (Some(handshake), Some(ends)) = (handshake, ends) else { return Err(Refusal::NotASocket) };
    answer::clean(&mut response);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    // The worker may hand on what another server agreed to; on this connection no extension is spoken.
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, socket::accept_key(&handshake.key));
    let (kept, stopping) = (Arc::clone(connection), connection.tasks.stopping());
    connection.tasks.spawn("websocket", async move {
        socket::serve(handshake.upgrade, Role::Server, ends, stopping).await;
        // Until here it counts as a connection.
        drop(kept);
    });
    Ok(response)
}
