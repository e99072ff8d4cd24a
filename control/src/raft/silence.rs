//! A leader whose questions nobody answers stops asking.
//!
//! **Owns** when that is, and for how long. **Must not know** why answers are lost. **Enter at** [`Silence`].
//!
//! As long as voters hear a leader, they elect nobody else. One that is heard but does not hear (a link that is cut one way)
//! would lead for ever and agree on nothing. etcd's leader steps down for the same reason (check quorum, Ongaro's
//! dissertation, section 6.2); openraft's does not.
//!
//! ```text
//! Speaks --no quorum for PATIENCE--> Silent --after REST--> Speaks
//! ```
//! - no quorum: the others hear nothing any more, and elect a leader if they can.
//! - after the rest: whoever leads by then is heard; when nobody does, this node may be the only one that can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use openraft::{
    Instant as _, RaftMetrics, ServerState, async_runtime::watch::WatchReceiver as _,
    type_config::alias::WatchReceiverOf,
};

use super::{heard::PATIENCE, members::is_alone, type_config::TypeConfig};
use crate::clock;

/// BOUND: heartbeats of silence: the others stop waiting for this leader, and may need a second election.
const REST: u32 = 16;

/// Whether this node's leader is silent. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence {
    silent: Arc<AtomicBool>,
}

impl Silence {
    pub(super) fn is_kept(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Looks at raft with every heartbeat until raft has stopped.
    pub(super) async fn watch(
        self,
        metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
        heartbeat: Duration,
    ) {
        let mut rule = Rule::new(heartbeat);
        let mut beats = tokio::time::interval(heartbeat);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let view = View::of(&metrics.borrow_watched());
            if view == View::Stopped {
                return;
            }
            let silent = rule.look(clock::monotonic(), view);
            if silent != self.silent.swap(silent, Ordering::Relaxed) {
                match silent {
                    true => {
                        tracing::warn!("no majority of the voters answers this leader; it makes way for another one")
                    }
                    false => tracing::info!("this node speaks to the other voters again"),
                }
            }
        }
    }
}

/// What matters of raft's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// Another one leads, or nobody, or there is nobody else to hear of.
    Follows,
    /// This node leads; a quorum, if ever, has answered so long ago.
    Leads { answered: Option<Duration> },
    /// Raft has stopped.
    Stopped,
}

impl View {
    fn of(metrics: &RaftMetrics<TypeConfig>) -> Self {
        match metrics.state {
            ServerState::Shutdown => Self::Stopped,
            ServerState::Leader if !is_alone(metrics) => {
                Self::Leads { answered: metrics.last_quorum_acked.map(|at| at.elapsed()) }
            }
            _ => Self::Follows,
        }
    }
}

/// Decides from what it is shown.
#[derive(Debug)]
struct Rule {
    patience: Duration,
    rest: Duration,
    /// Since when this node leads, or speaks again.
    speaks_since: Option<Instant>,
    silent_until: Option<Instant>,
}

impl Rule {
    fn new(heartbeat: Duration) -> Self {
        Self { patience: heartbeat * PATIENCE, rest: heartbeat * REST, speaks_since: None, silent_until: None }
    }

    fn look(&mut self, now: Instant, view: View) -> bool {
        let View::Leads { answered } = view else {
            (self.speaks_since, self.silent_until) = (None, None);
            return false;
        };
        if self.silent_until.is_some_and(|until| now < until) {
            return true;
        }
        if self.silent_until.take().is_some() {
            self.speaks_since = Some(now);
        }
        let speaks = now.saturating_duration_since(*self.speaks_since.get_or_insert(now));
        let unanswered = answered.map_or(speaks, |answered| answered.min(speaks));
        if unanswered <= self.patience {
            return false;
        }
        self.silent_until = Some(now + self.rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(250);

    /// Whether the leader is silent at each beat, when a quorum answers in those for which `answers` says so.
    fn silent(beats: u32, answers: impl Fn(u32) -> bool) -> Vec<bool> {
        let (mut rule, start, mut last) = (Rule::new(BEAT), clock::monotonic(), None);
        let look = |beat: u32| {
            last = if answers(beat) { Some(beat) } else { last };
            rule.look(start + BEAT * beat, View::Leads { answered: last.map(|last| BEAT * (beat - last)) })
        };
        (0..beats).map(look).collect()
    }

    #[test]
    fn a_leader_that_is_answered_speaks() {
        assert!(!silent(100, |beat| beat % PATIENCE == 0).contains(&true));
    }

    #[test]
    fn a_leader_that_nobody_answers_is_silent_long_enough_for_an_election_and_tries_again() {
        let silent = silent(60, |_| false);
        let first = silent.iter().position(|silent| *silent).unwrap();
        assert_eq!(first, usize::try_from(PATIENCE).unwrap() + 1);
        let rest = silent[first..].iter().take_while(|silent| **silent).count();
        assert_eq!(rest, usize::try_from(REST).unwrap());
        assert!(silent[first + rest..].contains(&true), "it does not try for ever");
    }

    #[test]
    fn answers_that_stop_are_noticed() {
        let silent = silent(40, |beat| beat < 20);
        assert_eq!(silent.iter().position(|silent| *silent), Some(20 + usize::try_from(PATIENCE).unwrap()));
    }

    #[test]
    fn whoever_follows_is_not_held_back_by_what_it_was_as_a_leader() {
        let (mut rule, start) = (Rule::new(BEAT), clock::monotonic());
        assert!(!rule.look(start, View::Leads { answered: None }));
        assert!(rule.look(start + BEAT * 20, View::Leads { answered: None }));
        assert!(!rule.look(start + BEAT * 21, View::Follows));
        assert!(!rule.look(start + BEAT * 22, View::Leads { answered: Some(BEAT * 22) }), "it leads anew");
    }
}
