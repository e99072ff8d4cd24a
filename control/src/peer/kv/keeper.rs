//! What a node keeps as the home of namespaces.
//!
//! **Owns** which calls may reach this node's own store, and that it is there only while the node runs. **Must not know**
//! the mesh. **Enter at** [`Keeper::entries`].

use std::{path::Path, sync::Arc};

use skerry_proto::id::{NamespaceId, NodeId};
use tokio::sync::watch;

use super::{
    Access,
    mark::{Mark, Reached},
};
use crate::{
    catalog::Catalog,
    kv::{KvError, LocalStore},
    state::States,
};

/// This node's own store, for the namespaces whose home it is.
pub(crate) struct Keeper {
    node: NodeId,
    states: Arc<States>,
    store: watch::Sender<Option<Arc<dyn LocalStore>>>,
    mark: Arc<Mark>,
}

impl Keeper {
    /// Without a store yet. Reads a small file.
    pub(crate) fn new(node: NodeId, states: Arc<States>, data_dir: &Path) -> Self {
        Self { node, states, store: watch::Sender::new(None), mark: Arc::new(Mark::open(data_dir)) }
    }

    /// This node.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// Keeps entries in this store from now on; the first one counts.
    pub(crate) fn open(&self, store: Arc<dyn LocalStore>) {
        self.store.send_if_modified(|current| match current {
            Some(_) => false,
            None => {
                *current = Some(store);
                true
            }
        });
    }

    /// Gives the store back: the node stops.
    pub(crate) fn close(&self) {
        self.store.send_replace(None);
    }

    /// The store, once there is one; `None` when there will be none.
    pub(super) async fn opened(&self) -> Option<Arc<dyn LocalStore>> {
        let mut stores = self.store.subscribe();
        let store = stores.wait_for(Option::is_some).await.ok()?;
        store.clone()
    }

    /// The node that keeps a namespace's entries, this one or another.
    pub(super) fn home(&self, namespace: &NamespaceId, access: Access) -> Result<NodeId, KvError> {
        let catalog = self.states.catalog();
        match (last_home(&catalog, namespace), access) {
            (Known::Listed(home), _) | (Known::Deleted(home), Access::Clear) => Ok(home),
            // If anybody has entries of it, they go when that node sweeps.
            (Known::Never, Access::Clear) => Ok(self.node),
            (Known::Deleted(_) | Known::Never, Access::Read | Access::Write) => {
                let reason = format!("namespace {namespace} does not exist, or this node has not heard of it yet");
                Err(KvError::Undone { reason })
            }
        }
    }

    /// Whether the home of a namespace was removed from the cluster, and all that it kept with it.
    pub(super) fn is_lost(&self, namespace: &NamespaceId) -> bool {
        let catalog = self.states.catalog();
        match last_home(&catalog, namespace) {
            Known::Listed(home) | Known::Deleted(home) => home != self.node && catalog.node(home).is_none(),
            Known::Never => false,
        }
    }

    /// This node's store, for a call about a namespace whose home it is.
    pub(super) async fn entries(
        &self,
        namespace: &NamespaceId,
        access: Access,
    ) -> Result<Arc<dyn LocalStore>, KvError> {
        let home = self.home(namespace, access)?;
        if home != self.node {
            let reason = format!("node {home}, not node {}, keeps namespace {namespace}", self.node);
            return Err(KvError::Undone { reason });
        }
        if access == Access::Write && !self.mark.has_admitted(namespace) {
            self.admit(namespace).await?;
        }
        let stopped = || KvError::Undone { reason: format!("node {} is starting or stopping", self.node) };
        self.store.borrow().clone().ok_or_else(stopped)
    }

    /// Before the first entry, so that a catalog from before the namespace is never taken for one from after it.
    async fn admit(&self, namespace: &NamespaceId) -> Result<(), KvError> {
        let (mark, namespace, revision) = (Arc::clone(&self.mark), namespace.clone(), self.states.catalog().revision());
        let admitted = tokio::task::spawn_blocking(move || mark.admit(&namespace, revision)).await;
        let admitted = admitted.map_err(|error| error.to_string());
        let admitted = admitted.and_then(|admitted| admitted.map_err(|error| error.to_string()));
        admitted.map_err(|reason| KvError::Undone { reason: format!("a file can not be written: {reason}") })
    }

    /// A state that lists every namespace of which this node holds entries now, but those that were deleted. Waits for
    /// it; `None` when this node can not know.
    pub(super) async fn judge(&self) -> Option<Arc<Catalog>> {
        match self.mark.reached() {
            Reached::At(revision) => {
                let mut states = self.states.watch();
                let state = states.wait_for(|catalog| catalog.revision() >= revision).await.ok()?;
                Some(Arc::clone(&state))
            }
            Reached::Never => {
                let (mark, revision) = (Arc::clone(&self.mark), self.states.catalog().revision());
                let raised = tokio::task::spawn_blocking(move || mark.raise(revision)).await.ok()?;
                if let Err(error) = raised {
                    tracing::warn!(%error, "entries of deleted KV namespaces are not removed");
                }
                None
            }
            Reached::Damaged => {
                let file = self.mark.path().display();
                tracing::warn!(%file, "entries of deleted KV namespaces stay: remove this damaged file to go on");
                None
            }
        }
    }
}

/// What the catalog knows of a namespace.
enum Known {
    Listed(NodeId),
    Deleted(NodeId),
    Never,
}

fn last_home(catalog: &Catalog, namespace: &NamespaceId) -> Known {
    match (catalog.namespace(namespace), || catalog.last_home(namespace)) {
        (Some(found), _) => Known::Listed(found.home),
        (None, last) => last().map_or(Known::Never, Known::Deleted),
    }
}
