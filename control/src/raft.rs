//! Agreement on the catalog.
//!
//! **Owns** the order of commands. **Must not know** what they mean. **Enter at** [`Raft`].

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use skerry_proto::id::Revision;
use tokio::sync::watch;

use crate::{
    catalog::{Applied, Catalog, Command},
    config::ControlConfig,
    error::{BuildError, ProposeError},
};

/// This node's part in the agreement. Clones share it.
#[derive(Debug, Clone)]
pub struct Raft {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    catalog: ArcSwap<Catalog>,
    writer: Mutex<u64>,
    states: watch::Sender<Arc<Catalog>>,
}

impl Raft {
    /// Starts.
    pub(crate) async fn start(_config: &ControlConfig) -> Result<Self, BuildError> {
        let catalog = Arc::new(Catalog::default());
        let shared = Shared {
            catalog: ArcSwap::new(Arc::clone(&catalog)),
            writer: Mutex::new(0),
            states: watch::Sender::new(catalog),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The newest state.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.shared.catalog.load_full()
    }

    /// Every state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.shared.states.subscribe()
    }

    /// Changes the catalog.
    pub async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        let mut writer = self.shared.writer.lock().expect("no holder panics");
        *writer += 1;
        let mut catalog = Catalog::clone(&self.catalog());
        let applied = catalog.apply(Revision(*writer), &command)?;
        let catalog = Arc::new(catalog);
        self.shared.catalog.store(Arc::clone(&catalog));
        self.shared.states.send_replace(catalog);
        Ok(applied)
    }

    /// Stops.
    pub(crate) async fn shutdown(&self) {}
}
