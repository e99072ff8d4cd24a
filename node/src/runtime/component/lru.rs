//! Pure. A map with a bound that forgets what was used longest ago.
//!
//! **Owns** the order of use. **Must not know** what it keeps. **Enter at** [`Lru`].

use std::{collections::HashMap, hash::Hash};

/// At most `capacity` values by key.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    entries: HashMap<K, (V, u64)>,
    capacity: usize,
    uses: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Lru<K, V> {
    /// An empty map for `capacity` values, at least 1.
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity: capacity.max(1), uses: 0 }
    }

    /// The value under `key`, made now when there is none; counts as a use.
    pub(super) fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> V {
        self.uses += 1;
        if let Some((value, used)) = self.entries.get_mut(key) {
            *used = self.uses;
            return value.clone();
        }
        // Eviction scans, which is cheap beside what a new entry costs its maker.
        if self.entries.len() >= self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        let value = make();
        self.entries.insert(key.clone(), (value.clone(), self.uses));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut map = Lru::new(2);
        map.get_or_insert_with(&"a", || 1);
        map.get_or_insert_with(&"b", || 2);
        map.get_or_insert_with(&"a", || 0);
        map.get_or_insert_with(&"c", || 3);
        assert_eq!(map.get_or_insert_with(&"a", || 9), 1);
        assert_eq!(map.get_or_insert_with(&"b", || 9), 9);
    }
}
