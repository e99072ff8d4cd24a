//! Stand-ins for the data plane.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use skerry_control::{
    api::ports::{Clock, ClusterView, LiveView, NodeView, Tails, ValidateError, ValidateInput, Validated, Validator},
    catalog::{EnvironmentKey, Syntax},
    control::Control,
    kv::{KvEntry, KvError, KvKey, KvListOptions, KvPage, KvPut, KvStore, LocalStore},
};
use skerry_proto::id::{NamespaceId, NodeId};
use tokio::sync::broadcast;

/// Says of code what its text says: `throws` does not load, `waits` finds no room, `export default` handles fetch.
pub(crate) struct FakeValidator;

#[async_trait::async_trait]
impl Validator for FakeValidator {
    async fn validate(&self, input: ValidateInput<'_>) -> Result<Validated, ValidateError> {
        let main = input.bundle.modules.iter().find(|module| module.name == input.bundle.main_module).unwrap();
        let text = String::from_utf8_lossy(&main.content);
        if text.contains("throws") {
            let file = Some(main.name.clone());
            let message = "SyntaxError: unexpected token".to_owned();
            return Err(ValidateError::Code { message, file, line: Some(3), column: Some(7) });
        }
        if text.contains("waits") {
            return Err(ValidateError::Unavailable("too many uploads are being tried out".to_owned()));
        }
        let handles = match input.syntax {
            Syntax::Modules => text.contains("export default") || text.contains("as default"),
            Syntax::ServiceWorker => text.contains("addEventListener"),
            Syntax::Component => true,
        };
        let handlers = if handles { vec!["fetch".to_owned()] } else { Vec::new() };
        Ok(Validated { handlers, startup_ms: 2 })
    }
}

type Entries = BTreeMap<(NamespaceId, String), KvEntry>;

/// Entries in memory.
#[derive(Default)]
pub(crate) struct FakeKv {
    entries: Mutex<Entries>,
    /// Whether nothing is answered.
    pub(crate) is_down: AtomicBool,
    /// Whether writes never end.
    pub(crate) is_stuck: AtomicBool,
    /// Writes that never end.
    pub(crate) stuck: AtomicUsize,
}

impl FakeKv {
    fn up(&self) -> Result<(), KvError> {
        match self.is_down.load(Ordering::Relaxed) {
            true => Err(KvError::Unavailable { reason: "the disk is on fire".to_owned() }),
            false => Ok(()),
        }
    }

    /// The namespaces that have entries.
    pub(crate) fn namespaces(&self) -> Vec<NamespaceId> {
        self.entries.lock().unwrap().keys().map(|(namespace, _)| namespace.clone()).collect()
    }
}

#[async_trait::async_trait]
impl KvStore for FakeKv {
    async fn get(&self, namespace: &NamespaceId, key: &str) -> Result<Option<KvEntry>, KvError> {
        self.up()?;
        Ok(self.entries.lock().unwrap().get(&(namespace.clone(), key.to_owned())).cloned())
    }

    async fn put(&self, namespace: &NamespaceId, key: &str, put: KvPut) -> Result<(), KvError> {
        self.put_many(namespace, vec![(key.to_owned(), put)]).await
    }

    async fn delete(&self, namespace: &NamespaceId, key: &str) -> Result<(), KvError> {
        self.delete_many(namespace, vec![key.to_owned()]).await.map(|_| ())
    }

    async fn increment(&self, namespace: &NamespaceId, key: &str, delta: i64) -> Result<i64, KvError> {
        self.up()?;
        let mut entries = self.entries.lock().unwrap();
        let entry = entries.entry((namespace.clone(), key.to_owned()));
        let entry = entry.or_insert_with(|| KvEntry { value: "0".into(), metadata: None, expiration: None });
        let Ok(number) = str::from_utf8(&entry.value).unwrap().parse::<i64>() else {
            let message = "KV INCREMENT failed: 400 the stored value is not a whole number.".to_owned();
            return Err(KvError::Invalid { status: 400, message });
        };
        entry.value = (number + delta).to_string().into();
        Ok(number + delta)
    }

    async fn list(&self, namespace: &NamespaceId, options: KvListOptions) -> Result<KvPage, KvError> {
        let entries = self.entries.lock().unwrap();
        let after = options.cursor.unwrap_or_default();
        let mut keys: Vec<KvKey> = entries
            .iter()
            .filter(|((own, key), _)| own == namespace && key.starts_with(&options.prefix) && *key > after)
            .map(|((_, key), entry)| KvKey {
                name: key.clone(),
                expiration: entry.expiration,
                metadata: entry.metadata.clone(),
            })
            .collect();
        let limit = options.limit.unwrap_or(1000);
        let more = keys.len() > limit;
        keys.truncate(limit);
        let cursor = keys.last().filter(|_| more).map(|key| key.name.clone());
        Ok(KvPage { keys, cursor })
    }

    async fn put_many(&self, namespace: &NamespaceId, new: Vec<(String, KvPut)>) -> Result<(), KvError> {
        self.up()?;
        if self.is_stuck.load(Ordering::Relaxed) {
            self.stuck.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        let mut entries = self.entries.lock().unwrap();
        for (key, put) in new {
            let KvPut { value, metadata, expiration } = put;
            entries.insert((namespace.clone(), key), KvEntry { value, metadata, expiration });
        }
        Ok(())
    }

    async fn delete_many(&self, namespace: &NamespaceId, keys: Vec<String>) -> Result<u64, KvError> {
        self.up()?;
        let mut entries = self.entries.lock().unwrap();
        let gone = keys.into_iter().filter(|key| entries.remove(&(namespace.clone(), key.clone())).is_some()).count();
        Ok(gone as u64)
    }

    async fn delete_namespace(&self, namespace: &NamespaceId) -> Result<(), KvError> {
        self.up()?;
        self.entries.lock().unwrap().retain(|(own, _), _| own != namespace);
        Ok(())
    }
}

#[async_trait::async_trait]
impl LocalStore for FakeKv {
    async fn namespaces(&self) -> Result<Vec<NamespaceId>, KvError> {
        self.up()?;
        Ok(FakeKv::namespaces(self))
    }
}

/// Events that a test sends, to whoever subscribed to any environment.
pub(crate) struct FakeTails {
    pub(crate) sender: broadcast::Sender<Arc<Value>>,
}

impl Default for FakeTails {
    fn default() -> Self {
        Self { sender: broadcast::channel(16).0 }
    }
}

impl Tails for FakeTails {
    fn subscribe(&self, _: &EnvironmentKey) -> broadcast::Receiver<Arc<Value>> {
        self.sender.subscribe()
    }
}

/// A clock that a test moves.
pub(crate) struct FakeClock(pub(crate) AtomicI64);

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicI64::new(skerry_control::clock::unix_ms()))
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a node alone knows, until it is told something else.
pub(crate) struct FakeCluster {
    alone: LiveView,
    pub(crate) told: Mutex<BTreeMap<NodeId, NodeView>>,
}

impl FakeCluster {
    pub(crate) fn new(control: Control) -> Self {
        Self { alone: LiveView(control), told: Mutex::default() }
    }
}

impl ClusterView for FakeCluster {
    fn nodes(&self) -> BTreeMap<NodeId, NodeView> {
        let told = self.told.lock().unwrap().clone();
        if told.is_empty() { self.alone.nodes() } else { told }
    }
}
