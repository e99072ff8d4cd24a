//! Commands, states and randomness for the feed's tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use skerry_proto::id::{AccountId, Revision, ServiceName};

use crate::{
    catalog::{
        Account, Actor, Change, Command,
        wire::{encode_catalog, encode_command},
    },
    feed::{
        message::Position,
        rules::{CatalogRules, Rules, position},
    },
    state::{Head, LogEntry},
};

/// xorshift64* (Vigna 2016): small, and the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}

/// A command that makes the catalog differ.
pub(super) fn command(number: u64) -> Command {
    let label = Some(ServiceName::new(&format!("tenant-{number}")).unwrap());
    let id = AccountId::new(&format!("{number:032x}")).unwrap();
    let account = Account { id, name: "tenant".to_owned(), label, created_at_ms: 1 };
    Command::new(Actor::node("test"), 1000, vec![Change::CreateAccount(account)])
}

/// A history: what the leader's log would be.
#[derive(Debug, Clone, Default)]
pub(in crate::feed) struct History {
    pub(in crate::feed) heads: Vec<Head>,
    pub(in crate::feed) entries: Vec<Arc<LogEntry>>,
}

impl History {
    /// States and the entries between them; revisions have gaps, as in a log with other things in it.
    pub(in crate::feed) fn of(length: u64) -> Self {
        let mut history = Self { heads: vec![Head::default()], entries: Vec::new() };
        (0..length).for_each(|_| history.grow());
        history
    }

    /// One more.
    pub(in crate::feed) fn grow(&mut self) {
        let before = self.heads.last().unwrap().clone();
        let number = self.entries.len() as u64 + 1;
        let revision = Revision(before.catalog.revision().0 + 1 + number % 3);
        let command = Bytes::from(encode_command(&command(number)));
        let previous = before.catalog.revision();
        let mut entry = LogEntry { previous, revision, command, digest: before.digest, at_ms: 1000 };
        let head = CatalogRules.apply(&before, &entry).unwrap();
        entry.digest = head.digest;
        self.entries.push(Arc::new(entry));
        self.heads.push(head);
    }

    pub(in crate::feed) fn newest(&self) -> &Head {
        self.heads.last().unwrap()
    }

    pub(in crate::feed) fn position(&self, at: usize) -> Position {
        position(&self.heads[at])
    }
}

/// The catalog's rules, remembered, so that a thousand nodes cost as much as one. Some builds can not apply one revision.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedRules {
    applied: Arc<Mutex<HashMap<(u128, Revision), Head>>>,
    opened: Arc<Mutex<HashMap<blake3::Hash, Head>>>,
    encoded: Arc<Mutex<HashMap<Revision, Bytes>>>,
    /// Can not be applied, and no snapshot in this range can be opened.
    pub(super) poison: Option<std::ops::Range<Revision>>,
    /// Can not be applied, but a snapshot with it can be opened.
    pub(super) indigestible: Option<Revision>,
}

impl SharedRules {
    pub(super) fn without(indigestible: Revision) -> Self {
        Self { indigestible: Some(indigestible), ..Self::default() }
    }

    pub(super) fn poisoned(poison: std::ops::Range<Revision>) -> Self {
        Self { poison: Some(poison), ..Self::default() }
    }

    pub(super) fn encode(&self, head: &Head) -> Bytes {
        let mut encoded = self.encoded.lock().unwrap();
        let revision = head.catalog.revision();
        encoded.entry(revision).or_insert_with(|| encode_catalog(&head.catalog).into()).clone()
    }

    fn is_poison(&self, revision: Revision) -> bool {
        self.poison.as_ref().is_some_and(|range| range.contains(&revision))
    }
}

impl Rules for SharedRules {
    fn apply(&self, before: &Head, entry: &LogEntry) -> Result<Head, String> {
        if self.is_poison(entry.revision) || self.indigestible == Some(entry.revision) {
            return Err("this build can not apply it".to_owned());
        }
        let key = (u128::from_be_bytes(before.digest.to_bytes()), entry.revision);
        if let Some(head) = self.applied.lock().unwrap().get(&key) {
            return Ok(head.clone());
        }
        let head = CatalogRules.apply(before, entry)?;
        self.applied.lock().unwrap().insert(key, head.clone());
        Ok(head)
    }

    fn open(&self, bytes: &[u8]) -> Result<Head, String> {
        let key = blake3::hash(bytes);
        let found = self.opened.lock().unwrap().get(&key).cloned();
        let head = match found {
            Some(head) => head,
            None => CatalogRules.open(bytes)?,
        };
        self.opened.lock().unwrap().insert(key, head.clone());
        if self.is_poison(head.catalog.revision()) { Err("this build can not read it".to_owned()) } else { Ok(head) }
    }
}
