//! Answers that no worker gave.
//!
//! **Owns** the one place where failures become statuses and pages. **Must not know** how they came about. **Enter at**
//! [`page`]. The end user learns a number and a request id, never what the worker threw: that is in its log.

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::{
    dispatch::DispatchError,
    telemetry::OutcomeClass,
    worker::{Body, WorkerError},
};

/// Why the end user does not get a worker's answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request names no host, or not one.
    BadHost,
    /// The URL is over the limit.
    UrlTooLong,
    /// The headers are over the limit.
    HeadersTooLarge,
    /// The body is over the limit.
    BodyTooLarge,
    /// The request asks for a tunnel.
    Tunnel,
    /// The request has come through too many nodes, this one among them most likely.
    Loop,
    /// The worker answered 101 where no WebSocket was asked for, or without one.
    NotASocket,
    /// Nobody answered.
    Dispatch(DispatchError),
}

/// What a page says.
struct Page {
    status: StatusCode,
    /// Cloudflare's number for the same failure, which people search for.
    code: Option<u16>,
    title: &'static str,
    detail: &'static str,
}

impl Refusal {
    /// How operators count it.
    pub(super) fn outcome(&self) -> OutcomeClass {
        match self {
            Self::BadHost
            | Self::UrlTooLong
            | Self::HeadersTooLarge
            | Self::BodyTooLarge
            | Self::Tunnel
            | Self::Loop => OutcomeClass::Refused,
            Self::Dispatch(DispatchError::UnknownHost | DispatchError::NothingDeployed(_)) => OutcomeClass::Unknown,
            Self::Dispatch(DispatchError::Worker(WorkerError::Overloaded)) => OutcomeClass::Overloaded,
            Self::NotASocket | Self::Dispatch(_) => OutcomeClass::Failed,
        }
    }

    /// Writes the cause where it is handled. What a worker did wrong is its author's business, and in its own log.
    pub(super) fn log(&self, request_id: &str) {
        match self {
            Self::Dispatch(DispatchError::Spec(error)) => {
                tracing::error!(request_id, error = error as &dyn Error, "a worker can not be made ready");
            }
            Self::Dispatch(DispatchError::Worker(WorkerError::Load(error))) => {
                tracing::error!(request_id, %error, "a worker can not be loaded");
            }
            Self::Dispatch(error) => tracing::debug!(request_id, %error, "no answer"),
            refusal => tracing::debug!(request_id, ?refusal, "refused"),
        }
    }

    fn page(&self) -> Page {
        let of = |status, code, title, detail| Page { status, code, title, detail };
        match self {
            Self::BadHost => {
                of(StatusCode::BAD_REQUEST, None, "Bad request", "The request does not name a valid host.")
            }
            Self::UrlTooLong => of(StatusCode::URI_TOO_LONG, None, "URL too long", "The URL is longer than 16 KB."),
            Self::HeadersTooLarge => of(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                None,
                "Headers too large",
                "The request's headers are larger than 128 KB.",
            ),
            Self::BodyTooLarge => of(
                StatusCode::PAYLOAD_TOO_LARGE,
                None,
                "Body too large",
                "The body is larger than this server accepts.",
            ),
            Self::Tunnel => {
                of(StatusCode::NOT_IMPLEMENTED, None, "Not implemented", "This server opens no tunnels for CONNECT.")
            }
            Self::Loop => of(
                StatusCode::LOOP_DETECTED,
                Some(1019),
                "Too many hops",
                "The request went from worker to worker too many times.",
            ),
            Self::NotASocket => of(
                StatusCode::INTERNAL_SERVER_ERROR,
                Some(1101),
                "Worker threw exception",
                "The worker answered with a WebSocket where none was asked for.",
            ),
            Self::Dispatch(error) => dispatch_page(error),
        }
    }
}

fn dispatch_page(error: &DispatchError) -> Page {
    let of = |status, code, title, detail| Page { status, code, title, detail };
    match error {
        DispatchError::UnknownHost => {
            of(StatusCode::NOT_FOUND, None, "There is nothing here yet", "No worker answers at this address.")
        }
        DispatchError::NothingDeployed(_) => of(
            StatusCode::NOT_FOUND,
            None,
            "There is nothing here yet",
            "Nothing has been deployed to this environment.",
        ),
        DispatchError::Spec(_) => {
            let detail = "The worker can not be made ready on this server.";
            of(StatusCode::SERVICE_UNAVAILABLE, None, "Worker unavailable", detail)
        }
        DispatchError::Worker(error) => worker_page(error),
    }
}

fn worker_page(error: &WorkerError) -> Page {
    let threw = |detail| Page {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: Some(1101),
        title: "Worker threw exception",
        detail,
    };
    let exceeded = |detail| Page {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: Some(1102),
        title: "Worker exceeded resource limits",
        detail,
    };
    match error {
        WorkerError::Exception { .. } => threw("The worker failed while it answered this request."),
        WorkerError::NeverResponds => threw("The worker's code will never generate a response."),
        WorkerError::NoHandler { .. } => threw("The worker does not handle this kind of event."),
        WorkerError::Load(_) => threw("The worker's code can not be loaded."),
        WorkerError::CpuLimit { .. } => exceeded("The worker used more CPU time than it may."),
        WorkerError::MemoryLimit { .. } => exceeded("The worker used more memory than it may."),
        WorkerError::WallLimit { .. } => Page {
            status: StatusCode::GATEWAY_TIMEOUT,
            code: None,
            title: "Worker took too long",
            detail: "The worker did not answer in time.",
        },
        WorkerError::Overloaded => Page {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: None,
            title: "Worker overloaded",
            detail: "Too many requests are waiting for this worker. Try again in a moment.",
        },
        WorkerError::Reset { .. } => Page {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: None,
            title: "Worker was reset",
            detail: "The worker was restarted while it answered this request. Try again.",
        },
    }
}

/// The answer to a refused request: HTML for people, JSON for programs that ask for it.
pub(super) fn page(refusal: &Refusal, request_id: &str, accept: Option<&HeaderValue>) -> Response<Body> {
    let page = refusal.page();
    let (content_type, text) = if prefers_json(accept) {
        ("application/json", json(&page, request_id))
    } else {
        ("text/html; charset=utf-8", html(&page, request_id))
    };
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if page.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Whether `Accept` names JSON before HTML. Browsers name HTML; `*/*` is answered as for people.
fn prefers_json(accept: Option<&HeaderValue>) -> bool {
    let text = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let place = |kinds: [&str; 2]| kinds.iter().filter_map(|kind| text.find(kind)).min().unwrap_or(usize::MAX);
    place(["application/json", "+json"]) < place(["text/html", "application/xhtml"])
}

fn json(page: &Page, request_id: &str) -> String {
    serde_json::json!({
        "error": {
            "status": page.status.as_u16(),
            "code": page.code,
            "title": page.title,
            "message": page.detail,
            "request_id": request_id,
        }
    })
    .to_string()
}

fn html(page: &Page, request_id: &str) -> String {
    let Page { status, title, detail, .. } = page;
    let number = match page.code {
        Some(code) => format!("Error {code}"),
        None => format!("Error {}", status.as_u16()),
    };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;\
         color:#222;background:#fff}}h1{{font-size:1.5rem}}small{{color:#666}}@media(prefers-color-scheme:dark){{body{{\
         color:#ddd;background:#111}}small{{color:#999}}}}</style><h1>{title}</h1><p>{detail}</p>\
         <p><small>{number} &middot; request {request_id}</small></p></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(refusal: Refusal, accept: &str) -> (u16, String) {
        let accept = HeaderValue::from_str(accept).unwrap();
        let response = page(&refusal, "0123", Some(&accept));
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn worker(error: WorkerError) -> Refusal {
        Refusal::Dispatch(DispatchError::Worker(error))
    }

    #[tokio::test]
    async fn a_browser_gets_html_and_a_program_json() {
        let (status, html) = text(Refusal::Dispatch(DispatchError::UnknownHost), "text/html,*/*;q=0.8").await;
        assert!(status == 404 && html.starts_with("<!doctype html>") && html.contains("request 0123"), "{html}");
        let (_, json) = text(worker(WorkerError::CpuLimit { limit_ms: 50 }), "application/json, text/html").await;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((json["error"]["code"].as_u64(), json["error"]["status"].as_u64()), (Some(1102), Some(503)));
    }

    #[tokio::test]
    async fn what_a_worker_threw_is_not_shown() {
        let thrown = WorkerError::Exception { message: "Error: hunter2".into(), stack: "hunter2".into() };
        let (status, html) = text(worker(thrown), "*/*").await;
        assert!(status == 500 && html.contains("Error 1101") && !html.contains("hunter2"), "{html}");
    }
}
