//! Pure. The view: who is alive, as far as this node can tell.
//!
//! **Owns** what others may read of gossip. **Must not know** how it came about. **Enter at** [`Members`].

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use foca::{Member, State};
use skerry_proto::id::{NodeId, Revision};

use super::{
    identity::Identity,
    news::{News, NewsTable},
    roster::Roster,
};

/// Whether a member answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It does.
    Alive,
    /// It did not answer somebody's probe, and has a few seconds to object.
    Suspect,
    /// It did not object, or left.
    Down,
}

/// What is known of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// Whether it answers.
    pub alive: Liveness,
    /// Since when, on this node's monotonic clock.
    pub since: Instant,
    /// The boot that this is about.
    pub boot: u64,
    /// Within the boot: how often it came back.
    pub generation: u64,
    /// What it said last in this boot or a later one. A hint: see [`News`].
    pub news: Option<Arc<News>>,
}

impl MemberState {
    fn life(&self, node: NodeId) -> Identity {
        Identity { node, boot: self.boot, generation: self.generation }
    }
}

/// Every node that was heard of and not removed, this one included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    states: BTreeMap<NodeId, MemberState>,
}

impl Members {
    /// What is known of a node; `None` when it was never heard of.
    #[must_use]
    pub fn state(&self, node: NodeId) -> Option<&MemberState> {
        self.states.get(&node)
    }

    /// Whether a node answers, or has not failed to for long. False for one that was never heard of.
    #[must_use]
    pub fn is_active(&self, node: NodeId) -> bool {
        self.state(node).is_some_and(|state| state.alive != Liveness::Down)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (NodeId, &MemberState)> {
        self.states.iter().map(|(node, state)| (*node, state))
    }

    /// How many are in this state.
    #[must_use]
    pub fn count(&self, alive: Liveness) -> usize {
        self.states.values().filter(|state| state.alive == alive).count()
    }

    /// The member that claims to serve the newest revision, and which. A hint: see [`News`].
    #[must_use]
    pub fn newest_revision(&self) -> Option<(NodeId, Revision)> {
        let claims = self.states.iter().filter(|(_, state)| state.alive != Liveness::Down);
        let claims = claims.filter_map(|(node, state)| Some((*node, state.news.as_ref()?.revision)));
        claims.max_by_key(|(_, revision)| *revision)
    }

    /// The view after this one. A node keeps its last state when `heard` knows nothing newer of it.
    pub(super) fn next<'a>(
        &self,
        now: Instant,
        own: &Identity,
        heard: impl Iterator<Item = &'a Member<Identity>>,
        roster: &Roster,
        news: &NewsTable,
    ) -> Self {
        let own = (*own, Liveness::Alive);
        let others = heard.filter(|member| member.id().node != own.0.node && !roster.removed(member.id().node));
        let others = others.map(|member| (*member.id(), liveness(member.state())));
        let listed = self.states.iter().filter(|(node, _)| roster.lists(**node));
        let mut states: BTreeMap<_, _> = listed.map(|(node, state)| (*node, state.clone())).collect();
        for (life, alive) in others.chain([own]) {
            let state = match self.states.get(&life.node) {
                Some(known) if known.life(life.node).outlives(&life) => known.clone(),
                Some(known) if known.life(life.node) == life && known.alive == alive => known.clone(),
                _ => MemberState { alive, since: now, boot: life.boot, generation: life.generation, news: None },
            };
            states.insert(life.node, state);
        }
        for (node, state) in &mut states {
            state.news = news.of(*node).filter(|news| news.boot >= state.boot).cloned();
        }
        Self { states }
    }
}

fn liveness(state: State) -> Liveness {
    match state {
        State::Alive => Liveness::Alive,
        State::Suspect => Liveness::Suspect,
        State::Down => Liveness::Down,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clock, gossip::roster::Profile};

    fn life(node: u64, boot: u64) -> Identity {
        Identity::started(NodeId(node), boot)
    }

    fn next(members: &Members, now: Instant, heard: &[Member<Identity>], roster: &Roster) -> Members {
        members.next(now, &life(1, 1), heard.iter(), roster, &NewsTable::default())
    }

    #[test]
    fn a_state_counts_from_when_it_began() {
        let (start, roster) = (clock::monotonic(), Roster::default());
        let later = start + Duration::from_secs(1);
        let first = next(&Members::default(), start, &[Member::alive(life(2, 1))], &roster);
        let second = next(&first, later, &[Member::alive(life(2, 1))], &roster);
        assert_eq!(first, second);
        let third = next(&second, later, &[Member::new(life(2, 1), 0, State::Suspect)], &roster);
        let state = third.state(NodeId(2)).unwrap();
        assert_eq!((state.alive, state.since), (Liveness::Suspect, later));
        assert_eq!(third.state(NodeId(1)).unwrap().since, start);
    }

    #[test]
    fn an_old_boot_does_not_come_back() {
        let (now, roster) = (clock::monotonic(), Roster::default());
        let first = next(&Members::default(), now, &[Member::down(life(2, 3))], &roster);
        let second = next(&first, now, &[Member::alive(life(2, 2))], &roster);
        assert_eq!(first, second);
        assert!(next(&second, now, &[Member::alive(life(2, 4))], &roster).is_active(NodeId(2)));
    }

    #[test]
    fn a_removed_node_is_dropped_and_a_listed_one_is_kept_when_nobody_speaks_of_it() {
        let now = clock::monotonic();
        let heard = [Member::alive(life(2, 1)), Member::down(life(3, 1))];
        let all = Roster::new([1, 2, 3].map(NodeId), Profile::Lan);
        let first = next(&Members::default(), now, &heard, &all);
        assert_eq!(first.iter().count(), 3);
        let without = all.followed_by(Roster::new([1, 3].map(NodeId), Profile::Lan));
        let second = next(&first, now, &heard[..1], &without);
        assert!(second.state(NodeId(2)).is_none());
        assert_eq!(second.state(NodeId(3)).unwrap().alive, Liveness::Down);
    }
}
