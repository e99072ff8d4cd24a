//! Live logs.
//!
//! **Owns** the `tails` calls and the WebSocket that speaks wrangler's `trace-v1`. **Must not know** how events come to
//! be. **Enter at** [`mount`].

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        Request, State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast::Receiver, mpsc};
use utoipa::ToSchema;

use self::sessions::{LIFETIME_MS, Session};
use super::{
    Deps,
    auth::{Caller, Rule, TAIL_READ},
    body::optional_json,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    params::Params,
    paths,
    ports::Peer,
    target::Target,
    time::rfc3339,
};
use crate::tails::{Filter, Heard, RawFilter, wanted};

mod sessions;

pub(crate) use sessions::Sessions;

/// The subprotocol that wrangler asks for.
const PROTOCOL: &str = "trace-v1";
/// BOUND: what a client says on the socket; wrangler sends `{"debug":false}`.
const MESSAGE_BYTES_MAX: usize = 4096;
/// How often a quiet session looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TailView {
    /// 32 hexadecimal digits; whoever knows them may listen.
    pub id: String,
    /// Where to connect a WebSocket with the subprotocol `trace-v1`.
    pub url: String,
    /// RFC 3339.
    pub expires_at: String,
}

/// What a session wants.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct TailBody {
    /// All must hold: `{"outcome":[..]}`, `{"method":[..]}`, `{"header":{key,query}}`, `{"query":".."}`, ...
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub filters: Vec<RawFilter>,
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/tails");
    let open = Endpoint::post(&script, "openTail", "Opens a live log session").also(&service);
    endpoints.add(open.here().needs(TAIL_READ).tag("tails").takes::<TailBody>().answers::<TailView>(), open_one);
    let list = Endpoint::get(&script, "listTails", "The environment's live log sessions on this node").also(&service);
    endpoints.add(list.needs(TAIL_READ).tag("tails").lists::<TailView>(), list_all);
    let [script, service] = paths::environment("/tails/{tail}");
    let close = Endpoint::delete(&script, "closeTail", "Closes a live log session").also(&service);
    endpoints.add(close.here().needs(TAIL_READ).tag("tails"), close_one);
    let socket = Endpoint::get("/tails/{tail}", "connectTail", "The WebSocket of a session; its id is the permission");
    endpoints.add(socket.needs(Rule::Public).tag("tails").answers_raw("application/json"), connect);
}

async fn open_one(State(deps): State<Deps>, target: Target, caller: Caller, request: Request) -> Reply<TailView> {
    let origin = origin(&request)?;
    // Wrangler sends this body without a content type, and other clients none at all.
    let body: TailBody = optional_json(request).await?;
    let filter = Filter::from_raw(body.filters).map_err(|error| ApiError::field(error.field, error.problem))?;
    let now_ms = deps.clock.now_ms();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let expires_at_ms = now_ms + LIFETIME_MS;
    let session = Session { environment: target.key, filter, token: caller.token, expires_at_ms };
    deps.sessions.open(id.clone(), session, now_ms)?;
    Ok(Answer::ok(view(&origin, id, expires_at_ms)))
}

fn view(origin: &str, id: String, expires_at_ms: i64) -> TailView {
    TailView { url: format!("{origin}/client/v4/tails/{id}"), id, expires_at: rfc3339(expires_at_ms) }
}

/// How the client reached this node, for the socket to reach it again.
fn origin(request: &Request) -> Result<String, ApiError> {
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = host.or_else(|| host_header(request.headers()));
    let host = host.ok_or_else(|| ApiError::field("Host", "is missing"))?;
    let is_encrypted = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_encrypted);
    Ok(format!("{}://{host}", if is_encrypted { "wss" } else { "ws" }))
}

fn host_header(headers: &HeaderMap) -> Option<String> {
    headers.get(header::HOST)?.to_str().ok().map(str::to_owned)
}

async fn list_all(State(deps): State<Deps>, target: Target, request: Request) -> Reply<Vec<TailView>> {
    let origin = origin(&request)?;
    let own = deps.sessions.of(&target.key, deps.clock.now_ms());
    Ok(Answer::ok(own.into_iter().map(|(id, expires_at_ms)| view(&origin, id, expires_at_ms)).collect()))
}

async fn close_one(State(deps): State<Deps>, target: Target, params: Params) -> Reply<()> {
    let id = params.text("tail")?;
    if deps.sessions.close(id, &target.key) {
        Ok(Answer::ok(()))
    } else {
        Err(ApiError::not_found(Thing::Tail, format!("{id:.32}")))
    }
}

async fn connect(
    State(deps): State<Deps>,
    params: Params,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let id = params.text("tail")?.to_owned();
    let Some(session) = current(&deps, &id) else {
        return Err(ApiError::not_found(Thing::Tail, "of this address"));
    };
    let upgrade = upgrade.map_err(|error| ApiError::field("Upgrade", error.to_string()))?;
    // Wrangler does not mask its frames, against RFC 6455 section 5.1; Cloudflare's end lets it.
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE_BYTES_MAX).accept_unmasked_frames(true);
    let place = deps.control.listener();
    if deps.control.has_mesh() && place.is_none() {
        return Err(ApiError::Unavailable("too many live log sessions are connected to this node".into()));
    }
    let own = deps.tails.subscribe(&session.environment);
    let others = deps.control.listen(session.environment.clone(), session.filter.clone());
    let events = Events { own, others, own_is_over: false };
    Ok(upgrade.on_upgrade(async move |socket| {
        stream(socket, deps, id, session, events).await;
        drop(place);
    }))
}

/// The events of every node.
struct Events {
    own: Receiver<Arc<Value>>,
    others: mpsc::Receiver<Heard>,
    own_is_over: bool,
}

impl Events {
    /// The next one that is wanted; never when there is nobody left to hear.
    async fn next(&mut self, filter: &Filter) -> Heard {
        loop {
            let heard = tokio::select! {
                heard = wanted(&mut self.own, filter), if !self.own_is_over => {
                    self.own_is_over = heard.is_none();
                    heard
                }
                Some(heard) = self.others.recv() => Some(heard),
                else => std::future::pending().await,
            };
            if let Some(heard) = heard {
                return heard;
            }
        }
    }
}

/// The session, while it is open and the token that opened it works.
fn current(deps: &Deps, id: &str) -> Option<Session> {
    let now_ms = deps.clock.now_ms();
    let session = deps.sessions.find(id, now_ms)?;
    let catalog = deps.control.catalog();
    catalog.token(&session.token).is_some_and(|token| token.is_current(now_ms)).then_some(session)
}

/// Sends what the session wants until one side ends it.
async fn stream(mut socket: WebSocket, deps: Deps, id: String, session: Session, mut events: Events) {
    loop {
        let sent = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
            heard = events.next(&session.filter) => match heard {
                // An event may be the first thing that happens after the session is over.
                _ if current(&deps, &id).is_none() => break,
                Heard::Event(event) => socket.send(Message::Text(event.into())).await,
                Heard::Lost(count) => socket.send(overload(count, deps.clock.now_ms())).await,
            },
            // Reading also answers pings.
            message = socket.recv() => match message {
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => break,
            },
        };
        if sent.is_err() || current(&deps, &id).is_none() {
            break;
        }
    }
    let frame = CloseFrame { code: 1000, reason: Utf8Bytes::from_static("the session is over") };
    // The client may be gone already; there is nobody else to tell.
    let _ = socket.send(Message::Close(Some(frame))).await;
    deps.sessions.close(&id, &session.environment);
}

/// What wrangler shows when a client is too slow.
fn overload(count: u64, now_ms: i64) -> Message {
    let event = json!({
        "outcome": "unknown",
        "scriptName": null,
        "logs": [],
        "exceptions": [],
        "eventTimestamp": now_ms,
        "event": { "type": "overload", "message": format!("this client is too slow: {count} events were left out") },
    });
    Message::Text(event.to_string().into())
}
