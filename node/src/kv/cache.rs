//! Pure. Hot entries in memory, absent ones included.
//!
//! **Owns** which entries are remembered. **Must not know** the database. **Enter at** [`Cache`].
//!
//! A reader that missed gets a [`Ticket`] before it looks in the database; what it found is remembered only if nothing in
//! that shard changed meanwhile, so a slow reader can not bring an overwritten value back. Eviction is second chance:
//! an entry that was read since the hand last passed stays for one more round.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use skerry_control::kv::KvEntry;

use super::record::EntryKey;

const SHARDS: usize = 16;
/// BOUND: larger entries would push hundreds of small ones out.
const ENTRY_BYTES_MAX: usize = 256 << 10;
/// What one entry costs beside its bytes: the map's slot, the queue's place, the allocations.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// The state of a shard before a read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

/// What the cache knows.
pub(super) enum Cached {
    /// The entry, or that there is none.
    Hit(Option<KvEntry>),
    /// Look in the database, then call [`Cache::fill`] with this.
    Miss(Ticket),
}

/// A bounded memory of entries.
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes_max: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<EntryKey, Slot>,
    hand: VecDeque<EntryKey>,
    bytes: usize,
    changes: u64,
}

struct Slot {
    entry: Option<KvEntry>,
    bytes: usize,
    read: bool,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            shard_bytes_max: bytes_max / SHARDS,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn look_up(&self, key: &EntryKey) -> Cached {
        let mut shard = self.shard(key);
        match shard.entries.get_mut(key) {
            Some(slot) => {
                slot.read = true;
                Cached::Hit(slot.entry.clone())
            }
            None => Cached::Miss(Ticket(shard.changes)),
        }
    }

    /// Remembers what a reader found, unless the shard has changed since it got its ticket.
    pub(super) fn fill(&self, key: &EntryKey, entry: Option<&KvEntry>, ticket: Ticket) {
        let mut shard = self.shard(key);
        if shard.changes == ticket.0 {
            shard.insert(key, entry.cloned(), self.shard_bytes_max);
        }
    }

    /// Notes that the entry changed and what it is now.
    pub(super) fn replace(&self, key: &EntryKey, entry: &KvEntry) {
        let mut shard = self.shard(key);
        shard.changes += 1;
        shard.remove(key);
        shard.insert(key, Some(entry.clone()), self.shard_bytes_max);
    }

    /// Notes that the entry changed.
    pub(super) fn forget(&self, key: &EntryKey) {
        let mut shard = self.shard(key);
        shard.changes += 1;
        shard.remove(key);
    }

    fn shard(&self, key: &EntryKey) -> MutexGuard<'_, Shard> {
        let place = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        // A panic while the lock is held leaves at worst a wrong byte count, never a wrong entry.
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn insert(&mut self, key: &EntryKey, entry: Option<KvEntry>, bytes_max: usize) {
        let value_bytes =
            entry.as_ref().map_or(0, |entry| entry.value.len() + entry.metadata.as_ref().map_or(0, String::len));
        let bytes = 2 * key.as_bytes().len() + value_bytes + ENTRY_OVERHEAD_BYTES;
        if value_bytes > ENTRY_BYTES_MAX || bytes > bytes_max || self.entries.contains_key(key) {
            return;
        }
        self.make_room(bytes_max - bytes);
        self.bytes += bytes;
        self.hand.push_back(key.clone());
        self.entries.insert(key.clone(), Slot { entry, bytes, read: false });
    }

    fn remove(&mut self, key: &EntryKey) {
        if let Some(slot) = self.entries.remove(key) {
            self.bytes -= slot.bytes;
            // Linear, but only for keys that are both hot and written; the queue of a shard is a few thousand long.
            self.hand.retain(|other| other != key);
        }
    }

    fn make_room(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(key) = self.hand.pop_front() else { return };
            let Some(slot) = self.entries.get_mut(&key) else { continue };
            if std::mem::take(&mut slot.read) {
                self.hand.push_back(key);
            } else {
                self.bytes -= slot.bytes;
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use skerry_proto::id::NamespaceId;

    use super::*;

    fn key(name: &str) -> EntryKey {
        EntryKey::new(&NamespaceId::new(&"a".repeat(32)).unwrap(), name)
    }

    fn entry(len: usize) -> KvEntry {
        KvEntry { value: Bytes::from(vec![7; len]), metadata: None, expiration: None }
    }

    #[test]
    fn a_slow_reader_can_not_bring_an_overwritten_value_back() {
        let cache = Cache::new(1 << 20);
        let Cached::Miss(ticket) = cache.look_up(&key("k")) else { panic!("nothing is cached yet") };
        cache.forget(&key("k"));
        cache.fill(&key("k"), Some(&entry(1)), ticket);
        assert!(matches!(cache.look_up(&key("k")), Cached::Miss(_)));
    }

    #[test]
    fn memory_stays_within_its_bound() {
        let cache = Cache::new(SHARDS * 10_000);
        for n in 0..2000 {
            cache.replace(&key(&format!("key-{n}")), &entry(1000));
        }
        for shard in &cache.shards {
            let shard = shard.lock().unwrap();
            assert!(shard.bytes <= 10_000, "{}", shard.bytes);
            assert_eq!(shard.bytes, shard.entries.values().map(|slot| slot.bytes).sum::<usize>());
            assert_eq!(shard.hand.len(), shard.entries.len());
        }
    }

    #[test]
    fn an_entry_that_is_read_outlives_those_that_are_not() {
        let cache = Cache::new(SHARDS * 10_000);
        cache.replace(&key("hot"), &entry(1000));
        for n in 0..500 {
            assert!(matches!(cache.look_up(&key("hot")), Cached::Hit(Some(_))));
            cache.replace(&key(&format!("cold-{n}")), &entry(1000));
        }
    }

    #[test]
    fn absence_is_remembered() {
        let cache = Cache::new(1 << 20);
        let Cached::Miss(ticket) = cache.look_up(&key("none")) else { panic!("nothing is cached yet") };
        cache.fill(&key("none"), None, ticket);
        assert!(matches!(cache.look_up(&key("none")), Cached::Hit(None)));
    }
}
