//! Key-value storage on this node.
//!
//! **Owns** the durable entries of every namespace and a cache of the hot ones. **Must not know** who asks: the REST API
//! of this node, its workers, and the other nodes for the namespaces whose home it is, all come through the same
//! [`KvStore`]. **Enter at** [`LocalKv`].

mod cache;
mod record;
mod table;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

use skerry_control::kv::{KvEntry, KvError, KvListOptions, KvPage, KvPut, KvStore, LocalStore};
use skerry_proto::id::NamespaceId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    cache::{Cache, Cached},
    record::EntryKey,
    table::Tables,
    writer::{Reply, Write, Writer},
};
use crate::clock;

/// How often expired entries are removed. They are invisible from the second of their expiry; this only frees space.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Where the entries are and how much memory may be spent on them.
#[derive(Debug, Clone)]
pub struct KvConfig {
    /// The database file; created when missing.
    pub path: PathBuf,
    /// Bytes of hot entries kept in memory; 0 disables the cache. Too low reads the disk more, too high starves isolates.
    pub cache_bytes: usize,
}

/// Why the store did not open. State: unchanged. Retry: no, look at the file.
#[derive(Debug, thiserror::Error)]
pub enum KvBuildError {
    /// The database can not be opened. State: unchanged. Retry: no.
    #[error("the KV database {path} can not be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb says.
        #[source]
        source: Box<redb::Error>,
    },
    /// The writing thread can not be started. State: unchanged. Retry: yes.
    #[error("the KV writer can not be started")]
    Thread(#[source] std::io::Error),
}

/// The KV entries of this node. Clones share the store; it closes when the last one goes.
#[derive(Clone)]
pub struct LocalKv {
    tables: Arc<Tables>,
    cache: Arc<Cache>,
    writer: Arc<Writer>,
    closed: watch::Receiver<()>,
}

impl std::fmt::Debug for LocalKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalKv")
    }
}

impl LocalKv {
    /// Opens the database and starts its writer.
    pub fn build(config: &KvConfig) -> Result<Self, KvBuildError> {
        let open_error = |source| KvBuildError::Open { path: config.path.clone(), source: Box::new(source) };
        let (alive, closed) = watch::channel(());
        let tables = Arc::new(Tables::open(&config.path, alive).map_err(open_error)?);
        let cache = Arc::new(Cache::new(config.cache_bytes));
        let writer = Writer::start(Arc::clone(&tables), Arc::clone(&cache)).map_err(KvBuildError::Thread)?;
        Ok(Self { tables, cache, writer: Arc::new(writer), closed })
    }

    /// Gives this handle back and waits until the others have gone and the file is closed; false when that takes longer
    /// than `deadline`.
    pub async fn close(self, deadline: Duration) -> bool {
        let mut closed = self.closed.clone();
        drop(self);
        // Nothing is ever sent: the wait ends with the sender.
        tokio::time::timeout(deadline, closed.changed()).await.is_ok()
    }

    /// Removes expired entries now and then until told to stop.
    pub async fn run(self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            }
            if let Err(error) = self.sweep(clock::unix_seconds()).await {
                tracing::warn!(%error, "expired KV entries were not removed");
            }
        }
    }

    /// Removes the entries that expired at or before `now_seconds`; returns how many.
    async fn sweep(&self, now_seconds: u64) -> Result<u64, KvError> {
        let mut removed = 0;
        loop {
            match self.count(Write::Sweep { now_seconds }).await? {
                0 => return Ok(removed),
                some => removed += some,
            }
        }
    }

    async fn count(&self, write: Write) -> Result<u64, KvError> {
        match self.writer.submit(vec![write]).await? {
            Reply::Count(count) => Ok(count),
            Reply::Number(_) => Ok(0),
        }
    }

    async fn blocking<T, F>(&self, read: F) -> Result<T, KvError>
    where
        T: Send + 'static,
        F: FnOnce(&Tables) -> Result<T, KvError> + Send + 'static,
    {
        let tables = Arc::clone(&self.tables);
        match tokio::task::spawn_blocking(move || read(&tables)).await {
            Ok(result) => result,
            Err(error) => Err(KvError::Unavailable { reason: format!("the read was interrupted: {error}") }),
        }
    }
}

#[async_trait::async_trait]
impl KvStore for LocalKv {
    async fn get(&self, namespace: &NamespaceId, key: &str) -> Result<Option<KvEntry>, KvError> {
        let key = EntryKey::new(namespace, key);
        let ticket = match self.cache.look_up(&key) {
            Cached::Hit(entry) => return Ok(live(entry, clock::unix_seconds())),
            Cached::Miss(ticket) => ticket,
        };
        let read_key = key.clone();
        let entry = self.blocking(move |tables| tables.read(&read_key)).await?;
        self.cache.fill(&key, entry.as_ref(), ticket);
        Ok(live(entry, clock::unix_seconds()))
    }

    async fn put(&self, namespace: &NamespaceId, key: &str, put: KvPut) -> Result<(), KvError> {
        let key = EntryKey::new(namespace, key);
        self.writer.submit(vec![Write::Put { key, put }]).await.map(drop)
    }

    async fn delete(&self, namespace: &NamespaceId, key: &str) -> Result<(), KvError> {
        let key = EntryKey::new(namespace, key);
        self.writer.submit(vec![Write::Delete { key }]).await.map(drop)
    }

    async fn increment(&self, namespace: &NamespaceId, key: &str, delta: i64) -> Result<i64, KvError> {
        let key = EntryKey::new(namespace, key);
        let now_seconds = clock::unix_seconds();
        match self.writer.submit(vec![Write::Increment { key, delta, now_seconds }]).await? {
            Reply::Number(number) => Ok(number),
            Reply::Count(_) => Err(KvError::Unavailable { reason: "the increment was answered with a count".into() }),
        }
    }

    async fn list(&self, namespace: &NamespaceId, options: KvListOptions) -> Result<KvPage, KvError> {
        let namespace = namespace.clone();
        let now_seconds = clock::unix_seconds();
        self.blocking(move |tables| tables.list(&namespace, &options, now_seconds)).await
    }

    async fn put_many(&self, namespace: &NamespaceId, entries: Vec<(String, KvPut)>) -> Result<(), KvError> {
        let writes =
            entries.into_iter().map(|(key, put)| Write::Put { key: EntryKey::new(namespace, &key), put }).collect();
        self.writer.submit(writes).await.map(drop)
    }

    async fn delete_many(&self, namespace: &NamespaceId, keys: Vec<String>) -> Result<u64, KvError> {
        let writes = keys.iter().map(|key| Write::Delete { key: EntryKey::new(namespace, key) }).collect();
        match self.writer.submit(writes).await? {
            Reply::Count(count) => Ok(count),
            Reply::Number(_) => Ok(0),
        }
    }

    async fn delete_namespace(&self, namespace: &NamespaceId) -> Result<(), KvError> {
        while self.count(Write::Clear { namespace: namespace.clone() }).await? > 0 {}
        Ok(())
    }
}

#[async_trait::async_trait]
impl LocalStore for LocalKv {
    async fn namespaces(&self) -> Result<Vec<NamespaceId>, KvError> {
        self.blocking(Tables::namespaces).await
    }
}

/// The entry, unless it has expired. An entry lives up to, not including, the second of its expiry.
fn live(entry: Option<KvEntry>, now_seconds: u64) -> Option<KvEntry> {
    entry.filter(|entry| entry.expiration.is_none_or(|expiration| expiration > now_seconds))
}

#[cfg(test)]
mod tests;
