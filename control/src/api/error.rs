//! Every way a call can fail, and the one place where a failure becomes a status and a code.
//!
//! **Owns** the numbers and words that users of Cloudflare's API know. **Must not know** which handler failed. **Enter
//! at** [`ApiError`].

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;

use super::envelope::{Envelope, ErrorView, SourceView};
use crate::{
    catalog::{Noun, Rejection},
    control::Elsewhere,
    error::{ProposeError, StoreError},
    kv::KvError,
};

/// Why a call failed. Every message names the field and what to do; none carries a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No such path. State: unchanged. Retry: no.
    #[error("could not route to {path}: no such call; the calls are described at /client/v4/openapi.json")]
    NoRoute {
        /// The path as asked for.
        path: String,
    },
    /// The path exists, the method does not. State: unchanged. Retry: no.
    #[error("{method} is not a method of {path}")]
    NoMethod {
        /// The method as asked for.
        method: String,
        /// The path as asked for.
        path: String,
    },
    /// No token, or not a good one. State: unchanged. Retry: no.
    #[error("authentication error: {0}")]
    Unauthenticated(&'static str),
    /// The token may not do this. State: unchanged. Retry: no.
    #[error("unauthorized: the token lacks the scope `{scope}`; use a token that has it")]
    Forbidden {
        /// The scope that is missing.
        scope: String,
    },
    /// The token is for another account. State: unchanged. Retry: no.
    #[error("unauthorized: the token is not for account {account}")]
    OtherAccount {
        /// The account as asked for.
        account: String,
    },
    /// A token came in clear from another machine. State: unchanged. Retry: over TLS.
    #[error("tokens are not accepted in clear from another machine; use https, and revoke this token")]
    ClearText,
    /// A field of the request is wrong. State: unchanged. Retry: no.
    #[error("{field}: {problem}")]
    Field {
        /// The field, header or query parameter.
        field: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A name breaks the rule for names. State: unchanged. Retry: no.
    #[error("{0}")]
    Name(#[from] skerry_proto::id::IdError),
    /// The multipart body or its metadata can not be read. State: unchanged. Retry: no.
    #[error("{field}: {problem}")]
    Upload {
        /// The part or metadata field.
        field: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// What the call is about does not exist. State: unchanged. Retry: no.
    #[error("{what} {id} not found")]
    NotFound {
        /// What kind of thing.
        what: Thing,
        /// Its identity as asked for.
        id: String,
    },
    /// It is there already, or another thing has its place. State: unchanged. Retry: no.
    #[error("{0}")]
    Conflict(String),
    /// The request is too large. State: unchanged. Retry: no.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Which part of the request.
        what: String,
        /// The limit.
        limit_bytes: usize,
    },
    /// The body stopped coming. State: unchanged. Retry: yes.
    #[error("{what} stopped coming: nothing arrived for {waited_s} s; nothing was changed, send it again")]
    Stalled {
        /// Which part of the request.
        what: String,
        /// How long it was waited for.
        waited_s: u64,
    },
    /// The uploaded code does not load. State: unchanged. Retry: no.
    #[error("{message}{}", place(.source_position))]
    Validation {
        /// What is wrong.
        message: String,
        /// Where.
        source_position: Option<SourceView>,
    },
    /// The node that is to validate the uploaded code has no room for it now, or failed over it. State: unchanged. Retry: yes.
    #[error("the upload can not be validated now: {0}; nothing was changed, try again")]
    NotValidated(String),
    /// The uploaded code handles no event. State: unchanged. Retry: no.
    #[error(
        "{main_module}: no event handlers were registered; export a default object with a `fetch` or `scheduled` handler"
    )]
    NoHandlers {
        /// The entry module.
        main_module: String,
    },
    /// A binding points at nothing. State: unchanged. Retry: no.
    #[error("bindings.{name}: {problem}")]
    BindingTarget {
        /// The binding's name.
        name: String,
        /// What it lacks.
        problem: String,
    },
    /// A binding's name stands for something else already. State: unchanged. Retry: under another name.
    #[error("Binding name '{0}' already in use. Please use a different name and try again.")]
    NameTaken(String),
    /// `type: inherit` or a kept name without anything to inherit. State: unchanged. Retry: no.
    #[error("inherit binding '{name}' is invalid: {problem}")]
    Inherit {
        /// The binding's name.
        name: String,
        /// What is missing.
        problem: String,
    },
    /// Durable Object migrations came with a version upload. State: unchanged. Retry: by a deploy.
    #[error("migrations: a version upload can not carry Durable Object migrations; deploy instead")]
    Migration,
    /// We do not offer this yet. State: unchanged. Retry: no.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// The catalog refused the change. State: unchanged. Retry: as the rejection says.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// KV refused, or could not answer a read; a write that it could not answer is [`ApiError::Unknown`]. State: unchanged.
    /// Retry: as the KV error says.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The control plane can not take writes now. State: unchanged. Retry: yes.
    #[error("the control plane can not take writes now: {0}; nothing was changed, retry")]
    Unavailable(String),
    /// This node does not lead, or not any more. State: unchanged. Retry: yes, where the leader is asked.
    #[error("the leader has just changed; nothing was changed, retry")]
    NotLeader,
    /// The write may or may not have happened. State: unknown. Retry: after looking, or with the same Idempotency-Key.
    #[error(
        "outcome unknown: the write was not acknowledged in time; look whether it took effect before you repeat it"
    )]
    Unknown,
    /// The write was done, and what only its first answer says is lost. State: changed. Retry: after undoing it.
    #[error(
        "the write was done and its answer was lost on the way; look for what it made, remove it, and repeat the call"
    )]
    AnswerLost,
    /// Something that should never fail did. State: unchanged. Retry: no.
    #[error("internal error; the node's log has it under request {request_id}")]
    Internal {
        /// Joins the answer with the log line.
        request_id: String,
    },
}

/// What kind of thing was not found; decides the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    /// An account.
    Account,
    /// A script, as wrangler names a service's environment.
    Script,
    /// A service.
    Service,
    /// An environment.
    Environment,
    /// A version.
    Version,
    /// A deployment.
    Deployment,
    /// A secret or variable.
    Binding,
    /// A KV namespace.
    Namespace,
    /// A KV key.
    Key,
    /// A route.
    Route,
    /// A custom domain.
    Domain,
    /// An API token.
    Token,
    /// A live log session.
    Tail,
    /// A node.
    Node,
    /// A join token.
    JoinToken,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Script => "script",
            Self::Service => "service",
            Self::Environment => "environment",
            Self::Version => "version",
            Self::Deployment => "deployment",
            Self::Binding => "binding",
            Self::Namespace => "namespace",
            Self::Key => "key",
            Self::Route => "route",
            Self::Domain => "domain",
            Self::Token => "token",
            Self::Tail => "tail",
            Self::Node => "node",
            Self::JoinToken => "join token",
        })
    }
}

impl From<ProposeError> for ApiError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Rejected(rejection) => Self::Rejected(rejection),
            ProposeError::TooLarge { max_bytes, .. } => {
                Self::TooLarge { what: "the change".into(), limit_bytes: max_bytes }
            }
            ProposeError::NotLeader { .. } => Self::NotLeader,
            ProposeError::Unavailable { reason } | ProposeError::Refused { reason } => Self::Unavailable(reason),
            ProposeError::Unknown { reason } => {
                tracing::warn!(reason, "a write's outcome is unknown");
                Self::Unknown
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooFew { .. } => Self::Unavailable(error.to_string()),
            StoreError::Here(error) => Self::internal(&error),
        }
    }
}

impl ApiError {
    /// A field that is wrong.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    /// An upload that can not be read.
    pub(crate) fn upload(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Upload { field: field.into(), problem: problem.into() }
    }

    /// Something that does not exist.
    pub(crate) fn not_found(what: Thing, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// What became of a KV write that failed: one that was not answered may have happened all the same.
    pub(crate) fn kv_write(error: KvError) -> Self {
        match error {
            KvError::Unavailable { reason } => {
                tracing::warn!(reason, "a KV write's outcome is unknown");
                Self::Unknown
            }
            unchanged @ (KvError::Invalid { .. } | KvError::Undone { .. }) => Self::Kv(unchanged),
        }
    }

    /// A failure that no caller can mend: logs the chain under a fresh request id, which is all that the caller sees.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let request_id = uuid::Uuid::new_v4().simple().to_string();
        let chain: Vec<String> =
            std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
        tracing::error!(request_id, error = chain.join(": "), "api call failed");
        Self::Internal { request_id }
    }

    /// The one place where a failure becomes an HTTP status and a code.
    fn status_and_code(&self) -> (StatusCode, u32) {
        match self {
            Self::NoRoute { .. } => (StatusCode::NOT_FOUND, 7003),
            Self::NoMethod { .. } => (StatusCode::METHOD_NOT_ALLOWED, 10405),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, 10000),
            Self::Forbidden { .. } | Self::OtherAccount { .. } => (StatusCode::FORBIDDEN, 9109),
            Self::ClearText => (StatusCode::FORBIDDEN, 9106),
            Self::Field { .. } => (StatusCode::BAD_REQUEST, 10001),
            Self::Name(_) => (StatusCode::BAD_REQUEST, 10016),
            Self::Upload { .. } | Self::Validation { .. } => (StatusCode::BAD_REQUEST, 10021),
            Self::NotFound { what, .. } => (StatusCode::NOT_FOUND, not_found_code(*what)),
            Self::Conflict(_) => (StatusCode::CONFLICT, 10040),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, 10027),
            Self::Stalled { .. } => (StatusCode::REQUEST_TIMEOUT, 10408),
            Self::NoHandlers { .. } => (StatusCode::BAD_REQUEST, 10068),
            Self::NameTaken(_) => (StatusCode::BAD_REQUEST, 10053),
            Self::BindingTarget { .. } => (StatusCode::BAD_REQUEST, 10056),
            Self::Inherit { .. } => (StatusCode::BAD_REQUEST, 10057),
            Self::Migration => (StatusCode::BAD_REQUEST, 10211),
            // Not 501: wrangler repeats a call three times on any 5xx before it shows the message.
            Self::Unsupported(_) => (StatusCode::BAD_REQUEST, 10099),
            Self::Rejected(rejection) => rejection_code(rejection),
            Self::Kv(KvError::Invalid { status, .. }) => {
                (StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST), 10033)
            }
            Self::Kv(KvError::Undone { .. } | KvError::Unavailable { .. })
            | Self::NotValidated(_)
            | Self::Unavailable(_)
            | Self::NotLeader => (StatusCode::SERVICE_UNAVAILABLE, 10997),
            Self::Unknown | Self::AnswerLost => (StatusCode::GATEWAY_TIMEOUT, 10998),
            Self::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, 10002),
        }
    }
}

fn rejection_code(rejection: &Rejection) -> (StatusCode, u32) {
    match rejection {
        Rejection::NotFound { noun, .. } => (StatusCode::NOT_FOUND, noun_code(*noun)),
        Rejection::Exists { noun: Noun::Namespace, .. } => (StatusCode::CONFLICT, 10014),
        Rejection::Exists { .. } => (StatusCode::CONFLICT, 10040),
        Rejection::Stale { .. } => (StatusCode::PRECONDITION_FAILED, 10412),
        Rejection::Invalid { .. } => (StatusCode::BAD_REQUEST, 10001),
        Rejection::InUse { .. } => (StatusCode::CONFLICT, 10064),
        Rejection::KeyReused { .. } => (StatusCode::CONFLICT, 10042),
    }
}

fn noun_code(noun: Noun) -> u32 {
    match noun {
        Noun::Account => not_found_code(Thing::Account),
        Noun::Service => not_found_code(Thing::Service),
        Noun::Environment => not_found_code(Thing::Environment),
        Noun::Version => not_found_code(Thing::Version),
        Noun::Deployment => not_found_code(Thing::Deployment),
        Noun::Binding => not_found_code(Thing::Binding),
        Noun::Route => not_found_code(Thing::Route),
        Noun::Domain => not_found_code(Thing::Domain),
        Noun::Namespace => not_found_code(Thing::Namespace),
        Noun::Token => not_found_code(Thing::Token),
        Noun::Cluster | Noun::Certificate => 10106,
        Noun::Node => not_found_code(Thing::Node),
        Noun::JoinToken => not_found_code(Thing::JoinToken),
    }
}

fn not_found_code(what: Thing) -> u32 {
    match what {
        Thing::Account => 7003,
        Thing::Script => 10007,
        Thing::Service => 10090,
        Thing::Environment => 10092,
        Thing::Version => 10100,
        Thing::Deployment => 10101,
        Thing::Binding => 10056,
        Thing::Namespace => 10013,
        Thing::Key => 10009,
        Thing::Route => 10103,
        Thing::Domain => 10104,
        Thing::Token => 10102,
        Thing::Tail => 10105,
        Thing::Node => 10107,
        Thing::JoinToken => 10108,
    }
}

fn place(position: &Option<SourceView>) -> String {
    let Some(position) = position else { return String::new() };
    match (position.line, position.column) {
        (Some(line), Some(column)) => format!(" at {}:{line}:{column}", position.file),
        (Some(line), None) => format!(" at {}:{line}", position.file),
        _ => format!(" in {}", position.file),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let source = match &self {
            Self::Validation { source_position, .. } => source_position.clone(),
            _ => None,
        };
        let mut errors = vec![ErrorView { code, message: self.to_string(), source }];
        if let Self::NoRoute { .. } = self {
            errors.push(ErrorView { code: 7000, message: "no route for that URI".into(), source: None });
        }
        let body = Envelope::<()> { success: false, errors, messages: Vec::new(), result: None, result_info: None };
        let mut response = (status, Json(body)).into_response();
        match self {
            Self::NotLeader => drop(response.extensions_mut().insert(Elsewhere::Undone)),
            Self::Unknown => drop(response.extensions_mut().insert(Elsewhere::Unknown)),
            _ => {}
        }
        response
    }
}
