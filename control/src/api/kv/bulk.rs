//! Many keys in one call.
//!
//! **Owns** bulk writes, removals and reads. **Must not know** where entries are stored. **Enter at** [`mount`].

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    marker::PhantomData,
};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::Engine;
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    namespaces::Named,
    values::{metadata_json, until_sent},
};
use crate::{
    api::{
        Deps,
        auth::{KV_READ, KV_WRITE},
        body::{self, JsonBody, parse_json},
        endpoint::{Endpoint, Endpoints},
        envelope::{Answer, Reply},
        error::ApiError,
    },
    kv::{KvExpiry, KvPut, check_key, limits},
};

/// One pair of a bulk write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkPair {
    /// 1 to 512 bytes.
    pub key: String,
    /// Text, or base64 when `base64` is true.
    pub value: String,
    /// Whether `value` is base64.
    #[serde(default)]
    pub base64: bool,
    /// Seconds since the Unix epoch.
    #[serde(default)]
    pub expiration: Option<i64>,
    /// Seconds from now.
    #[serde(default)]
    pub expiration_ttl: Option<i64>,
    /// Any JSON of at most 1024 bytes.
    #[schema(value_type = Option<serde_json::Value>)]
    #[serde(default)]
    pub metadata: Option<Box<RawValue>>,
}

/// What became of a bulk call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkView {
    /// How many keys were written or removed.
    pub successful_key_count: u64,
    /// Always empty: a bulk call is one transaction.
    pub unsuccessful_keys: Vec<String>,
}

/// Which keys to read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkGet {
    /// 1 to 100 keys.
    pub keys: Vec<String>,
    /// `text` or `json`; `text` when absent.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Whether each answer is `{value, metadata}`.
    #[serde(default, rename = "withMetadata")]
    pub with_metadata: bool,
}

/// The values found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkValues {
    /// By key; `null` where there is none.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub values: BTreeMap<String, Option<BulkValue>>,
}

/// A value found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum BulkValue {
    /// On its own.
    Alone(Content),
    /// With what is stored beside it.
    WithMetadata {
        /// The value.
        value: Content,
        /// `null` where there is none.
        metadata: Box<RawValue>,
    },
}

/// A value as it was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Content {
    /// As text.
    Text(String),
    /// As the JSON that it is.
    Json(Box<RawValue>),
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    const BULK: &str = "/accounts/{account}/storage/kv/namespaces/{namespace}/bulk";
    let write = Endpoint::put(BULK, "putBulk", "Writes up to 10 000 pairs, all or none").needs(KV_WRITE);
    endpoints.add(write.here().tag("kv").takes_list::<BulkPair>().answers::<BulkView>(), put_bulk);
    let remove = Endpoint::delete(BULK, "deleteBulk", "Removes up to 10 000 keys").needs(KV_WRITE).tag("kv");
    endpoints.add(remove.here().takes_list::<String>().answers::<BulkView>(), delete_bulk);
    let path = format!("{BULK}/delete");
    let remove = Endpoint::post(&path, "postDeleteBulk", "Removes up to 10 000 keys").needs(KV_WRITE).tag("kv");
    endpoints.add(remove.here().takes_list::<String>().answers::<BulkView>(), delete_bulk);
    let path = format!("{BULK}/get");
    let read =
        Endpoint::post(&path, "getBulk", "Reads up to 100 keys, 25 MiB of values in all").needs(KV_READ).tag("kv");
    endpoints.add(read.here().takes::<BulkGet>().answers::<BulkValues>(), get_bulk);
}

/// The entries of a bulk body.
struct Entries<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    /// Ends at the first entry too many: a body full of small ones would take many times its size in memory.
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Entries<T>, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < limits::BULK_KEYS_MAX {
            match sequence.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(Entries(entries)),
            }
        }
        match sequence.next_element::<IgnoredAny>()? {
            None => Ok(Entries(entries)),
            Some(_) => Err(de::Error::custom(format!("has more than {} entries", limits::BULK_KEYS_MAX))),
        }
    }
}

async fn read_body(request: Request) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    body::read(&parts.headers, body, "the bulk body", limits::BULK_BYTES_MAX).await
}

/// The list in a body, which goes.
fn entries<T: DeserializeOwned>(body: Bytes) -> Result<Vec<T>, ApiError> {
    let Entries(entries) = parse_json("body", &body)?;
    Ok(entries)
}

/// Does what takes long enough to hold up other calls. It goes on when its caller leaves, so a turn has to go along.
async fn aside<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(ApiError::internal(&error)),
    }
}

async fn put_bulk(State(deps): State<Deps>, Named(namespace): Named, request: Request) -> Reply<BulkView> {
    let turn = deps.turn().await?;
    let body = read_body(request).await?;
    let now_s = deps.now_s();
    let (puts, _turn) = aside(move || Ok((puts(body, now_s)?, turn))).await?;
    let count = puts.len() as u64;
    deps.kv.put_many(&namespace.id, puts).await.map_err(ApiError::kv_write)?;
    Ok(Answer::ok(BulkView { successful_key_count: count, unsuccessful_keys: Vec::new() }))
}

fn puts(body: Bytes, now_s: u64) -> Result<Vec<(String, KvPut)>, ApiError> {
    let pairs: Vec<BulkPair> = entries(body)?;
    let mut puts = Vec::with_capacity(pairs.len());
    for (place, pair) in pairs.into_iter().enumerate() {
        let value = decode(place, pair.value, pair.base64)?;
        let metadata = pair.metadata.map(|json| Box::<str>::from(json).into_string());
        let expiry = KvExpiry { at_s: pair.expiration, ttl_s: pair.expiration_ttl };
        let put = KvPut::check(&pair.key, value, metadata, expiry, now_s)?;
        puts.push((pair.key, put));
    }
    Ok(puts)
}

fn decode(place: usize, value: String, is_base64: bool) -> Result<Bytes, ApiError> {
    if !is_base64 {
        return Ok(value.into());
    }
    match base64::engine::general_purpose::STANDARD.decode(&value) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(ApiError::field(format!("[{place}].value"), format!("is not base64: {error}"))),
    }
}

async fn delete_bulk(State(deps): State<Deps>, Named(namespace): Named, request: Request) -> Reply<BulkView> {
    let turn = deps.turn().await?;
    let body = read_body(request).await?;
    let (keys, _turn) = aside(move || Ok((keys(body)?, turn))).await?;
    let count = keys.len() as u64;
    deps.kv.delete_many(&namespace.id, keys).await.map_err(ApiError::kv_write)?;
    Ok(Answer::ok(BulkView { successful_key_count: count, unsuccessful_keys: Vec::new() }))
}

fn keys(body: Bytes) -> Result<Vec<String>, ApiError> {
    let keys: Vec<String> = entries(body)?;
    keys.iter().try_for_each(|key| check_key(key))?;
    Ok(keys)
}

async fn get_bulk(
    State(deps): State<Deps>,
    Named(namespace): Named,
    JsonBody(body): JsonBody<BulkGet>,
) -> Result<Response, ApiError> {
    if body.keys.is_empty() || body.keys.len() > limits::BULK_GET_KEYS_MAX {
        return Err(ApiError::field("keys", format!("use 1 to {} keys", limits::BULK_GET_KEYS_MAX)));
    }
    let as_json = match body.kind.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(_) => return Err(ApiError::field("type", "use text or json")),
    };
    body.keys.iter().try_for_each(|key| check_key(key))?;
    let turn = deps.turn_to_answer().await?;
    let (mut values, mut total) = (BTreeMap::new(), 0);
    for key in body.keys {
        let found = deps.kv.get(&namespace.id, &key).await?;
        total += found.as_ref().map_or(0, |entry| entry.value.len());
        if total > limits::BULK_GET_BYTES_MAX {
            let what = format!("the values up to {key:?} together (read fewer keys at a time)");
            return Err(ApiError::TooLarge { what, limit_bytes: limits::BULK_GET_BYTES_MAX });
        }
        let value = match found {
            None => None,
            Some(entry) => {
                let value = content(&key, entry.value, as_json)?;
                Some(if body.with_metadata {
                    let metadata = entry.metadata.map(metadata_json).unwrap_or_default();
                    BulkValue::WithMetadata { value, metadata }
                } else {
                    BulkValue::Alone(value)
                })
            }
        };
        values.insert(key, value);
    }
    Ok(until_sent(Answer::ok(BulkValues { values }).into_response(), turn))
}

fn content(key: &str, bytes: Bytes, as_json: bool) -> Result<Content, ApiError> {
    let no_json = |why: &dyn Display| ApiError::field("type", format!("the value of {key:?} is not JSON: {why}"));
    match (String::from_utf8(bytes.into()), as_json) {
        (Ok(text), false) => Ok(Content::Text(text)),
        (Ok(text), true) => RawValue::from_string(text).map(Content::Json).map_err(|error| no_json(&error)),
        (Err(_), false) => Err(ApiError::field("keys", format!("the value of {key:?} is not text; read it alone"))),
        (Err(error), true) => Err(no_json(&error)),
    }
}
