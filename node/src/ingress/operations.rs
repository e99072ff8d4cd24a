//! Metrics and health.
//!
//! **Owns** `/metrics`, `/healthz` and `/readyz`. **Must not know** what is counted. **Enter at** [`Operations`].

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{limits, listener::Listener};
use crate::{task::Tasks, telemetry::Metrics};

/// Whether the node should be sent requests: after its start, until it stops, and while the cluster does not drain it. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    is_up: AtomicBool,
    drains: AtomicBool,
}

impl Readiness {
    /// The node has started, or stops.
    pub fn set(&self, is_up: bool) {
        self.0.is_up.store(is_up, Ordering::Relaxed);
    }

    /// The cluster drains the node, or gives it work again. Returns whether that is new.
    pub fn set_draining(&self, drains: bool) -> bool {
        self.0.drains.swap(drains, Ordering::Relaxed) != drains
    }

    /// What to do when a task is lost that the node can not be without: nobody is sent here any more, and the process ends at
    /// once, so that whoever watches it starts it anew from what is on disk.
    pub fn abort(&self) -> impl FnOnce() + Send + use<> {
        let readiness = self.clone();
        move || {
            readiness.set(false);
            std::process::abort()
        }
    }

    /// Whether requests are welcome. Those that come nevertheless are answered, each as the last one of its connection.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.refusal().is_none()
    }

    /// Why requests are not welcome.
    fn refusal(&self) -> Option<&'static str> {
        match (self.0.is_up.load(Ordering::Relaxed), self.0.drains.load(Ordering::Relaxed)) {
            (false, _) => Some("not ready\n"),
            (true, true) => Some("draining\n"),
            (true, false) => None,
        }
    }
}

/// Answers operators.
#[derive(Debug)]
pub struct Operations {
    /// What is shown.
    pub metrics: Arc<Metrics>,
    /// What `/readyz` says.
    pub readiness: Readiness,
}

impl Operations {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n".into());
        }
        match request.uri().path() {
            "/metrics" => response(StatusCode::OK, OPEN_METRICS, self.metrics.text()),
            "/healthz" => response(StatusCode::OK, TEXT, "ok\n".into()),
            "/readyz" => match self.readiness.refusal() {
                None => response(StatusCode::OK, TEXT, "ready\n".into()),
                Some(reason) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, reason.into()),
            },
            _ => response(StatusCode::NOT_FOUND, TEXT, "use /metrics, /healthz or /readyz\n".into()),
        }
    }
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Serves operators until told to stop.
pub(super) async fn serve(listener: Listener, operations: Arc<Operations>, tasks: Tasks) {
    let stopping = tasks.stopping();
    loop {
        let (stream, _, room) = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (operations, stopping) = (Arc::clone(&operations), stopping.clone());
        tasks.spawn("metrics connection", async move {
            let service = service_fn(|request| {
                let answer = operations.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(limits::HANDSHAKE_TIMEOUT);
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ended = serving => {}
                () = stopping.cancelled() => {}
            }
            drop(room);
        });
    }
}
