//! Where a call is answered, and what its answer has seen.
//!
//! **Owns** which requests leave this node, and how a caller hears that nobody answered. **Must not know** how they travel.
//! **Enter at** [`to_leader`], [`seen`] and [`serve_carried`].
//!
//! The leader reads its own newest state, so conditions and idempotency keys mean the same at every node. A write whose
//! answer is lost may have been done: where the call takes an idempotency key it is repeated under the caller's key, or
//! under one that this node makes, and so done once; else its outcome is *unknown*.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{OriginalUri, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Uri, request::Parts};
use skerry_proto::id::Revision;

use super::{body, conditions::OWN_KEY, error::ApiError, ports::Peer};
use crate::{
    clock,
    control::{ApiCall, Carried, CarryError, Control, ServedApi},
    limits::API_BODY_BYTES_MAX,
    trace::TraceContext,
};

/// The revision that an answer has seen.
const REVISION: HeaderName = HeaderName::from_static("skerry-revision");
/// The query parameter of a call that must see this revision, or a later one.
pub(crate) const MIN_REVISION: &str = "min_revision";
/// BOUND: how long a call waits for the revision that it asks for; a node that is further behind is not the one to ask.
const REVISION_TIMEOUT: Duration = Duration::from_secs(10);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// BOUND: how long a request waits while nobody leads: an election, and a second one.
const LEADER_TIMEOUT: Duration = Duration::from_secs(8);
/// How often it looks for a leader meanwhile.
const PAUSE: Duration = Duration::from_millis(200);

/// Where a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the node that was asked.
    Here,
    /// On the leader.
    Leader,
}

/// What a request needs to leave this node.
#[derive(Clone)]
pub(crate) struct Carrier {
    pub(crate) control: Control,
    /// Whether the call takes an idempotency key.
    pub(crate) repeatable: bool,
}

/// Carries a request to the leader unless this node leads.
pub(crate) async fn to_leader(State(carrier): State<Carrier>, request: Request, next: Next) -> Response {
    let control = &carrier.control;
    if control.leads() || !control.has_mesh() {
        return next.run(request).await;
    }
    if request.extensions().get::<Carried>().is_some() {
        let changed = "the leader has just changed; nothing was changed, repeat the call";
        return ApiError::Unavailable(changed.into()).into_response();
    }
    match carry(&carrier, request).await {
        Ok(Outcome::Answered(response)) => response,
        Ok(Outcome::LeadsNow(request)) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

enum Outcome {
    Answered(Response),
    /// This node was elected meanwhile.
    LeadsNow(Request),
}

async fn carry(carrier: &Carrier, request: Request) -> Result<Outcome, ApiError> {
    let control = &carrier.control;
    let (mut parts, body) = request.into_parts();
    if carrier.repeatable && !parts.headers.contains_key(IDEMPOTENCY_KEY) {
        parts.headers.insert(IDEMPOTENCY_KEY, own_key());
    }
    let peer = parts.extensions.get::<Peer>();
    if peer.is_some_and(|peer| !peer.may_carry_tokens()) {
        return Err(ApiError::ClearText);
    }
    let target = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let call = ApiCall {
        method: parts.method.clone(),
        target: target.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: parts.headers.clone(),
        peer: peer.map(|peer| peer.address.ip().to_canonical().to_string()).unwrap_or_default(),
        body: body::read(&parts.headers, body, "the request", API_BODY_BYTES_MAX).await?,
        steps: 0,
        trace: parts.extensions.get::<TraceContext>().cloned(),
    };
    let deadline = clock::monotonic() + LEADER_TIMEOUT;
    loop {
        if control.leads() {
            return Ok(Outcome::LeadsNow(Request::from_parts(parts, Body::from(call.body))));
        }
        match control.carry(&call).await {
            Ok(response) => return Ok(Outcome::Answered(response)),
            Err(CarryError::Undone { reason }) if clock::monotonic() < deadline => {
                tracing::debug!(reason, "no leader has answered yet");
            }
            Err(CarryError::Lost { reason }) if carrier.repeatable && clock::monotonic() < deadline => {
                tracing::debug!(reason, "the answer was lost; the request is repeated under its key");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks the leader something on behalf of who sent `request`; `None` when this node has become the leader.
pub(crate) async fn ask_leader(control: &Control, target: &str, request: &Parts) -> Result<Option<Response>, ApiError> {
    let mut asked = Request::new(Body::empty());
    *asked.uri_mut() = target.parse().map_err(|_wrong| ApiError::NoRoute { path: target.to_owned() })?;
    *asked.headers_mut() = request.headers.clone();
    *asked.extensions_mut() = request.extensions.clone();
    let original = OriginalUri(asked.uri().clone());
    asked.extensions_mut().insert(original);
    match carry(&Carrier { control: control.clone(), repeatable: false }, asked).await {
        Ok(Outcome::Answered(response)) => Ok(Some(response)),
        Ok(Outcome::LeadsNow(_)) => Ok(None),
        // It was only a question.
        Err(ApiError::Unknown) => Err(ApiError::Unavailable("the leader did not answer".into())),
        Err(error) => Err(error),
    }
}

/// The revision that an answer has seen.
pub(crate) fn revision_of(response: &Response) -> Option<Revision> {
    response.headers().get(&REVISION)?.to_str().ok()?.parse().ok().map(Revision)
}

fn own_key() -> HeaderValue {
    let key = format!("{OWN_KEY}{}", hex::encode(crate::mint::random::<16>()));
    HeaderValue::try_from(key).expect("letters, digits and a dash are a header's value")
}

impl From<CarryError> for ApiError {
    fn from(error: CarryError) -> Self {
        match error {
            CarryError::Undone { reason } => Self::Unavailable(format!("no leader has answered: {reason}")),
            CarryError::Lost { reason } => {
                tracing::warn!(reason, "a write's outcome is unknown");
                Self::Unknown
            }
        }
    }
}

/// Lets a call wait for the revision that it asks for, and says which one its answer has seen.
pub(crate) async fn seen(State(control): State<Control>, request: Request, next: Next) -> Response {
    if let Err(error) = wait(&control, request.uri()).await {
        return error.into_response();
    }
    let mut response = next.run(request).await;
    // A carried answer has its own already; this node shows at least as much.
    let revision = control.catalog().revision().0;
    response.headers_mut().insert(REVISION, HeaderValue::from(revision));
    response
}

async fn wait(control: &Control, uri: &Uri) -> Result<(), ApiError> {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let Some((_, wanted)) = query.into_iter().find(|(name, _)| name == MIN_REVISION) else { return Ok(()) };
    let Ok(wanted) = wanted.parse().map(Revision) else {
        return Err(ApiError::field(MIN_REVISION, "use a revision: digits only"));
    };
    until_shown(control, wanted).await
}

/// Returns once this node shows a revision.
pub(crate) async fn until_shown(control: &Control, wanted: Revision) -> Result<(), ApiError> {
    if control.reach(wanted, REVISION_TIMEOUT).await {
        return Ok(());
    }
    let has = control.catalog().revision();
    Err(ApiError::Unavailable(format!("this node is at revision {has} and has not seen {wanted} yet")))
}

/// The API with what goes around every call.
pub(crate) fn around(router: Router, control: Control) -> Router {
    router.layer(middleware::from_fn_with_state(control, seen))
}

/// Answers the requests that other nodes carry to this one with `router`, which is [`router`](super::router) with whatever
/// the node has put around it.
pub fn serve_carried(control: &Control, router: Router) {
    let failure = |error: CarryError| ApiError::from(error).into_response();
    control.serve_api(ServedApi { router, failure });
}
