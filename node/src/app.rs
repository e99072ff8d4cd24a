//! The node as a whole: every part, built from the bottom up and stopped from the top down.
//!
//! **Owns** the order of starting and stopping. **Must not know** what any part does inside. **Enter at** [`App::build`].
//!
//! A start goes: data directory → KV → control plane → runtime → dispatch → certificates → listeners → `ready`. A stop goes:
//! not ready → notice to load balancers → end users drained → API and metrics closed → tasks → runtime → control plane → KV →
//! the directory's lock.

mod certificate;
mod duty;
mod figures;
mod follow;
mod machines;
mod ready;

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use skerry_control::{
    api::{self, ApiConfig, ApiDeps, ports::LiveView},
    catalog::NodeRole,
    config::{Bootstrap, ControlConfig, MeshSettings},
    control::{self, Control, is_member},
    trace::Tracer,
};
use tokio::sync::Semaphore;

pub use self::ready::Ready;
use self::{certificate::ApiCertificate, machines::Machines};
use crate::{
    bindings::egress::{Egress, EgressRule},
    config::{Config, Listen, Role},
    data_dir::{DataDir, DataDirError, KV_FILE},
    dispatch::{Dispatch, DispatchDeps, spec::Specs},
    ingress::{
        Addresses, ApiListener, ApiTls, BindError, CertificateError, Certificates, Front, FrontConfig, FrontDeps,
        Ingress, IngressDeps, Listener, Operations, Proxies, Readiness, Running, Sockets, limits,
    },
    kv::{KvBuildError, KvConfig, LocalKv},
    ports::{LiveTails, UploadValidator, WallClock},
    runtime::{Runtime, config::RuntimeConfig},
    tails::Tails,
    task::Tasks,
    telemetry::otlp::{self, Exporter},
    triggers,
};

/// BOUND: how long tasks and the runtime may take to end once nobody waits for them.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a node did not start. State: unchanged, but for what the parts below had already made. Retry: see the source.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The data directory can not be used. State: unchanged. Retry: see the source.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// KV did not open. State: unchanged. Retry: no.
    #[error(transparent)]
    Kv(#[from] KvBuildError),
    /// The join token can not be read. State: unchanged. Retry: after mending it.
    #[error("join_token_file: {path} can not be read")]
    JoinToken {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The control plane did not start. State: unchanged. Retry: see the source.
    #[error("the control plane can not start")]
    Control(#[source] Box<dyn Error + Send + Sync>),
    /// The runtime did not start. State: unchanged. Retry: no.
    #[error("the runtime can not start")]
    Runtime(#[source] Box<dyn Error + Send + Sync>),
    /// A listener can not listen. State: unchanged. Retry: no.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The API has no certificate to show. State: unchanged. Retry: no.
    #[error("the API can not have a certificate")]
    Certificate(#[source] Box<dyn Error + Send + Sync>),
}

impl From<CertificateError> for AppError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(Box::new(error))
    }
}

/// A running node.
pub struct App {
    config: Config,
    addresses: Addresses,
    readiness: Readiness,
    running: Running,
    tasks: Tasks,
    runtime: Runtime,
    control: Control,
    kv: LocalKv,
    data_dir: DataDir,
}

impl App {
    /// Starts a node. When this returns, it accepts.
    pub async fn build(config: Config, sockets: &mut Sockets) -> Result<Self, AppError> {
        let data_dir = DataDir::lock(&config.data_dir)?;
        let kv = LocalKv::build(&KvConfig { path: data_dir.join(KV_FILE), cache_bytes: config.kv_cache_bytes })?;
        let (tracer, exporter, spans) = Exporter::build(config.otlp.clone(), &config.node_name);
        let control = start_control(&config, data_dir.path().to_owned(), &tracer).await?;
        let all_kv = control.kv(Arc::new(kv.clone()));
        let runtime = start_runtime(config.cache_dir.clone()).await?;
        let metrics = Arc::new(figures::metrics(&runtime, &control, spans));
        let tails = Arc::new(Tails::new());
        let dispatch = Dispatch::new(DispatchDeps {
            runtime: runtime.clone(),
            specs: Specs::new(control.bundles(), control.sealer()),
            kv: Arc::clone(&all_kv),
            egress: Egress::build(EgressRule {
                allow: config.egress_allow.clone(),
                members: Some(Arc::new(Machines(control.clone()))),
            }),
            tails: Arc::clone(&tails),
            metrics: Arc::clone(&metrics),
            tracer: tracer.clone(),
            node_name: config.node_name.as_str().into(),
        });
        let certificates = Arc::new(Certificates::new(control.sealer()));
        let (tasks, readiness) = (Tasks::new(), Readiness::default());
        let (shown, follow) = follow::start(&control, &dispatch, &certificates, tasks.stopping()).await;
        tasks.spawn_essential("follow the catalog", follow, readiness.abort());
        tasks.spawn_essential("duty", duty::start(&control, &readiness, tasks.stopping()), readiness.abort());
        tasks.spawn_essential("kv sweep", kv.clone().run(tasks.stopping()), readiness.abort());
        let crons = triggers::run(dispatch.clone(), Arc::clone(&metrics), tasks.clone(), control.clone());
        tasks.spawn_essential("cron triggers", crons, readiness.abort());
        tasks.spawn("otlp", otlp::run(exporter, tasks.stopping()));
        let bound = bind(&config, sockets)?;
        let api = ApiDeps {
            control: control.clone(),
            validator: Arc::new(UploadValidator(runtime.clone())),
            kv: all_kv,
            tails: Arc::new(LiveTails(tails)),
            cluster: Arc::new(LiveView(control.clone())),
            clock: Arc::new(WallClock),
        };
        let ports = ApiConfig {
            http_port: bound.http.as_ref().map(|listener| listener.address().port()),
            https_port: bound.https.as_ref().map(|listener| listener.address().port()),
        };
        let router = shown.settle(api::router(ports, api));
        api::serve_carried(&control, router.clone());
        let tls = api_tls(bound.api.as_ref(), &control, &certificates, &tasks)?;
        let api = bound.api.map(|listener| ApiListener::new(listener, tls, router));
        let ingress = Ingress { http: bound.http, https: bound.https, api, metrics: bound.metrics };
        let addresses = ingress.addresses();
        let front = Front::build(
            FrontConfig {
                limits: config.ingress.clone(),
                proxies: Proxies { ranges: config.trusted_proxies.clone().into() },
            },
            FrontDeps { dispatch, metrics: Arc::clone(&metrics), tracer, readiness: readiness.clone() },
        );
        let operations = Operations { metrics, readiness: readiness.clone() };
        let running =
            ingress.run(IngressDeps { front: Arc::new(front), certificates, operations: Arc::new(operations) });
        readiness.set(true);
        Ok(Self { config, addresses, readiness, running, tasks, runtime, control, kv, data_dir })
    }

    /// What the start came to, for the `ready` line.
    #[must_use]
    pub fn ready(&self) -> Ready<'_> {
        Ready { node: &self.config.node_name, addresses: self.addresses, mesh: self.control.mesh_address() }
    }

    /// Returns once the node has to start anew, because its role in the cluster has changed.
    pub async fn restart_wanted(&self) {
        let mut restarts = self.control.restarts();
        if restarts.wait_for(|wanted| *wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Stops the node: requests in flight finish within the configured time, what was acknowledged stays.
    pub async fn stop(self) {
        self.readiness.set(false);
        // Load balancers go on sending until they have asked `/readyz` again.
        tracing::info!(notice_ms = self.config.drain_notice.as_millis(), "not ready any more");
        tokio::time::sleep(self.config.drain_notice).await;
        tracing::info!("draining");
        let connections_left = self.running.drain(self.config.drain_timeout).await;
        self.running.stop().await;
        let tasks_left = self.tasks.stop(STOP_TIMEOUT).await;
        let events_left = self.runtime.shutdown(STOP_TIMEOUT).await;
        self.control.shutdown().await;
        let kv_closed = self.kv.close(STOP_TIMEOUT).await;
        tracing::info!(connections_left, tasks_left, events_left, kv_closed, data_dir = %self.data_dir.path().display(), "stopped");
    }
}

/// What the API shows to those who reach it from other machines, kept up to date.
fn api_tls(
    listener: Option<&Listener>,
    control: &Control,
    certificates: &Arc<Certificates>,
    tasks: &Tasks,
) -> Result<Option<Arc<ApiTls>>, AppError> {
    let Some(listener) = listener else { return Ok(None) };
    let Some(certificate) = ApiCertificate::first(control, certificates, listener.address())? else { return Ok(None) };
    let tls = certificate.tls();
    tasks.spawn("api certificate", certificate.run(tasks.stopping()));
    Ok(Some(tls))
}

struct Bound {
    http: Option<Listener>,
    https: Option<Listener>,
    api: Option<Listener>,
    metrics: Option<Listener>,
}

fn bind(config: &Config, sockets: &mut Sockets) -> Result<Bound, BindError> {
    let front = Arc::new(Semaphore::new(config.ingress.connections_max));
    let back = || Arc::new(Semaphore::new(limits::BACK_CONNECTIONS_MAX));
    let mut bind = |name, listen: Listen, room| listen.address().map(|at| sockets.listen(name, at, room)).transpose();
    Ok(Bound {
        http: bind("http", config.http, Arc::clone(&front))?,
        https: bind("https", config.https, front)?,
        api: bind("api", config.api, back())?,
        metrics: bind("metrics", config.metrics, back())?,
    })
}

async fn start_control(config: &Config, data_dir: PathBuf, tracer: &Tracer) -> Result<Control, AppError> {
    let bootstrap = bootstrap(config, &data_dir)?;
    let role = match config.role {
        Role::Voter => NodeRole::Voter,
        Role::Edge => NodeRole::Edge,
    };
    let mesh = config.mesh.as_ref().map(|mesh| MeshSettings { listen: mesh.listen, advertise: mesh.advertise.clone() });
    // What other nodes could not reach is not told: an address of all interfaces, or a port that is not picked yet.
    let told = config.api.address().filter(|address| address.port() != 0 && !address.ip().is_unspecified());
    let api = told.map(|address| address.to_string()).unwrap_or_default();
    let alone = ControlConfig::new(data_dir, config.node_name.clone(), config.domain.clone(), bootstrap);
    let (region, zone, bundle_bytes_max) = (config.region.clone(), config.zone.clone(), config.bundle_bytes_max);
    let (tracer, logs_per_snapshot) = (tracer.clone(), config.logs_per_snapshot);
    let config = ControlConfig { region, zone, role, api, mesh, bundle_bytes_max, tracer, logs_per_snapshot, ..alone };
    control::build(config).await.map_err(|error| AppError::Control(Box::new(error)))
}

/// What to do with an empty directory, or without a certificate that others believe. A member starts without its token, too.
fn bootstrap(config: &Config, data_dir: &Path) -> Result<Bootstrap, AppError> {
    match &config.join {
        _ if config.bootstrap => Ok(Bootstrap::IfEmpty),
        Some(join) => match std::fs::read_to_string(&join.token_file) {
            Ok(token) => Ok(Bootstrap::Join { at: join.at.clone(), token: token.trim().to_owned() }),
            Err(_) if is_member(data_dir) => Ok(Bootstrap::Never),
            Err(source) => Err(AppError::JoinToken { path: join.token_file.clone(), source }),
        },
        None => Ok(Bootstrap::Never),
    }
}

/// Compiling the engine image takes seconds at the first start, so it must not hold up a thread of the reactor.
async fn start_runtime(cache_dir: PathBuf) -> Result<Runtime, AppError> {
    let build = tokio::task::spawn_blocking(|| Runtime::build(RuntimeConfig::new(cache_dir)));
    match build.await {
        Ok(built) => built.map_err(|error| AppError::Runtime(Box::new(error))),
        Err(error) => Err(AppError::Runtime(Box::new(error))),
    }
}
