//! The parts of a node, from the bottom up.
//!
//! **Owns** the order in which they start, on a voter and on an edge. **Must not know** what they do. **Enter at**
//! [`start`].

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use axum::Router;
use skerry_proto::{
    id::{NodeId, Revision},
    mesh::Method,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Control, FOUNDER, RECOVERY_PATIENCE, found, held, introduce,
    live::{self, LiveTimes},
    watchers,
};
use crate::{
    bundles::Bundles,
    catalog::{Catalog, NodeRole},
    config::{ControlConfig, MeshSettings},
    error::BuildError,
    feed::{Feed, FeedConfig, FeedHandle, Role},
    gossip::{Gossip, GossipConfig, GossipDeps, GossipHandle},
    handover,
    mesh::{Mesh, MeshConfig, NodeIdentity},
    peer::{
        self,
        api::ApiService,
        book::Book,
        bundles::{BundleService, Copier, MeshSource},
        feed::{FeedService, MeshDial},
        gossip::{MeshDatagrams, roster},
        join::JoinService,
        keys::KeysService,
        kv::{self, Keeper, KvService},
        propose::{ProposeService, Proposer},
        raft::{MeshTransport, RaftService},
        renew::{self, RenewService, Renewal},
        role::RoleService,
        sight::Sight,
        tails::TailService,
        trust::TrustService,
    },
    raft::{Raft, RaftConfig},
    reconcile,
    rotation::{self, Rotation, Rotator},
    seal::{KeyFile, Sealer, WhenMissing},
    seat::Seat,
    state::{Head, States},
    tails::Tails,
    task,
    trace::Tracer,
    turn::Turns,
    voters,
};

/// How often the leader is heard of.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// BOUND: how long a node that has just joined waits for its first catalog: a leader that is elected meanwhile, and a
/// snapshot.
const FIRST_CATALOG_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts what an identity says this node is; without one, the founder of a cluster, or a node that stays alone.
pub(super) async fn start(
    config: &ControlConfig,
    identity: Option<NodeIdentity>,
    seat: Seat,
) -> Result<Control, BuildError> {
    let mut base = Base::start(config, identity.as_ref(), seat).await?;
    let (identity, founded) = match identity {
        Some(identity) => (Some(identity), None),
        None => {
            let raft = base.voter()?;
            let sealer = found::cluster(config, &raft).await?;
            let identity = match &config.mesh {
                Some(settings) => Some(found::identity(config, settings, &raft).await?),
                None => None,
            };
            (identity, Some(sealer))
        }
    };
    let bundles = Bundles::open(&config.data_dir, config.bundle_bytes_max);
    let bundles = bundles.map_err(|source| BuildError::io(&config.data_dir, source))?;
    let sealer = match founded {
        Some(sealer) => sealer,
        None => Sealer::open_key(&config.data_dir, KeyFile::Cluster, WhenMissing::Fail)?,
    };
    let parts = Parts::new(config, &base, bundles, sealer);
    let mut tasks = parts.tasks(config, &base);
    let connected = match (&config.mesh, identity) {
        (Some(settings), Some(identity)) => {
            Some(parts.connect(config, settings, identity, (&mut base, &mut tasks)).await?)
        }
        (None, Some(_)) => return Err(BuildError::NoMesh),
        (_, None) => None,
    };
    catch_up(config, &base).await?;
    tasks.extend(parts.keepers(&base));
    Ok(parts.control(config, base, connected, tasks))
}

/// Returns once this node has what it can know was agreed.
async fn catch_up(config: &ControlConfig, base: &Base) -> Result<(), BuildError> {
    if let Some(raft) = base.seat.raft()
        && !raft.recover(RECOVERY_PATIENCE).await?
    {
        let revision = raft.catalog().revision();
        tracing::warn!(%revision, "the other voters do not answer; this node serves what it has");
    }
    first_catalog(&base.states).await?;
    if let Some(raft) = base.seat.raft() {
        handover::forget_edge(&config.data_dir, raft.status().applied_index.map(Revision)).await;
    }
    let reached = handover::reach(&config.data_dir, &base.states, handover::PATIENCE).await;
    reached.map_err(|source| BuildError::io(&config.data_dir, source))?;
    check_level(config, base.states.catalog().feature_level())?;
    found::write_ca(&config.data_dir, &base.states.catalog())
}

/// Fails when a cluster relies on what this node does not know.
pub(super) fn check_level(config: &ControlConfig, cluster: u32) -> Result<(), BuildError> {
    let known = config.feature_level;
    if known >= cluster { Ok(()) } else { Err(BuildError::OldBuild { cluster, known }) }
}

/// Waits until there is a catalog; only a node that has just joined has none.
async fn first_catalog(states: &States) -> Result<(), BuildError> {
    let mut states = states.watch();
    let first = states.wait_for(|catalog| catalog.cluster().is_some());
    match tokio::time::timeout(FIRST_CATALOG_TIMEOUT, first).await {
        Ok(_) => Ok(()),
        Err(_) => Err(BuildError::NoCatalog { waited_s: FIRST_CATALOG_TIMEOUT.as_secs() }),
    }
}

/// What brings the catalog to this node.
struct Base {
    node: NodeId,
    seat: Seat,
    sight: Sight,
    states: Arc<States>,
    proposer: Proposer,
    mesh: Arc<OnceLock<Mesh>>,
    transport: Arc<MeshTransport>,
    dial: Arc<MeshDial>,
    /// On an edge; a voter's feed only publishes, and starts with the mesh.
    follower: Option<Feed>,
}

impl Base {
    async fn start(config: &ControlConfig, identity: Option<&NodeIdentity>, seat: Seat) -> Result<Self, BuildError> {
        let node = identity.map_or(FOUNDER, |identity| identity.node);
        let mesh: Arc<OnceLock<Mesh>> = Arc::default();
        let transport = Arc::new(MeshTransport::default());
        let voter = NodeRole::Voter.as_str();
        let known = identity.map(|identity| &identity.members[..]).unwrap_or_default();
        let sight = Sight { seat: seat.clone(), ..Sight::default() };
        let dial = Arc::new(MeshDial {
            node,
            mesh: Arc::clone(&mesh),
            states: OnceLock::new(),
            members: Arc::clone(&sight.members),
            remembered: known.iter().map(|member| (NodeId(member.node_id), member.role == voter)).collect(),
        });
        let (states, follower) = match identity {
            Some(identity) if identity.role != voter => {
                handover::from_voter(&config.data_dir).await;
                let feed = FeedConfig { data_dir: config.data_dir.clone(), node };
                let feed = Feed::build(feed, Role::Edge, dial.clone()).await?;
                (feed.states(), Some(feed))
            }
            _ => {
                let states = Arc::new(States::new(handover::of_edge(&config.data_dir).await));
                let raft = Raft::start(raft_config(config, node), Arc::clone(&states), transport.clone()).await?;
                seat.take(raft);
                (states, None)
            }
        };
        // Both are set once, here.
        let _ = dial.states.set(Arc::clone(&states));
        let within = config.propose_timeout;
        let (seat_of_proposer, states_of_proposer) = (seat.clone(), Arc::clone(&states));
        let proposer =
            Proposer { node, seat: seat_of_proposer, mesh: Arc::clone(&mesh), states: states_of_proposer, within };
        Ok(Self { node, seat, sight, states, proposer, mesh, transport, dial, follower })
    }

    /// Raft on a node that founds a cluster, which always votes.
    fn voter(&self) -> Result<Arc<Raft>, BuildError> {
        self.seat.raft().ok_or(BuildError::Raft { reason: "the founder of a cluster votes".to_owned() })
    }

    /// What a voter's data plane serves instead of the newest state, and up to which revision, after two crashes.
    async fn held(&self, config: &ControlConfig, feed: &mut Feed) -> Option<(Head, Revision)> {
        let ((served, until), raft) = (feed.held()?, self.seat.raft()?);
        match raft.state_at(&config.data_dir, served).await {
            Ok(Some(head)) => {
                tracing::error!(%served, %until, "this node crashed twice with what came after a revision; it serves that one again");
                Some((head, until))
            }
            Ok(None) => {
                tracing::error!(%served, "this node crashed twice with what came after a revision, and no longer has that one");
                feed.hold_nothing();
                None
            }
            Err(error) => {
                tracing::error!(%served, %error, "this node crashed twice, and what it served before can not be read");
                feed.hold_nothing();
                None
            }
        }
    }

    async fn feed(&mut self, config: &ControlConfig) -> Result<Feed, BuildError> {
        match self.follower.take() {
            Some(feed) => Ok(feed),
            None => {
                let leadership = Arc::new(watchers::Leadership::new(self.seat.clone()));
                let agreed = self.voter()?.agreed().await;
                let agreed = agreed.map_err(|source| BuildError::io(&config.data_dir, source))?;
                let role = Role::Voter { states: Arc::clone(&self.states), leadership, agreed };
                let feed = FeedConfig { data_dir: config.data_dir.clone(), node: self.node };
                Feed::build(feed, role, self.dial.clone()).await
            }
        }
    }
}

fn raft_config(config: &ControlConfig, node: NodeId) -> RaftConfig {
    RaftConfig {
        data_dir: config.data_dir.clone(),
        node,
        propose_timeout: config.propose_timeout,
        logs_per_snapshot: config.logs_per_snapshot,
        heartbeat: HEARTBEAT,
    }
}

/// What stands beside the catalog.
struct Parts {
    bundles: Bundles,
    sealer: Sealer,
    api: Arc<ArcSwapOption<Router>>,
    live: LiveTimes,
    restart: watch::Sender<bool>,
    keeper: Arc<Keeper>,
    tails: Arc<OnceLock<Arc<dyn Tails>>>,
    stopping: CancellationToken,
    /// On nodes that may vote.
    rotation: watch::Sender<Option<Rotation>>,
}

/// What a node with a mesh has.
struct Connected {
    mesh: Mesh,
    feed: FeedHandle,
    gossip: GossipHandle,
    /// On nodes that may vote.
    authority: Option<Sealer>,
    /// What the data plane serves.
    plane: watch::Receiver<Arc<Catalog>>,
}

impl Parts {
    fn new(config: &ControlConfig, base: &Base, bundles: Bundles, sealer: Sealer) -> Self {
        Self {
            bundles,
            sealer,
            api: Arc::default(),
            live: LiveTimes::default(),
            restart: watch::Sender::new(false),
            keeper: Arc::new(Keeper::new(base.node, Arc::clone(&base.states), &config.data_dir)),
            tails: Arc::default(),
            stopping: CancellationToken::new(),
            rotation: watch::Sender::new(None),
        }
    }

    /// The handle of it all.
    fn control(
        self,
        config: &ControlConfig,
        base: Base,
        connected: Option<Connected>,
        tasks: Vec<JoinHandle<()>>,
    ) -> Control {
        let Base { node, seat, sight, states, .. } = base;
        let Self { bundles, sealer, api, live, restart, keeper, tails, stopping, rotation } = self;
        let plane = connected.as_ref().map_or_else(|| states.watch(), |connected| connected.plane.clone());
        let (mesh, feed, gossip, authority) = match connected {
            Some(Connected { mesh, feed, gossip, authority, .. }) => (Some(mesh), Some(feed), Some(gossip), authority),
            None => (None, None, None, None),
        };
        Control {
            node,
            plane,
            data_dir: Arc::from(&*config.data_dir),
            seat,
            sight,
            states,
            bundles,
            sealer,
            copier: mesh.clone().map(Copier::new),
            mesh,
            feed,
            gossip,
            api,
            live,
            restart,
            keeper,
            tails,
            listeners: peer::tails::listeners(),
            tracer: config.tracer.clone(),
            stopping,
            tasks: tasks.into(),
            authority,
            rotation: rotation.subscribe(),
        }
    }

    fn tasks(&self, config: &ControlConfig, base: &Base) -> Vec<JoinHandle<()>> {
        let (seat, states) = (base.seat.clone(), Arc::clone(&base.states));
        let certificates =
            reconcile::run(seat.clone(), Arc::clone(&states), self.sealer.clone(), config.node_name.clone());
        vec![
            task::spawn("certificates", certificates),
            task::spawn("kv sweep", kv::sweep::run(Arc::clone(&self.keeper))),
            task::spawn("voters", voters::run(seat, states)),
        ]
    }

    /// What keeps the bundles that the catalog names: not before there is one.
    fn keepers(&self, base: &Base) -> [JoinHandle<()>; 2] {
        let (node, states, bundles) = (base.node, Arc::clone(&base.states), self.bundles.clone());
        let sweep = reconcile::sweep::run(node, base.seat.clone(), Arc::clone(&states), bundles.clone());
        let stock = reconcile::stock::run(node, states, bundles);
        [task::spawn("bundle sweep", sweep), task::spawn("bundle stock", stock)]
    }

    /// Opens the mesh, answers on it, and lets feed and gossip use it.
    async fn connect(
        &self,
        config: &ControlConfig,
        settings: &MeshSettings,
        identity: NodeIdentity,
        (base, tasks): (&mut Base, &mut Vec<JoinHandle<()>>),
    ) -> Result<Connected, BuildError> {
        let book = Arc::new(Book::new(Arc::clone(&base.states), &identity.members));
        let authority = match identity.role == NodeRole::Voter.as_str() {
            true => Some(Sealer::open_key(&config.data_dir, KeyFile::Authority, WhenMissing::Fail)?),
            false => None,
        };
        let mut feed = base.feed(config).await?;
        let plane = held::plane(&base.states, base.held(config, &mut feed).await);
        let mesh = Mesh::build(MeshConfig::new(settings.listen), identity.clone(), book)?;
        let (handle, stopping) = (feed.handle(), self.stopping.clone());
        self.serve(&mesh, authority.clone(), base, (handle.clone(), &config.tracer));
        // Set once, here.
        let _ = base.mesh.set(mesh.clone());
        base.transport.connect(mesh.clone());
        tasks.push(task::spawn("feed", feed.run(async move { stopping.cancelled().await })));
        let gossip = self.gossip(config, &mesh, base, tasks)?;
        let _ = base.sight.members.set(gossip.members());
        let (proposer, data_dir) = (base.proposer.clone(), config.data_dir.clone());
        let restart = self.restart.clone();
        let renewal = Renewal {
            data_dir,
            identity,
            mesh: mesh.clone(),
            proposer: proposer.clone(),
            authority: authority.clone(),
            restart,
        };
        let rotator = Rotator {
            seat: base.seat.clone(),
            mesh: mesh.clone(),
            name: config.node_name.clone(),
            progress: self.rotation.clone(),
        };
        tasks.push(task::spawn("authority rotation", rotation::run(rotator)));
        let introduction = introduce::Introduction::new(config, settings);
        tasks.push(task::spawn("certificate renewal", renew::run(renewal)));
        tasks.push(task::spawn("introduction", introduce::run(proposer, introduction)));
        let measure = live::measure(base.seat.clone(), Arc::clone(&base.states), handle.clone(), self.live.clone());
        tasks.push(task::spawn("commit to live", measure));
        let members = watchers::members(Arc::clone(&base.states), handle.clone());
        tasks.push(task::spawn("feed members", members));
        Ok(Connected { mesh, feed: handle, gossip, authority, plane })
    }

    fn gossip(
        &self,
        config: &ControlConfig,
        mesh: &Mesh,
        base: &Base,
        tasks: &mut Vec<JoinHandle<()>>,
    ) -> Result<GossipHandle, BuildError> {
        let (tell, told) = watch::channel(roster(&base.states.catalog()));
        let settings = GossipConfig {
            node: base.node,
            data_dir: config.data_dir.clone(),
            feature_level: config.feature_level,
            version: introduce::BUILD.to_owned(),
        };
        let datagrams = Arc::new(MeshDatagrams { mesh: mesh.clone() });
        let gossip = Gossip::build(settings, GossipDeps { datagrams, inbox: mesh.datagrams(), roster: told })?;
        let handle = gossip.handle();
        tasks.push(task::spawn("gossip", gossip.run(self.stopping.clone())));
        tasks.push(task::spawn("gossip roster", watchers::roster(Arc::clone(&base.states), tell)));
        Ok(handle)
    }

    fn serve(&self, mesh: &Mesh, authority: Option<Sealer>, base: &Base, (feed, tracer): (FeedHandle, &Tracer)) {
        let (seat, states, proposer) = (base.seat.clone(), Arc::clone(&base.states), base.proposer.clone());
        let raft = Arc::new(RaftService { seat: seat.clone() });
        let bundles = Arc::new(BundleService { bundles: self.bundles.clone(), states: Arc::clone(&states) });
        self.bundles.fetch_from(Arc::new(MeshSource { mesh: mesh.clone(), states: Arc::clone(&states) }));
        let sealer = self.sealer.clone();
        let join = JoinService { proposer: proposer.clone(), sealer, authority: authority.clone() };
        let role = RoleService { seat: seat.clone(), states: Arc::clone(&states) };
        let (sight, api) = (base.sight.clone(), Arc::clone(&self.api));
        let api = ApiService { sight, mesh: mesh.clone(), states, api, turns: Turns::default() };
        mesh.serve(peer::services(peer::raft::methods(&raft)));
        mesh.serve(peer::services(peer::bundles::methods(&bundles)));
        mesh.serve(peer::services(peer::holdings::methods(&self.bundles)));
        mesh.serve(peer::services([
            (Method::Propose, Arc::new(ProposeService { seat })),
            (Method::Join, Arc::new(join)),
            (Method::Renew, Arc::new(RenewService { proposer: proposer.clone(), authority: authority.clone() })),
            (Method::VoterKeys, Arc::new(KeysService { proposer, authority })),
            (Method::Trust, Arc::new(TrustService { mesh: mesh.clone() })),
            (Method::Role, Arc::new(role)),
            (Method::ApiForward, Arc::new(api)),
            (Method::FeedSubscribe, Arc::new(FeedService { feed })),
            (Method::Tail, Arc::new(TailService::new(Arc::clone(&self.tails)))),
            (Method::Kv, Arc::new(KvService::new(Arc::clone(&self.keeper), tracer.clone()))),
        ]));
    }
}
