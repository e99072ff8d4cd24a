//! Many keys in one call.
//!
//! **Owns** bulk writes, removals and reads. **Must not know** where entries are stored. **Enter at** [`mount`].

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use base64::Engine;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{namespaces::Named, values::metadata_value};
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
    #[serde(default)]
    pub metadata: Option<Value>,
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
    pub values: BTreeMap<String, Value>,
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

async fn read_list<T: serde::de::DeserializeOwned>(request: Request) -> Result<Vec<T>, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, "the bulk body", limits::BULK_BYTES_MAX).await?;
    let list: Vec<T> = parse_json("body", &bytes)?;
    if list.len() > limits::BULK_KEYS_MAX {
        return Err(ApiError::field("body", format!("has more than {} entries", limits::BULK_KEYS_MAX)));
    }
    Ok(list)
}

async fn put_bulk(State(deps): State<Deps>, Named(namespace): Named, request: Request) -> Reply<BulkView> {
    let _turn = deps.turn().await?;
    let pairs: Vec<BulkPair> = read_list(request).await?;
    let now_s = deps.now_s();
    let mut entries = Vec::with_capacity(pairs.len());
    for (place, pair) in pairs.into_iter().enumerate() {
        let value = decode(place, pair.value, pair.base64)?;
        let metadata = pair.metadata.filter(|value| !value.is_null()).map(|value| value.to_string());
        let expiry = KvExpiry { at_s: pair.expiration, ttl_s: pair.expiration_ttl };
        let put = KvPut::check(&pair.key, value, metadata, expiry, now_s)?;
        entries.push((pair.key, put));
    }
    let count = entries.len() as u64;
    deps.kv.put_many(&namespace.id, entries).await.map_err(ApiError::kv_write)?;
    Ok(Answer::ok(BulkView { successful_key_count: count, unsuccessful_keys: Vec::new() }))
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
    let _turn = deps.turn().await?;
    let keys: Vec<String> = read_list(request).await?;
    keys.iter().try_for_each(|key| check_key(key))?;
    let count = keys.len() as u64;
    deps.kv.delete_many(&namespace.id, keys).await.map_err(ApiError::kv_write)?;
    Ok(Answer::ok(BulkView { successful_key_count: count, unsuccessful_keys: Vec::new() }))
}

async fn get_bulk(
    State(deps): State<Deps>,
    Named(namespace): Named,
    JsonBody(body): JsonBody<BulkGet>,
) -> Reply<BulkValues> {
    if body.keys.is_empty() || body.keys.len() > limits::BULK_GET_KEYS_MAX {
        return Err(ApiError::field("keys", format!("use 1 to {} keys", limits::BULK_GET_KEYS_MAX)));
    }
    let as_json = match body.kind.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(_) => return Err(ApiError::field("type", "use text or json")),
    };
    body.keys.iter().try_for_each(|key| check_key(key))?;
    let _turn = deps.turn().await?;
    let (mut values, mut total) = (BTreeMap::new(), 0);
    for key in body.keys {
        let found = deps.kv.get(&namespace.id, &key).await?;
        total += found.as_ref().map_or(0, |entry| entry.value.len());
        if total > limits::BULK_GET_BYTES_MAX {
            let what = format!("the values up to {key:?} together (read fewer keys at a time)");
            return Err(ApiError::TooLarge { what, limit_bytes: limits::BULK_GET_BYTES_MAX });
        }
        let value = match found {
            None => Value::Null,
            Some(entry) => {
                let value = bulk_value(&key, &entry.value, as_json)?;
                if body.with_metadata {
                    let metadata = entry.metadata.as_deref().map_or(Value::Null, metadata_value);
                    serde_json::json!({ "value": value, "metadata": metadata })
                } else {
                    value
                }
            }
        };
        values.insert(key, value);
    }
    Ok(Answer::ok(BulkValues { values }))
}

fn bulk_value(key: &str, bytes: &[u8], as_json: bool) -> Result<Value, ApiError> {
    if as_json {
        return serde_json::from_slice(bytes)
            .map_err(|error| ApiError::field("type", format!("the value of {key:?} is not JSON: {error}")));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Value::String(text.to_owned())),
        Err(_) => Err(ApiError::field("keys", format!("the value of {key:?} is not text; read it alone"))),
    }
}
