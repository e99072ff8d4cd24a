//! The shape of every answer: Cloudflare's v4 envelope.
//!
//! **Owns** how a result, a page, an ETag and an error become an HTTP response. **Must not know** what the result means.
//! **Enter at** [`Answer`].

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use skerry_proto::id::Revision;
use utoipa::ToSchema;

use super::error::ApiError;

/// What a handler gives back.
pub(crate) type Reply<T> = Result<Answer<T>, ApiError>;

/// The header that carries the catalog revision at which a write is in effect.
pub(crate) const REVISION_HEADER: HeaderName = HeaderName::from_static("skerry-revision");

/// A result on its way into the envelope.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    status: StatusCode,
    result: T,
    result_info: Option<ResultInfo>,
    messages: Vec<String>,
    headers: HeaderMap,
}

impl<T> Answer<T> {
    /// 200 with this result.
    pub(crate) fn ok(result: T) -> Self {
        Self { status: StatusCode::OK, result, result_info: None, messages: Vec::new(), headers: HeaderMap::new() }
    }

    /// 201 when something came into being, 200 when it was there before.
    pub(crate) fn created(result: T, is_new: bool) -> Self {
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Self { status, ..Self::ok(result) }
    }

    /// Adds where in a listing the result stands.
    pub(crate) fn with_info(mut self, info: ResultInfo) -> Self {
        self.result_info = Some(info);
        self
    }

    /// Adds a remark for people.
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.messages.push(message.into());
        self
    }

    /// Adds the ETag that a later `If-Match` is compared with.
    pub(crate) fn with_etag(mut self, revision: Revision) -> Self {
        self.headers.insert(header::ETAG, etag(revision));
        self
    }

    /// Adds the revision at which the write is in effect.
    pub(crate) fn at(mut self, revision: Revision) -> Self {
        self.headers.insert(REVISION_HEADER, HeaderValue::from(revision.0));
        self
    }

    /// The same for a write that changed what its ETag is about: the revision is the new ETag.
    pub(crate) fn changed_at(self, revision: Revision) -> Self {
        self.at(revision).with_etag(revision)
    }
}

/// The ETag of something that last changed at `revision`.
pub(crate) fn etag(revision: Revision) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{:x}\"", revision.0)).expect("digits in quotes are a header value")
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let body = Envelope {
            success: true,
            errors: Vec::new(),
            messages: self.messages,
            result: Some(self.result),
            result_info: self.result_info,
        };
        (self.status, self.headers, Json(body)).into_response()
    }
}

/// The envelope of every JSON answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// Whether the call did what it was asked.
    pub success: bool,
    /// Why not; empty on success.
    pub errors: Vec<ErrorView>,
    /// Remarks for people.
    pub messages: Vec<String>,
    /// The result; `null` on failure.
    pub result: Option<T>,
    /// Where in a listing the result stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_info: Option<ResultInfo>,
}

/// One reason why a call failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ErrorView {
    /// Cloudflare's number for it, or ours where Cloudflare has none.
    pub code: u32,
    /// What is wrong, naming the field, and what to do.
    pub message: String,
    /// Where in the uploaded code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceView>,
}

/// A position in uploaded code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// The module, as named in the upload.
    pub file: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// Where in a listing a page stands: numbered pages or a cursor, as Cloudflare has it for the call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ResultInfo {
    /// The page, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// How many results a page holds at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_page: Option<usize>,
    /// How many results this page holds.
    pub count: usize,
    /// How many results there are on all pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_count: Option<usize>,
    /// How many pages there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<usize>,
    /// Where the next page starts; empty on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
