//! The network between nodes, in memory.
//!
//! **Owns** what arrives, how late, what did not, and the lies that mutations tell. **Must not know** what nodes do with it.
//! **Enter at** [`Net`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    pub(super) record: Arc<Mutex<Record>>,
}

/// What is wrong with the links now.
struct Links {
    cut: BTreeSet<(NodeId, NodeId)>,
    loss_percent: u64,
    delay_ms: u64,
    /// Who gives wrong bytes when it is asked for code.
    liar: Option<NodeId>,
    /// Who was given them.
    deceived: BTreeSet<NodeId>,
    lie: Option<Lie>,
    rng: Rng,
    counts: Counts,
}

/// What the network did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Stopped by a cut.
    pub(super) cut: u64,
    /// Lost by chance.
    pub(super) lost: u64,
    /// Late.
    pub(super) late: u64,
    /// For a node that was down.
    pub(super) unheard: u64,
    /// Wrong bytes given for code.
    pub(super) lies: u64,
}

impl Counts {
    /// What has happened since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cut: self.cut - before.cut,
            lost: self.lost - before.lost,
            late: self.late - before.late,
            unheard: self.unheard - before.unheard,
            lies: self.lies - before.lies,
        }
    }
}

/// BOUND: how long it takes until something that was lost on a stream is sent again: some round trips of the simulation.
const REPEATED: Duration = Duration::from_millis(50);

/// A deliberate bug of the transport, which an invariant must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "mutations are made by tests"))]
pub(super) enum Lie {
    /// Log entries for everyone but this node count as taken without being delivered.
    Acknowledge { but: NodeId },
    /// The next command for this node arrives as an empty entry.
    Skip(NodeId),
    /// Deltas of the feed for this node arrive with another command in them.
    Corrupt(NodeId),
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
        let links = Links {
            cut: BTreeSet::new(),
            loss_percent: 0,
            delay_ms: 0,
            liar: None,
            deceived: BTreeSet::new(),
            lie: None,
            rng: Rng::new(seed ^ 0x006e_6574),
            counts: Counts::default(),
        };
        Self { nodes: Mutex::default(), links: Mutex::new(links), record: Arc::default() }
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

    /// This node gives wrong bytes for code from now on.
    pub(super) fn let_lie(&self, node: NodeId) {
        lock(&self.links).liar = Some(node);
    }

    /// Whether this node gives wrong bytes to one that asks it; each question counts as a lie told.
    pub(super) fn lies(&self, node: NodeId, to: NodeId) -> bool {
        let mut links = lock(&self.links);
        let lies = links.liar == Some(node);
        if lies {
            links.counts.lies += 1;
            links.deceived.insert(to);
        }
        lies
    }

    /// Whether a node was ever given wrong bytes.
    #[cfg(test)]
    pub(super) fn was_deceived(&self, node: NodeId) -> bool {
        lock(&self.links).deceived.contains(&node)
    }

    /// Whether what the feed sends to this node is changed on its way.
    pub(super) fn corrupts(&self, to: NodeId) -> bool {
        lock(&self.links).lie == Some(Lie::Corrupt(to))
    }

    /// Nothing is wrong any more.
    pub(super) fn heal(&self) {
        let mut links = lock(&self.links);
        links.cut.clear();
        links.liar = None;
        (links.loss_percent, links.delay_ms) = (0, 0);
    }

    /// What the network did so far.
    pub(super) fn counts(&self) -> Counts {
        lock(&self.links).counts
    }

    fn fate(&self, from: NodeId, to: NodeId) -> Fate {
        let mut links = lock(&self.links);
        let loss = links.loss_percent;
        let (there, back) = (links.draw(loss), links.draw(loss));
        let (is_cut, is_deaf) = (links.cut.contains(&(from, to)), links.cut.contains(&(to, from)));
        links.counts.cut += u64::from(is_cut || is_deaf);
        links.counts.lost += u64::from(!is_cut && !is_deaf && (there || back));
        Fate { arrives: !there && !is_cut, answered: !back && !is_deaf, delay: links.delay() }
    }

    /// How late something on a stream arrives, which repeats what is lost; `None` when nothing passes.
    pub(super) fn way(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        let mut links = lock(&self.links);
        if links.cut.contains(&(from, to)) {
            links.counts.cut += 1;
            return None;
        }
        let (loss, mut late) = (links.loss_percent, links.delay());
        while links.draw(loss) {
            links.counts.lost += 1;
            late += REPEATED;
        }
        Some(late)
    }

    /// Whether a question passes and is answered, for what is asked again when it is not.
    pub(super) fn carries(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        let fate = self.fate(from, to);
        (fate.arrives && fate.answered).then_some(fate.delay)
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

impl Links {
    fn draw(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn delay(&mut self) -> Duration {
        if self.delay_ms == 0 {
            return Duration::ZERO;
        }
        self.counts.late += 1;
        Duration::from_millis(self.rng.below(self.delay_ms + 1))
    }
}

/// Whoever sends entries or heartbeats leads the term that it names.
fn leader_of(question: &Question) -> Option<(u64, NodeId)> {
    let Question::Append(append) = question else { return None };
    let leader = append.vote.as_ref()?.leader_id.as_ref()?;
    Some((leader.term, NodeId(leader.node_id)))
}

/// Whether a voter takes the sender for its leader: it may lack entries, but has heard of no newer one.
fn accepts(answer: &Answer) -> bool {
    use pb::append_answer::Result::{Conflict, HigherVote, Partial, Success};
    let Answer::Append(pb::AppendAnswer { result: Some(result) }) = answer else { return false };
    match result {
        Success(_) | Partial(_) | Conflict(_) => true,
        HigherVote(_) => false,
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
        let fate = self.net.fate(self.from, to);
        tokio::time::sleep(fate.delay).await;
        let peer = self.net.node(to);
        let (Some(peer), true) = (peer, fate.arrives) else {
            lock(&self.net.links).counts.unheard += u64::from(fate.arrives);
            return Err(TransportError::Unreachable { reason: "cut".to_owned() });
        };
        let question = match self.net.bend(to, question) {
            Ok(question) => question,
            Err(answer) => return Ok(answer),
        };
        let leader = leader_of(&question);
        let answered = tokio::time::timeout(within, peer.answer(question)).await;
        if let (Some((term, leader)), Ok(Ok(answer))) = (leader, &answered)
            && accepts(answer)
        {
            lock(&self.net.record).follow(to, term, leader);
        }
        if !fate.answered {
            return Err(lost("the answer is lost"));
        }
        answered.map_err(|elapsed| lost(&elapsed.to_string()))?.map_err(|error| lost(&error.to_string()))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
