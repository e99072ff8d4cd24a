//! API requests, carried to whoever leads.
//!
//! **Owns** a request's way to the leader and its answer's way back, and what is known when the answer is lost. **Must not
//! know** the API's calls. **Enter at** [`carry`] and [`ApiService`].
//!
//! A node that does not vote asks any voter, and that voter asks the leader: two steps at most.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use skerry_proto::{
    id::{NodeId, Revision},
    mesh::{self as pb, Chunk, Method, refusal::Code},
};
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use super::{raft::CHUNK_BYTES, sight::Sight};
use crate::{
    limits::{API_BODY_BYTES_MAX, FRAME_BYTES_MAX, link_time},
    mesh::{CallError, Caller, FrameError, FrameReceiver, FrameSender, Incoming, Mesh, Service, Stream},
    state::States,
    trace::TraceContext,
    turn::{SMALL_BODY_BYTES_MAX, Turns},
};

/// BOUND: how long the leader may take, besides the time that the request takes on the slowest link: an upload is compiled,
/// stored on voters and agreed on. As long as the command line waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// BOUND: how long a connection to the leader may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// BOUND: steps of a request: to a voter, and from there to the leader.
const STEPS_MAX: u32 = 2;
const LEADS_NOT: &str = "this node does not lead and knows nobody who does";

/// A request that came over the mesh, for handlers and middleware.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    /// The caller's address as the first node saw it.
    pub(crate) peer: String,
    /// What it belongs to.
    pub(crate) trace: Option<TraceContext>,
}

/// A request with its whole body.
#[derive(Debug, Clone)]
pub(crate) struct ApiCall {
    pub(crate) method: HttpMethod,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: String,
    pub(crate) steps: u32,
    /// What it belongs to.
    pub(crate) trace: Option<TraceContext>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct ApiAnswer {
    pub(crate) response: Response<Body>,
    /// What the answering node had applied.
    pub(crate) revision: Revision,
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarryError {
    /// It was not done. State: unchanged. Retry: yes.
    #[error("the request did not reach a leader: {reason}")]
    Undone {
        /// Why.
        reason: String,
    },
    /// The answer was lost. State: unknown. Retry: with an idempotency key, or after looking.
    #[error("the leader's answer was lost: {reason}")]
    Lost {
        /// Why.
        reason: String,
    },
}

/// Asks a node that leads or knows who does.
pub(crate) async fn carry(mesh: &Mesh, sight: &Sight, to: NodeId, call: &ApiCall) -> Result<ApiAnswer, CarryError> {
    let opened = mesh.open(to, Method::ApiForward, DIAL_TIMEOUT).await;
    let stream = opened.map_err(|error| match error {
        CallError::Unsent { .. } | CallError::Refused { .. } => CarryError::Undone { reason: error.to_string() },
        CallError::Lost { .. } | CallError::Malformed { .. } => CarryError::Lost { reason: error.to_string() },
    })?;
    let within = ANSWER_TIMEOUT + link_time(call.body.len());
    tokio::select! {
        answered = tokio::time::timeout(within, ask(stream, to, call)) => match answered {
            Ok(answered) => answered,
            Err(_) => Err(CarryError::Lost { reason: format!("no answer within {} s", within.as_secs()) }),
        },
        () = sight.gone(to) => Err(CarryError::Lost { reason: format!("node {to} is gone") }),
    }
}

async fn ask(mut stream: Stream, to: NodeId, call: &ApiCall) -> Result<ApiAnswer, CarryError> {
    let request = pb::ApiRequest {
        method: call.method.to_string(),
        target: call.target.clone(),
        headers: header_messages(&call.headers),
        peer: call.peer.clone(),
        steps: call.steps + 1,
    };
    // A side that refuses stops reading; its refusal says more than the broken stream.
    let sent = async {
        stream.send.send(&request).await?;
        send_body(&mut stream.send, call.body.clone()).await?;
        stream.send.finish()
    };
    let sent = sent.await;
    let head: Option<pb::ApiResponse> = match stream.receive.next(FRAME_BYTES_MAX).await {
        Ok(head) => head,
        Err(error) => return Err(unanswered(to, error, sent.err())),
    };
    let head = head.ok_or_else(|| CarryError::Lost { reason: "it ended without an answer".to_owned() })?;
    let body = read_body(&mut stream.receive).await;
    let body = body.map_err(|error| CarryError::Lost { reason: error.to_string() })?;
    let revision = Revision(head.revision);
    let response =
        response(head, body).ok_or_else(|| CarryError::Lost { reason: "the answer is no HTTP".to_owned() })?;
    Ok(ApiAnswer { response, revision })
}

/// What it means that no answer came: `received` in its place, and perhaps `sent` when the request was not taken whole.
fn unanswered(to: NodeId, received: FrameError, sent: Option<FrameError>) -> CarryError {
    let lost = CarryError::Lost { reason: sent.as_ref().unwrap_or(&received).to_string() };
    let meanings = [Some(received), sent].into_iter().flatten().map(|error| CallError::unanswered(to, error));
    let refused = |meaning| match meaning {
        CallError::Refused { message, .. } => Some(CarryError::Undone { reason: message }),
        CallError::Unsent { .. } | CallError::Lost { .. } | CallError::Malformed { .. } => None,
    };
    meanings.filter_map(refused).next().unwrap_or(lost)
}

async fn send_body(send: &mut FrameSender, mut body: Bytes) -> Result<(), FrameError> {
    while !body.is_empty() {
        let bytes = body.split_to(CHUNK_BYTES.min(body.len()));
        send.send(&Chunk { bytes }).await?;
    }
    send.send(&Chunk::default()).await
}

async fn read_body(receive: &mut FrameReceiver) -> Result<Bytes, FrameError> {
    let mut body = BytesMut::new();
    while let Some(piece) = next_piece(receive, body.len()).await? {
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// What follows `length` bytes of a body; `None` at its end.
async fn next_piece(receive: &mut FrameReceiver, length: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(Chunk { bytes }) = receive.next(FRAME_BYTES_MAX).await? else {
        return Err(FrameError::Lost { reason: "the body has no end".to_owned() });
    };
    let size_bytes = length + bytes.len();
    if size_bytes > API_BODY_BYTES_MAX {
        return Err(FrameError::TooLarge { size_bytes, max_bytes: API_BODY_BYTES_MAX });
    }
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}

fn header_messages(headers: &HeaderMap) -> Vec<pb::Header> {
    let carried = headers.iter().filter(|(name, _)| !is_of_one_hop(name));
    let message = |(name, value): (&HeaderName, &HeaderValue)| pb::Header {
        name: name.to_string(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    carried.map(message).collect()
}

/// Headers that are about the connection (RFC 9110 section 7.6.1), or about the body's length, which is known here.
fn is_of_one_hop(name: &HeaderName) -> bool {
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER, header::EXPECT]
        .contains(name)
}

fn headers(messages: Vec<pb::Header>) -> Option<HeaderMap> {
    let parsed = |header: pb::Header| {
        Some((HeaderName::try_from(header.name).ok()?, HeaderValue::from_maybe_shared(header.value).ok()?))
    };
    messages.into_iter().map(parsed).collect()
}

fn response(head: pb::ApiResponse, body: Bytes) -> Option<Response<Body>> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(u16::try_from(head.status).ok()?).ok()?;
    *response.headers_mut() = headers(head.headers)?;
    Some(response)
}

async fn give(call: Incoming, answer: ApiAnswer) -> Result<(), FrameError> {
    let mut stream = call.accept_flow().await?;
    let (parts, body) = answer.response.into_parts();
    let body = body.collect().await.map_err(|error| FrameError::Lost { reason: error.to_string() })?.to_bytes();
    let head = pb::ApiResponse {
        status: u32::from(parts.status.as_u16()),
        headers: header_messages(&parts.headers),
        revision: answer.revision.0,
    };
    stream.send.send(&head).await?;
    send_body(&mut stream.send, body).await?;
    stream.send.finish()
}

/// Answers requests that other nodes carry here.
pub(crate) struct ApiService {
    pub(crate) sight: Sight,
    pub(crate) mesh: Mesh,
    pub(crate) states: Arc<States>,
    /// The API, once there is one.
    pub(crate) api: Arc<ArcSwapOption<Router>>,
    pub(crate) turns: Turns,
}

/// On a response that is none: another node may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// Nothing was done here, which does not lead.
    Undone,
    /// It may have been done: whoever asks again needs the same idempotency key.
    Unknown,
}

#[async_trait]
impl Service for ApiService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(call).await {
            tracing::debug!(%error, ?from, "a carried request was not answered");
        }
    }
}

impl ApiService {
    async fn answer(&self, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::ApiRequest = call.request(FRAME_BYTES_MAX).await?;
        let (leads, leader) = match self.sight.seat.raft() {
            Some(raft) => (raft.leads(), raft.status().leader.filter(|leader| *leader != self.mesh.node())),
            None => (false, None),
        };
        let (Some(api), true) = (self.api.load_full(), leads || (leader.is_some() && request.steps < STEPS_MAX)) else {
            return call.refuse(Code::Unavailable, LEADS_NOT).await;
        };
        let (Ok(method), Some(headers), Ok(target)) =
            (HttpMethod::try_from(request.method.as_str()), headers(request.headers), request.target.parse::<Uri>())
        else {
            return call.refuse(Code::Invalid, "this is no HTTP request").await;
        };
        let trace = call.traceparent().and_then(|text| TraceContext::parse(text, None));
        let (body, _turn) = self.body(call.rest()).await?;
        let (peer, steps) = (request.peer, request.steps);
        let answered = match leader {
            Some(leader) if !leads => {
                let mesh = trace.as_ref().map(|trace| self.mesh.traced(&trace.traceparent()));
                let request = ApiCall { method, target: target.to_string(), headers, body, peer, steps, trace };
                carry(mesh.as_ref().unwrap_or(&self.mesh), &self.sight, leader, &request).await
            }
            _ => self.here(&api, method, target, headers, body, Carried { peer, trace }).await,
        };
        let answered = match answered {
            Ok(answered) => answered,
            Err(CarryError::Undone { reason }) => return call.refuse(Code::Unavailable, &reason).await,
            // Cut off, which says that it may have been done.
            Err(CarryError::Lost { reason }) => return Err(FrameError::Lost { reason }),
        };
        give(call, answered).await
    }

    /// A request's body, with its turn when it is large. Meanwhile its sender waits, who has its own bounds.
    async fn body(&self, receive: &mut FrameReceiver) -> Result<(Bytes, Option<OwnedSemaphorePermit>), FrameError> {
        let (mut body, mut turn) = (BytesMut::new(), None);
        while let Some(piece) = next_piece(receive, body.len()).await? {
            if turn.is_none() && body.len() + piece.len() > SMALL_BODY_BYTES_MAX {
                turn = Some(self.turns.take().await);
            }
            body.extend_from_slice(&piece);
        }
        Ok((body.freeze(), turn))
    }

    async fn here(
        &self,
        router: &Router,
        method: HttpMethod,
        target: Uri,
        headers: HeaderMap,
        body: Bytes,
        carried: Carried,
    ) -> Result<ApiAnswer, CarryError> {
        let mut request = Request::new(Body::from(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, target, headers);
        request.extensions_mut().insert(carried);
        let response = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        match response.extensions().get::<Elsewhere>() {
            Some(Elsewhere::Undone) => Err(CarryError::Undone { reason: LEADS_NOT.to_owned() }),
            Some(Elsewhere::Unknown) => Err(CarryError::Lost { reason: "it is not known what came of it".to_owned() }),
            None => Ok(ApiAnswer { response, revision: self.states.catalog().revision() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::StreamCode;

    #[test]
    fn a_request_of_which_nothing_was_read_is_undone() {
        let lost = || FrameError::Lost { reason: "the connection is gone".to_owned() };
        let reset = |code| FrameError::Reset { code };
        for code in [StreamCode::Busy, StreamCode::Forbidden] {
            let either = [(reset(code), None), (reset(code), Some(reset(code))), (lost(), Some(reset(code)))];
            for (received, sent) in either {
                assert!(matches!(unanswered(NodeId(2), received, sent), CarryError::Undone { .. }), "{code:?}");
            }
        }
        let refused = FrameError::Refused { code: Code::Unavailable, message: "not now".to_owned() };
        assert!(matches!(unanswered(NodeId(2), refused, Some(lost())), CarryError::Undone { .. }));
        assert!(matches!(unanswered(NodeId(2), lost(), None), CarryError::Lost { .. }));
        assert!(matches!(unanswered(NodeId(2), reset(StreamCode::Abandoned), None), CarryError::Lost { .. }));
    }
}
