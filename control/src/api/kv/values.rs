//! Keys and values of a KV namespace.
//!
//! **Owns** the calls about one key and the listing of keys. **Must not know** where entries are stored. **Enter at**
//! [`mount`].

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use skerry_proto::id::NamespaceId;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::namespaces::Named;
use crate::{
    api::{
        Deps,
        auth::{KV_READ, KV_WRITE},
        body,
        endpoint::{Endpoint, Endpoints},
        envelope::{Answer, Reply, ResultInfo},
        error::{ApiError, Thing},
        params::Params,
        query::Query,
    },
    kv::{KvEntry, KvExpiry, KvKey, KvListOptions, KvPut, check_key, check_key_length, limits},
    turn::SMALL_BODY_BYTES_MAX,
};

/// BOUND: part headers, boundaries and the metadata on top of a value.
const FRAMING_BYTES_MAX: usize = 64 << 10;
/// BOUND: bytes of a large answer that are handed on at once, and so may lie in memory beyond its turn.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// A key with what is stored beside its value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// 1 to 512 bytes.
    pub name: String,
    /// When it stops existing, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<u64>,
    /// What was stored beside the value.
    #[schema(value_type = Option<Value>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

impl KeyView {
    fn of(key: KvKey) -> Self {
        Self { name: key.name, expiration: key.expiration, metadata: key.metadata.map(metadata_json) }
    }
}

/// Stored metadata as it was written; the store holds only what was JSON when it came. A [`Value`] would lose some of it: it
/// knows neither half a surrogate pair nor more than 128 levels.
pub(super) fn metadata_json(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_default()
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    const KEYS: &str = "/accounts/{account}/storage/kv/namespaces/{namespace}/keys";
    const VALUE: &str = "/accounts/{account}/storage/kv/namespaces/{namespace}/values/{*key}";
    const METADATA: &str = "/accounts/{account}/storage/kv/namespaces/{namespace}/metadata/{*key}";
    let list = Endpoint::get(KEYS, "listKeys", "Keys in the order of their UTF-8 bytes")
        .needs(KV_READ)
        .tag("kv")
        .query("prefix", "Only keys that begin with this.")
        .query("limit", "Keys in one answer, 1 to 1000; 1000 when absent.")
        .query("cursor", "`result_info.cursor` of the answer before.")
        .lists::<KeyView>();
    endpoints.add(list, list_keys);
    let read = Endpoint::get(VALUE, "getValue", "The bytes under a key").needs(KV_READ).tag("kv");
    endpoints.add(read.answers_raw("application/octet-stream"), get_value);
    let write = Endpoint::put(VALUE, "putValue", "Writes a key; with metadata as multipart `value` and `metadata`")
        .needs(KV_WRITE)
        .tag("kv")
        .query("expiration", "Seconds since the Unix epoch, at least 60 s ahead.")
        .query("expiration_ttl", "Seconds from now, at least 60.");
    endpoints.add(write.here().takes_raw("application/octet-stream"), put_value);
    let remove = Endpoint::delete(VALUE, "deleteValue", "Removes a key").needs(KV_WRITE).tag("kv");
    endpoints.add(remove.here(), delete_value);
    let metadata = Endpoint::get(METADATA, "getMetadata", "What is stored beside a value").needs(KV_READ);
    endpoints.add(metadata.tag("kv").answers::<Value>(), get_metadata);
}

async fn list_keys(State(deps): State<Deps>, Named(namespace): Named, query: Query) -> Reply<Vec<KeyView>> {
    let options = KvListOptions {
        prefix: query.text("prefix").unwrap_or_default().to_owned(),
        limit: query.number("limit", 1..=limits::LIST_KEYS_MAX)?,
        cursor: query.text("cursor").map(str::to_owned),
    };
    check_key_length(&options.prefix)?;
    let page = deps.kv.list(&namespace.id, options).await?;
    let keys: Vec<_> = page.keys.into_iter().map(KeyView::of).collect();
    let info = ResultInfo { count: keys.len(), cursor: Some(page.cursor.unwrap_or_default()), ..ResultInfo::default() };
    Ok(Answer::ok(keys).with_info(info))
}

async fn get_value(State(deps): State<Deps>, Named(namespace): Named, params: Params) -> Result<Response, ApiError> {
    let key = params.text("key")?;
    check_key(key)?;
    let (entry, turn) = read_in_turn(&deps, &namespace.id, key).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Some(expiration) = entry.expiration {
        headers.insert("expiration", HeaderValue::from(expiration));
    }
    let response = (headers, entry.value).into_response();
    Ok(match turn {
        Some(turn) => until_sent(response, turn),
        None => response,
    })
}

/// An entry, with a turn if its value is large.
async fn read_in_turn(
    deps: &Deps,
    namespace: &NamespaceId,
    key: &str,
) -> Result<(KvEntry, Option<OwnedSemaphorePermit>), ApiError> {
    let entry = read_entry(deps, namespace, key).await?;
    if entry.value.len() <= SMALL_BODY_BYTES_MAX {
        return Ok((entry, None));
    }
    if let Some(turn) = deps.answers.take_within(Duration::ZERO).await {
        return Ok((entry, Some(turn)));
    }
    // Only the value itself says how large it is, and whoever waits for a turn must not hold it meanwhile.
    drop(entry);
    let turn = deps.turn_to_answer().await?;
    Ok((read_entry(deps, namespace, key).await?, Some(turn)))
}

async fn read_entry(deps: &Deps, namespace: &NamespaceId, key: &str) -> Result<KvEntry, ApiError> {
    let found = deps.kv.get(namespace, key).await?;
    found.ok_or_else(|| ApiError::not_found(Thing::Key, format!("{key:?}")))
}

async fn get_metadata(State(deps): State<Deps>, Named(namespace): Named, params: Params) -> Reply<Box<RawValue>> {
    let key = params.text("key")?;
    check_key(key)?;
    match deps.kv.head(&namespace.id, key).await? {
        Some(found) => Ok(Answer::ok(found.metadata.map(metadata_json).unwrap_or_default())),
        None => Err(ApiError::not_found(Thing::Key, format!("{key:?}"))),
    }
}

async fn put_value(
    State(deps): State<Deps>,
    Named(namespace): Named,
    params: Params,
    query: Query,
    request: Request,
) -> Reply<()> {
    let (parts, body) = request.into_parts();
    let _turn = if body::is_small(&parts.headers, &body) { None } else { Some(deps.turn().await?) };
    let (value, metadata) = read_value(&parts.headers, body).await?;
    let expiry = KvExpiry {
        at_s: query.number("expiration", i64::MIN..=i64::MAX)?,
        ttl_s: query.number("expiration_ttl", i64::MIN..=i64::MAX)?,
    };
    let key = params.text("key")?;
    let put = KvPut::check(key, value, metadata, expiry, deps.now_s())?;
    deps.kv.put(&namespace.id, key, put).await.map_err(ApiError::kv_write)?;
    Ok(Answer::ok(()))
}

async fn delete_value(State(deps): State<Deps>, Named(namespace): Named, params: Params) -> Reply<()> {
    let key = params.text("key")?;
    check_key(key)?;
    deps.kv.delete(&namespace.id, key).await.map_err(ApiError::kv_write)?;
    Ok(Answer::ok(()))
}

/// The value, and the metadata when the body is a form.
async fn read_value(headers: &HeaderMap, body: Body) -> Result<(Bytes, Option<String>), ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("multipart/form-data") {
        return Ok((body::read(headers, body, "the value", limits::VALUE_BYTES_MAX).await?, None));
    }
    let boundary = multer::parse_boundary(content_type)
        .map_err(|error| ApiError::field("Content-Type", format!("has no usable boundary: {error}")))?;
    let whole = (limits::VALUE_BYTES_MAX + FRAMING_BYTES_MAX) as u64;
    let limit = multer::SizeLimit::new().whole_stream(whole).for_field("value", limits::VALUE_BYTES_MAX as u64);
    let constraints = multer::Constraints::new().size_limit(limit);
    let mut form = multer::Multipart::with_constraints(body::chunks(body, body::STALL), boundary, constraints);
    let (mut value, mut metadata) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| form_error(&error))? {
        match field.name().map(str::to_owned).as_deref() {
            Some("value") => value = Some(field.bytes().await.map_err(|error| form_error(&error))?),
            Some("metadata") => metadata = Some(field.text().await.map_err(|error| form_error(&error))?),
            Some(other) => return Err(ApiError::field(other.to_owned(), "is not a part; send value and metadata")),
            None => return Err(ApiError::field("multipart", "a part has no name")),
        }
    }
    let value = value.ok_or_else(|| ApiError::field("value", "is missing from the form"))?;
    let metadata = metadata.filter(|text| !text.is_empty());
    if let Some(text) = &metadata
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        return Err(ApiError::field("metadata", format!("is not JSON: {error}")));
    }
    Ok((value, metadata))
}

fn form_error(error: &multer::Error) -> ApiError {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            ApiError::TooLarge { what: "the value".into(), limit_bytes: limits::VALUE_BYTES_MAX }
        }
        error if body::is_stalled(error) => body::stalled("the value"),
        error => ApiError::field("multipart", format!("can not be read: {error}")),
    }
}

/// An answer whose turn ends once all but its last pieces are sent. A small one is no burden and gives its turn back at once.
pub(super) fn until_sent(response: Response, turn: OwnedSemaphorePermit) -> Response {
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length <= SMALL_BODY_BYTES_MAX as u64) {
        return Response::from_parts(parts, body);
    }
    if let Some(length) = length {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let sending = Sending { body: body.into_data_stream(), rest: Bytes::new(), _turn: turn };
    Response::from_parts(parts, Body::from_stream(stream::unfold(sending, Sending::piece)))
}

/// A large answer on its way out.
struct Sending {
    body: BodyDataStream,
    rest: Bytes,
    _turn: OwnedSemaphorePermit,
}

impl Sending {
    async fn piece(mut self) -> Option<(Result<Bytes, axum::Error>, Self)> {
        if self.rest.is_empty() {
            match self.body.next().await? {
                Ok(bytes) => self.rest = bytes,
                Err(error) => return Some((Err(error), self)),
            }
        }
        // A copy: a slice would keep the whole in memory for as long as the client does not take it.
        let piece = Bytes::copy_from_slice(&self.rest.split_to(PIECE_BYTES_MAX.min(self.rest.len())));
        Some((Ok(piece), self))
    }
}
