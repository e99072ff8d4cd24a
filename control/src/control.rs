//! The control plane of one node: how it starts, and the handle that everything else holds.
//!
//! **Owns** the order of starting and stopping. **Must not know** HTTP or workers. **Enter at** [`build`].
//!
//! A start goes: folder → who this node is (it was a member, joins, or founds a cluster) → raft or feed → mesh → key → cluster
//! (made when there is none) → files for the operator → tasks. Every step looks before it acts, so a start that was cut off
//! is finished by the next one.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use axum::Router;
use bytes::Bytes;
use skerry_proto::id::{BundleHash, NodeId, Revision};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup::{Backup, BackupError},
    bundles::Bundles,
    catalog::{Applied, Catalog, Change, Command, EnvironmentKey},
    clock,
    config::ControlConfig,
    error::{BuildError, ProposeError, StoreError},
    feed::{FeedHandle, FeedStatus, Propagation},
    gossip::{GossipHandle, Members},
    handover,
    identity::Issuer,
    kv::{KvStore, LocalStore},
    mesh::{Mesh, NodeIdentity, PeerStatus},
    peer::{
        self,
        bundles::Copier,
        kv::{ClusterKv, Keeper},
        sight::Sight,
        tails::Ask,
    },
    raft::RaftStatus,
    rotation::{self, RotateError, Rotation},
    seal::Sealer,
    seat::Seat,
    state::States,
    store::{create_folder, remove_unfinished},
    tails::{Filter, Heard, Tails},
    task,
    trace::Tracer,
};

mod carry;
mod found;
mod held;
mod introduce;
mod leave;
mod live;
mod start;
#[cfg(test)]
mod tests;
mod watchers;
mod who;

pub use self::live::{BUCKETS_MS, LiveHistogram, LiveTimes};
pub(crate) use crate::peer::api::{ApiCall, Carried, CarryError, Elsewhere};

/// The node that makes a cluster; later ones get their ids from the log.
const FOUNDER: NodeId = NodeId(1);
/// BOUND: how long a voter waits for the others when it starts; then it serves what it has, and catches up later.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(3);
/// BOUND: how long a quorum may take to confirm the leader: two heartbeats and the way there.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);
/// BOUND: events of other nodes that wait for one listener; each has up to 256 KiB of lines.
const HEARD_MAX: usize = 16;
/// BOUND: how long a stop waits for calls of other nodes.
const MESH_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The control plane of one node. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Control {
    node: NodeId,
    data_dir: Arc<Path>,
    seat: Seat,
    sight: Sight,
    states: Arc<States>,
    plane: watch::Receiver<Arc<Catalog>>,
    bundles: Bundles,
    sealer: Sealer,
    mesh: Option<Mesh>,
    copier: Option<Copier>,
    feed: Option<FeedHandle>,
    gossip: Option<GossipHandle>,
    api: Arc<ArcSwapOption<Router>>,
    live: LiveTimes,
    restart: watch::Sender<bool>,
    keeper: Arc<Keeper>,
    tails: Arc<OnceLock<Arc<dyn Tails>>>,
    listeners: Arc<Semaphore>,
    tracer: Tracer,
    stopping: CancellationToken,
    tasks: Arc<[JoinHandle<()>]>,
    authority: Option<Sealer>,
    rotation: watch::Receiver<Option<Rotation>>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Whether a data directory holds a node already, one that founded a cluster or has joined one.
#[must_use]
pub fn is_member(data_dir: &Path) -> bool {
    data_dir.join("node.identity").exists() || data_dir.join("admin.token").exists()
}

/// Starts the control plane, and makes or joins a cluster when the configuration says so. Returns once the catalog contains
/// everything that this node can know was acknowledged.
pub async fn build(mut config: ControlConfig) -> Result<Control, BuildError> {
    let data_dir = &config.data_dir;
    let folder = create_folder(data_dir).and_then(|()| remove_unfinished(data_dir));
    folder.map_err(|source| BuildError::io(data_dir, source))?;
    let identity = NodeIdentity::open(data_dir)?;
    if let Some(settings) = config.mesh.take() {
        let settled = settings.clone().settled(identity.as_ref().and_then(who::port_before));
        config.mesh = Some(settled.map_err(|source| BuildError::MeshAddress { address: settings.listen, source })?);
    }
    let identity = who::who(&config, identity).await?;
    let seat = Seat::default();
    match start::start(&config, identity, seat.clone()).await {
        Ok(control) => {
            control.tell_certificate();
            Ok(control)
        }
        Err(error) => {
            if let Some(raft) = seat.raft() {
                raft.shutdown().await;
            }
            Err(error)
        }
    }
}

impl Control {
    /// The newest state that this node has applied.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.states.catalog()
    }

    /// Sees every state that this node is to serve; states that follow each other closely may be skipped. It is what
    /// [`Control::catalog`] has, or an older one after newer ones made this node crash twice.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.plane.clone()
    }

    /// Waits until this node shows `revision` or a later one, for at most `within`; `false` when it does not by then.
    pub(crate) async fn reach(&self, revision: Revision, within: Duration) -> bool {
        self.states.reach(revision, within).await
    }

    /// Changes the catalog, on the leader: whoever calls has looked at the leader's state. When this returns `Ok`, the change is
    /// durable and [`Control::catalog`] shows it.
    pub async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        match self.seat.raft() {
            Some(raft) => raft.propose(command).await,
            None => Err(ProposeError::NotLeader { leader: None }),
        }
    }

    /// The code of versions.
    #[must_use]
    pub fn bundles(&self) -> Bundles {
        self.bundles.clone()
    }

    /// On the leader: the newest revision, which nobody else can have gone beyond when this was called (read index). `None`
    /// where this node does not lead, or no quorum says so.
    pub async fn confirm(&self) -> Option<Revision> {
        let raft = self.seat.raft()?;
        let is_current = raft.leads() && raft.is_current(CONFIRM_TIMEOUT).await;
        is_current.then(|| raft.catalog().revision())
    }

    /// A backup of what this node has applied. Bundles that it lacks are fetched.
    pub async fn backup(&self) -> Result<Backup, BackupError> {
        Backup::of(self.states.head(), self.node, self.bundles(), clock::unix_ms()).await
    }

    /// Stores a bundle where a majority of the voters has it, so that a version may name it.
    pub async fn store_bundle(&self, bytes: Bytes) -> Result<BundleHash, StoreError> {
        let hash = self.bundles.put(bytes.clone()).await?;
        let voters = self.status().map(|status| status.voters).unwrap_or_default();
        let (Some(copier), true) = (&self.copier, voters.len() > 1) else { return Ok(hash) };
        let needed = voters.len() / 2 + 1;
        let stored = 1 + copier.store(&bytes, &voters, needed - 1).await;
        if stored < needed {
            return Err(StoreError::TooFew { hash, stored, needed });
        }
        Ok(hash)
    }

    /// The entries of every KV namespace, wherever they are. Those whose home is this node are kept in `local`; the first
    /// one counts, until [`Control::shutdown`].
    #[must_use]
    pub fn kv(&self, local: Arc<dyn LocalStore>) -> Arc<dyn KvStore> {
        self.keeper.open(local);
        Arc::new(ClusterKv {
            keeper: Arc::clone(&self.keeper),
            mesh: self.mesh.clone(),
            tracer: self.tracer.clone(),
            trace: None,
        })
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// How this node sees the agreement; `None` on a node that does not take part.
    #[must_use]
    pub fn status(&self) -> Option<RaftStatus> {
        self.seat.raft().map(|raft| raft.status())
    }

    /// Whether this node speaks for the cluster: it leads, a majority has confirmed that a moment ago, and it has applied all
    /// that was agreed on before it did.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.seat.leads()
    }

    /// Becomes true once this node has to start anew, because its role has changed.
    #[must_use]
    pub fn restarts(&self) -> watch::Receiver<bool> {
        self.restart.subscribe()
    }

    /// Notes that the data plane of this node serves a revision, and so all before it.
    pub fn shown(&self, revision: Revision) {
        if let Some(feed) = &self.feed {
            feed.shown(revision);
        }
        if let Some(gossip) = &self.gossip {
            gossip.announce_revision(revision);
        }
    }

    /// Notes that the data plane of this node can not serve a revision.
    pub fn refused(&self, revision: Revision, reason: &str) {
        tracing::warn!(%revision, reason, "this node does not serve a revision");
        if let Some(feed) = &self.feed {
            feed.refused(revision, reason);
        }
    }

    /// How far a revision has come. The leader knows of all nodes, another node of those that follow it. Without a mesh this
    /// node is all there is.
    #[must_use]
    pub fn propagation(&self, revision: Revision) -> Propagation {
        let catalog = self.catalog();
        let members: Vec<NodeId> = catalog.nodes().map(|node| node.id).collect();
        match &self.feed {
            Some(feed) => feed.propagation(revision, &members),
            None => Propagation { total: 1, acknowledged: 1, waiting: Vec::new(), refused: Vec::new() },
        }
    }

    /// How long changes took until every node served them, as far as this node led.
    #[must_use]
    pub fn live_times(&self) -> LiveTimes {
        self.live.clone()
    }

    /// Who does not serve a revision, as far as this node knows, and why.
    #[must_use]
    pub fn refusals(&self) -> Vec<(NodeId, Revision, String)> {
        let newest = self.catalog().revision();
        self.propagation(newest).refused.into_iter().map(|(node, reason)| (node, newest, reason)).collect()
    }

    /// When this node's certificate ends, milliseconds since the Unix epoch; `None` without a mesh.
    #[must_use]
    pub fn certificate_expires_ms(&self) -> Option<i64> {
        self.mesh.as_ref().map(Mesh::certificate_ends_ms)
    }

    /// Lets the others know until when this node's certificate is good, until [`Control::shutdown`].
    fn tell_certificate(&self) {
        let (Some(mesh), Some(gossip)) = (self.mesh.clone(), self.gossip.clone()) else { return };
        let (told, stopping) = (watchers::certificate(mesh, gossip), self.stopping.clone());
        let _ends = task::spawn("tell the certificate's end", async move {
            tokio::select! {
                () = told => {}
                () = stopping.cancelled() => {}
            }
        });
    }

    /// How this node stands in the feed; `None` without a mesh.
    #[must_use]
    pub fn feed_status(&self) -> Option<Arc<FeedStatus>> {
        self.feed.as_ref().map(FeedHandle::status)
    }

    /// How far the rotation of the mesh's authority is, where this node leads and has asked the others.
    pub(crate) fn rotation(&self) -> Option<Rotation> {
        self.rotation.borrow().clone()
    }

    /// The change that begins to replace the mesh's authority; only where this node may vote.
    pub(crate) fn begin_rotation(&self) -> Result<Change, RotateError> {
        rotation::begin(self.authority.as_ref(), &self.catalog(), clock::unix_ms())
    }

    /// Who is alive, as gossip has it; `None` without a mesh.
    #[must_use]
    pub fn members(&self) -> Option<Arc<Members>> {
        self.gossip.as_ref().map(|gossip| Arc::clone(&gossip.members().borrow()))
    }

    /// Says how many requests this node has in flight.
    pub fn set_load(&self, requests: u32) {
        if let Some(gossip) = &self.gossip {
            gossip.set_load(requests);
        }
    }

    /// Whether there are other nodes to ask.
    #[must_use]
    pub fn has_mesh(&self) -> bool {
        self.mesh.is_some()
    }

    /// The nodes that this one talks to.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.mesh.as_ref().map(Mesh::peers).unwrap_or_default()
    }

    /// Where the mesh listens; `None` without one.
    #[must_use]
    pub fn mesh_address(&self) -> Option<std::net::SocketAddr> {
        self.mesh.as_ref().map(Mesh::address)
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
        let cluster = catalog.cluster().expect("`build` returns once there is a cluster, and it is never removed");
        Issuer::new(Arc::clone(cluster), self.sealer.clone())
    }

    /// Answers requests that other nodes carry here with this API, until [`Control::shutdown`].
    pub(crate) fn serve_api(&self, api: Router) {
        self.api.store(Some(Arc::new(api)));
    }

    /// Lets other nodes listen to these events too; the first ones count.
    pub(crate) fn serve_tails(&self, tails: Arc<dyn Tails>) {
        let _ = self.tails.set(tails);
    }

    /// A place for one listener that hears other nodes; `None` when there is no more.
    pub(crate) fn listener(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.listeners).try_acquire_owned().ok()
    }

    /// The wanted events of all other nodes, for as long as somebody receives them.
    pub(crate) fn listen(&self, environment: EnvironmentKey, filter: Filter) -> mpsc::Receiver<Heard> {
        let (out, heard) = mpsc::channel(HEARD_MAX);
        match &self.mesh {
            Some(mesh) => {
                let ask = Arc::new(Ask { environment, filter });
                let listen = peer::tails::listen(mesh.clone(), Arc::clone(&self.states), ask, out);
                let stopping = self.stopping.clone();
                // It ends with its receiver.
                let _ends = task::spawn("tail other nodes", async move {
                    tokio::select! {
                        () = listen => {}
                        () = stopping.cancelled() => {}
                    }
                });
                heard
            }
            None => heard,
        }
    }

    /// Where spans go; off unless the node exports them.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Stops the mesh and raft; what was acknowledged is on disk already. A leader hands over first. Proposals in flight end
    /// as unknown.
    pub async fn shutdown(&self) {
        if *self.restart.borrow() {
            handover::keep(&self.data_dir, self.catalog().revision()).await;
        }
        // Feed and gossip say goodbye; the other tasks have nothing to finish.
        self.stopping.cancel();
        if let Some(raft) = self.seat.raft() {
            raft.step_down().await;
            raft.shutdown().await;
        }
        if let Some(mesh) = &self.mesh {
            mesh.close(MESH_CLOSE_TIMEOUT).await;
        }
        self.keeper.close();
        // It holds this control, and all that the API stands on: a node that starts anew needs the room.
        self.api.store(None);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
