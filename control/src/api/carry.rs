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
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, request::Parts};
use skerry_proto::id::Revision;
use tokio::sync::OwnedSemaphorePermit;

use super::{auth::Guard, body, conditions::OWN_KEY, error::ApiError, ports::Peer};
use crate::{
    clock,
    control::{ApiCall, Carried, CarryError, Control},
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
/// BOUND: bytes of a body that is read for a token that this node does not know, before the leader has said whether it does.
const UNKNOWN_BODY_BYTES_MAX: usize = 64 << 10;
const UNKNOWN_HERE: &str = "the token is unknown or revoked; one that was made a moment ago may need a second";

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
    /// What stands before the call on the leader.
    pub(crate) guard: Guard,
    /// Whether the call takes an idempotency key.
    pub(crate) repeatable: bool,
}

/// Carries a request to the leader unless this node leads.
pub(crate) async fn to_leader(State(carrier): State<Carrier>, request: Request, next: Next) -> Response {
    let control = &carrier.guard.deps.control;
    if control.leads() || !control.has_mesh() {
        return next.run(request).await;
    }
    if request.extensions().get::<Carried>().is_some() {
        return ApiError::NotLeader.into_response();
    }
    match carrier.send(request).await {
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

impl Carrier {
    async fn send(&self, request: Request) -> Result<Outcome, ApiError> {
        let (mut parts, body) = request.into_parts();
        if parts.extensions.get::<Peer>().is_some_and(|peer| !peer.may_carry_tokens()) {
            return Err(ApiError::ClearText);
        }
        if self.repeatable && !parts.headers.contains_key(IDEMPOTENCY_KEY) {
            parts.headers.insert(IDEMPOTENCY_KEY, own_key());
        }
        let (body, _turn) = self.body(&parts, body).await?;
        let call = call(&parts, body);
        match carry(&self.guard.deps.control, &call, self.repeatable).await? {
            Some(response) => Ok(Outcome::Answered(response)),
            None => Ok(Outcome::LeadsNow(Request::from_parts(parts, Body::from(call.body)))),
        }
    }

    /// Reads a body before the leader has seen the request: a large one in its turn, and only from who has a token.
    async fn body(&self, parts: &Parts, body: Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>), ApiError> {
        let headers = &parts.headers;
        let is_trusted = self.guard.is_known(headers)?;
        let is_small = body::is_small(headers, &body);
        let (limit, turn) = match (is_trusted, is_small) {
            (false, _) => (UNKNOWN_BODY_BYTES_MAX, None),
            (true, true) => (API_BODY_BYTES_MAX, None),
            (true, false) => (API_BODY_BYTES_MAX, Some(self.guard.deps.turn().await?)),
        };
        let read = body::read(headers, body, "the request", limit).await;
        let read = read.map_err(|error| match error {
            ApiError::TooLarge { .. } if !is_trusted => ApiError::Unauthenticated(UNKNOWN_HERE),
            error => error,
        });
        Ok((read?, turn))
    }
}

/// A request as it travels.
fn call(parts: &Parts, body: Bytes) -> ApiCall {
    let peer = parts.extensions.get::<Peer>();
    let target = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    ApiCall {
        method: parts.method.clone(),
        target: target.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: parts.headers.clone(),
        peer: peer.map(|peer| peer.address.ip().to_canonical().to_string()).unwrap_or_default(),
        body,
        steps: 0,
        trace: parts.extensions.get::<TraceContext>().cloned(),
    }
}

/// The leader's answer; `None` when this node has become the leader.
async fn carry(control: &Control, call: &ApiCall, repeatable: bool) -> Result<Option<Response>, ApiError> {
    let deadline = clock::monotonic() + LEADER_TIMEOUT;
    loop {
        if control.leads() {
            return Ok(None);
        }
        match control.carry(call).await {
            Ok(response) => return Ok(Some(response)),
            Err(CarryError::Undone { reason }) if clock::monotonic() < deadline => {
                tracing::debug!(reason, "no leader has answered yet");
            }
            Err(CarryError::Lost { reason }) if repeatable && clock::monotonic() < deadline => {
                tracing::debug!(reason, "the answer was lost; the request is repeated under its key");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks the leader something on behalf of who sent `request`; `None` when this node has become the leader.
pub(crate) async fn ask_leader(control: &Control, target: &str, request: &Parts) -> Result<Option<Response>, ApiError> {
    let target = target.parse::<Uri>().map_err(|_wrong| ApiError::NoRoute { path: target.to_owned() })?;
    let question = ApiCall {
        method: Method::GET,
        target: target.path_and_query().map(ToString::to_string).unwrap_or_default(),
        ..call(request, Bytes::new())
    };
    match carry(control, &question, false).await {
        // It was only a question.
        Err(ApiError::Unknown) => Err(ApiError::Unavailable("the leader did not answer".into())),
        answered => answered,
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
    control.serve_api(router);
}
