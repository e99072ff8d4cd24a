//! The door through which one event of a worker reaches the world.
//!
//! **Owns** where each effect goes: another worker of this process, the Internet, a store, the log. **Must not know** how
//! any of them works. **Enter at** [`Door`].

use std::sync::Arc;

use http::{Request, Response, StatusCode, Uri, header};
use hyper::upgrade::OnUpgrade;
use skerry_control::{
    catalog::{EnvironmentKey, Scheme, ServiceBinding, ServiceKey, resolve_service},
    kv::KvError,
    trace::SpanKind,
};
use skerry_proto::id::{AccountId, NamespaceId, VersionId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    Dispatch, DispatchError, client, hops,
    lineage::{Journey, Lineage},
    site::Site,
    socket::{self, Role},
    traced, unowned,
};
use crate::{
    bindings::{
        self,
        egress::Egress,
        framing::remove_hop_by_hop,
        outbound::{CallContext, KvCall, KvReply, LogLevel, LogRecord, Outbound, OutboundError},
    },
    clock,
    router::Found,
    runtime::websocket::{self, Accepted},
    tails::Trace,
    task,
    worker::{Body, Outcome, ServiceTarget, WorkerError, WorkerKey},
};

/// BOUND: workers between the end user and the last one; the same number as invocations in all.
const DEPTH_MAX: u32 = CallContext::INVOCATIONS_MAX;

/// BOUND: requests to the Internet of one event that wait for their answer's headers; more wait for these. Cloudflare's limit.
const CONNECTING_MAX: usize = 6;

/// What one event may do.
pub(super) struct Door {
    dispatch: Dispatch,
    /// What is collected for those who listen.
    trace: Option<Trace>,
    /// How the event's request came here.
    journey: Journey,
    /// Places for requests that wait for an answer.
    connecting: Semaphore,
}

impl Door {
    pub(super) fn new(dispatch: Dispatch, trace: Option<Trace>, journey: Journey) -> Self {
        Self { dispatch, trace, journey, connecting: Semaphore::new(CONNECTING_MAX) }
    }

    /// Writes what went wrong into the worker's log, and tells listeners what came of the event.
    pub(super) fn answered(&self, request_id: &str, worker: &WorkerKey, result: &Result<Outcome, WorkerError>) {
        if let Err(error) = result
            && let Some(record) = failure(error)
        {
            write_line(request_id, worker, &record);
            if let Some(trace) = &self.trace {
                trace.log(record);
            }
        }
        let Some(trace) = &self.trace else { return };
        let (word, status) = match result {
            Ok(Outcome::Response(response)) => ("ok", Some(response.status().as_u16())),
            Ok(Outcome::Done) => ("ok", None),
            Err(error) => (outcome_word(error), None),
        };
        trace.answered(word, status, clock::unix_ms());
    }

    /// Runs a request in this process on behalf of another worker.
    async fn nested(
        &self,
        cx: &CallContext,
        (site, preview): (&Arc<Site>, Option<VersionId>),
        mut request: Request<Body>,
        binding: Option<&str>,
    ) -> Result<Response<Body>, OutboundError> {
        if cx.depth + 1 >= DEPTH_MAX {
            return Err(OutboundError::TooDeep);
        }
        cx.count_invocation()?;
        let inner = &self.dispatch.inner;
        let Journey { hops, span: event, cf } = &self.journey;
        let event = event.as_ref();
        let mut span = traced::made(&inner.deps.tracer, event, SpanKind::Internal, &request);
        span.record(|record| {
            if let Some(binding) = binding {
                record.text("skerry.binding", binding);
            }
        });
        traced::name_in(request.headers_mut(), &span, event);
        if let Some(cf) = cf {
            request.extensions_mut().insert(cf.clone());
        }
        let journey = Journey { hops: *hops, span: span.context().cloned(), cf: cf.clone() };
        let lineage = Lineage::below(cx, inner.ids.next(), request.headers(), journey);
        let result = match inner.pick(site, preview, request.headers(), &lineage) {
            Ok(slot) => self.dispatch.run_fetch((site, &slot), request, lineage, &mut span).await,
            Err(error) => Err(error),
        };
        let result = result.map_err(nested_error);
        traced::returned(&mut span, &result);
        result
    }

    /// Sends a request to the Internet.
    async fn outside(&self, account: &AccountId, mut request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        let deps = &self.dispatch.inner.deps;
        deps.metrics.egress_requests.inc();
        let upgrade = request.headers().get(header::UPGRADE);
        let wants_socket = upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"));
        // Before the count of hops is written: a worker's `Connection` may name that too.
        remove_hop_by_hop(request.headers_mut());
        hops::write(request.headers_mut(), self.journey.hops);
        let event = self.journey.span.as_ref();
        let mut span = traced::made(&deps.tracer, event, SpanKind::Client, &request);
        traced::name_in(request.headers_mut(), &span, event);
        let _place = self.connecting.acquire().await.expect("the semaphore is never closed");
        let result = if wants_socket {
            open_socket(&deps.egress, account, request).await
        } else {
            deps.egress.fetch(account, request).await
        };
        traced::returned(&mut span, &result);
        result
    }
}

#[async_trait::async_trait]
impl Outbound for Door {
    async fn fetch(&self, cx: &CallContext, mut request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        let Some((scheme, host)) = scheme_and_host(request.uri()) else {
            let uri = request.uri();
            return Err(OutboundError::Refused(format!("Fetch API cannot load: {uri}: use http or https and a host")));
        };
        let own = {
            let router = self.dispatch.inner.router.load();
            let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            let found = router.find(scheme, &host, path, Some(&environment_of(&cx.worker)));
            found.map(|Found { target, preview, .. }| (Arc::clone(target), preview))
        };
        match own {
            Some((site, preview)) => {
                if site.key.service.account != cx.worker.account {
                    client::name_worker(request.headers_mut(), scheme);
                }
                self.nested(cx, (&site, preview), request, None).await
            }
            None => self.outside(&cx.worker.account, request).await,
        }
    }

    async fn service(
        &self,
        cx: &CallContext,
        target: &Arc<ServiceTarget>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        let site = {
            let router = self.dispatch.inner.router.load();
            let binding = ServiceBinding {
                service: target.service.clone(),
                environment: target.environment.clone(),
                entrypoint: None,
                props: None,
            };
            resolve_service(router.catalog(), &environment_of(&cx.worker), &binding)
                .and_then(|key| router.environment(&key).map(Arc::clone))
        };
        let Some(site) = site else { return Err(unbound(target)) };
        if target.entrypoint.is_some() || target.props.is_some() {
            request.extensions_mut().insert(Arc::clone(target));
        }
        self.nested(cx, (&site, None), request, Some(&target.binding)).await
    }

    async fn kv(&self, _: &CallContext, namespace: &NamespaceId, call: KvCall) -> Result<KvReply, KvError> {
        let kv = &self.dispatch.inner.deps.kv;
        // Only what is kept is worth a name on the way to another node.
        match self.journey.span.as_ref().filter(|span| span.sampled).and_then(|span| kv.traced(span)) {
            Some(traced) => bindings::kv::serve(&*traced, namespace, call).await,
            None => bindings::kv::serve(&**kv, namespace, call).await,
        }
    }

    fn log(&self, cx: &CallContext, record: LogRecord) {
        self.dispatch.inner.deps.metrics.worker_lines.inc();
        write_line(&cx.request_id, &cx.worker, &record);
        if let Some(trace) = &self.trace {
            trace.log(record);
        }
    }

    fn detached(&self, cx: &CallContext) -> CallContext {
        unowned::context(&self.dispatch, cx.worker.clone())
    }
}

/// A worker's line in the node's own log, with everything needed to find the request where there is one.
pub(super) fn write_line(request_id: &str, worker: &WorkerKey, record: &LogRecord) {
    let WorkerKey { service, environment, version, .. } = worker;
    let position = record.position.as_deref();
    let request_id = Some(request_id).filter(|id| !id.is_empty());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(target: "worker", request_id, %service, %environment, %version, position, "{}", record.message)
        };
    }
    match record.level {
        LogLevel::Debug => line!(debug),
        LogLevel::Info | LogLevel::Log => line!(info),
        LogLevel::Warn => line!(warn),
        LogLevel::Error | LogLevel::Exception => line!(error),
    }
}

/// The line that tells a worker's author why an event failed. An overload says nothing about the worker's code, and a line
/// for each of its requests would make it worse.
fn failure(error: &WorkerError) -> Option<LogRecord> {
    let (message, position) = match error {
        WorkerError::Overloaded => return None,
        WorkerError::Exception { message, stack } => (format!("Uncaught {message}"), Some(stack.clone())),
        error => (format!("Error: {error}"), None),
    };
    let position = position.filter(|stack| !stack.is_empty());
    Some(LogRecord { level: LogLevel::Exception, message, position, at_ms: clock::unix_ms() })
}

/// Opens a WebSocket to the Internet; the answer carries the worker's end when the other side agrees.
async fn open_socket(
    egress: &Egress,
    account: &AccountId,
    mut request: Request<Body>,
) -> Result<Response<Body>, OutboundError> {
    let accept = socket::begin(request.headers_mut());
    let mut response = egress.handshake(account, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let upgrade = response.extensions_mut().remove::<OnUpgrade>();
    // RFC 6455 section 4.1: a server that names an extension which nobody offered is not to be trusted with the rest.
    let agreed = response.headers().get(header::SEC_WEBSOCKET_ACCEPT) == Some(&accept)
        && !response.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS);
    let (Some(upgrade), true) = (upgrade, agreed) else {
        return Err(OutboundError::Network("the server's answer is not the one of a WebSocket".into()));
    };
    let (ours, workers) = websocket::pair();
    response.extensions_mut().insert(Accepted::new(workers));
    // It ends with the other end, whoever has that by then, so nothing else has to stop it.
    let _ends = task::spawn("outgoing websocket", socket::serve(upgrade, Role::Client, ours, CancellationToken::new()));
    Ok(response)
}

pub(super) fn environment_of(worker: &WorkerKey) -> EnvironmentKey {
    let service = ServiceKey { account: worker.account.clone(), name: worker.service.clone() };
    service.environment(worker.environment.clone())
}

fn scheme_and_host(uri: &Uri) -> Option<(Scheme, String)> {
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?;
    // The dot that ends a whole DNS name is no part of it; ingress drops it too.
    Some((scheme, host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()))
}

fn unbound(target: &ServiceTarget) -> OutboundError {
    let ServiceTarget { binding, service, environment, .. } = target;
    OutboundError::Worker(match environment {
        Some(environment) => format!("The binding {binding} points at {service}/{environment}, which does not exist."),
        None => format!("The binding {binding} points at the service {service}, which does not exist."),
    })
}

fn nested_error(error: DispatchError) -> OutboundError {
    match error {
        // What the callee threw is what its caller sees.
        DispatchError::Worker(WorkerError::Exception { message, .. }) => OutboundError::Worker(message),
        error => OutboundError::Worker(error.to_string()),
    }
}

/// Cloudflare's word for an outcome; `skerry tail --status error` asks for every one of these.
fn outcome_word(error: &WorkerError) -> &'static str {
    match error {
        WorkerError::Exception { .. } | WorkerError::NeverResponds | WorkerError::NoHandler { .. } => "exception",
        WorkerError::CpuLimit { .. } => "exceededCpu",
        WorkerError::MemoryLimit { .. } => "exceededMemory",
        WorkerError::WallLimit { .. } => "exceededWallTime",
        WorkerError::Load(_) => "scriptNotFound",
        WorkerError::Overloaded | WorkerError::Reset { .. } => "unknown",
    }
}
