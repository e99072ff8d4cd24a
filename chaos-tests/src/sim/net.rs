//! The network between voters, in memory.
//!
//! **Owns** which questions arrive, how late, and the lies that mutations tell. **Must not know** what voters do with them.
//! **Enter at** [`Net`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use skerry_control::raft::{Answer, Question, Raft, Transport, TransportError};
use skerry_proto::{
    id::NodeId,
    raft as pb,
    versioned::{self, Kind},
};

use super::record::Record;
use crate::rng::Rng;

/// All links.
pub(super) struct Net {
    nodes: Mutex<BTreeMap<NodeId, Raft>>,
    links: Mutex<Links>,
    lost: AtomicU64,
    pub(super) record: Arc<Mutex<Record>>,
}

/// What is wrong with the links now.
struct Links {
    cut: BTreeSet<(NodeId, NodeId)>,
    loss_percent: u64,
    delay_ms: u64,
    lie: Option<Lie>,
    rng: Rng,
}

/// A deliberate bug of the transport, which an invariant must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "mutations are made by tests"))]
pub(super) enum Lie {
    /// Log entries for everyone but this node count as taken without being delivered.
    Acknowledge { but: NodeId },
    /// The next command for this node arrives as an empty entry.
    Skip(NodeId),
}

/// One voter's end of it.
pub(super) struct End {
    pub(super) from: NodeId,
    pub(super) net: Arc<Net>,
}

/// What becomes of a question.
struct Fate {
    arrives: bool,
    answered: bool,
    delay: Duration,
}

impl Net {
    pub(super) fn new(seed: u64) -> Self {
        let links =
            Links { cut: BTreeSet::new(), loss_percent: 0, delay_ms: 0, lie: None, rng: Rng::new(seed ^ 0x006e_6574) };
        Self { nodes: Mutex::default(), links: Mutex::new(links), lost: AtomicU64::new(0), record: Arc::default() }
    }

    pub(super) fn plug(&self, node: NodeId, raft: Raft) {
        lock(&self.nodes).insert(node, raft);
    }

    pub(super) fn unplug(&self, node: NodeId) -> Option<Raft> {
        lock(&self.nodes).remove(&node)
    }

    /// Who is there.
    pub(super) fn nodes(&self) -> Vec<(NodeId, Raft)> {
        lock(&self.nodes).iter().map(|(node, raft)| (*node, raft.clone())).collect()
    }

    pub(super) fn node(&self, node: NodeId) -> Option<Raft> {
        lock(&self.nodes).get(&node).cloned()
    }

    pub(super) fn cut(&self, from: NodeId, to: NodeId) {
        lock(&self.links).cut.insert((from, to));
    }

    pub(super) fn disturb(&self, loss_percent: u64, delay_ms: u64) {
        let mut links = lock(&self.links);
        (links.loss_percent, links.delay_ms) = (loss_percent, delay_ms);
    }

    /// Only a test of the invariants lies.
    #[cfg_attr(not(test), expect(dead_code, reason = "mutations are made by tests"))]
    pub(super) fn lie(&self, lie: Option<Lie>) {
        lock(&self.links).lie = lie;
    }

    /// Nothing is wrong any more.
    pub(super) fn heal(&self) {
        let mut links = lock(&self.links);
        links.cut.clear();
        (links.loss_percent, links.delay_ms) = (0, 0);
    }

    /// Questions that were not answered because of the network.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn fate(&self, from: NodeId, to: NodeId) -> Fate {
        let mut links = lock(&self.links);
        let (loss, delay) = (links.loss_percent, links.delay_ms);
        let mut draw = |percent: u64| links.rng.below(100) < percent;
        let (there, back) = (draw(loss), draw(loss));
        let delay = Duration::from_millis(if delay == 0 { 0 } else { links.rng.below(delay + 1) });
        Fate {
            arrives: !there && !links.cut.contains(&(from, to)),
            answered: !back && !links.cut.contains(&(to, from)),
            delay,
        }
    }

    /// Whoever sends entries or heartbeats leads the term that it names.
    fn note(&self, from: NodeId, question: &Question) {
        let Question::Append(append) = question else { return };
        let leader = append.vote.as_ref().and_then(|vote| vote.leader_id.as_ref());
        if let Some(leader) = leader {
            lock(&self.record).leaders.entry(leader.term).or_default().insert(from);
        }
    }

    /// The question as it arrives, or the answer that a lie gives to it.
    fn bend(&self, to: NodeId, question: Question) -> Result<Question, Answer> {
        let mut links = lock(&self.links);
        match (links.lie, question) {
            (Some(Lie::Acknowledge { but }), Question::Append(_)) if but != to => {
                let result = Some(pb::append_answer::Result::Success(pb::Blank {}));
                Err(Answer::Append(pb::AppendAnswer { result }))
            }
            (Some(Lie::Skip(node)), Question::Append(mut append)) if node == to => {
                if append.entries.iter_mut().any(empty) {
                    links.lie = None;
                }
                Ok(Question::Append(append))
            }
            (_, question) => Ok(question),
        }
    }
}

/// Takes the command out of a log entry, if it has one.
fn empty(bytes: &mut bytes::Bytes) -> bool {
    let Ok(mut entry) = versioned::decode::<pb::Entry>(Kind::Entry, bytes) else { return false };
    if !matches!(entry.payload, Some(pb::entry::Payload::Command(_))) {
        return false;
    }
    entry.payload = Some(pb::entry::Payload::Blank(pb::Blank {}));
    *bytes = versioned::encode(Kind::Entry, &entry).into();
    true
}

#[async_trait::async_trait]
impl Transport for End {
    async fn ask(&self, to: NodeId, question: Question, within: Duration) -> Result<Answer, TransportError> {
        let lost = |reason: &str| TransportError::Lost { reason: reason.to_owned() };
        self.net.note(self.from, &question);
        let fate = self.net.fate(self.from, to);
        tokio::time::sleep(fate.delay).await;
        let peer = self.net.node(to);
        let (Some(peer), true) = (peer, fate.arrives) else {
            self.net.lost.fetch_add(1, Ordering::Relaxed);
            return Err(TransportError::Unreachable { reason: "cut".to_owned() });
        };
        let question = match self.net.bend(to, question) {
            Ok(question) => question,
            Err(answer) => return Ok(answer),
        };
        let answered = tokio::time::timeout(within, peer.answer(question)).await;
        if !fate.answered {
            self.net.lost.fetch_add(1, Ordering::Relaxed);
            return Err(lost("the answer is lost"));
        }
        answered.map_err(|elapsed| lost(&elapsed.to_string()))?.map_err(|error| lost(&error.to_string()))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
