//! The multipart body of an upload.
//!
//! **Owns** reading parts within their bounds. **Must not know** what the metadata says. **Enter at** [`Form::read`].

use axum::{body::Body, extract::Request};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, header};

use crate::api::{body, error::ApiError};

/// BOUND: all modules of one upload together, Cloudflare's limit for a script.
pub(crate) const UPLOAD_BYTES_MAX: usize = 64 << 20;
/// BOUND: the metadata part: 256 bindings of 5 KiB fit, escaped too.
pub(crate) const METADATA_BYTES_MAX: usize = 4 << 20;
/// BOUND: part headers and boundaries on top of the content.
const FRAMING_BYTES_MAX: usize = 4 << 20;
/// BOUND: files in one upload; bundlers make a handful, `no_bundle` projects hundreds.
pub(crate) const PARTS_MAX: usize = 4096;

/// The parts of an upload, in the order sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// The part named `metadata` (or `settings`), if there is one.
    pub metadata: Option<Bytes>,
    /// Every other part.
    pub parts: Vec<Part>,
}

/// One file of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The name of the form field; imports use it.
    pub name: String,
    /// The MIME type without parameters, lower-case; empty when not given.
    pub content_type: String,
    /// The content.
    pub content: Bytes,
}

impl Form {
    /// Reads the whole request. A body that is one JavaScript file is a form with that file.
    pub(crate) async fn from_request(request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        Self::read(&parts.headers, body).await
    }

    /// Reads the body that these headers describe.
    pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let content_type = match headers.get(header::CONTENT_TYPE) {
            Some(value) => value.to_str().ok().ok_or_else(|| content_type_error("is not readable text"))?,
            None => return Err(content_type_error("is missing")),
        };
        if matches!(essence(content_type).as_str(), "application/javascript" | "text/javascript") {
            let content = body::read(headers, body, "the script", UPLOAD_BYTES_MAX).await?;
            let script = Part { name: "script".into(), content_type: "application/javascript".into(), content };
            return Ok(Self { metadata: None, parts: vec![script] });
        }
        let boundary = multer::parse_boundary(content_type)
            .map_err(|error| content_type_error(&format!("is {content_type:?} ({error})")))?;
        let whole_max = UPLOAD_BYTES_MAX + METADATA_BYTES_MAX + FRAMING_BYTES_MAX;
        if body::declared_length(headers).is_some_and(|length| length > whole_max) {
            body::drain(body).await;
            return Err(too_large());
        }
        Self::read_parts(body::chunks(body, body::STALL), boundary).await
    }

    /// Reads parts from a stream of chunks.
    pub(crate) async fn read_parts<S>(stream: S, boundary: String) -> Result<Self, ApiError>
    where
        S: Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    {
        let whole = (UPLOAD_BYTES_MAX + METADATA_BYTES_MAX + FRAMING_BYTES_MAX) as u64;
        let constraints = multer::Constraints::new().size_limit(multer::SizeLimit::new().whole_stream(whole));
        let mut multipart = multer::Multipart::with_constraints(stream, boundary, constraints);
        let mut form = Self::default();
        let mut total = 0_usize;
        while let Some(mut field) = multipart.next_field().await.map_err(|error| multipart_error(&error))? {
            let Some(name) = field.name().map(str::to_owned) else {
                return Err(ApiError::upload("multipart", "a part has no name in its Content-Disposition header"));
            };
            let is_metadata = matches!(name.as_str(), "metadata" | "settings");
            let content_type = field.content_type().map(|mime| mime.essence_str().to_lowercase()).unwrap_or_default();
            let mut content = BytesMut::new();
            while let Some(chunk) = field.chunk().await.map_err(|error| multipart_error(&error))? {
                content.extend_from_slice(&chunk);
                if is_metadata && content.len() > METADATA_BYTES_MAX {
                    return Err(ApiError::TooLarge { what: "metadata".into(), limit_bytes: METADATA_BYTES_MAX });
                }
                if !is_metadata && total + content.len() > UPLOAD_BYTES_MAX {
                    return Err(too_large());
                }
            }
            if is_metadata {
                if form.metadata.replace(content.freeze()).is_some() {
                    return Err(ApiError::upload(name, "is sent twice; send one such part"));
                }
                continue;
            }
            total += content.len();
            if form.parts.len() == PARTS_MAX {
                return Err(ApiError::upload("multipart", format!("has more than {PARTS_MAX} parts")));
            }
            form.parts.push(Part { name, content_type, content: content.freeze() });
        }
        Ok(form)
    }
}

/// The MIME type without its parameters, lower-case.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_lowercase()
}

fn content_type_error(problem: &str) -> ApiError {
    ApiError::upload("Content-Type", format!("{problem}; send multipart/form-data with a boundary"))
}

fn too_large() -> ApiError {
    ApiError::TooLarge { what: "the upload".into(), limit_bytes: UPLOAD_BYTES_MAX }
}

fn multipart_error(error: &multer::Error) -> ApiError {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => too_large(),
        error if body::is_stalled(error) => body::stalled("the upload"),
        error => ApiError::upload("multipart", format!("can not be read: {error}")),
    }
}
