//! Pure. One upstream: what it said, and whether it is worth its place.

use std::time::{Duration, Instant};

use skerry_proto::id::{NodeId, Revision};

use super::{
    super::{
        limits::{AGE_ALONE_MAX, AGE_MAX, ANSWER_MAX, DEPTH_MAX, DIAL_MAX, SILENCE_MAX},
        message::{Heartbeat, Position},
    },
    UpstreamId,
};

#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) id: UpstreamId,
    pub(super) node: NodeId,
    pub(super) phase: Phase,
    pub(super) since: Instant,
    pub(super) heard_at: Instant,
    /// The newest state that it is known to have.
    pub(super) head: Option<Position>,
    pub(super) depth: Option<u32>,
    /// When its state was a voter's newest.
    pub(super) fresh_at: Option<Instant>,
    /// What reaching this revision will say about our own freshness.
    pub(super) owed: Option<(Revision, Instant)>,
    pub(super) behind_since: Option<Instant>,
    /// When it was asked to start again; `None` once it has.
    pub(super) asked_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dialing,
    Subscribed,
}

/// Why an upstream is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The dial took too long, or it says nothing.
    Silent,
    /// Its state is old and somebody else's is not.
    Stale,
    /// It lacks what this node has.
    Behind,
    /// It is too far from the voters, or has no way to them.
    Deep,
    /// It does not start again where it was asked to.
    Deaf,
}

impl Upstream {
    pub(super) fn dialed(now: Instant, id: UpstreamId, node: NodeId) -> Self {
        Self {
            id,
            node,
            phase: Phase::Dialing,
            since: now,
            heard_at: now,
            head: None,
            depth: None,
            fresh_at: None,
            owed: None,
            behind_since: None,
            asked_at: None,
        }
    }

    pub(super) fn connected(&mut self, now: Instant) {
        (self.phase, self.since, self.heard_at) = (Phase::Subscribed, now, now);
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.phase == Phase::Subscribed
    }

    pub(super) fn revision(&self) -> Option<Revision> {
        self.head.map(|head| head.revision)
    }

    pub(super) fn saw(&mut self, position: Position) {
        if self.revision().is_none_or(|known| position.revision >= known) {
            self.head = Some(position);
        }
    }

    /// Notes a heartbeat; returns since when the publisher's state was a voter's newest, if that is known.
    pub(super) fn heartbeat(&mut self, now: Instant, heartbeat: Heartbeat) {
        self.saw(heartbeat.position);
        self.depth = Some(heartbeat.depth);
        // Instants before the machine's start do not exist: so old counts as not known.
        self.fresh_at = now.checked_sub(heartbeat.age).max(self.fresh_at);
        if let (None, Some(fresh_at)) = (self.owed, now.checked_sub(heartbeat.age)) {
            self.owed = Some((heartbeat.position.revision, fresh_at));
        }
    }

    /// What serving `served` says about our own freshness.
    pub(super) fn pay(&mut self, served: Revision) -> Option<Instant> {
        let (_, fresh_at) = self.owed.take_if(|(revision, _)| *revision <= served)?;
        Some(fresh_at)
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fresh_at.unwrap_or(self.since).min(now))
    }

    /// What is wrong with it, compared with the other one, with what this node has, and with what anybody claims to have.
    pub(super) fn fault(
        &mut self,
        now: Instant,
        other: Option<&Self>,
        tip: Option<Revision>,
        claimed: Revision,
    ) -> Option<Fault> {
        let (silent_after, over) = match self.phase {
            Phase::Dialing => (DIAL_MAX, self.since),
            Phase::Subscribed => (SILENCE_MAX, self.heard_at),
        };
        if now > over + silent_after {
            return Some(Fault::Silent);
        }
        if self.phase == Phase::Dialing {
            return None;
        }
        let behind = tip.is_some_and(|tip| self.revision().unwrap_or_default() < tip);
        self.behind_since = behind.then(|| self.behind_since.unwrap_or(now));
        if self.depth.is_some_and(|depth| depth > DEPTH_MAX) {
            return Some(Fault::Deep);
        }
        if self.is_stale(now, other, claimed) {
            return Some(Fault::Stale);
        }
        if self.behind_since.is_some_and(|since| now > since + AGE_MAX) {
            return Some(Fault::Behind);
        }
        self.asked_at.is_some_and(|asked| now > asked + ANSWER_MAX).then_some(Fault::Deaf)
    }

    /// During an election everyone is stale alike, and another upstream would be no better: then only one is given up, late.
    /// Not so late when somebody claims to be ahead of it; but there is always one.
    fn is_stale(&self, now: Instant, other: Option<&Self>, claimed: Revision) -> bool {
        let is_overtaken = self.revision().is_some_and(|revision| claimed > revision);
        let (age, alone_max) = (self.age(now), if is_overtaken { AGE_MAX } else { AGE_ALONE_MAX });
        let other_age = other.filter(|other| other.is_subscribed()).map(|other| other.age(now));
        match other_age {
            Some(other_age) => {
                age > AGE_MAX && (age > other_age + AGE_MAX / 2 || (age > alone_max && age >= other_age))
            }
            None => age > AGE_ALONE_MAX,
        }
    }
}
