//! Pure. The member that this node is: foca, and when it speaks up by itself.
//!
//! **Owns** joining, coming back, and when news is told. **Must not know** sockets, clocks, files. **Enter at** [`Swim`].
//!
//! ```text
//!  Alone --somebody answers an announcement--> Joined --leave--> Left
//!    ^  `--(each second: announce to three)       |  `--(each 10 s: announce to three that are not active)
//!    `----- everybody is down, or: came back -----'
//! ```
//! - somebody answers: foca probes, gossips and hears gossip; this node is alive to the others.
//! - everybody is down: the network is cut, or this node is. Nobody is declared down any more; announcing goes on.
//! - came back: others took this node for down and say so. It takes its next life, at most one a second: two nodes that take
//!   each other for down, or a member that errs, must not make it talk at the speed of the network.
//! - came back, outbidding: a datagram names a *later* life of this node than the one it is in, so its boot counter was set
//!   back (a restored backup). It takes the life after that one and keeps the counter; else all would ignore it for ever.
//! - leave: a last gossip says that this node is down. Nothing is handled any more.
//!
//! Announcing to nodes that are down is what heals a partition: whoever is still taken for down is told, and comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use foca::{Codec as _, Member, Message, State};
use skerry_proto::id::NodeId;

use super::{
    GossipStatus,
    codec::{Codec, reminder},
    core::{Core, complain, core},
    dice::{Dice, another, dice},
    identity::Identity,
    members::{Liveness, Members},
    news::SharedNews,
    profile::foca_config,
    refusal::Refusal,
    roster::{Profile, Roster},
    teller::{Own, Teller},
    timers::{Effects, Timers, is_due, soonest},
};
use crate::limits::{BOOT_LEAD_MAX, NEWS_BYTES_MAX, UNLISTED_NODES_MAX};

/// How long a node that is alone waits for an answer before it asks others.
const ANNOUNCE_ALONE: Duration = Duration::from_secs(1);
/// How often a node announces itself to listed nodes that it does not see.
const ANNOUNCE_PERIOD: Duration = Duration::from_secs(10);
/// BOUND: whom it announces itself to at a time; one that answers is enough.
const ANNOUNCE_FANOUT: usize = 3;
/// BOUND: a node takes no new life more often than this because others say so.
const REJOIN_GAP: Duration = Duration::from_secs(1);
/// How long changes are gathered before they are published, except that somebody came or went.
const PUBLISH_GAP: Duration = Duration::from_millis(100);

/// What happens to a member.
#[derive(Debug)]
pub(super) enum Input {
    /// A datagram came; the mesh vouches for the sender.
    Datagram { from: NodeId, bytes: Bytes },
    /// [`Swim::next_timeout`] is reached.
    Timeout,
    /// The catalog lists these nodes.
    Roster(Roster),
    /// This node's own revision and load, which may have changed.
    Own(Own),
    /// This node stops.
    Leave,
}

/// What the caller does, in this order and before the next call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send it, or lose it.
    Send { to: NodeId, bytes: Bytes },
    /// Show the view.
    Publish(Arc<Members>),
    /// Store the boot counter, durably, before anything else is sent.
    KeepBoot(u64),
}

/// What a node tells of itself that does not change, and its random choices.
#[derive(Debug, Clone)]
pub(super) struct SwimConfig {
    pub(super) identity: Identity,
    pub(super) feature_level: u32,
    pub(super) version: Box<str>,
    pub(super) seed: [u8; 32],
}

/// This node as a member.
pub(super) struct Swim {
    core: Core,
    dice: Dice,
    news: SharedNews,
    roster: Arc<Roster>,
    timers: Timers,
    phase: Phase,
    sized_for: usize,
    teller: Teller,
    came_back_at: Option<Instant>,
    outbid_at: Option<Instant>,
    announced_to: NodeId,
    announce_at: Option<Instant>,
    publish_at: Option<Instant>,
    members: Arc<Members>,
    status: GossipStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Alone,
    Joined,
    Left,
}

impl Swim {
    /// A member that knows nobody yet.
    pub(super) fn new(now: Instant, config: SwimConfig) -> Self {
        let mut dice = dice(config.seed);
        let news = SharedNews::default();
        Self {
            core: core(config.identity, Profile::default(), 1, another(&mut dice), &news),
            dice,
            news,
            roster: Arc::default(),
            timers: Timers::default(),
            phase: Phase::Alone,
            sized_for: 1,
            teller: Teller::new(now, config.feature_level, config.version),
            came_back_at: None,
            outbid_at: None,
            announced_to: config.identity.node,
            announce_at: Some(now),
            publish_at: Some(now),
            members: Arc::default(),
            status: GossipStatus::default(),
        }
    }

    /// Advances the member. The caller performs the actions, in order, before the next call.
    pub(super) fn handle(&mut self, now: Instant, input: Input, actions: &mut Vec<Action>) {
        if self.phase == Phase::Left {
            return;
        }
        match input {
            Input::Datagram { from, bytes } => self.receive(now, from, &bytes, actions),
            Input::Timeout => self.wake(now, actions),
            Input::Roster(roster) => self.follow(now, roster, actions),
            Input::Own(own) => self.note(now, own),
            Input::Leave => self.leave(now, actions),
        }
        if is_due(self.publish_at, now) {
            self.publish(now, actions);
        }
    }

    /// When [`Input::Timeout`] is due next.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Left {
            return None;
        }
        [self.timers.next_at(), self.announce_at, self.teller.due_at(), self.publish_at].into_iter().flatten().min()
    }

    /// The view as it was published last.
    #[cfg(test)]
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// How it goes.
    pub(super) fn status(&self) -> GossipStatus {
        GossipStatus {
            updates_backlog: self.core.updates_backlog(),
            custom_broadcast_backlog: self.core.custom_broadcast_backlog(),
            ..self.status
        }
    }

    fn receive(&mut self, now: Instant, from: NodeId, bytes: &[u8], actions: &mut Vec<Action>) {
        self.status.received += 1;
        if let Err(refusal) = self.take(now, from, bytes, actions) {
            self.status.bad += 1;
            tracing::debug!(%from, reason = &refusal as &dyn std::error::Error, "refused a gossip datagram");
        }
        soonest(&mut self.publish_at, now + PUBLISH_GAP);
    }

    fn take(&mut self, now: Instant, from: NodeId, bytes: &[u8], actions: &mut Vec<Action>) -> Result<(), Refusal> {
        let header = Codec.decode_header(bytes).map_err(Refusal::Header)?;
        if header.src.node != from {
            return Err(Refusal::Forged(header.src));
        }
        if self.roster.removed(from) {
            return Err(Refusal::Removed);
        }
        if header.dst.outlives(self.core.identity()) {
            return self.outbid(now, header.dst, actions);
        }
        if header.message == Message::TurnUndead && is_recent(self.came_back_at, now) {
            return Ok(());
        }
        let handled = self.turn(now, actions, |core, effects| core.handle_data(bytes, effects));
        self.remind(header.src, actions);
        Ok(handled?)
    }

    /// Tells a suspect that spoke what is said of it, so that it can object: the buddy system of Lifeguard (Dadgar et al., 2018).
    ///
    /// foca tells only while the rumour is young. Under loss a suspect may never hear of it, and whoever waits for its
    /// objection forgets to when coming back itself: then the suspicion would stay for ever.
    fn remind(&mut self, sender: Identity, actions: &mut Vec<Action>) {
        if self.members.state(sender.node).is_none_or(|state| state.alive != Liveness::Suspect) {
            return;
        }
        let mut members = self.core.iter_membership_state();
        let suspect = members.find(|member| *member.id() == sender && member.state() == State::Suspect);
        if let Some(Ok(bytes)) = suspect.map(|suspect| reminder(self.core.identity(), suspect)) {
            self.status.sent += 1;
            actions.push(Action::Send { to: sender.node, bytes: bytes.into() });
        }
    }

    /// Somebody knows a later life of this node.
    fn outbid(&mut self, now: Instant, later: Identity, actions: &mut Vec<Action>) -> Result<(), Refusal> {
        let boot = self.core.identity().boot;
        let next = later.next_life().filter(|next| next.boot - boot <= BOOT_LEAD_MAX).ok_or(Refusal::Lead(later))?;
        // Counted apart from coming back when told so: a node that was set back is told so each second.
        if is_recent(self.outbid_at, now) {
            return Ok(());
        }
        self.outbid_at = Some(now);
        tracing::warn!(?later, ?next, "others know a later life of this node: its boot counter was set back");
        if next.boot > boot {
            actions.push(Action::KeepBoot(next.boot));
        }
        self.come_back(now);
        Ok(self.turn(now, actions, |core, effects| core.change_identity(next, effects))?)
    }

    fn come_back(&mut self, now: Instant) {
        self.status.rejoins += 1;
        self.came_back_at = Some(now);
        self.phase = Phase::Alone;
        soonest(&mut self.announce_at, now);
        self.teller.hurry(now);
    }

    fn wake(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some(timer) = self.timers.pop_due(now) {
            let handled = self.turn(now, actions, |core, effects| core.handle_timer(timer, effects));
            complain(handled, "a gossip timer failed");
            soonest(&mut self.publish_at, now + PUBLISH_GAP);
        }
        if is_due(self.announce_at, now) {
            self.announce(now, actions);
        }
        if is_due(self.teller.due_at(), now) {
            self.tell(now);
        }
    }

    /// Asks listed nodes to let this one in; once it is in, those that it does not see.
    fn announce(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let own = self.core.identity().node;
        let joined = self.phase == Phase::Joined;
        let seen = |node| joined && self.core.iter_members().any(|member| member.id().node == node);
        let wanted = self.roster.circle_from(self.announced_to).filter(|node| *node != own && !seen(*node));
        let targets: Vec<NodeId> = wanted.take(ANNOUNCE_FANOUT).collect();
        for target in targets {
            self.announced_to = target;
            // Naming the latest life that is known tells a node whose boot counter was set back.
            let known = self.core.iter_membership_state().find(|member| member.id().node == target);
            let life = known.map_or(Identity::any_life(target), |member| *member.id());
            let sent = self.turn(now, actions, |core, effects| core.announce(life, effects));
            complain(sent, "an announcement failed");
        }
        self.announce_at = Some(now + if joined { ANNOUNCE_PERIOD } else { ANNOUNCE_ALONE });
    }

    fn follow(&mut self, now: Instant, roster: Roster, actions: &mut Vec<Action>) {
        let roster = Arc::new(self.roster.followed_by(roster));
        let changed = roster.profile() != self.roster.profile();
        self.news.table().follow(Arc::clone(&roster));
        self.roster = roster;
        if changed {
            self.rebuild(now, actions, |_| true);
        }
        soonest(&mut self.announce_at, now + ANNOUNCE_ALONE);
        self.publish_at = Some(now);
    }

    fn note(&mut self, now: Instant, own: Own) {
        let known = self.news.table().newest_revision();
        self.teller.note(now, own, known, self.sized_for);
    }

    fn tell(&mut self, now: Instant) {
        let bytes = self.teller.tell(now, self.core.identity(), self.sized_for).encode();
        // What is larger than a datagram less its header, foca would take and never send.
        if bytes.len() > NEWS_BYTES_MAX || self.core.add_broadcast(&bytes).is_err() {
            self.status.too_large += 1;
            tracing::warn!(length = bytes.len(), "this node's news is too large to be told");
        }
        soonest(&mut self.publish_at, now + PUBLISH_GAP);
    }

    fn leave(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let left = self.turn(now, actions, |core, effects| core.leave_cluster(effects));
        complain(left, "gossip leaves without a word");
        self.phase = Phase::Left;
        self.publish_at = None;
    }

    fn publish(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.publish_at = None;
        if self.core.iter_membership_state().len() > self.roster.len() + UNLISTED_NODES_MAX {
            tracing::warn!("gossip tells of more nodes than there can be; only listed ones are kept");
            let roster = Arc::clone(&self.roster);
            self.rebuild(now, actions, |node| roster.lists(node));
            self.publish_at = None;
        }
        self.resize();
        let members = {
            let heard = self.core.iter_membership_state();
            self.members.next(now, self.core.identity(), heard, &self.roster, &self.news.table())
        };
        if *self.members != members {
            self.members = Arc::new(members);
            actions.push(Action::Publish(Arc::clone(&self.members)));
        }
    }

    /// Fits foca's patience to the number of members.
    fn resize(&mut self) {
        let size = self.core.num_members() + 1;
        if size != self.sized_for && self.core.set_config(foca_config(self.roster.profile(), size)).is_ok() {
            self.sized_for = size;
        }
    }

    /// Starts foca anew with what it knows: it can not change how often it probes, nor forget on demand.
    fn rebuild(&mut self, now: Instant, actions: &mut Vec<Action>, keeps: impl Fn(NodeId) -> bool) {
        let identity = *self.core.identity();
        let kept: Vec<Member<Identity>> = self.core.iter_membership_state().cloned().collect();
        let kept = kept.into_iter().filter(|member| member.id().node != identity.node && keeps(member.id().node));
        self.timers.clear();
        self.phase = Phase::Alone;
        self.core = core(identity, self.roster.profile(), self.sized_for, another(&mut self.dice), &self.news);
        let applied = self.turn(now, actions, |core, effects| core.apply_many(kept, false, effects));
        complain(applied, "gossip forgot who was there");
        soonest(&mut self.announce_at, now);
        // Whatever waited to be passed on is gone with the old one.
        self.teller.hurry(now);
    }

    /// One call into foca, and what comes of it.
    fn turn<T>(
        &mut self,
        now: Instant,
        actions: &mut Vec<Action>,
        call: impl FnOnce(&mut Core, &mut Effects) -> T,
    ) -> T {
        let mut effects = Effects::default();
        let outcome = call(&mut self.core, &mut effects);
        // foca may address an older life of this very node; and the mesh does not carry anything to removed ones.
        let own = self.core.identity().node;
        let sends = effects.sends.into_iter().filter(|(to, _)| *to != own && !self.roster.removed(*to));
        let before = actions.len();
        actions.extend(sends.map(|(to, bytes)| Action::Send { to, bytes }));
        self.status.sent += (actions.len() - before) as u64;
        for (after, timer) in effects.timers {
            self.timers.set(now + after, timer);
        }
        if effects.moved {
            self.publish_at = Some(now);
        }
        if effects.rejoined {
            self.come_back(now);
        }
        match effects.joined {
            Some(true) => self.phase = Phase::Joined,
            Some(false) => {
                self.phase = Phase::Alone;
                soonest(&mut self.announce_at, now + ANNOUNCE_ALONE);
            }
            None => {}
        }
        outcome
    }
}

/// Whether this was so lately that it must not happen again yet.
fn is_recent(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now < at + REJOIN_GAP)
}
