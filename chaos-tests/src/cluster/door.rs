//! How deployers and end users reach one node.
//!
//! **Owns** calls from inside the node's namespace, and whether the node is expected to answer. **Must not know** why it may
//! not be. **Enter at** [`Door`].

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::{runtime::Handle, time::timeout};

use crate::{
    api::{Answer, Api, Worker},
    node::DOMAIN,
    visitor::Visitor,
};

/// BOUND: how long an end user waits before the request counts as failed.
const VISIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The service that tells a node's time of day.
pub const TELLING: &str = "what-time-is-it";

/// One node's API and its workers.
#[derive(Debug, Clone)]
pub struct Door {
    /// The node's name.
    pub name: String,
    pub(super) inside: Handle,
    pub(super) api: Api,
    pub(super) http: SocketAddr,
    pub(super) life: Life,
}

/// Whether a node is expected to answer: even while it is, odd while a fault keeps it from that. Grows with each change, so
/// a request that saw the same even number before and after was never excused.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<AtomicU64>);

impl Life {
    pub(super) fn end(&self) {
        self.0.fetch_add(1 - self.0.load(Ordering::SeqCst) % 2, Ordering::SeqCst);
    }

    pub(super) fn begin(&self) {
        self.0.fetch_add(self.0.load(Ordering::SeqCst) % 2, Ordering::SeqCst);
    }

    /// Which life it is in.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Door {
    /// Whether the node is expected to answer.
    #[must_use]
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// The same for whoever has another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { api: self.api.with_token(token), ..self.clone() }
    }

    /// Its API, to be called from [`inside`](Self::inside).
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Where it serves workers, seen from [`inside`](Self::inside).
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where futures run whose sockets are to be in the node's namespace.
    #[must_use]
    pub fn inside(&self) -> &Handle {
        &self.inside
    }

    /// Deploys a worker, once however often it is asked for under the same key.
    pub async fn deploy(&self, service: &str, worker: Worker, key: String) -> Answer {
        let (api, service) = (self.api.clone(), service.to_owned());
        let call = self.inside.spawn(async move { api.deploy_once(&service, "production", &worker, &key).await });
        call.await.unwrap_or(Answer::Unknown)
    }

    /// One JSON call to the API.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let (api, path) = (self.api.clone(), path.to_owned());
        let call = self.inside.spawn(async move { api.call(method, &path, body).await });
        call.await.unwrap_or(Answer::Unknown)
    }

    /// The numbers of a lane's deploys that the node lists, newest first.
    ///
    /// # Errors
    /// When it does not list them, or one has no number.
    pub async fn deployed(&self, service: &str) -> Result<Vec<u64>> {
        let (api, service) = (self.api.clone(), service.to_owned());
        let listed = self.inside.spawn(async move { api.deployed(&service).await }).await??;
        listed.iter().map(|text| text.parse().with_context(|| format!("a deploy's number: {text:?}"))).collect()
    }

    /// What the node knows of the cluster.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn cluster(&self) -> Result<Value> {
        self.call(Method::GET, "/cluster", None).await.done()
    }

    /// What the node's workers take for the time of day, in seconds since the Unix epoch. [`TELLING`] has to be deployed.
    ///
    /// # Errors
    /// When it is not, or the node does not answer.
    pub async fn time(&self) -> Result<i64> {
        let told = self.visit(TELLING).await?;
        let ms: i64 = told.parse().with_context(|| format!("a time: {told}"))?;
        Ok(ms.div_euclid(1000))
    }

    /// Visits a service as an end user does, over a connection of its own.
    ///
    /// # Errors
    /// When there is no answer, or not the worker's.
    pub async fn visit(&self, service: &str) -> Result<String> {
        let (address, host) = (self.http, format!("{service}.{DOMAIN}"));
        let visit = async move { Visitor::connect(address).await?.get(&host, "/").await };
        let visit = self.inside.spawn(timeout(VISIT_TIMEOUT, visit)).await?.context("no answer in time")??;
        let text = String::from_utf8_lossy(&visit.body).into_owned();
        ensure!(visit.status == StatusCode::OK, "{}: {}", visit.status, said(&text));
        Ok(text)
    }
}

/// What an error page says, without the page.
fn said(page: &str) -> &str {
    let from = page.find("<p>").map_or(0, |at| at + "<p>".len());
    let rest = &page[from..];
    &rest[..rest.find("</p>").unwrap_or(rest.len())]
}
