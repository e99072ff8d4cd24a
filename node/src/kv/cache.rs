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
const ENTRY_OVERHEAD_BYTES: usize = 168;
/// BOUND: places in a shard's queue whose entry is gone, beside as many as there are entries. Each is looked at once when they are
/// cleared away, so that forgetting an entry costs the same however many there are.
const STALE_PLACES_MAX: usize = 64;

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
    /// In the order in which the hand passes; a place whose slot is gone, or was given another place, is passed over.
    hand: VecDeque<(EntryKey, u64)>,
    places: u64,
    bytes: usize,
    changes: u64,
}

struct Slot {
    entry: Option<KvEntry>,
    bytes: usize,
    read: bool,
    place: u64,
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
        shard.replace(key, entry, self.shard_bytes_max);
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
        let Some(bytes) = cost(key, entry.as_ref(), bytes_max) else { return };
        if self.entries.contains_key(key) {
            return;
        }
        self.make_room(bytes_max - bytes);
        self.bytes += bytes;
        self.places += 1;
        self.hand.push_back((key.clone(), self.places));
        self.entries.insert(key.clone(), Slot { entry, bytes, read: false, place: self.places });
    }

    fn replace(&mut self, key: &EntryKey, entry: &KvEntry, bytes_max: usize) {
        let Some(bytes) = cost(key, Some(entry), bytes_max) else { return self.remove(key) };
        match self.entries.get_mut(key) {
            Some(slot) => {
                self.bytes = self.bytes - slot.bytes + bytes;
                (slot.entry, slot.bytes) = (Some(entry.clone()), bytes);
                self.make_room(bytes_max);
            }
            None => self.insert(key, Some(entry.clone()), bytes_max),
        }
    }

    fn remove(&mut self, key: &EntryKey) {
        let Some(slot) = self.entries.remove(key) else { return };
        self.bytes -= slot.bytes;
        if self.hand.len() > 2 * self.entries.len() + STALE_PLACES_MAX {
            let entries = &self.entries;
            self.hand.retain(|(key, place)| entries.get(key).is_some_and(|slot| slot.place == *place));
        }
    }

    fn make_room(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some((key, place)) = self.hand.pop_front() else { return };
            let Some(slot) = self.entries.get_mut(&key).filter(|slot| slot.place == place) else { continue };
            if std::mem::take(&mut slot.read) {
                self.hand.push_back((key, place));
            } else {
                self.bytes -= slot.bytes;
                self.entries.remove(&key);
            }
        }
    }
}

/// Bytes that an entry takes; `None` when it is too large to be remembered.
fn cost(key: &EntryKey, entry: Option<&KvEntry>, bytes_max: usize) -> Option<usize> {
    let value_bytes = entry.map_or(0, |entry| entry.value.len() + entry.metadata.as_ref().map_or(0, String::len));
    let bytes = 2 * key.as_bytes().len() + value_bytes + ENTRY_OVERHEAD_BYTES;
    (value_bytes <= ENTRY_BYTES_MAX && bytes <= bytes_max).then_some(bytes)
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
    fn what_is_rewritten_and_forgotten_leaves_no_more_places_than_entries() {
        let cache = Cache::new(1 << 20);
        for n in 0..10_000 {
            cache.replace(&key("hot"), &entry(n % 7));
            let Cached::Hit(Some(found)) = cache.look_up(&key("hot")) else { panic!("it was just written") };
            assert_eq!(found.value.len(), n % 7);
            if n % 3 == 0 {
                cache.forget(&key("hot"));
                assert!(matches!(cache.look_up(&key("hot")), Cached::Miss(_)));
            }
        }
        cache.replace(&key("hot"), &entry(ENTRY_BYTES_MAX + 1));
        assert!(matches!(cache.look_up(&key("hot")), Cached::Miss(_)), "too large to be remembered");
        for shard in &cache.shards {
            let shard = shard.lock().unwrap();
            assert_eq!((shard.bytes, shard.entries.len()), (0, 0));
            assert!(shard.hand.len() <= STALE_PLACES_MAX, "{}", shard.hand.len());
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
