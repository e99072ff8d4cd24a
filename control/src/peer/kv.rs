//! KV from node to node: one node is the home of a namespace and keeps its entries, the others ask it.
//!
//! **Owns** where a namespace's entries are, the way there and back, and that entries which nobody can name any more go.
//! **Must not know** how entries lie on a disk. **Enter at** [`ClusterKv`], [`KvService`] and [`sweep::run`].
//!
//! ```text
//! worker, API -> ClusterKv -- the home is this node ----------------------> Keeper -> LocalStore
//!                    `------- another: RemoteKv == mesh ==> its KvService -> Keeper -> LocalStore
//! ```
//! - The home takes part in every call, so a read sees every write that was acknowledged before it, wherever.
//! - A call that did not get as far as the entries is *undone*. A write whose answer is lost is *unknown*, and is not
//!   repeated here: an increment would count twice.

use std::sync::Arc;

use async_trait::async_trait;
use skerry_proto::id::NamespaceId;

use self::remote::RemoteKv;
pub(crate) use self::{keeper::Keeper, service::KvService};
use crate::{
    kv::{KvEntry, KvError, KvListOptions, KvPage, KvPut, KvStore},
    mesh::Mesh,
    trace::{TraceContext, Tracer},
};

mod flow;
mod keeper;
mod mark;
mod message;
mod remote;
mod service;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;

/// What a call means for the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// It looks at them.
    Read,
    /// It changes some.
    Write,
    /// It removes all of them for good.
    Clear,
}

/// The entries of every namespace of the cluster, wherever they are.
pub(crate) struct ClusterKv {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) mesh: Option<Mesh>,
    pub(crate) tracer: Tracer,
    /// What the calls belong to.
    pub(crate) trace: Option<TraceContext>,
}

impl ClusterKv {
    /// The store that has a namespace's entries.
    async fn at_home(&self, namespace: &NamespaceId, access: Access) -> Result<Arc<dyn KvStore>, KvError> {
        let home = self.keeper.home(namespace, access)?;
        if home == self.keeper.node() {
            let entries = self.keeper.entries(namespace, access).await?;
            return Ok(entries);
        }
        match &self.mesh {
            Some(mesh) => {
                let (tracer, trace) = (self.tracer.clone(), self.trace.clone());
                Ok(Arc::new(RemoteKv { mesh: mesh.clone(), home, tracer, trace }))
            }
            None => Err(KvError::Undone { reason: format!("node {home} keeps it, and this node has no mesh") }),
        }
    }
}

#[async_trait]
impl KvStore for ClusterKv {
    async fn get(&self, namespace: &NamespaceId, key: &str) -> Result<Option<KvEntry>, KvError> {
        self.at_home(namespace, Access::Read).await?.get(namespace, key).await
    }

    async fn put(&self, namespace: &NamespaceId, key: &str, put: KvPut) -> Result<(), KvError> {
        self.at_home(namespace, Access::Write).await?.put(namespace, key, put).await
    }

    async fn delete(&self, namespace: &NamespaceId, key: &str) -> Result<(), KvError> {
        self.at_home(namespace, Access::Write).await?.delete(namespace, key).await
    }

    async fn increment(&self, namespace: &NamespaceId, key: &str, delta: i64) -> Result<i64, KvError> {
        self.at_home(namespace, Access::Write).await?.increment(namespace, key, delta).await
    }

    async fn list(&self, namespace: &NamespaceId, options: KvListOptions) -> Result<KvPage, KvError> {
        self.at_home(namespace, Access::Read).await?.list(namespace, options).await
    }

    async fn put_many(&self, namespace: &NamespaceId, entries: Vec<(String, KvPut)>) -> Result<(), KvError> {
        self.at_home(namespace, Access::Write).await?.put_many(namespace, entries).await
    }

    async fn delete_many(&self, namespace: &NamespaceId, keys: Vec<String>) -> Result<u64, KvError> {
        self.at_home(namespace, Access::Write).await?.delete_many(namespace, keys).await
    }

    /// After the catalog has forgotten it. A home that was removed has taken the entries with it.
    async fn delete_namespace(&self, namespace: &NamespaceId) -> Result<(), KvError> {
        if self.keeper.is_lost(namespace) {
            return Ok(());
        }
        self.at_home(namespace, Access::Clear).await?.delete_namespace(namespace).await
    }

    fn traced(&self, trace: &TraceContext) -> Option<Arc<dyn KvStore>> {
        let mesh = self.mesh.clone()?;
        let (keeper, tracer) = (Arc::clone(&self.keeper), self.tracer.clone());
        Some(Arc::new(Self { keeper, mesh: Some(mesh), tracer, trace: Some(trace.clone()) }))
    }
}
