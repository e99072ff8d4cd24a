//! The control plane of one node: how it starts, and the handle that everything else holds.
//!
//! **Owns** the order of starting and bootstrapping. **Must not know** HTTP or workers. **Enter at** [`build`].
//!
//! A start goes: folder → raft (replays its log) → key → cluster (made when there is none) → files for the operator →
//! certificates. Every step looks before it acts, so a start that was cut off is finished by the next one.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use skerry_proto::id::NodeId;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    bundles::Bundles,
    catalog::{
        Access, Account, Actor, Applied, Catalog, Change, Cluster, Command, Resource, Scope, SealScope, Token,
        TokenHash,
    },
    clock,
    config::{Bootstrap, ControlConfig},
    error::{BuildError, ProposeError},
    identity::{Issuer, new_authority},
    mint,
    raft::{NoTransport, Raft, RaftConfig, RaftStatus},
    reconcile,
    seal::{Sealer, WhenMissing},
    state::{Head, States},
    store::{Privacy, create_folder, remove_unfinished, write_file},
    task,
};

#[cfg(test)]
mod tests;

/// The node that makes a cluster; later ones get their ids from the log.
const FOUNDER: NodeId = NodeId(1);
/// How often the leader is heard of.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// BOUND: how long a voter waits for the others when it starts; then it serves what it has, and catches up later.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(3);

/// The control plane of one node. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Control {
    raft: Raft,
    bundles: Bundles,
    sealer: Sealer,
    tasks: Arc<[JoinHandle<()>]>,
}

/// Starts the control plane, and makes the cluster when there is none and the configuration allows it. Returns once the
/// catalog contains everything that was ever acknowledged.
pub async fn build(config: ControlConfig) -> Result<Control, BuildError> {
    let data_dir = config.data_dir.clone();
    let found = data_dir.join("raft.redb").exists();
    if !found && config.bootstrap == Bootstrap::Never {
        return Err(BuildError::NotBootstrapped { path: data_dir.display().to_string() });
    }
    let folder = create_folder(&data_dir).and_then(|()| remove_unfinished(&data_dir));
    folder.map_err(|source| BuildError::io(&data_dir, source))?;
    let raft = start_raft(&config).await?;
    match set_up(&config, &raft).await {
        Ok((sealer, bundles)) => {
            let certificates = reconcile::run(raft.clone(), sealer.clone(), config.node_name.clone());
            let sweep = reconcile::sweep::run(raft.clone(), bundles.clone());
            let tasks = [task::spawn("certificates", certificates), task::spawn("bundle sweep", sweep)];
            Ok(Control { raft, bundles, sealer, tasks: tasks.into() })
        }
        Err(error) => {
            raft.shutdown().await;
            Err(error)
        }
    }
}

async fn start_raft(config: &ControlConfig) -> Result<Raft, BuildError> {
    let settings = RaftConfig {
        data_dir: config.data_dir.clone(),
        node: FOUNDER,
        propose_timeout: config.propose_timeout,
        logs_per_snapshot: config.logs_per_snapshot,
        heartbeat: HEARTBEAT,
    };
    let states = Arc::new(States::new(Head::default()));
    let raft = Raft::start(settings, states, Arc::new(NoTransport)).await?;
    raft.found().await?;
    raft.recover(RECOVERY_PATIENCE).await?;
    Ok(raft)
}

async fn set_up(config: &ControlConfig, raft: &Raft) -> Result<(Sealer, Bundles), BuildError> {
    let data_dir = &config.data_dir;
    let sealed_before = raft.catalog().cluster().is_some();
    let missing = if sealed_before { WhenMissing::Fail } else { WhenMissing::Create };
    let sealer = Sealer::open_key(data_dir, missing)?;
    let bundles = Bundles::open(data_dir).map_err(|source| BuildError::io(data_dir, source))?;
    match raft.catalog().cluster() {
        None => bootstrap(config, raft, &sealer).await?,
        Some(cluster) if cluster.domain != config.domain => {
            tracing::warn!(from = %cluster.domain, to = %config.domain, "the cluster's domain changes");
            let cluster = Cluster { domain: config.domain.clone(), ..Cluster::clone(cluster) };
            let actor = Actor::node(&config.node_name);
            raft.propose(Command::new(actor, clock::unix_ms(), vec![Change::SetCluster(cluster)])).await?;
        }
        Some(_) => {}
    }
    write_ca(data_dir, &raft.catalog())?;
    reconcile::certificates(raft, &sealer, &config.node_name).await?;
    Ok((sealer, bundles))
}

impl Control {
    /// The newest state that this node has applied.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.raft.catalog()
    }

    /// Sees every state that this node applies; states that follow each other closely may be skipped.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.raft.watch()
    }

    /// Changes the catalog. When this returns `Ok`, the change is durable and [`Control::catalog`] shows it.
    pub async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        self.raft.propose(command).await
    }

    /// The code of versions.
    #[must_use]
    pub fn bundles(&self) -> Bundles {
        self.bundles.clone()
    }

    /// How this node sees the agreement.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        self.raft.status()
    }

    /// Seals and opens secrets and private keys.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    /// Issues certificates under the cluster's CA. They are issued for every service anyway, moments after it is created;
    /// this is for having them in the same command.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        let catalog = self.catalog();
        let cluster = catalog.cluster().expect("`build` returns after bootstrap, and a cluster is never removed");
        Issuer::new(Arc::clone(cluster), self.sealer.clone())
    }

    /// Stops raft; what was acknowledged is on disk already. Proposals in flight end as unknown.
    pub async fn shutdown(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.raft.shutdown().await;
    }
}

/// Makes the cluster in one command. The token's file comes first: a crash in between leaves a file that the next start
/// reads, and never a cluster that nobody can enter.
async fn bootstrap(config: &ControlConfig, raft: &Raft, sealer: &Sealer) -> Result<(), BuildError> {
    let now_ms = clock::unix_ms();
    let hash = admin_token(&config.data_dir)?;
    let authority = new_authority(config.domain.as_str(), now_ms)?;
    let key = sealer.seal(SealScope::cluster_ca(), &authority.key);
    let cluster = Cluster::new(config.domain.clone(), authority.certificate, key, now_ms);
    let account = Account { id: mint::account_id(), name: "default".to_owned(), label: None, created_at_ms: now_ms };
    let token = Token {
        id: mint::token().id,
        account: None,
        name: "admin".to_owned(),
        scopes: [Scope { resource: Resource::All, access: Access::Write }].into(),
        hash,
        created_at_ms: now_ms,
        expires_at_ms: None,
    };
    // Accounts and tokens of the whole cluster may share a command: the token is about no account.
    let changes = vec![Change::SetCluster(cluster), Change::CreateAccount(account), Change::CreateToken(token)];
    raft.propose(Command::new(Actor::node(&config.node_name), now_ms, changes)).await?;
    tracing::info!(domain = %config.domain, "the cluster is made");
    Ok(())
}

/// The hash of the token in `DIR/admin.token`, which is written when there is none.
fn admin_token(data_dir: &Path) -> Result<TokenHash, BuildError> {
    let path = data_dir.join("admin.token");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 64 => return Ok(TokenHash::of(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(BuildError::io(&path, source)),
    }
    let token = mint::token();
    let content = format!("{}\n", token.text);
    write_file(&path, content.as_bytes(), Privacy::Secret).map_err(|source| BuildError::io(&path, source))?;
    Ok(token.hash)
}

/// `DIR/ca.pem`, for `curl --cacert`.
fn write_ca(data_dir: &Path, catalog: &Catalog) -> Result<(), BuildError> {
    let Some(cluster) = catalog.cluster() else { return Ok(()) };
    let path = data_dir.join("ca.pem");
    let pem = crate::identity::pem(&cluster.ca_certificate);
    if fs::read(&path).is_ok_and(|old| old == pem.as_bytes()) {
        return Ok(());
    }
    write_file(&path, pem.as_bytes(), Privacy::Public).map_err(|source| BuildError::io(&path, source))
}
