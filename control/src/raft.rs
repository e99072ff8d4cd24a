//! Agreement on the catalog.
//!
//! **Owns** the order of commands, and that what was acknowledged is never forgotten. **Must not know** what commands
//! mean. **Enter at** [`Raft`].
//!
//! openraft decides; here are its log (redb, fsync before every acknowledgement), its state machine (the catalog), its
//! snapshots and its network.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use openraft::{
    BasicNode, SnapshotPolicy,
    errors::{ClientWriteError, InitializeError, RaftError},
};
use skerry_proto::id::NodeId;
use tokio::sync::{Semaphore, watch};

use crate::{
    catalog::{Applied, Catalog, Command},
    error::{BuildError, ProposeError},
    limits::{COMMAND_BYTES_MAX, LOGS_KEPT, PROPOSALS_MAX, SNAPSHOT_TIMEOUT},
    state::States,
    task,
};

mod answer;
mod disk;
mod heard;
mod log;
mod machine;
mod mark;
mod members;
mod network;
mod rpc;
mod silence;
pub(crate) mod stopped;
#[cfg(test)]
mod tests;
mod transport;
mod type_config;
mod wire;

pub use self::members::{ChangeError, RaftStatus};
pub use self::transport::{Answer, NoTransport, Question, Transport, TransportError};
pub use self::type_config::{Outcome, TypeConfig};
use self::{
    heard::LeaderHeard, log::LogStore, machine::Machine, network::Network, silence::Silence, type_config::Proposal,
};

/// BOUND: how long the start of a cluster's only voter waits for the catalog to be complete; replaying a full log takes
/// seconds at most.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// What raft is told when it starts.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    /// Where `raft.redb` and `raft.snapshot` are.
    pub data_dir: PathBuf,
    /// This node.
    pub node: NodeId,
    /// How long a proposal waits for its outcome.
    pub propose_timeout: Duration,
    /// Log entries between snapshots.
    pub logs_per_snapshot: u64,
    /// How often the leader is heard of; an election begins eight to ten of them after the last one. Default 250 ms, for voters at
    /// most 60 ms apart (CLUSTER.md 2c). Too low elects new leaders on a slow network, too high notices a dead one late.
    pub heartbeat: Duration,
}

/// This node's part in the agreement. Clones share it.
#[derive(Clone)]
pub struct Raft {
    raft: openraft::Raft<TypeConfig, Machine>,
    log: LogStore,
    states: Arc<States>,
    waiting: Arc<Semaphore>,
    heard: LeaderHeard,
    node: NodeId,
    propose_timeout: Duration,
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raft").field("revision", &self.catalog().revision()).finish_non_exhaustive()
    }
}

impl Raft {
    /// Opens the log and the snapshot, and publishes to `states` from now on: what the snapshot holds, then more.
    pub async fn start(
        config: RaftConfig,
        states: Arc<States>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, BuildError> {
        let (log_path, snapshot_path) = (config.data_dir.join("raft.redb"), config.data_dir.join("raft.snapshot"));
        let publish = Arc::clone(&states);
        let opened = tokio::task::spawn_blocking(move || {
            let log = LogStore::open(&log_path).map_err(|source| BuildError::io(&log_path, source))?;
            let machine =
                Machine::open(&snapshot_path, publish).map_err(|source| BuildError::io(&snapshot_path, source))?;
            Ok::<_, BuildError>((log, machine))
        });
        let (log, machine) = opened.await.map_err(|error| raft_error(&error))??;
        let settings = settings(&config).validate().map_err(|error| raft_error(&error))?;
        let silence = Silence::default();
        let network = Network { transport, silence: silence.clone() };
        let raft = openraft::Raft::new(config.node.0, Arc::new(settings), network, log.clone(), machine).await;
        let raft = raft.map_err(|error| raft_error(&error))?;
        task::spawn("leader's silence", silence.watch(raft.metrics(), config.heartbeat));
        let waiting = Arc::new(Semaphore::new(PROPOSALS_MAX));
        let heard = LeaderHeard::default();
        Ok(Self { raft, log, states, waiting, heard, node: config.node, propose_timeout: config.propose_timeout })
    }

    /// Makes an empty log, so that a missing one is known to be lost from now on.
    pub(crate) async fn create_log(data_dir: &Path) -> Result<(), BuildError> {
        let path = data_dir.join("raft.redb");
        let made = async {
            let opened = path.clone();
            let log = tokio::task::spawn_blocking(move || LogStore::open(&opened)).await.map_err(io::Error::from)??;
            log.close().await
        };
        made.await.map_err(|source| BuildError::io(&path, source))
    }

    /// Whether this node's log belongs to a cluster.
    pub async fn is_founded(&self) -> Result<bool, BuildError> {
        self.raft.is_initialized().await.map_err(|error| raft_error(&error))
    }

    /// Makes a cluster whose only voter this node is, unless it knows of one.
    pub async fn found(&self) -> Result<(), BuildError> {
        let members = BTreeMap::from([(self.node.0, BasicNode::default())]);
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => return Err(raft_error(&error)),
        }
        // Until then this node does not look like a voter to `recover`.
        let has_voters = |metrics: &openraft::RaftMetrics<TypeConfig>| {
            metrics.membership_config.membership().voter_ids().next().is_some()
        };
        let seen = self.raft.wait(Some(RECOVERY_TIMEOUT)).metrics(has_voters, "the first membership").await;
        seen.map(|_| ()).map_err(|error| raft_error(&error))
    }

    /// Returns once everything in the log that the cluster agreed on is applied. The only voter insists on it; one of several
    /// gives up after `patience` and says so with `false`: it goes on with the state that it has.
    pub async fn recover(&self, patience: Duration) -> Result<bool, BuildError> {
        // The only voter need not wait for an election timeout, nor ask anyone before.
        let alone = self.is_alone();
        if alone {
            self.raft.trigger().elect(false).await.map_err(|error| raft_error(&error))?;
        }
        let patience = if alone { RECOVERY_TIMEOUT } else { patience };
        match self.raft.wait_for_recovery(Some(patience)).await {
            Ok(_) => Ok(true),
            Err(error) if alone => Err(raft_error(&error)),
            Err(_) => Ok(false),
        }
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

    /// Where the newest state and the entries that led to it are found.
    #[must_use]
    pub fn states(&self) -> Arc<States> {
        Arc::clone(&self.states)
    }

    /// Proposes a command and waits for its outcome. `Ok`: durable on a quorum, applied here, and visible in
    /// [`Raft::catalog`].
    pub async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        self.catalog().check_level(command.feature_level())?;
        let proposal = Proposal::new(command);
        let size_bytes = proposal.bytes().len();
        if size_bytes > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLarge { size_bytes, max_bytes: COMMAND_BYTES_MAX });
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(ProposeError::Unavailable { reason: format!("{PROPOSALS_MAX} changes are waiting") });
        };
        let unknown = |reason: String| Err(ProposeError::Unknown { reason });
        let written = tokio::select! {
            written = tokio::time::timeout(self.propose_timeout, self.raft.client_write(proposal)) => written,
            () = self.forsaken() => return unknown("no majority of the voters answers this node any more".to_owned()),
        };
        match written {
            Ok(Ok(response)) => match response.data {
                Outcome::Applied(applied) => Ok(applied),
                Outcome::Rejected(rejection) => Err(rejection.into()),
                Outcome::Nothing => unknown("the log holds something else in its place".to_owned()),
            },
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(ProposeError::NotLeader { leader: forward.leader_id.map(NodeId) })
            }
            Ok(Err(error)) => unknown(error.to_string()),
            Err(_) => unknown(format!("no answer within {} ms", self.propose_timeout.as_millis())),
        }
    }

    /// Stops taking part and closes the files. What was acknowledged is on disk already.
    pub async fn shutdown(&self) {
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

/// A restarted leader must be elected again: the state machine is rebuilt from snapshot and log, so it may not serve before
/// it knows how far the log is agreed.
fn settings(config: &RaftConfig) -> openraft::Config {
    let heartbeat_ms = u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX);
    openraft::Config {
        cluster_name: "skerry".to_owned(),
        heartbeat_interval: heartbeat_ms,
        // openraft elects once the leader's lease, which is the longest timeout, and then a timeout have passed: after eight
        // to ten heartbeats that did not come. The shortest one is also how long a vote may take, with its connection and fsync.
        election_timeout_min: heartbeat_ms * 3,
        election_timeout_max: heartbeat_ms * 5,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.logs_per_snapshot),
        max_in_snapshot_log_to_keep: LOGS_KEPT.min(config.logs_per_snapshot),
        api_channel_size: Some(PROPOSALS_MAX as u64),
        install_snapshot_timeout: u64::try_from(SNAPSHOT_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    }
}
