//! What happened with a peer, counted; and a line in the log when it is news.
//!
//! **Owns** the reasons, and that a flood of failures is no flood of lines. **Must not know** what a failure means to its
//! caller. **Enter at** [`Counters`].

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use skerry_proto::id::NodeId;

use super::class::Class;
use crate::clock;

/// BOUND: lines about the same reason with the same peer: one each ten seconds, with how many it stands for.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// Why something failed. As a metric's label: [`Reason::label`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The other node is no member.
    NotMember,
    /// Its address is not known or has no meaning.
    Address,
    /// It does not answer.
    Unreachable,
    /// A certificate was refused, here or there.
    Certificate,
    /// It refused the connection for another reason.
    Refused,
    /// The time for a call was over.
    Deadline,
    /// The connection broke during a call.
    Lost,
    /// A message could not be read.
    Malformed,
    /// A message was larger than allowed.
    TooLarge,
    /// There was no room for a call, a connection or a datagram.
    Busy,
    /// A call came on a connection of another class.
    WrongClass,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::NotMember,
        Self::Address,
        Self::Unreachable,
        Self::Certificate,
        Self::Refused,
        Self::Deadline,
        Self::Lost,
        Self::Malformed,
        Self::TooLarge,
        Self::Busy,
        Self::WrongClass,
    ];

    /// In metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotMember => "not_member",
            Self::Address => "address",
            Self::Unreachable => "unreachable",
            Self::Certificate => "certificate",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::Lost => "lost",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::WrongClass => "wrong_class",
        }
    }
}

/// What was counted. Only grows.
#[derive(Debug)]
pub(super) struct Counters {
    /// With whom, for the log.
    whom: String,
    pub(super) calls: AtomicU64,
    pub(super) served: AtomicU64,
    errors: [AtomicU64; Reason::ALL.len()],
    gates: Mutex<[Gate; Reason::ALL.len()]>,
}

impl Counters {
    pub(super) fn new(whom: String) -> Self {
        let (calls, served) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { whom, calls, served, errors: Default::default(), gates: Mutex::default() }
    }

    /// Counts a failure that its caller hears of.
    pub(super) fn count(&self, reason: Reason) {
        self.errors[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failure that nobody else hears of, and logs it unless that was just done.
    pub(super) fn report(&self, reason: Reason, detail: &dyn fmt::Display) {
        self.count(reason);
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = gates[reason as usize].pass(clock::monotonic());
        drop(gates);
        let (whom, label) = (self.whom.as_str(), reason.label());
        match (passed, reason) {
            (Some(hidden), Reason::Certificate) => {
                tracing::error!(peer = whom, reason = label, hidden, "mesh: {detail}");
            }
            (Some(hidden), _) => tracing::warn!(peer = whom, reason = label, hidden, "mesh: {detail}"),
            (None, _) => tracing::debug!(peer = whom, reason = label, "mesh: {detail}"),
        }
    }

    /// The failures so far; reasons that did not occur are left out.
    pub(super) fn errors(&self) -> BTreeMap<Reason, u64> {
        let counted =
            Reason::ALL.into_iter().map(|reason| (reason, self.errors[reason as usize].load(Ordering::Relaxed)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

/// The counters of every peer that was called or has called. Peers that are no members any more are forgotten.
#[derive(Debug, Default)]
pub(super) struct Tally {
    peers: Mutex<BTreeMap<(NodeId, Class), Arc<Counters>>>,
}

impl Tally {
    pub(super) fn of(&self, node: NodeId, class: Class) -> Arc<Counters> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = peers.entry((node, class));
        Arc::clone(counters.or_insert_with(|| Arc::new(Counters::new(format!("n{node}/{class}")))))
    }

    pub(super) fn all(&self) -> Vec<((NodeId, Class), Arc<Counters>)> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|(peer, counters)| (*peer, Arc::clone(counters))).collect()
    }

    pub(super) fn retain(&self, is_member: impl Fn(NodeId) -> bool) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|(node, _), _| is_member(*node));
    }
}

/// Lets one line through for each [`QUIET_FOR`].
#[derive(Debug, Default, Clone, Copy)]
struct Gate {
    closed_until: Option<Instant>,
    hidden: u64,
}

impl Gate {
    /// `Some`: log now, and say that so many lines were hidden.
    fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.closed_until.is_some_and(|until| now < until) {
            self.hidden += 1;
            return None;
        }
        self.closed_until = Some(now + QUIET_FOR);
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_failures_is_counted_and_logged_once() {
        let (mut gate, now) = (Gate::default(), clock::monotonic());
        assert_eq!(gate.pass(now), Some(0));
        assert_eq!((0..5).filter_map(|_| gate.pass(now)).count(), 0);
        assert_eq!(gate.pass(now + QUIET_FOR), Some(5));
        let counters = Counters::new("n2".to_owned());
        (0..3).for_each(|_| counters.report(Reason::Malformed, &"garbage"));
        assert_eq!(counters.errors(), BTreeMap::from([(Reason::Malformed, 3)]));
    }

    #[test]
    fn every_reason_has_its_own_place_and_label() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
        let labels: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::label).into();
        assert_eq!(labels.len(), Reason::ALL.len());
    }
}
