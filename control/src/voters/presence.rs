//! Pure. Who answers the leader.
//!
//! **Owns** how long an answer may take. **Must not know** raft, clocks, what depends on it. **Enter at** [`Attendance`].
//!
//! ```text
//! Unheard --an answer--> Answers --none for `patience`--> Silent --an answer--> Answers
//!    `--none for `patience`--> Silent
//! ```
//! - A new leader has heard nobody: it must not take those whom it has only just asked for dead.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use skerry_proto::id::NodeId;

/// Since when a leader asks each member.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    term: u64,
    asked_since: BTreeMap<NodeId, Instant>,
}

/// Whether a member answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is too early to say.
    Unheard,
    /// It has not for long.
    Silent,
    /// It does.
    Heard,
}

impl Attendance {
    /// Takes how long ago each member was asked what it has answered last in this term; `None` for one that has not answered.
    /// Members that are not named are forgotten.
    pub(super) fn look(
        &mut self,
        now: Instant,
        term: u64,
        patience: Duration,
        answered: &BTreeMap<NodeId, Option<Duration>>,
    ) -> BTreeMap<NodeId, Answer> {
        if term != self.term {
            *self = Self { term, ..Self::default() };
        }
        self.asked_since.retain(|node, _| answered.contains_key(node));
        let one = |(node, ago): (&NodeId, &Option<Duration>)| {
            let since = *self.asked_since.entry(*node).or_insert(now);
            let answer = match ago {
                Some(ago) if *ago <= patience => Answer::Heard,
                None if now.saturating_duration_since(since) <= patience => Answer::Unheard,
                Some(_) | None => Answer::Silent,
            };
            (*node, answer)
        };
        answered.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const PATIENCE: Duration = Duration::from_secs(2);

    /// What is said of node 2, looked at in this term so long after the start, when it answered so long ago.
    fn said(attendance: &mut Attendance, start: Instant, looks: &[(u64, u64, Option<u64>)]) -> Vec<Answer> {
        let look = |(term, at_ms, ago_ms): &(u64, u64, Option<u64>)| {
            let answered = BTreeMap::from([(NodeId(2), ago_ms.map(Duration::from_millis))]);
            attendance.look(start + Duration::from_millis(*at_ms), *term, PATIENCE, &answered)[&NodeId(2)]
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn whoever_was_only_just_asked_is_not_taken_for_dead() {
        let (mut attendance, start) = (Attendance::default(), clock::monotonic());
        let looks = [(1, 0, None), (1, 2000, None), (1, 2001, None), (1, 2500, Some(100))];
        let expected = [Answer::Unheard, Answer::Unheard, Answer::Silent, Answer::Heard];
        assert_eq!(said(&mut attendance, start, &looks), expected);
    }

    #[test]
    fn an_answer_counts_for_a_while() {
        let (mut attendance, start) = (Attendance::default(), clock::monotonic());
        let looks = [(1, 0, Some(0)), (1, 2000, Some(2000)), (1, 2001, Some(2001))];
        assert_eq!(said(&mut attendance, start, &looks), [Answer::Heard, Answer::Heard, Answer::Silent]);
    }

    #[test]
    fn a_new_term_and_a_new_member_begin_anew() {
        let (mut attendance, start) = (Attendance::default(), clock::monotonic());
        assert_eq!(said(&mut attendance, start, &[(1, 0, None), (1, 3000, None)])[1], Answer::Silent);
        assert_eq!(said(&mut attendance, start, &[(2, 3500, None)]), [Answer::Unheard]);
        assert_eq!(said(&mut attendance, start, &[(2, 9000, None)]), [Answer::Silent]);
        attendance.look(start + Duration::from_secs(10), 2, PATIENCE, &BTreeMap::new());
        assert_eq!(said(&mut attendance, start, &[(2, 11_000, None)]), [Answer::Unheard]);
    }
}
