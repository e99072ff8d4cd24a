//! What the control plane is told when it starts.
//!
//! **Owns** [`ControlConfig`]. **Must not know** flags and files; the node reads those. **Enter at** [`ControlConfig`].

use std::{path::PathBuf, time::Duration};

use skerry_proto::id::Hostname;

use crate::limits::{LOGS_PER_SNAPSHOT, PROPOSE_TIMEOUT};

/// What the control plane is told when it starts.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// Where everything is kept: `raft.redb`, `raft.snapshot`, `bundles/`, `cluster.key`, `admin.token`, `ca.pem`. Made when
    /// it does not exist. One process at a time may use it.
    pub data_dir: PathBuf,
    /// This machine's name in logs and audit entries.
    pub node_name: String,
    /// The zone that the cluster serves. When it differs from what the catalog says, the catalog is changed.
    pub domain: Hostname,
    /// Whether to make a new cluster when the directory holds none.
    pub bootstrap: Bootstrap,
    /// How long a proposal waits. Default 10 s. Too low makes slow disks look like failures, too high keeps callers
    /// waiting for a lost quorum.
    pub propose_timeout: Duration,
    /// Log entries between snapshots. Default 5000. Too low writes the whole catalog often, too high makes a restart slow.
    pub logs_per_snapshot: u64,
}

/// Whether to make a new cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// When the directory holds none.
    IfEmpty,
    /// Never: a directory without a cluster is an error.
    Never,
}

impl ControlConfig {
    /// With the defaults.
    #[must_use]
    pub fn new(data_dir: PathBuf, node_name: String, domain: Hostname, bootstrap: Bootstrap) -> Self {
        let (propose_timeout, logs_per_snapshot) = (PROPOSE_TIMEOUT, LOGS_PER_SNAPSHOT);
        Self { data_dir, node_name, domain, bootstrap, propose_timeout, logs_per_snapshot }
    }
}
