//! The connections that this node made.
//!
//! **Owns** which connection a call uses, and who waits for one. **Must not know** how a connection is made. **Enter at**
//! [`Links`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use quinn::{Connection, VarInt};
use skerry_proto::id::NodeId;
use tokio::sync::watch;

use super::{
    class::Class,
    code::CloseCode,
    dial::{Dial, Then},
    lifetime::{Facts, Fate, Rules, fate},
    tls::Credentials,
};
use crate::clock;

/// BOUND: replaced connections to one peer that still finish calls; more than that means that they do not end.
const REPLACED_MAX: usize = 4;

/// A connection that this node made. Whoever uses it holds it.
pub(super) struct Line {
    pub(super) connection: Connection,
    /// As the directory had it.
    pub(super) address: String,
    /// What this node showed.
    pub(super) credentials: Arc<Credentials>,
    /// When the first of the two certificates ends.
    pub(super) ends_ms: i64,
    pub(super) usage: Arc<Usage>,
}

/// When a connection was made and last used.
pub(super) struct Usage {
    made_at: Instant,
    used_after_ms: AtomicU64,
}

impl Usage {
    pub(super) fn new(now: Instant) -> Self {
        Self { made_at: now, used_after_ms: AtomicU64::new(0) }
    }

    pub(super) fn touch(&self, now: Instant) {
        let after_ms = now.saturating_duration_since(self.made_at).as_millis();
        self.used_after_ms.store(u64::try_from(after_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made_at)
    }

    fn unused_for(&self, now: Instant) -> Duration {
        self.age(now).saturating_sub(Duration::from_millis(self.used_after_ms.load(Ordering::Relaxed)))
    }
}

impl Line {
    pub(super) fn close(&self, code: CloseCode) {
        self.connection.close(VarInt::from_u32(code.number()), code.text().as_bytes());
    }
}

/// How an attempt ended: a connection, or why there is none. `None` while it runs.
pub(super) type Outcome = Option<Result<Arc<Line>, String>>;
pub(super) type Peer = (NodeId, Class);

/// What a caller has.
pub(super) enum Wanted {
    Use(Arc<Line>),
    Wait(watch::Receiver<Outcome>),
    Fail(String),
}

/// Every peer's connection.
#[derive(Default)]
pub(super) struct Links {
    table: Mutex<BTreeMap<Peer, Link>>,
}

struct Link {
    dial: Dial,
    line: Option<Arc<Line>>,
    replaced: Vec<Arc<Line>>,
    attempt: watch::Receiver<Outcome>,
    /// Why the last attempt failed.
    reason: String,
}

impl Links {
    /// A caller needs a connection. `Some`: the caller starts an attempt, which ends with [`Links::connected`] or
    /// [`Links::failed`].
    pub(super) fn want(&self, peer: Peer, now: Instant) -> (Wanted, Option<watch::Sender<Outcome>>) {
        let mut table = self.table();
        let link = table.entry(peer).or_insert_with(Link::new);
        // The task that watches it may not have run yet.
        if link.line.as_ref().is_some_and(|line| line.connection.close_reason().is_some()) {
            link.line = None;
            link.dial.lost(now);
        }
        let advice = link.dial.want(now);
        let attempt = advice.start.then(|| {
            let (sender, receiver) = watch::channel(None);
            link.attempt = receiver;
            sender
        });
        let wanted = match (advice.then, &link.line) {
            (Then::Use, Some(line)) => {
                line.usage.touch(now);
                Wanted::Use(Arc::clone(line))
            }
            (Then::Wait, _) => Wanted::Wait(link.attempt.clone()),
            (Then::Use | Then::Fail, _) => Wanted::Fail(link.reason.clone()),
        };
        (wanted, attempt)
    }

    /// An attempt made a connection.
    pub(super) fn connected(&self, peer: Peer, line: Line, attempt: watch::Sender<Outcome>) {
        let now = clock::monotonic();
        let line = Arc::new(line);
        {
            let mut table = self.table();
            let link = table.entry(peer).or_insert_with(Link::new);
            link.dial.connected(now);
            // Whoever waits has a receiver; one that is kept would keep the connection in use.
            link.attempt = no_attempt();
            link.replaced.extend(link.line.replace(Arc::clone(&line)));
            if link.replaced.len() > REPLACED_MAX {
                link.replaced.remove(0).close(CloseCode::Done);
            }
        }
        attempt.send_replace(Some(Ok(line)));
    }

    /// An attempt made none.
    pub(super) fn failed(&self, peer: Peer, reason: String, attempt: watch::Sender<Outcome>) {
        let now = clock::monotonic();
        if let Some(link) = self.table().get_mut(&peer) {
            link.dial.failed(now);
            link.reason.clone_from(&reason);
        }
        attempt.send_replace(Some(Err(reason)));
    }

    /// A connection is gone.
    pub(super) fn lost(&self, peer: Peer, stable_id: usize, reason: String) {
        let now = clock::monotonic();
        let mut table = self.table();
        let Some(link) = table.get_mut(&peer) else { return };
        link.replaced.retain(|line| line.connection.stable_id() != stable_id);
        if link.line.as_ref().is_some_and(|line| line.connection.stable_id() == stable_id) {
            link.line = None;
            link.dial.lost(now);
            link.reason = reason;
        }
    }

    /// The node called: it lives.
    pub(super) fn heard(&self, node: NodeId) {
        let mut table = self.table();
        table.range_mut((node, Class::Raft)..=(node, Class::Join)).for_each(|(_, link)| link.dial.heard());
    }

    /// Every connection should be replaced. Returns the peers that have one.
    pub(super) fn outdate(&self) -> Vec<Peer> {
        let mut table = self.table();
        let connected = table.iter_mut().filter(|(_, link)| link.line.is_some());
        connected.map(|(peer, link)| (link.dial.outdated(), *peer).1).collect()
    }

    /// Closes what should not be kept. Returns the peers whose connection should be replaced. `is_current` says whether
    /// a connection was made to the right address with the right certificate.
    pub(super) fn sweep(
        &self,
        rules: Rules,
        is_member: impl Fn(NodeId) -> bool,
        is_current: impl Fn(NodeId, &Line) -> bool,
    ) -> Vec<Peer> {
        let (now, now_ms) = (clock::monotonic(), clock::unix_ms());
        let (mut outdated, mut gone) = (Vec::new(), Vec::new());
        let mut table = self.table();
        for (peer, link) in table.iter_mut() {
            let is_member = is_member(peer.0);
            let facts = |line: &Arc<Line>, is_replaced: bool| Facts {
                is_member,
                is_outdated: !is_replaced && !is_current(peer.0, line),
                is_replaced,
                // Connections are given out under the lock that is held here.
                is_busy: Arc::strong_count(line) > 1,
                ends_in_ms: line.ends_ms - now_ms,
                age: line.usage.age(now),
                unused_for: line.usage.unused_for(now),
            };
            match link.line.as_ref().map(|line| fate(facts(line, false), rules)) {
                None | Some(Fate::Keep) => {}
                Some(Fate::Replace) => {
                    link.dial.outdated();
                    outdated.push(*peer);
                }
                Some(Fate::Close(code)) => {
                    link.line.take().iter().for_each(|line| line.close(code));
                    link.dial.closed();
                }
            }
            link.replaced.retain(|line| match fate(facts(line, true), rules) {
                Fate::Close(code) => (line.close(code), false).1,
                Fate::Keep | Fate::Replace => true,
            });
            if !is_member {
                gone.push(*peer);
            }
        }
        gone.iter().for_each(|peer| drop(table.remove(peer)));
        outdated
    }

    /// The connection to a peer, if there is one, without asking for it.
    pub(super) fn line(&self, peer: Peer) -> Option<Arc<Line>> {
        let table = self.table();
        let line = table.get(&peer)?.line.as_ref()?;
        line.connection.close_reason().is_none().then(|| Arc::clone(line))
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<Peer, Link>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn new() -> Self {
        Self { dial: Dial::new(), line: None, replaced: Vec::new(), attempt: no_attempt(), reason: String::new() }
    }
}

fn no_attempt() -> watch::Receiver<Outcome> {
    watch::channel(None).1
}
