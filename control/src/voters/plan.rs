//! Pure. Who should vote, and the next step on the way there.
//!
//! **Owns** how many voters there are and in which order they change. **Must not know** raft, clocks, sockets. **Enter at**
//! [`plan`].
//!
//! ```text
//! unknown --AddLearner--> learner --SetVoters (it answers and has caught up)--> voter
//!                            ^                                                    |
//!                            `---------------- SetVoters (without it) ------------'
//! learner --Drop (no node any more; or an edge, and it does not answer)--> unknown
//! ```
//! - One step at a time; the next one is planned from what the step before has made.
//! - A leader that drains, or shall not vote any more, hands the lead over first, to a voter that answers.
//! - Who does not answer gets no vote and no lead, and keeps the vote that it has: a node that comes and goes moves nothing. It
//!   loses its vote only when others have to go, and those who stay could not agree otherwise.
//! - A node that has become an edge gets the log until it has begun anew as one, and so does not answer: it is how it hears of that.
//! - A draining node hands over the lead at once, and its vote when another node can take it: a voter that is stopped for a while
//!   is a failure that the others bear, while fewer voters would bear less. Without a vote it is a learner: it has to show the newest
//!   state for as long as it serves.

use std::collections::{BTreeMap, BTreeSet};

use skerry_proto::id::NodeId;

/// BOUND: voters; two may fail out of five, and each further one slows every write.
pub const VOTERS_MAX: usize = 5;
/// BOUND: log entries that a node may be behind when it becomes a voter or the leader. Fewer might never be reached under load;
/// more would leave the new quorum waiting.
pub const CAUGHT_UP_ENTRIES: u64 = 100;

/// What the leader knows of the voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The leader, who plans.
    pub leader: NodeId,
    /// Nodes that ask to vote, with their mesh addresses; draining ones are not among them.
    pub willing: BTreeMap<NodeId, String>,
    /// Nodes that would vote if they did not drain, with their mesh addresses.
    pub draining: BTreeMap<NodeId, String>,
    /// Nodes that shall not vote.
    pub edges: BTreeSet<NodeId>,
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who listens.
    pub learners: BTreeSet<NodeId>,
    /// How the voters and learners answer the leader; nothing is known of whoever is not among them.
    pub presence: BTreeMap<NodeId, Presence>,
}

/// How a member answers the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It was not asked long enough ago to say.
    Unheard,
    /// It does not.
    Silent,
    /// It does.
    Answers {
        /// How many log entries it is behind; `None` when that is not known.
        behind: Option<u64>,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: the right nodes vote.
    Settled,
    /// Nothing now, although other nodes should vote.
    Wait(Wait),
    /// This.
    Take(Step),
}

/// Why no step is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// It shows in a moment whether these answer.
    Unheard(BTreeSet<NodeId>),
    /// These do not answer, or have not caught up; with them there would be more voters, or a leader in place of one that goes.
    Behind(BTreeSet<NodeId>),
    /// Fewer than a majority of the voters answer.
    NoQuorum,
    /// Voters have to go, and nobody that answers could vote in their place.
    NobodyElse,
}

/// One change of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A node begins to get the log.
    AddLearner {
        /// Which.
        node: NodeId,
        /// Its mesh address.
        address: String,
    },
    /// Exactly these vote from now on.
    SetVoters(BTreeSet<NodeId>),
    /// The leader hands over.
    Transfer {
        /// To whom.
        to: NodeId,
    },
    /// A node gets no log any more.
    Drop(NodeId),
}

/// The next step, or why there is none.
#[must_use]
pub fn plan(view: &View) -> Plan {
    let has_to_hear = |node: &NodeId| view.edges.contains(node) && view.presence(*node) != Presence::Silent;
    let listens =
        |node: &NodeId| view.willing.contains_key(node) || view.draining.contains_key(node) || has_to_hear(node);
    if let Some(node) = view.learners.iter().find(|node| !listens(node)) {
        return Plan::Take(Step::Drop(*node));
    }
    let known = |node: &NodeId| view.voters.contains(node) || view.learners.contains(node);
    let mut nodes = view.willing.iter().chain(&view.draining);
    if let Some((node, address)) = nodes.find(|(node, _)| !known(node)) {
        return Plan::Take(Step::AddLearner { node: *node, address: address.clone() });
    }
    if view.willing.is_empty() {
        // The last voters vote whatever becomes of them.
        return Plan::Settled;
    }
    let unheard: BTreeSet<NodeId> =
        view.voters.iter().chain(view.willing.keys()).copied().filter(|node| view.is_unheard(*node)).collect();
    if !unheard.is_empty() {
        return Plan::Wait(Wait::Unheard(unheard));
    }
    if !view.agree(&view.voters) {
        return Plan::Wait(Wait::NoQuorum);
    }
    match view.wanted() {
        Ok(wanted) => step_to(view, wanted),
        Err(wait) => Plan::Wait(wait),
    }
}

/// The way to these voters, who can agree: whoever leads then has to be one of them, and none that drains.
fn step_to(view: &View, wanted: BTreeSet<NodeId>) -> Plan {
    let vote = || if wanted == view.voters { Plan::Settled } else { Plan::Take(Step::SetVoters(wanted.clone())) };
    if wanted.contains(&view.leader) && view.willing.contains_key(&view.leader) {
        return vote();
    }
    let may_lead = |node: &NodeId| view.answers(*node) && view.willing.contains_key(node);
    let heirs = || wanted.intersection(&view.voters).copied().filter(may_lead);
    match heirs().filter(|node| view.is_ready(*node)).min_by_key(|node| view.behind(*node)) {
        Some(to) => Plan::Take(Step::Transfer { to }),
        None if heirs().next().is_some() => Plan::Wait(Wait::Behind(heirs().collect())),
        // None of them can lead yet: they elect one of them once they vote.
        None => vote(),
    }
}

impl View {
    /// Who should vote, of those who answer and those who vote already: nothing moves without need. Those who drain come last.
    fn wanted(&self) -> Result<BTreeSet<NodeId>, Wait> {
        let (mut stay, come): (Vec<NodeId>, Vec<NodeId>) =
            self.willing.keys().partition(|node| self.voters.contains(node));
        stay.sort_by_key(|node| !self.answers(*node));
        let mut drain: Vec<NodeId> = self.draining.keys().filter(|node| self.voters.contains(node)).copied().collect();
        drain.sort_by_key(|node| !self.answers(*node));
        let ready = || come.iter().copied().filter(|node| self.is_ready(*node));
        let late = |waits_for: &dyn Fn(NodeId) -> bool| -> BTreeSet<NodeId> {
            come.iter().copied().filter(|node| !self.is_ready(*node) && waits_for(*node)).collect()
        };
        let all: Vec<NodeId> = stay.iter().copied().chain(ready()).chain(drain).collect();
        let wanted = largest(&all);
        let would_help = |late: &BTreeSet<NodeId>| odd(all.len() + late.len()) > wanted.len();
        let coming = late(&|node| self.answers(node));
        if wanted.len() < self.voters.len() && would_help(&coming) {
            return Err(Wait::Behind(coming));
        }
        if wanted == self.voters {
            let missing = late(&|_| true);
            return if would_help(&missing) { Err(Wait::Behind(missing)) } else { Ok(wanted) };
        }
        if self.agree(&wanted) {
            return Ok(wanted);
        }
        let present: Vec<NodeId> = all.into_iter().filter(|node| self.answers(*node)).collect();
        if present.is_empty() { Err(Wait::NobodyElse) } else { Ok(largest(&present)) }
    }

    /// Whether a majority of these answers.
    fn agree(&self, voters: &BTreeSet<NodeId>) -> bool {
        voters.iter().filter(|node| self.answers(**node)).count() > voters.len() / 2
    }

    fn presence(&self, node: NodeId) -> Presence {
        let itself = Presence::Answers { behind: Some(0) };
        if node == self.leader { itself } else { self.presence.get(&node).copied().unwrap_or(Presence::Unheard) }
    }

    fn is_unheard(&self, node: NodeId) -> bool {
        self.presence(node) == Presence::Unheard
    }

    fn answers(&self, node: NodeId) -> bool {
        matches!(self.presence(node), Presence::Answers { .. })
    }

    /// `None` for one that does not answer, too.
    fn behind(&self, node: NodeId) -> Option<u64> {
        match self.presence(node) {
            Presence::Answers { behind } => behind,
            Presence::Unheard | Presence::Silent => None,
        }
    }

    /// Whether it answers and has caught up.
    fn is_ready(&self, node: NodeId) -> bool {
        self.behind(node).is_some_and(|behind| behind <= CAUGHT_UP_ENTRIES)
    }
}

/// The first of them, as many as should vote.
fn largest(nodes: &[NodeId]) -> BTreeSet<NodeId> {
    nodes.iter().take(odd(nodes.len())).copied().collect()
}

/// How many of so many nodes vote: an even number tolerates no more failures than one less.
fn odd(nodes: usize) -> usize {
    let most = nodes.min(VOTERS_MAX);
    if most.is_multiple_of(2) { most.saturating_sub(1) } else { most }
}

#[cfg(test)]
mod tests;
