//! Request bodies, never larger than the call allows.
//!
//! **Owns** reading a body within its bound and JSON with errors that name the field. **Must not know** what the fields
//! mean. **Enter at** [`JsonBody`].

use std::sync::{Arc, OnceLock};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// BOUND: a JSON body other than KV bulk; the largest honest one, a bulk of secrets, is far below.
pub(crate) const JSON_BYTES_MAX: usize = 1 << 20;

/// BOUND: how much of a body that is too large is read and thrown away. A client that is still sending when the connection
/// closes sees a broken connection and never the answer; past this it may.
const DRAIN_BYTES_MAX: usize = 256 << 20;

/// The length that a request declares.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body to throw it away, so that its sender gets to see the answer.
pub(crate) async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        left = left.saturating_sub(size);
        if left == 0 {
            break;
        }
    }
}

/// Reads a body of at most `limit_bytes`.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    what: &str,
    limit_bytes: usize,
) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::TooLarge { what: what.into(), limit_bytes };
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > limit_bytes) {
        drain(body).await;
        return Err(too_large());
    }
    let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0).min(64 << 10));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::field(what, format!("could not be read to its end: {error}")))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limit_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// Reads JSON; the error names the field that does not fit.
pub(crate) fn parse_json<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        // "." is the document itself, "?" a place that the parser did not get to.
        let field = if matches!(path.as_str(), "." | "?") { what.to_owned() } else { path };
        ApiError::Field { field, problem: error.inner().to_string() }
    })?;
    deserializer.end().map_err(|error| ApiError::field(what, error.to_string()))?;
    Ok(value)
}

/// The BLAKE3 hash of what a request asks for, known once its body was read: two requests under one idempotency key must
/// agree in it. Shared between the body's extractor, which sets it, and the writer, which uses it.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyDigest(Arc<OnceLock<[u8; 32]>>);

impl BodyDigest {
    /// Notes the hash; the first one counts.
    pub(crate) fn set(&self, content: &[u8]) {
        self.0.get_or_init(|| *blake3::hash(content).as_bytes());
    }

    /// The hash; zeros for a request without a body.
    pub(crate) fn get(&self) -> [u8; 32] {
        self.0.get().copied().unwrap_or_default()
    }
}

/// A JSON body of at most [`JSON_BYTES_MAX`]. The content type is not looked at: wrangler sends some bodies without one.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, "body", JSON_BYTES_MAX).await?;
        if let Some(digest) = parts.extensions.get::<BodyDigest>() {
            digest.set(&bytes);
        }
        if bytes.is_empty() {
            return Err(ApiError::field("body", "is empty; send a JSON document"));
        }
        Ok(Self(parse_json("body", &bytes)?))
    }
}

/// A JSON body that may be left out; then it is the default.
pub(crate) async fn optional_json<T: DeserializeOwned + Default>(request: Request) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = read(&parts.headers, body, "body", JSON_BYTES_MAX).await?;
    if let Some(digest) = parts.extensions.get::<BodyDigest>() {
        digest.set(&bytes);
    }
    if bytes.is_empty() { Ok(T::default()) } else { parse_json("body", &bytes) }
}
