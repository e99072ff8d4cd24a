//! From sockets to requests.
//!
//! **Owns** listeners, TLS, HTTP framing, limits and error pages. **Must not know** versions, bindings or the API's calls.
//! **Enter at** [`Ingress`].

mod answer;
mod api;
mod body;
mod connection;
mod front;
mod host;
pub mod limits;
mod listener;
mod operations;
mod paced;
mod patience;
mod peer;
mod respond;
mod streams;
mod survey;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

pub use self::{
    api::{ApiListener, ApiTls},
    front::{Front, FrontConfig, FrontDeps},
    listener::{BindError, Listener, Sockets},
    operations::{Operations, Readiness},
    peer::Proxies,
    tls::{CertificateError, Certificates},
};
use crate::task::Tasks;

/// The listeners of a node, bound but silent until [`Ingress::run`].
pub struct Ingress {
    /// HTTP for end users.
    pub http: Option<Listener>,
    /// HTTPS for end users.
    pub https: Option<Listener>,
    /// The API.
    pub api: Option<ApiListener>,
    /// Metrics and health.
    pub metrics: Option<Listener>,
}

/// What the listeners lead to.
pub struct IngressDeps {
    /// Answers end users.
    pub front: Arc<Front>,
    /// Certificates for end users' TLS.
    pub certificates: Arc<Certificates>,
    /// Answers operators.
    pub operations: Arc<Operations>,
}

/// The address of each listener; `None` where it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP for end users.
    pub http: Option<SocketAddr>,
    /// HTTPS for end users.
    pub https: Option<SocketAddr>,
    /// The API.
    pub api: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
}

/// Listeners that accept.
pub struct Running {
    /// End users.
    front: Tasks,
    /// The API, metrics and health, which outlive the others so that a drain can be watched.
    back: Tasks,
}

impl Ingress {
    /// Where each listener listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let of = |listener: &Option<Listener>| listener.as_ref().map(Listener::address);
        Addresses {
            http: of(&self.http),
            https: of(&self.https),
            api: self.api.as_ref().map(ApiListener::address),
            metrics: of(&self.metrics),
        }
    }

    /// Begins to accept.
    #[must_use]
    pub fn run(self, deps: IngressDeps) -> Running {
        let (front, back) = (Tasks::new(), Tasks::new());
        if let Some(listener) = self.http {
            let serving = listener::serve_http(listener, Arc::clone(&deps.front), front.clone());
            front.spawn_essential("http", serving, deps.operations.readiness.abort());
        }
        if let Some(listener) = self.https {
            let acceptor = deps.certificates.acceptor();
            let serving = listener::serve_https(listener, acceptor, Arc::clone(&deps.front), front.clone());
            front.spawn_essential("https", serving, deps.operations.readiness.abort());
        }
        if let Some(listener) = self.api {
            let serving = api::serve(listener, back.clone());
            back.spawn_essential("api", serving, deps.operations.readiness.abort());
        }
        if let Some(listener) = self.metrics {
            back.spawn("metrics", operations::serve(listener, deps.operations, back.clone()));
        }
        Running { front, back }
    }
}

impl Running {
    /// Stops accepting, lets requests in flight finish (HTTP/1.1 connections close after their answer, HTTP/2 ones are sent
    /// GOAWAY), at most until `deadline` has passed. Returns how many are left; they end with the process.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.front.stop(deadline).await
    }

    /// Closes the API, metrics and health.
    pub async fn stop(&self) {
        self.back.stop(limits::BACK_STOP_TIMEOUT).await;
    }
}
