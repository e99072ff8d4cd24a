//! Agreement on the catalog.
//!
//! **Owns** the order of commands, and that what was acknowledged is never forgotten. **Must not know** what commands
//! mean. **Enter at** [`Raft`].
//!
//! openraft decides; here are its log (redb, fsync before every acknowledgement), its state machine (the catalog), its
//! snapshots and its network.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use openraft::{
    BasicNode, SnapshotPolicy,
    async_runtime::watch::WatchReceiver as _,
    errors::{ClientWriteError, InitializeError, RaftError},
};
use tokio::sync::{Semaphore, watch};

use crate::{
    catalog::{Applied, Catalog, Command},
    config::{Bootstrap, ControlConfig},
    error::{BuildError, ProposeError},
    limits::{COMMAND_BYTES_MAX, LOGS_KEPT, PROPOSALS_MAX},
    state::States,
};

mod disk;
mod log;
mod machine;
mod network;
#[cfg(test)]
mod tests;
mod type_config;
mod wire;

pub use self::type_config::{Outcome, TypeConfig};
use self::{log::LogStore, machine::Machine, network::Network, type_config::Proposal};

/// The first node of a cluster; later ones get theirs from the log.
const FIRST_NODE: u64 = 1;
/// BOUND: how long a start waits for the catalog to be complete; replaying a full log takes seconds at most.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// This node's part in the agreement. Clones share it.
#[derive(Clone)]
pub struct Raft {
    raft: openraft::Raft<TypeConfig, Machine>,
    log: LogStore,
    states: Arc<States>,
    waiting: Arc<Semaphore>,
    propose_timeout: Duration,
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raft").field("revision", &self.catalog().revision()).finish_non_exhaustive()
    }
}

/// How this node sees the agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftStatus {
    /// This node.
    pub node_id: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// The last log entry on this node's disk.
    pub last_log_index: Option<u64>,
    /// The last log entry that this node has applied.
    pub applied_index: Option<u64>,
    /// The last log entry that the newest snapshot contains.
    pub snapshot_index: Option<u64>,
    /// Who votes.
    pub voters: Vec<u64>,
}

impl Raft {
    /// Opens the log and the snapshot, makes a cluster of one voter when there is none and the configuration allows it,
    /// and returns once everything in the log is applied.
    pub(crate) async fn start(config: &ControlConfig) -> Result<Self, BuildError> {
        let (log_path, snapshot_path) = (config.data_dir.join("raft.redb"), config.data_dir.join("raft.snapshot"));
        let opened = tokio::task::spawn_blocking(move || {
            let log = LogStore::open(&log_path).map_err(|source| BuildError::io(&log_path, source))?;
            let machine = Machine::open(&snapshot_path).map_err(|source| BuildError::io(&snapshot_path, source))?;
            Ok::<_, BuildError>((log, machine))
        });
        let (log, machine) = opened.await.map_err(|error| raft_error(&error))??;
        let states = machine.states();
        let settings = settings(config).validate().map_err(|error| raft_error(&error))?;
        let raft = openraft::Raft::new(FIRST_NODE, Arc::new(settings), Network, log.clone(), machine).await;
        let raft = raft.map_err(|error| raft_error(&error))?;
        let waiting = Arc::new(Semaphore::new(PROPOSALS_MAX));
        let started = Self { raft, log, states, waiting, propose_timeout: config.propose_timeout };
        match started.join_or_make(config).await {
            Ok(()) => Ok(started),
            Err(error) => {
                started.shutdown().await;
                Err(error)
            }
        }
    }

    async fn join_or_make(&self, config: &ControlConfig) -> Result<(), BuildError> {
        if self.raft.is_initialized().await.map_err(|error| raft_error(&error))? {
            // The only voter need not wait for an election timeout, nor ask anyone before.
            let alone = self.status().voters == [FIRST_NODE];
            if alone {
                self.raft.trigger().elect(false).await.map_err(|error| raft_error(&error))?;
            }
        } else if config.bootstrap == Bootstrap::IfEmpty {
            let members = BTreeMap::from([(FIRST_NODE, BasicNode::default())]);
            match self.raft.initialize(members).await {
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => return Err(raft_error(&error)),
            }
        } else {
            return Err(BuildError::NotBootstrapped { path: config.data_dir.display().to_string() });
        }
        let recovered = self.raft.wait_for_recovery(Some(RECOVERY_TIMEOUT)).await;
        recovered.map(|_| ()).map_err(|error| raft_error(&error))
    }

    /// The newest state that this node has applied.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.states.catalog()
    }

    /// Sees every state that this node applies; states that follow each other closely may be skipped.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.states.watch()
    }

    /// How this node sees the agreement.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched().clone();
        RaftStatus {
            node_id: metrics.id,
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_log_index: metrics.last_log_index,
            applied_index: metrics.last_applied.map(|log_id| log_id.index),
            snapshot_index: metrics.snapshot.map(|log_id| log_id.index),
            voters: metrics.membership_config.membership().voter_ids().collect(),
        }
    }

    /// Proposes a command and waits for its outcome. `Ok`: durable on a quorum, applied here, and visible in
    /// [`Raft::catalog`].
    pub async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        let proposal = Proposal::new(command);
        let size_bytes = proposal.bytes().len();
        if size_bytes > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLarge { size_bytes, max_bytes: COMMAND_BYTES_MAX });
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(ProposeError::Unavailable { reason: format!("{PROPOSALS_MAX} changes are waiting") });
        };
        let written = tokio::time::timeout(self.propose_timeout, self.raft.client_write(proposal)).await;
        let unknown = |reason: String| Err(ProposeError::Unknown { reason });
        match written {
            Ok(Ok(response)) => match response.data {
                Outcome::Applied(applied) => Ok(applied),
                Outcome::Rejected(rejection) => Err(rejection.into()),
                Outcome::Nothing => unknown("the log holds something else in its place".to_owned()),
            },
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                Err(ProposeError::Unavailable { reason: "this node does not lead, and there is no mesh".to_owned() })
            }
            Ok(Err(error)) => unknown(error.to_string()),
            Err(_) => unknown(format!("no answer within {} ms", self.propose_timeout.as_millis())),
        }
    }

    /// Stops taking part and closes the files. What was acknowledged is on disk already.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(error = %error, "raft did not stop cleanly");
        }
        if let Err(error) = self.log.close().await {
            tracing::debug!(error = %error, "the raft log was closed before");
        }
    }
}

fn raft_error(error: &dyn std::error::Error) -> BuildError {
    BuildError::Raft { reason: error.to_string() }
}

/// Timings for voters at most 60 ms apart (CLUSTER.md 2c). A restarted leader must be elected again: the state machine is
/// rebuilt from snapshot and log, so it may not serve before it knows how far the log is agreed.
fn settings(config: &ControlConfig) -> openraft::Config {
    openraft::Config {
        cluster_name: "skerry".to_owned(),
        heartbeat_interval: 250,
        election_timeout_min: 1000,
        election_timeout_max: 2000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.logs_per_snapshot),
        max_in_snapshot_log_to_keep: LOGS_KEPT.min(config.logs_per_snapshot),
        api_channel_size: Some(PROPOSALS_MAX as u64),
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    }
}
