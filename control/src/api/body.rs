//! Request bodies, never larger than the call allows.
//!
//! **Owns** reading a body within its bound and JSON with errors that name the field. **Must not know** what the fields
//! mean. **Enter at** [`JsonBody`].

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::turn::SMALL_BODY_BYTES_MAX;

/// BOUND: a JSON body other than KV bulk; the largest honest one, a bulk of secrets, is far below.
const JSON_BYTES_MAX: usize = 1 << 20;

/// BOUND: how long a body may send nothing; a client on the worst line sends something within seconds, and whoever waits
/// for its turn with a large body waits for this.
pub(crate) const STALL: Duration = Duration::from_secs(30);

/// BOUND: how much of a body that is too large is read and thrown away. A client that is still sending when the connection
/// closes sees a broken connection and never the answer; past this it may.
const DRAIN_BYTES_MAX: usize = 256 << 20;

/// The length that a request declares.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether it shows before a body is read that it needs no turn.
pub(crate) fn is_small(headers: &HeaderMap, body: &Body) -> bool {
    body.is_end_stream() || declared_length(headers).is_some_and(|length| length <= SMALL_BODY_BYTES_MAX)
}

/// Reads a body to throw it away, so that its sender gets to see the answer; for as long as [`STALL`] at most.
pub(crate) async fn drain(body: Body) {
    let mut left = DRAIN_BYTES_MAX;
    let mut chunks = Box::pin(chunks(body, STALL));
    let drained = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // Who sends for longer than this sees a broken connection instead.
    let _ = tokio::time::timeout(STALL, drained).await;
}

/// A body's chunks; ends with an error of kind `TimedOut` when none comes for `stall`.
pub(crate) fn chunks(body: Body, stall: Duration) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        loop {
            let chunk = match tokio::time::timeout(stall, body.frame()).await {
                Ok(None) => return None,
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => chunk,
                    // Trailers mean nothing here.
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => return Some((Err(io::Error::other(error)), None)),
                Err(_) => return Some((Err(io::Error::new(io::ErrorKind::TimedOut, "no bytes came in time")), None)),
            };
            return Some((Ok(chunk), Some(body)));
        }
    })
}

/// The error of a body that stopped coming.
pub(crate) fn stalled(what: &str) -> ApiError {
    ApiError::Stalled { what: what.to_owned(), waited_s: STALL.as_secs() }
}

/// Whether a form could not be read because its body stopped coming.
pub(crate) fn is_stalled(error: &multer::Error) -> bool {
    let multer::Error::StreamReadFailed(error) = error else { return false };
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Reads a body of at most `limit_bytes`.
pub(crate) async fn read(headers: &HeaderMap, body: Body, what: &str, limit_bytes: usize) -> Result<Bytes, ApiError> {
    read_within(headers, body, what, (limit_bytes, STALL)).await
}

async fn read_within(
    headers: &HeaderMap,
    body: Body,
    what: &str,
    (limit_bytes, stall): (usize, Duration),
) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::TooLarge { what: what.into(), limit_bytes };
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > limit_bytes) {
        drain(body).await;
        return Err(too_large());
    }
    let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0).min(64 << 10));
    let mut chunks = Box::pin(chunks(body, stall));
    while let Some(chunk) = chunks.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(stalled(what)),
            Err(error) => return Err(ApiError::field(what, format!("could not be read to its end: {error}"))),
        };
        if bytes.len() + chunk.len() > limit_bytes {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads JSON; the error names the field that does not fit and never repeats its value, which may be a secret.
pub(crate) fn parse_json<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        // "." is the document itself, "?" a place that the parser did not get to.
        let field = if matches!(path.as_str(), "." | "?") { what.to_owned() } else { path };
        ApiError::Field { field, problem: without_value(&error.inner().to_string()) }
    })?;
    deserializer.end().map_err(|error| ApiError::field(what, error.to_string()))?;
    Ok(value)
}

/// serde's text without the value that it found: `invalid type: integer, expected a string at line 1 column 9`.
fn without_value(text: &str) -> String {
    const SHOWS_VALUES: [&str; 3] = ["invalid type: ", "invalid value: ", "unknown variant "];
    let Some(start) = SHOWS_VALUES.into_iter().find(|start| text.starts_with(start)) else { return text.to_owned() };
    // What was found may contain this text too; what was expected stands last.
    let Some((found, expected)) = text[start.len()..].rsplit_once(", expected ") else { return text.to_owned() };
    let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
    format!("{}{kind}, expected {expected}", if kind.is_empty() { start.trim_end() } else { start })
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only what is wrong with it is looked at")]
    struct Wanted {
        text: String,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Plain,
    }

    #[test]
    fn errors_name_the_field_and_never_its_value() {
        for (json, expected) in [
            (r#"{"text": 987654}"#, "text: invalid type: integer, expected a string at line 1"),
            (r#"{"text": {"987654": 1}}"#, "text: invalid type: map, expected a string at line 1"),
            (r#""987654, expected 987654""#, "body: invalid type: string, expected struct Wanted at line 1"),
            (r#"{"text": "a", "kind": "987654"}"#, "kind: unknown variant, expected `plain` at line 1"),
            (r#"{"text": "987654"#, "EOF while parsing a string"),
        ] {
            let error = parse_json::<Wanted>("body", json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("987654"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let endless = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"begin"))]).chain(stream::pending());
        let body = Body::from_stream(endless);
        let read = read_within(&HeaderMap::new(), body, "body", (1000, Duration::from_millis(20))).await;
        let error = read.unwrap_err();
        assert!(matches!(&error, ApiError::Stalled { what, .. } if what == "body"), "{error}");
    }
}
