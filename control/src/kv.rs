//! The door to KV: what a namespace can do, its limits, and its messages.
//!
//! **Owns** the KV contract that the REST API and a worker's binding share. **Must not know** where entries are stored.
//! **Enter at** [`KvStore`].

use std::sync::Arc;

use bytes::Bytes;
use skerry_proto::id::NamespaceId;

use crate::trace::TraceContext;

mod check;

pub use check::{KvExpiry, check_cache_ttl, check_key, check_key_length};

/// One namespace's entries, wherever they live. Implemented by the data plane.
#[async_trait::async_trait]
pub trait KvStore: Send + Sync {
    /// The entry under `key`, or `None` when there is none or it has expired.
    async fn get(&self, namespace: &NamespaceId, key: &str) -> Result<Option<KvEntry>, KvError>;
    /// What is stored beside the value under `key`, without reading the value.
    async fn head(&self, namespace: &NamespaceId, key: &str) -> Result<Option<KvKey>, KvError> {
        // Nothing that begins with a key comes before the key itself.
        let options = KvListOptions { prefix: key.to_owned(), limit: Some(1), cursor: None };
        let page = self.list(namespace, options).await?;
        Ok(page.keys.into_iter().find(|found| found.name == key))
    }
    /// Writes one entry; durable when this returns.
    async fn put(&self, namespace: &NamespaceId, key: &str, put: KvPut) -> Result<(), KvError>;
    /// Removes one entry; no error when there was none. Durable when this returns.
    async fn delete(&self, namespace: &NamespaceId, key: &str) -> Result<(), KvError>;
    /// Adds `delta` to the decimal text stored under `key` (an absent key counts as 0), in one transaction, and returns
    /// the sum. Metadata and expiration stay as they are. A value that is no decimal `i64`, or a sum outside its range,
    /// is [`KvError::Invalid`] with status 400 and changes nothing. Durable when this returns.
    async fn increment(&self, namespace: &NamespaceId, key: &str, delta: i64) -> Result<i64, KvError>;
    /// Keys in the order of their UTF-8 bytes.
    async fn list(&self, namespace: &NamespaceId, options: KvListOptions) -> Result<KvPage, KvError>;
    /// Writes all entries in one transaction (REST bulk); at most [`limits::BULK_KEYS_MAX`].
    async fn put_many(&self, namespace: &NamespaceId, entries: Vec<(String, KvPut)>) -> Result<(), KvError>;
    /// Removes all keys in one transaction; returns how many existed.
    async fn delete_many(&self, namespace: &NamespaceId, keys: Vec<String>) -> Result<u64, KvError>;
    /// Removes the namespace with everything in it.
    async fn delete_namespace(&self, namespace: &NamespaceId) -> Result<(), KvError>;
    /// The same store, whose calls belong to a trace; `None` where that makes no difference.
    fn traced(&self, _trace: &TraceContext) -> Option<Arc<dyn KvStore>> {
        None
    }
}

/// The store on a node's own disk: what it keeps for the cluster as the home of namespaces.
#[async_trait::async_trait]
pub trait LocalStore: KvStore {
    /// The namespaces that have entries here, expired ones included.
    async fn namespaces(&self) -> Result<Vec<NamespaceId>, KvError>;
}

/// A stored value with what was stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// 0 to 25 MiB.
    pub value: Bytes,
    /// JSON text, at most 1024 bytes.
    pub metadata: Option<String>,
    /// When the entry stops existing, in seconds since the Unix epoch.
    pub expiration: Option<u64>,
}

/// A write, already checked by [`KvPut::check`] on the side that received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPut {
    /// 0 to 25 MiB.
    pub value: Bytes,
    /// JSON text, at most 1024 bytes.
    pub metadata: Option<String>,
    /// Absolute, in seconds since the Unix epoch, at least 60 s ahead.
    pub expiration: Option<u64>,
}

/// Which keys a listing wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KvListOptions {
    /// Only keys that begin with this; empty for all.
    pub prefix: String,
    /// 1 to 1000; 1000 when absent.
    pub limit: Option<usize>,
    /// The cursor of the page before.
    pub cursor: Option<String>,
}

/// One page of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KvPage {
    /// In the order of their UTF-8 bytes.
    pub keys: Vec<KvKey>,
    /// Where the next page starts; `None` when this page is the last.
    pub cursor: Option<String>,
}

/// A key with what is stored beside its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvKey {
    /// 1 to 512 bytes.
    pub name: String,
    /// In seconds since the Unix epoch.
    pub expiration: Option<u64>,
    /// JSON text.
    pub metadata: Option<String>,
}

/// The documented limits of KV.
pub mod limits {
    /// BOUND: 512 bytes a key, Cloudflare's limit, so that keys stay portable.
    pub const KEY_BYTES_MAX: usize = 512;
    /// BOUND: 25 MiB a value, Cloudflare's limit.
    pub const VALUE_BYTES_MAX: usize = 25 * 1024 * 1024;
    /// BOUND: 1024 bytes of serialized metadata, Cloudflare's limit.
    pub const METADATA_BYTES_MAX: usize = 1024;
    /// BOUND: an expiry is at least this far ahead, in seconds.
    pub const TTL_SECONDS_MIN: u64 = 60;
    /// BOUND: the shortest time an edge may cache a value, in seconds.
    pub const CACHE_TTL_SECONDS_MIN: u64 = 30;
    /// BOUND: 1000 keys a page.
    pub const LIST_KEYS_MAX: usize = 1000;
    /// BOUND: 100 keys in one bulk read from a worker.
    pub const BULK_GET_KEYS_MAX: usize = 100;
    /// BOUND: bytes of values in the answer to one REST bulk read, so that any one value can be read.
    pub const BULK_GET_BYTES_MAX: usize = VALUE_BYTES_MAX;
    /// BOUND: 10 000 pairs in one REST bulk call.
    pub const BULK_KEYS_MAX: usize = 10_000;
    /// BOUND: 100 MB in one REST bulk call.
    pub const BULK_BYTES_MAX: usize = 100_000_000;
}

/// Why a KV call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KvError {
    /// The call breaks a limit. `status` and `message` are the ones users of Workers KV know. State: unchanged. Retry: no.
    #[error("{message}")]
    Invalid {
        /// HTTP status that says what is wrong: 400, 413 or 414.
        status: u16,
        /// Names the field and the bound.
        message: String,
    },
    /// The call did not get as far as the entries, which another node may keep. State: unchanged. Retry: yes.
    #[error("the KV store is unavailable: {reason}")]
    Undone {
        /// What is in the way.
        reason: String,
    },
    /// The store could not answer. State: unknown for writes, unchanged for reads. Retry: yes.
    #[error("the KV store is unavailable: {reason}")]
    Unavailable {
        /// What failed, without the values involved.
        reason: String,
    },
}
