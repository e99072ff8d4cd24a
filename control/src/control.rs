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
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use skerry_proto::id::{BundleHash, NodeId, Revision};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup::{Backup, BackupError},
    bundles::Bundles,
    catalog::{Applied, Catalog, Change, Command, EnvironmentKey, NodeRole},
    clock,
    config::{Bootstrap, ControlConfig},
    error::{BuildError, ProposeError, StoreError},
    feed::{FeedHandle, FeedStatus, Propagation},
    gossip::{GossipHandle, Liveness, Members},
    identity::Issuer,
    kv::{KvStore, LocalStore},
    mesh::{Mesh, NodeIdentity, PeerStatus},
    peer::{
        self,
        bundles::Copier,
        kv::{ClusterKv, Keeper},
        propose::Proposer,
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
    trace::{SpanKind, Tracer},
};

mod found;
mod handover;
mod introduce;
mod live;
mod start;
#[cfg(test)]
mod tests;
mod watchers;

pub use self::live::{BUCKETS_MS, LiveHistogram, LiveTimes};
pub(crate) use crate::peer::api::{ApiCall, Carried, CarryError, ServedApi};

/// The node that makes a cluster; later ones get their ids from the log.
const FOUNDER: NodeId = NodeId(1);
/// BOUND: how long a voter waits for the others when it starts; then it serves what it has, and catches up later.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(3);
/// BOUND: how long a quorum may take to confirm the leader: two heartbeats and the way there.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is looked whether the node that was asked is still there.
const GONE_EVERY: Duration = Duration::from_millis(100);
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
    states: Arc<States>,
    proposer: Proposer,
    bundles: Bundles,
    sealer: Sealer,
    mesh: Option<Mesh>,
    copier: Option<Copier>,
    feed: Option<FeedHandle>,
    gossip: Option<GossipHandle>,
    api: Arc<ArcSwapOption<ServedApi>>,
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
        let settled = settings.clone().settled(identity.as_ref().and_then(port_before));
        config.mesh = Some(settled.map_err(|source| BuildError::MeshAddress { address: settings.listen, source })?);
    }
    let identity = who(&config, identity).await?;
    let seat = Seat::default();
    match start::start(&config, identity, seat.clone()).await {
        Ok(control) => Ok(control),
        Err(error) => {
            if let Some(raft) = seat.raft() {
                raft.shutdown().await;
            }
            Err(error)
        }
    }
}

/// Who this node is: what it was before, or what the cluster makes of it now. `None` for a node that founds one, has done so
/// without a mesh, or was cut off in doing it.
async fn who(config: &ControlConfig, before: Option<NodeIdentity>) -> Result<Option<NodeIdentity>, BuildError> {
    let log = config.data_dir.join("raft.redb");
    if let Some(identity) = before {
        // Before the log is read: it may hold commands that this build can not even decode.
        start::check_level(config, identity.feature_level)?;
        if identity.role == NodeRole::Voter.as_str() && !log.exists() {
            return Err(BuildError::LostLog { path: log.display().to_string(), node: identity.node });
        }
        return again(config, identity).await.map(Some);
    }
    match &config.bootstrap {
        _ if log.exists() && !peer::join::is_under_way(&config.data_dir) => Ok(None),
        Bootstrap::Join { at, token } => peer::join::join(&joiner(config, at, token)?).await.map(Some),
        Bootstrap::IfEmpty => Ok(None),
        Bootstrap::Never => Err(BuildError::NotBootstrapped { path: config.data_dir.display().to_string() }),
    }
}

/// A member that starts again. An edge whose certificate has ended joins again as who it was, when it was told how; else it
/// serves what it has. A voter makes its own certificate.
async fn again(config: &ControlConfig, identity: NodeIdentity) -> Result<NodeIdentity, BuildError> {
    let (Bootstrap::Join { at, token }, Some(ended)) = (&config.bootstrap, identity.ended(clock::unix_ms())) else {
        return Ok(identity);
    };
    if identity.role == NodeRole::Voter.as_str() {
        return Ok(identity);
    }
    let own = identity.members.iter().find(|member| member.node_id == identity.node.0);
    let name = own.map_or(&config.node_name, |member| &member.name);
    let joiner = joiner(config, at, token)?;
    let joiner = peer::join::Joiner { name, role: NodeRole::Edge, before: Some(&identity), ..joiner };
    match peer::join::join(&joiner).await {
        Ok(joined) if joined.node == identity.node => Ok(joined),
        Ok(joined) => Err(BuildError::Raft { reason: format!("node {} joined as {}", identity.node, joined.node) }),
        Err(error) => {
            tracing::warn!(ended, error = &error as &dyn std::error::Error, "this node has not joined again");
            Ok(identity)
        }
    }
}

/// The port on which others last reached this node.
fn port_before(identity: &NodeIdentity) -> Option<u16> {
    let own = identity.members.iter().find(|member| member.node_id == identity.node.0)?;
    own.address.rsplit_once(':')?.1.parse().ok()
}

fn joiner<'a>(config: &'a ControlConfig, at: &'a str, token: &'a str) -> Result<peer::join::Joiner<'a>, BuildError> {
    let mesh = config.mesh.as_ref().ok_or(BuildError::NoMesh)?;
    Ok(peer::join::Joiner {
        data_dir: &config.data_dir,
        at,
        token,
        name: &config.node_name,
        role: config.role,
        region: &config.region,
        zone: &config.zone,
        address: mesh.advertised(),
        feature_level: config.feature_level,
        build: introduce::BUILD,
        before: None,
    })
}

impl Control {
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

    /// Changes the catalog, wherever the leader is. When this returns `Ok`, the change is durable and [`Control::catalog`]
    /// shows it.
    pub async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        self.proposer.propose(command).await
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

    /// Whether this node leads, as far as it knows.
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
        let Some(feed) = &self.feed else { return Vec::new() };
        let members: Vec<NodeId> = self.catalog().nodes().map(|node| node.id).collect();
        let newest = self.catalog().revision();
        let refused = feed.propagation(newest, &members).refused;
        refused.into_iter().map(|(node, reason)| (node, newest, reason)).collect()
    }

    /// When this node's certificate ends, milliseconds since the Unix epoch; `None` without a mesh.
    #[must_use]
    pub fn certificate_expires_ms(&self) -> Option<i64> {
        self.mesh.as_ref().map(Mesh::certificate_ends_ms)
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
    pub(crate) fn serve_api(&self, api: ServedApi) {
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

    /// Carries a request to the leader, and returns once this node shows what the answer is about.
    pub(crate) async fn carry(&self, call: &ApiCall) -> Result<Response<Body>, CarryError> {
        let undone = |reason: &str| CarryError::Undone { reason: reason.to_owned() };
        let mesh = self.mesh.as_ref().ok_or_else(|| undone("this node does not lead, and has no mesh"))?;
        let mut refused = undone("no leader is known");
        let mut span = self.tracer.below(call.trace.as_ref(), SpanKind::Client, "api carry");
        span.record(|record| record.text("http.request.method", call.method.as_str()));
        let traced = span.context().map(|context| mesh.traced(&context.traceparent()));
        let mesh = traced.as_ref().unwrap_or(mesh);
        let mut voters = self.seat.ask_next(self.node, &self.catalog());
        voters.sort_by_key(|voter| !self.seems_alive(*voter));
        for voter in voters {
            let answered = tokio::select! {
                answered = peer::api::carry(mesh, voter, call) => answered,
                () = self.gone(voter) => Err(CarryError::Lost { reason: format!("node {voter} is gone") }),
            };
            span.record(|record| record.number("skerry.peer", i64::try_from(voter.0).unwrap_or(i64::MAX)));
            match answered {
                Ok(answer) => {
                    self.seen(answer.revision).await;
                    return Ok(answer.response);
                }
                Err(error @ CarryError::Undone { .. }) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    /// Returns once a node that was asked as the leader is none any more, or gossip begins to doubt that it is alive: the
    /// transport would wait longer.
    async fn gone(&self, asked: NodeId) {
        let was_alive = self.seems_alive(asked);
        loop {
            tokio::time::sleep(GONE_EVERY).await;
            let leader = self.status().and_then(|status| status.leader);
            if leader.is_some_and(|leader| leader != asked) || (was_alive && !self.seems_alive(asked)) {
                return;
            }
        }
    }

    /// Whether gossip has no doubt about a node; it may not know it.
    fn seems_alive(&self, node: NodeId) -> bool {
        let is_alive = |members: Arc<Members>| members.state(node).is_none_or(|state| state.alive == Liveness::Alive);
        self.members().is_none_or(is_alive)
    }

    async fn seen(&self, revision: Revision) {
        let mut states = self.watch();
        let shown = states.wait_for(|catalog| catalog.revision() >= revision);
        if tokio::time::timeout(RECOVERY_PATIENCE, shown).await.is_err() {
            tracing::warn!(%revision, "this node does not show a change yet");
        }
    }

    /// Stops the mesh and raft; what was acknowledged is on disk already. A leader hands over first. Proposals in flight end
    /// as unknown.
    pub async fn shutdown(&self) {
        if *self.restart.borrow() {
            let (data_dir, shown) = (Arc::clone(&self.data_dir), self.catalog().revision());
            // It logs its own failures.
            let _ = tokio::task::spawn_blocking(move || handover::keep(&data_dir, shown)).await;
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
