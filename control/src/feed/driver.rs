//! Runs a node's relay on real links, a real disk and a real clock.
//!
//! **Owns** the sockets' and the disk's tasks. **Must not know** what to do next: `Relay` does. **Enter at**
//! [`Feed::build`].
//!
//! One task owns the relay. It never waits for a link or the disk: links have queues of a bounded size that the relay
//! counts, the disk has a thread, and what takes long (encoding and opening snapshots) runs beside it and comes back as an
//! event.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::Future,
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    acks::{Acks, Refusal},
    follow::{self, Follower, UpstreamId},
    handle::{FeedHandle, FeedStatus, Plane, SubscriberStatus, UpstreamStatus},
    limits::{ACKS_ONLY_MAX, DEPTH_MAX, SUBSCRIBERS_MAX, TICK, WINDOW},
    link::Dial,
    message::{Down, Up},
    publish::{self, Publisher, Snapshot, SubscriberId},
    quarantine::{self, Boot, Settling, Start},
    relay::{Action, Input, Relay},
    rules::{CatalogRules, Rules, position},
    store::{self, Limit, Progress, Store},
    uplink::Uplink,
};
pub use crate::error::BuildError;
use crate::{
    catalog::wire::encode_catalog,
    clock,
    state::{Head, States},
    store::{create_folder, remove_unfinished},
    task,
};

pub(super) mod pump;
mod work;

/// BOUND: events that wait for the driver; each link adds a few, and then waits.
const EVENTS: usize = 1024;

/// What the feed is told when it starts.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// The node's directory; the feed's own part is `feed/` in it.
    pub data_dir: PathBuf,
    /// This node.
    pub node: NodeId,
}

/// How this node comes to its state.
#[derive(Clone)]
pub enum Role {
    /// By the feed, which is then the only writer of [`Feed::states`].
    Edge,
    /// By raft.
    Voter {
        /// Raft writes them; the feed only publishes them.
        states: Arc<States>,
        /// To whom acknowledgements go.
        leadership: Arc<dyn Leadership>,
        /// Up to which revision this node may have shown what raft agreed on before it started.
        agreed: Revision,
    },
}

/// What a voter knows about the leader.
pub trait Leadership: Send + Sync {
    /// Who leads, as far as this node knows; maybe this node.
    fn leader(&self) -> Option<NodeId>;

    /// How long ago this node's state was known to be the newest: since the leader was last heard from, or, on the leader,
    /// since a quorum was. Subscribers look for a fresher node after three seconds.
    fn age(&self) -> Duration;
}

/// One node's feed, built and not yet running.
pub struct Feed {
    relay: Relay,
    states: Arc<States>,
    leadership: Option<Arc<dyn Leadership>>,
    dial: Arc<dyn Dial>,
    rules: Arc<dyn Rules>,
    store: Option<Store>,
    folder: PathBuf,
    journal: Vec<Boot>,
    settling: Settling,
    /// On a voter: what its data plane serves instead of the newest state, and up to which revision.
    held: Option<(Revision, Refusal)>,
    /// A task that writes to `folder` beside the store.
    writing: Option<JoinHandle<()>>,
    snapshotting: bool,
    upstreams: HashMap<UpstreamId, mpsc::Sender<Bytes>>,
    subscribers: HashMap<SubscriberId, mpsc::Sender<Bytes>>,
    /// What came of actions at once: a link that took nothing, a disk that takes nothing.
    consequences: VecDeque<Input>,
    /// The delta that was encoded last: it goes to every subscriber.
    encoded: Option<(Revision, Bytes)>,
    events: mpsc::Receiver<Event>,
    plane: watch::Receiver<Plane>,
    acks: watch::Sender<Acks>,
    handle: FeedHandle,
    tick_at: Instant,
}

/// What happens to the driver.
#[derive(Debug)]
pub(super) enum Event {
    Connected(UpstreamId),
    Received(UpstreamId, Down),
    UpstreamGone(UpstreamId),
    Arrived(SubscriberId, NodeId, mpsc::Sender<Bytes>),
    Asked(SubscriberId, Up),
    Sent(SubscriberId),
    SubscriberGone(SubscriberId),
    Opened(UpstreamId, Result<Head, String>),
    Encoded(Snapshot),
    NotEncoded,
    Snapshotted(io::Result<()>),
    Members(BTreeSet<NodeId>),
}

impl Feed {
    /// Opens the node's own copy, and decides whether its newest revision is to be trusted. The boot journal counts this
    /// start.
    pub async fn build(config: FeedConfig, role: Role, dial: Arc<dyn Dial>) -> Result<Self, BuildError> {
        let folder = config.data_dir.join("feed");
        let rules = Arc::new(CatalogRules);
        let (path, opening_rules) = (folder.clone(), Arc::clone(&rules));
        let agreed = match &role {
            Role::Edge => None,
            Role::Voter { agreed, .. } => Some(*agreed),
        };
        let opened = tokio::task::spawn_blocking(move || work::open(&path, agreed, opening_rules.as_ref()));
        let opened = opened.await.map_err(io::Error::from).and_then(|opened| opened);
        let mut opened = opened.map_err(|source| BuildError::Io { path: folder.display().to_string(), source })?;
        let now = clock::monotonic();
        let (states, leadership) = match role {
            Role::Edge => {
                let entries = std::mem::take(&mut opened.entries);
                (Arc::new(States::with_tail(opened.head.clone(), entries)), None)
            }
            Role::Voter { states, leadership, .. } => (states, Some(leadership)),
        };
        let publisher = work::publisher(now, config.node, &states, &opened);
        let relay = if leadership.is_none() {
            Relay::edge(publisher, work::follower(now, config.node, Arc::clone(&rules) as Arc<dyn Rules>, &opened))
        } else {
            Relay::voter(publisher, Uplink::new(now, config.node))
        };
        let (sender, events) = mpsc::channel(EVENTS);
        let (plane_sender, plane) = watch::channel(Plane::default());
        let (acks, acks_receiver) = watch::channel(Acks::default());
        let handle = FeedHandle {
            events: sender,
            plane: Arc::new(plane_sender),
            acks: acks_receiver,
            status: Arc::new(ArcSwap::default()),
            next_subscriber: Arc::new(AtomicU64::new(1)),
        };
        let settling = Settling::new(now, work::begins_at(&opened, agreed));
        let held = opened.start.held().filter(|_| leadership.is_some());
        Ok(Self {
            relay,
            states,
            leadership,
            dial,
            rules,
            store: opened.store,
            folder,
            journal: opened.journal,
            settling,
            held,
            writing: None,
            snapshotting: false,
            upstreams: HashMap::new(),
            subscribers: HashMap::new(),
            consequences: VecDeque::new(),
            encoded: None,
            events,
            plane,
            acks,
            handle,
            tick_at: now,
        })
    }

    /// The newest state and the tail: what raft writes on a voter, and the feed elsewhere.
    #[must_use]
    pub fn states(&self) -> Arc<States> {
        Arc::clone(&self.states)
    }

    /// On a voter: the revision that its data plane is to serve, since what came after it has made this node crash twice, and
    /// the last of what it is not to serve.
    #[must_use]
    pub fn held(&self) -> Option<(Revision, Revision)> {
        self.held.as_ref().map(|(served, refusal)| (*served, refusal.revision))
    }

    /// There is no older state to serve: a suspect one is better than none.
    pub fn hold_nothing(&mut self) {
        if self.held.take().is_some() {
            self.tell(Input::Down(publish::Input::Accepted));
        }
    }

    /// The door for the rest of the node.
    #[must_use]
    pub fn handle(&self) -> FeedHandle {
        self.handle.clone()
    }

    /// Runs until `shutdown` is ready; then everything that was persisted stays, and the journal says that this was no
    /// crash.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut heads = self.states.watch_heads();
        let mut progress = self.store.as_ref().map_or_else(|| watch::channel(Progress::default()).1, Store::progress);
        let (mut failures, has_store) = (0, self.store.is_some());
        let mut plane = self.plane.clone();
        loop {
            let mut due = self.relay.next_timeout().min(self.tick_at);
            due = self.settling.next_timeout().map_or(due, |settles| due.min(settles));
            tokio::select! {
                () = &mut shutdown => break,
                Some(event) = self.events.recv() => self.event(event),
                Ok(()) = heads.changed(), if self.leadership.is_some() => self.raft_advanced(),
                Ok(()) = progress.changed(), if has_store => {
                    let seen = progress.borrow_and_update().clone();
                    self.disk(seen, &mut failures);
                }
                Ok(()) = plane.changed() => {
                    let said = plane.borrow_and_update().clone();
                    self.shown(said);
                }
                () = tokio::time::sleep_until(due.into()) => self.timeout(),
            }
        }
        self.stop().await;
    }

    async fn stop(mut self) {
        (self.upstreams, self.subscribers) = (HashMap::new(), HashMap::new());
        self.events.close();
        if let Some(store) = self.store.take() {
            store.close().await;
        }
        if let Some(writing) = self.writing.take() {
            // It logs its own failures.
            let _ = writing.await;
        }
        if let Some(boot) = self.journal.last_mut() {
            boot.clean = true;
        }
        self.write_journal();
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
    }

    fn event(&mut self, event: Event) {
        let input = match event {
            Event::Connected(id) => Input::Up(follow::Input::Connected(id)),
            Event::Received(id, message) => Input::Up(follow::Input::Received(id, message)),
            Event::UpstreamGone(id) => {
                self.upstreams.remove(&id);
                Input::Up(follow::Input::Closed(id))
            }
            Event::Opened(id, opened) => Input::Up(follow::Input::Opened(id, opened)),
            Event::Arrived(id, node, frames) => {
                // More than that are no subscribers that anybody could serve.
                if self.subscribers.len() >= 2 * SUBSCRIBERS_MAX + ACKS_ONLY_MAX {
                    return;
                }
                self.subscribers.insert(id, frames);
                Input::Down(publish::Input::Arrived(id, node))
            }
            Event::Asked(id, message) => Input::Down(publish::Input::Received(id, message)),
            Event::Sent(id) => Input::Down(publish::Input::Sent(id)),
            Event::SubscriberGone(id) => {
                self.subscribers.remove(&id);
                Input::Down(publish::Input::Closed(id))
            }
            Event::Encoded(snapshot) => Input::Down(publish::Input::Encoded(Arc::new(snapshot))),
            Event::NotEncoded => Input::Down(publish::Input::NotEncoded),
            Event::Members(members) => Input::Down(publish::Input::Members(members)),
            Event::Snapshotted(written) => return self.snapshotted(written),
        };
        self.tell(input);
    }

    /// Gives the relay an input and does what it wants.
    fn tell(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            let mut actions = Vec::new();
            self.relay.handle(clock::monotonic(), input, &mut actions);
            for action in actions {
                match action {
                    Action::Up(action) => self.up(action),
                    Action::Down(action) => self.down(action),
                }
            }
            next = self.consequences.pop_front();
        }
        self.acks.send_if_modified(|seen| {
            let acks = self.relay.publisher().acks();
            let newer = acks.changes() > seen.changes();
            if newer {
                *seen = acks.clone();
            }
            newer
        });
    }

    fn shown(&mut self, said: Plane) {
        let is_over = |(_, refusal): &mut (Revision, Refusal)| said.shown > refusal.revision;
        if self.held.take_if(is_over).is_some() {
            self.tell(Input::Down(publish::Input::Accepted));
        }
        self.tell(Input::Down(publish::Input::Plane(said.shown, said.refused)));
    }

    fn raft_advanced(&mut self) {
        let head = self.relay.publisher().head();
        let input = match self.states.since(head.revision) {
            Some(entries) => publish::Input::Advanced(entries),
            None => publish::Input::Replaced(position(&self.states.head())),
        };
        self.tell(Input::Down(input));
    }

    fn disk(&mut self, seen: Progress, failures: &mut u64) {
        self.tell(Input::Up(follow::Input::Persisted(seen.persisted)));
        if seen.failures > *failures {
            *failures = seen.failures;
            self.tell(Input::Up(follow::Input::NotPersisted(seen.failure)));
        }
        if seen.snapshot_due && !self.snapshotting {
            self.snapshotting = true;
            self.snapshot();
        }
    }

    fn timeout(&mut self) {
        let now = clock::monotonic();
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            let input = match &self.leadership {
                None => Input::Up(follow::Input::Candidates(self.dial.candidates(), self.dial.newest())),
                Some(leads) => Input::Leads(leads.leader(), now.checked_sub(leads.age()).unwrap_or(now)),
            };
            self.tell(input);
            self.handle.status.store(Arc::new(self.status(now)));
        }
        // A voter's states are raft's, which its data plane may not show.
        let is_voter = self.leadership.is_some();
        let served = if is_voter { self.plane.borrow().shown } else { self.states.catalog().revision() };
        self.settling.serve(now, served);
        if let Some(settled) = self.settling.settle(now)
            && let Some(boot) = self.journal.last_mut()
            && settled > boot.settled
        {
            boot.settled = settled;
            self.write_journal();
        }
        if now >= self.relay.next_timeout() {
            self.tell(Input::Timeout);
        }
    }

    fn status(&self, now: Instant) -> FeedStatus {
        let (publisher, revision) = (self.relay.publisher(), self.states.catalog().revision());
        let standing = publisher.standing();
        let upstreams: Vec<_> = self.relay.follower().map_or_else(Vec::new, |follower| {
            let all = follower.upstreams(now);
            all.map(|(node, revision, depth, age)| UpstreamStatus { node, revision, depth, age }).collect()
        });
        let newest = upstreams.iter().filter_map(|upstream| upstream.revision).max().unwrap_or(revision);
        let subscribers = publisher.subscribers();
        FeedStatus {
            revision,
            lag: newest.0.saturating_sub(revision.0),
            depth: (standing.depth <= DEPTH_MAX).then_some(standing.depth),
            age: standing.fresh_at.map(|fresh_at| now.saturating_duration_since(fresh_at)),
            upstreams,
            subscribers: subscribers.map(|(node, position)| SubscriberStatus { node, position }).collect(),
            held: self.relay.follower().and_then(Follower::held),
        }
    }
}
