//! Pure. The order in which timers fire.
//!
//! **Owns** that an earlier timer fires before a later one, and those of one time in the order they were begun, as the HTML
//! standard asks ("run steps after a timeout"). **Must not know** clocks. **Enter at** [`Timers::elapsed`].
//!
//! Each timer waits in a task of its own, and tasks that are woken together run in any order. So the end of a wait only says
//! that one more timer fires: the first. The wait of the one that fires instead comes to its end later, and then lets the
//! first one fire that is owed.

use std::collections::{BTreeMap, HashMap};

/// The timers that have not fired.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeMap<Key, i32>,
    timers: HashMap<i32, Timer>,
    /// Timers whose own wait is over.
    owed: usize,
    begun: u64,
}

/// When a timer is due, in microseconds of its isolate's clock, and how many were begun before.
type Key = (u64, u64);

#[derive(Debug)]
struct Timer {
    key: Key,
    is_owed: bool,
}

impl Timers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Operation `op` is a timer.
    pub(super) fn insert(&mut self, op: i32, due_us: u64) {
        self.begun += 1;
        let key = (due_us, self.begun);
        self.order.insert(key, op);
        self.timers.insert(op, Timer { key, is_owed: false });
    }

    /// `op` has fired, or never will.
    pub(super) fn remove(&mut self, op: i32) {
        if let Some(Timer { key, is_owed }) = self.timers.remove(&op) {
            self.order.remove(&key);
            self.owed -= usize::from(is_owed);
        }
    }

    /// The wait of `op` is over: which timer fires, if one is owed.
    pub(super) fn elapsed(&mut self, op: i32) -> Option<i32> {
        let first = *self.order.first_key_value()?.1;
        match self.timers.get_mut(&op) {
            Some(timer) if op != first => {
                timer.is_owed = true;
                self.owed += 1;
            }
            Some(_) => {}
            // It has fired when another's wait was over, or was stopped.
            None if self.owed == 0 => return None,
            None => {}
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fired(timers: &mut Timers, ends: &[i32]) -> Vec<i32> {
        let fire = |op: &i32| {
            let op = timers.elapsed(*op)?;
            timers.remove(op);
            Some(op)
        };
        ends.iter().filter_map(fire).collect()
    }

    #[test]
    fn the_first_fires_whoevers_wait_is_over() {
        let mut timers = Timers::default();
        for (op, due_us) in [(1, 30), (2, 10), (3, 10), (4, 20)] {
            timers.insert(op, due_us);
        }
        assert_eq!(fired(&mut timers, &[4, 3, 1, 2]), [2, 3, 4, 1]);
    }

    #[test]
    fn a_stopped_timer_neither_fires_nor_makes_another_fire_early() {
        let mut timers = Timers::default();
        timers.insert(1, 10);
        timers.insert(2, 10);
        timers.insert(3, 5000);
        assert_eq!(fired(&mut timers, &[2]), [1]);
        timers.remove(2);
        assert!(fired(&mut timers, &[1]).is_empty(), "the third is not due");
        assert_eq!(fired(&mut timers, &[3]), [3]);
    }

    proptest! {
        #[test]
        fn every_timer_fires_once_in_order_and_after_one_that_is_due(
            dues in proptest::collection::vec(0..50_u64, 1..40),
            seeds in proptest::collection::vec(any::<u32>(), 40),
        ) {
            let mut timers = Timers::default();
            for (op, due) in dues.iter().enumerate() {
                timers.insert(op as i32, *due);
            }
            // Waits of one instant end in any order, those of others in theirs.
            let mut ends: Vec<usize> = (0..dues.len()).collect();
            ends.sort_by_key(|op| (dues[*op] / 10, seeds[*op]));
            let mut seen = Vec::new();
            for end in ends {
                let first = timers.elapsed(end as i32);
                let first = first.expect("as many fire as waits are over");
                timers.remove(first);
                prop_assert!(dues[first as usize] / 10 <= dues[end] / 10);
                seen.push((dues[first as usize], first));
            }
            prop_assert!(seen.is_sorted());
            prop_assert_eq!(timers.len(), 0);
        }
    }
}
