//! The HTTP API under `/client/v4`: Cloudflare's calls, and ours in the same style.
//!
//! **Owns** what the outside may ask of the control plane, and how it is told no. **Must not know** how workers run or
//! where entries are stored. **Enter at** [`router`].
//!
//! Every call is an [`endpoint::Endpoint`]: its path, who may use it and its description stand in one place, from which
//! both the router and the OpenAPI document are made. `docs/004-wrangler-surface.md` says which of Cloudflare's calls
//! wrangler needs and how.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Request, response::IntoResponse, routing::get};
use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::sync::OwnedSemaphorePermit;

use self::{
    endpoint::Endpoints,
    error::ApiError,
    ports::{Clock, ClusterView, Tails, Validator},
    tails::Sessions,
};
use crate::{
    control::Control,
    kv::KvStore,
    turn::{LARGE_BODIES_MAX, Turns},
};

pub mod ports;

pub use self::carry::serve_carried;

mod account;
mod adopt;
mod audit;
mod auth;
mod bindings;
mod body;
mod carry;
mod certificates;
mod cluster;
mod conditions;
mod config;
mod configure;
mod content;
mod deployments;
mod diff;
mod domains;
mod endpoint;
mod envelope;
mod environments;
mod error;
mod identity;
mod kv;
mod page;
mod params;
mod paths;
mod pipeline;
mod promotions;
mod propagation;
mod query;
mod references;
mod routes;
mod script_name;
mod scripts;
mod secrets;
mod services;
mod settings;
mod tails;
mod target;
mod time;
mod tokens;
mod traced;
mod triggers;
mod unsupported;
mod upload;
mod vars;
mod versions;
mod writer;
mod zones;

/// BOUND: how long a large body waits for its turn; a client that sends at all is through within seconds, and one that does not
/// loses its turn after [`STALL`](body::STALL).
const TURN_WAIT: Duration = Duration::from_secs(30);

/// What the API says of the node it runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApiConfig {
    /// The port on which environments answer over HTTP, for clients that print URLs; `None` when off.
    pub http_port: Option<u16>,
    /// The port on which environments answer over HTTPS; `None` when off.
    pub https_port: Option<u16>,
}

/// What the API stands on.
#[derive(Clone)]
pub struct ApiDeps {
    /// The catalog and what belongs to it.
    pub control: Control,
    /// Runs uploads where they can do no harm.
    pub validator: Arc<dyn Validator>,
    /// The entries of KV namespaces.
    pub kv: Arc<dyn KvStore>,
    /// Live logs.
    pub tails: Arc<dyn Tails>,
    /// What is known of the nodes beyond the catalog.
    pub cluster: Arc<dyn ClusterView>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// What handlers reach: the dependencies, and what the API itself remembers.
#[derive(Clone)]
pub(crate) struct Deps {
    control: Control,
    validator: Arc<dyn Validator>,
    kv: Arc<dyn KvStore>,
    tails: Arc<dyn Tails>,
    cluster: Arc<dyn ClusterView>,
    clock: Arc<dyn Clock>,
    sessions: Arc<Sessions>,
    turns: Turns,
    /// Those of large answers, whose readers may be slow: they hold up no upload.
    answers: Turns,
    config: ApiConfig,
}

impl Deps {
    /// Seconds since the Unix epoch.
    fn now_s(&self) -> u64 {
        u64::try_from(self.clock.now_ms() / 1000).unwrap_or(0)
    }

    /// Waits for a turn with a large body, which ends when the permit is dropped. Nothing of the body may have been read before.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let busy = || ApiError::Unavailable(format!("{LARGE_BODIES_MAX} large requests are being read"));
        self.turns.take_within(TURN_WAIT).await.ok_or_else(busy)
    }

    /// Waits for a turn with a large answer, which ends when the permit is dropped.
    async fn turn_to_answer(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let busy = || ApiError::Unavailable(format!("{LARGE_BODIES_MAX} large answers are being sent"));
        self.answers.take_within(TURN_WAIT).await.ok_or_else(busy)
    }
}

/// The whole API, to be served as it is.
pub fn router(config: ApiConfig, deps: ApiDeps) -> Router {
    let ApiDeps { control, validator, kv, tails, cluster, clock } = deps;
    let (sessions, turns, answers) = (Arc::default(), Turns::default(), Turns::default());
    let control_of_calls = control.clone();
    control.serve_tails(Arc::clone(&tails));
    let deps = Deps { control, validator, kv, tails, cluster, clock, sessions, turns, answers, config };
    let (calls, document) = endpoints(&deps).finish(env!("CARGO_PKG_VERSION"));
    let document = Bytes::from(document.to_json().expect("a document of names, texts and lists is JSON"));
    let describe = move || async move {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document.clone())
    };
    let calls = calls
        .route("/openapi.json", get(describe))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(deps);
    carry::around(Router::new().nest("/client/v4", calls).fallback(no_route), control_of_calls)
}

fn endpoints(deps: &Deps) -> Endpoints {
    let mut endpoints = Endpoints::new(deps.clone());
    let mounts: [fn(&mut Endpoints); 26] = [
        identity::mount,
        cluster::mount,
        services::mount,
        references::mount,
        scripts::mount,
        environments::mount,
        config::mount,
        diff::mount,
        upload::mount,
        versions::mount,
        deployments::mount,
        propagation::mount,
        content::mount,
        promotions::mount,
        pipeline::mount,
        settings::mount,
        vars::mount,
        secrets::mount,
        triggers::mount,
        routes::mount,
        zones::mount,
        domains::mount,
        kv::mount,
        tails::mount,
        tokens::mount,
        audit::mount,
    ];
    for mount in mounts {
        mount(&mut endpoints);
    }
    unsupported::mount(&mut endpoints);
    endpoints
}

async fn no_route(request: Request) -> impl IntoResponse {
    ApiError::NoRoute { path: request.uri().path().chars().take(200).collect() }
}

async fn no_method(request: Request) -> impl IntoResponse {
    let path = request.uri().path().chars().take(200).collect();
    ApiError::NoMethod { method: request.method().to_string(), path }
}
