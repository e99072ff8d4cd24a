//! Pure. What every node serves and refuses, as far as it is known here.
//!
//! **Owns** which of two acknowledgements is newer, and how far a revision has come. **Must not know** who brought them.
//! **Enter at** [`Acks`].

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;
use skerry_proto::id::{NodeId, Revision};

use super::{limits::ACKS_MAX, message::cut_reason};

/// What a node says of itself. Of two, the one of the later life wins, then the one with the greater sequence: paths
/// change, and an old one may arrive last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The node.
    pub node: NodeId,
    /// The newest revision that it serves.
    pub revision: Revision,
    /// The last one that it refused.
    pub refused: Option<Refusal>,
    /// Which of its lives says so.
    pub boot: u64,
    /// Counts what it said in that life.
    pub sequence: u64,
}

/// A revision that a node does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub revision: Revision,
    /// Why, for people. BOUND: [`super::limits::REASON_BYTES_MAX`].
    pub reason: String,
}

impl Refusal {
    /// The reason is cut when it is too long.
    #[must_use]
    pub fn new(revision: Revision, reason: impl Into<String>) -> Self {
        Self { revision, reason: cut_reason(reason.into()) }
    }
}

/// How far a revision has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Propagation {
    /// The members that were asked about.
    pub total: usize,
    /// How many serve it, or something newer.
    pub acknowledged: usize,
    /// Who has not said anything about it yet.
    pub waiting: Vec<NodeId>,
    /// Who will not serve it, and why.
    pub refused: Vec<(NodeId, String)>,
}

/// The newest acknowledgement of each node. A clone costs two pointers.
#[derive(Debug, Clone, Default)]
pub struct Acks {
    rows: OrdMap<NodeId, Row>,
    changes: u64,
}

#[derive(Debug, Clone)]
struct Row {
    ack: Arc<Ack>,
    change: u64,
}

impl Acks {
    /// Takes an acknowledgement when it is newer than what is known; says whether it was.
    pub fn merge(&mut self, ack: Arc<Ack>) -> bool {
        let age = |ack: &Ack| (ack.boot, ack.sequence);
        let newer = match self.rows.get(&ack.node) {
            Some(known) => age(&ack) > age(&known.ack),
            None => self.rows.len() < ACKS_MAX,
        };
        if newer {
            self.changes += 1;
            self.rows.insert(ack.node, Row { ack, change: self.changes });
        }
        newer
    }

    /// What a node said last.
    #[must_use]
    pub fn of(&self, node: NodeId) -> Option<&Arc<Ack>> {
        self.rows.get(&node).map(|row| &row.ack)
    }

    /// How many changes there have been; a place to ask [`Acks::since`] about.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What has changed after that many changes.
    #[must_use]
    pub fn since(&self, changes: u64) -> Vec<Arc<Ack>> {
        if changes == self.changes {
            return Vec::new();
        }
        self.rows.values().filter(|row| row.change > changes).map(|row| Arc::clone(&row.ack)).collect()
    }

    /// Forgets everyone else.
    pub fn retain(&mut self, members: &BTreeSet<NodeId>) {
        if self.rows.keys().any(|node| !members.contains(node)) {
            self.rows =
                self.rows.iter().filter(|(node, _)| members.contains(node)).map(|(k, v)| (*k, v.clone())).collect();
        }
    }

    /// How far `revision` has come among `members`.
    #[must_use]
    pub fn propagation(&self, revision: Revision, members: &[NodeId]) -> Propagation {
        let mut propagation = Propagation { total: members.len(), ..Propagation::default() };
        for node in members {
            let ack = self.of(*node);
            let refused = ack.and_then(|ack| ack.refused.as_ref());
            match (ack, refused) {
                // A node that stays behind refuses everything between what it serves and what it refused last.
                (Some(ack), Some(refusal))
                    if refusal.revision == revision || (ack.revision < revision && revision < refusal.revision) =>
                {
                    propagation.refused.push((*node, refusal.reason.clone()));
                }
                (Some(ack), _) if ack.revision >= revision => propagation.acknowledged += 1,
                _ => propagation.waiting.push(*node),
            }
        }
        propagation
    }
}
