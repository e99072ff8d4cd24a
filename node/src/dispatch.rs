//! From a request to a running worker.
//!
//! **Owns** the table of who answers, the choice of a version, and the door through which workers reach the world.
//! **Must not know** sockets, TLS or HTTP framing. **Enter at** [`Dispatch`].

pub mod client;
mod door;
pub mod hops;
mod lineage;
pub mod overrides;
pub mod pick;
pub mod request_id;
pub mod site;
pub mod socket;
pub mod spec;
pub mod traced;
mod unowned;

use std::{borrow::Cow, sync::Arc};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, Request, Response};
use skerry_control::{
    catalog::{Catalog, EnvironmentKey, Scheme},
    kv::KvStore,
    trace::{Span, SpanKind, Tracer},
};
use skerry_proto::id::VersionId;
use tracing::Instrument;

pub use self::lineage::OVERRIDES;
use self::{
    door::Door,
    lineage::{Journey, Lineage},
    request_id::{RequestId, RequestIds},
    site::{Site, Slot},
    spec::{SpecError, Specs},
};
use crate::{
    bindings::{
        egress::Egress,
        outbound::{CallContext, Outbound},
    },
    clock,
    router::Router,
    runtime::Runtime,
    tails::{EventInfo, Source, Tails, Trace},
    telemetry::Metrics,
    worker::{Body, Event, Outcome, RequestCf, WorkerError, WorkerSpec},
};

/// Keeps a user on one side of a split.
pub const VERSION_KEY: HeaderName = HeaderName::from_static("cloudflare-workers-version-key");

/// BOUND: environments of one new state whose live versions are loaded and compiled before they are shown. Of the others the
/// code is on the disk by then, so that a node that catches up does not have all of it in memory.
const WARMED_MAX: usize = 64;

/// What dispatch needs below it.
pub struct DispatchDeps {
    /// Runs workers.
    pub runtime: Runtime,
    /// Makes specs.
    pub specs: Specs,
    /// Holds KV entries.
    pub kv: Arc<dyn KvStore>,
    /// Reaches the Internet.
    pub egress: Egress,
    /// Listens to events.
    pub tails: Arc<Tails>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Makes spans.
    pub tracer: Tracer,
    /// This node's name, for log lines.
    pub node_name: Arc<str>,
}

/// Sends requests to workers. Clones share everything.
#[derive(Clone)]
pub struct Dispatch {
    inner: Arc<Inner>,
}

struct Inner {
    deps: DispatchDeps,
    router: ArcSwap<Router<Site>>,
    ids: RequestIds,
}

/// A table that is not shown yet. Whoever makes tables shows each before the next: there is one such task.
pub struct Next {
    router: Router<Site>,
    unready: Vec<Unready>,
}

impl Next {
    /// What should be made ready before it is shown.
    #[must_use]
    pub fn unready(&self) -> &[Unready] {
        &self.unready
    }
}

/// An entry whose code is not ready.
#[derive(Debug, Clone)]
pub struct Unready {
    /// The entry.
    pub site: Arc<Site>,
    /// How much has to be done.
    depth: Depth,
}

/// How ready an environment's versions have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Their code is on the disk.
    Stocked,
    /// It is in memory too, and compiled.
    Loaded,
}

/// Why nobody answered.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// No environment answers there. State: unchanged. Retry: no.
    #[error("no worker answers there")]
    UnknownHost,
    /// The environment has no deployment, or not that version. State: unchanged. Retry: no.
    #[error("{0} has nothing deployed")]
    NothingDeployed(EnvironmentKey),
    /// The version can not be made ready. State: unchanged. Retry: depends on the source.
    #[error("the worker can not be made ready")]
    Spec(#[from] SpecError),
    /// The worker did not answer. State: unknown. Retry: see [`WorkerError`].
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// What is known about a request from outside beside its own words.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// Its name in logs.
    pub id: RequestId,
    /// How it came.
    pub scheme: Scheme,
    /// What it says about its way here; see [`hops`].
    pub hops: u32,
    /// Its span.
    pub span: &'a mut Span,
}

impl Dispatch {
    /// With an empty table.
    #[must_use]
    pub fn new(deps: DispatchDeps) -> Self {
        Self { inner: Arc::new(Inner { deps, router: ArcSwap::default(), ids: RequestIds::new() }) }
    }

    /// The table of a new state of the catalog, before it is shown.
    #[must_use]
    pub fn next(&self, catalog: &Arc<Catalog>) -> Next {
        let old = self.inner.router.load_full();
        let router = old.next(catalog, |key, environment, old| Site::next(catalog, key, environment, old));
        // A node that starts loads what it is asked for: most workers are asked for nothing.
        let warmed = if old.catalog().cluster().is_none() { 0 } else { WARMED_MAX };
        let is_new = |(key, site): &(&EnvironmentKey, &Arc<Site>)| {
            !old.environment(key).is_some_and(|old| Arc::ptr_eq(old, site))
        };
        let unready = router.environments().filter(is_new).filter(|(_, site)| !site.is_ready());
        let depth = |place| if place < warmed { Depth::Loaded } else { Depth::Stocked };
        let unready =
            unready.enumerate().map(|(place, (_, site))| Unready { site: Arc::clone(site), depth: depth(place) });
        let unready = unready.collect();
        Next { router, unready }
    }

    /// Gets the code of a new entry's live versions.
    pub async fn make_ready(&self, unready: &Unready) -> Result<(), SpecError> {
        let Unready { site, depth } = unready;
        for slot in site.all_live().filter(|slot| slot.spec.get().is_none()) {
            self.inner.deps.specs.stock(slot).await?;
            if *depth == Depth::Loaded {
                let spec = self.inner.spec(site, slot).await?;
                let prepared = self.inner.deps.runtime.prepare(&spec).await;
                prepared.map_err(|source| SpecError::Load { version: slot.version.id.clone(), source })?;
            }
        }
        site.set_ready();
        Ok(())
    }

    /// Shows a table. An environment whose versions are not ready goes on serving those that it served before.
    pub fn show(&self, next: Next) {
        let old = self.inner.router.load_full();
        let Next { mut router, unready } = next;
        let is_start = old.catalog().cluster().is_none();
        for Unready { site, .. } in &unready {
            let shown = match is_start {
                true => Site::at_start(site, router.catalog(), |slot| self.inner.deps.specs.has(slot)),
                false => Site::until(site, old.environment(&site.key)),
            };
            router.put(&site.key, &shown);
        }
        self.inner.router.store(Arc::new(router));
    }

    /// Shows an entry that has become ready, if it is still the one that is waited for.
    pub fn go_over(&self, site: &Arc<Site>) {
        let old = self.inner.router.load_full();
        let shown = old.environment(&site.key).and_then(|shown| shown.awaited());
        if shown.is_some_and(|awaited| Arc::ptr_eq(awaited, site)) {
            let mut router = Router::clone(&old);
            router.put(&site.key, site);
            self.inner.router.store(Arc::new(router));
        }
    }

    /// Whether an entry is the newest of its environment.
    #[must_use]
    pub fn is_newest(&self, site: &Arc<Site>) -> bool {
        let router = self.inner.router.load();
        router.environment(&site.key).is_some_and(|shown| Arc::ptr_eq(shown.awaited().unwrap_or(shown), site))
    }

    /// The newest state of the catalog that requests see.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(self.inner.router.load().catalog())
    }

    /// A name for a request that comes from outside.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        self.inner.ids.next()
    }

    /// Answers a request from outside. Its URI is absolute.
    pub async fn answer(&self, arrival: Arrival<'_>, request: Request<Body>) -> Result<Response<Body>, DispatchError> {
        let Arrival { id, scheme, hops, span } = arrival;
        let (site, preview) = {
            let router = self.inner.router.load();
            let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            let host = lower_case(request.uri().host().unwrap_or_default());
            let found = router.find(scheme, &host, path, None).ok_or(DispatchError::UnknownHost)?;
            if let Some(route) = found.route {
                span.record(|record| traced::routed(record, request.method(), &route.pattern));
            }
            (Arc::clone(found.target), found.preview)
        };
        let cf = request.extensions().get::<RequestCf>().cloned();
        let journey = Journey { hops, span: span.context().cloned(), cf };
        let lineage = Lineage::first(id, request.headers(), journey);
        let slot = self.inner.pick(&site, preview, request.headers(), &lineage)?;
        self.run_fetch((&site, &slot), request, lineage, span).await
    }

    /// Runs a cron trigger of an environment to its end.
    pub async fn scheduled(
        &self,
        environment: &EnvironmentKey,
        cron: String,
        scheduled_time_ms: i64,
    ) -> Result<(), DispatchError> {
        let site = self.inner.router.load().environment(environment).map(Arc::clone);
        let site = site.ok_or(DispatchError::UnknownHost)?;
        let id = self.inner.ids.next();
        let mut span = self.inner.deps.tracer.begin(None, SpanKind::Internal, "scheduled");
        let journey = Journey { span: span.context().cloned(), ..Journey::default() };
        let no_headers = HeaderMap::new();
        let lineage = Lineage::first(id, &no_headers, journey);
        let slot = self.inner.pick(&site, None, &no_headers, &lineage)?;
        let spec = self.inner.spec(&site, &slot).await?;
        let info = || EventInfo::Scheduled { cron: cron.clone(), scheduled_time_ms };
        let (cx, door) = self.context(&spec, &site, lineage, info);
        let event = Event::Scheduled { cron: cron.clone(), scheduled_time_ms };
        let request_id = Arc::clone(&cx.request_id);
        let result = self.inner.deps.runtime.call(&spec, event, cx).await;
        door.answered(&request_id, &spec.key, &result);
        span.record(|record| {
            traced::answered_by(record, &spec.key);
            if let Err(error) = &result {
                record.failed("worker", error.to_string());
            }
        });
        result.map(drop).map_err(DispatchError::from)
    }

    async fn run_fetch(
        &self,
        (site, slot): (&Arc<Site>, &Slot),
        request: Request<Body>,
        lineage: Lineage,
        traced: &mut Span,
    ) -> Result<Response<Body>, DispatchError> {
        let spec = match slot.spec.get() {
            Some(spec) => Arc::clone(spec),
            None => self.inner.spec(site, slot).await?,
        };
        traced.record(|record| traced::answered_by(record, &spec.key));
        let (cx, door) = self.context(&spec, site, lineage, || fetch_info(&request));
        let span = tracing::debug_span!(
            "request",
            request_id = &*cx.request_id,
            service = %spec.key.service,
            environment = %spec.key.environment,
            version = %spec.key.version,
            node = &*self.inner.deps.node_name,
        );
        let request_id = Arc::clone(&cx.request_id);
        let result = self.inner.deps.runtime.call(&spec, Event::Fetch(request), cx).instrument(span).await;
        door.answered(&request_id, &spec.key, &result);
        match result? {
            Outcome::Response(response) => Ok(response),
            Outcome::Done => Err(DispatchError::Worker(WorkerError::NeverResponds)),
        }
    }

    /// The context of one event and the door in it. Without listeners nothing about the event is collected.
    fn context(
        &self,
        spec: &Arc<WorkerSpec>,
        site: &Site,
        lineage: Lineage,
        info: impl FnOnce() -> EventInfo,
    ) -> (CallContext, Arc<Door>) {
        let trace = self.inner.deps.tails.channel(&site.key).map(|channel| {
            let source = Source { environment: site.key.clone(), version: spec.key.version.clone() };
            Trace::new(channel, source, info(), clock::unix_ms())
        });
        let door = Arc::new(Door::new(self.clone(), trace, lineage.journey));
        let cx = CallContext {
            request_id: lineage.id.text,
            worker: spec.key.clone(),
            depth: lineage.depth,
            invocations: lineage.invocations,
            subrequests: Arc::default(),
            version_overrides: lineage.overrides,
            outbound: Arc::clone(&door) as Arc<dyn Outbound>,
        };
        (cx, door)
    }
}

impl Inner {
    /// The version that answers: a previewed one, the one that an override names if it is deployed, the one of the
    /// version key, else by chance.
    fn pick(
        &self,
        site: &Site,
        preview: Option<VersionId>,
        headers: &HeaderMap,
        lineage: &Lineage,
    ) -> Result<Arc<Slot>, DispatchError> {
        let nothing = || DispatchError::NothingDeployed(site.key.clone());
        if let Some(id) = preview {
            return site.preview(self.router.load().catalog(), &id).ok_or_else(nothing);
        }
        let wanted = lineage.overrides.as_deref();
        let wanted = wanted.and_then(|header| overrides::version_override(header, site.key.service.name.as_str()));
        let place = match wanted.and_then(|id| site.split.position(&id)) {
            Some(place) => Some(place),
            None => site.split.at(|| match header_text(headers, &VERSION_KEY) {
                Some(key) => pick::sticky_point(key),
                None => lineage.id.random,
            }),
        };
        place.and_then(|place| site.live(place)).map(Arc::clone).ok_or_else(nothing)
    }

    async fn spec(&self, site: &Site, slot: &Slot) -> Result<Arc<WorkerSpec>, SpecError> {
        self.deps.specs.of(&site.key, slot).await
    }
}

/// The host as the table knows it; allocates only for the rare one that is not so already.
fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What listeners are told about a request. What may carry credentials is hidden, as `wrangler tail` users expect.
fn fetch_info(request: &Request<Body>) -> EventInfo {
    let headers = request.headers().iter().map(|(name, value)| {
        let lower = name.as_str();
        let hidden = ["auth", "cookie", "token", "secret", "key", "jwt"].iter().any(|word| lower.contains(word));
        let value = if hidden { "REDACTED".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
        (lower.to_owned(), value)
    });
    EventInfo::Fetch {
        url: request.uri().to_string(),
        method: request.method().to_string(),
        headers: headers.collect(),
        cf: request.extensions().get::<RequestCf>().map(|cf| Arc::clone(&cf.0)),
    }
}
