//! Pure. Deliberate bugs of an edge, which invariants must catch.
//!
//! **Owns** how they differ from what a node does. **Must not know** who has them. **Enter at** [`Mutant`].

use skerry_control::{
    catalog::{
        Actor, Change,
        wire::{decode_command, encode_command},
    },
    feed::rules::{CatalogRules, Rules},
    state::{Head, LogEntry},
};

/// A build with a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Mutant {
    /// Says that entries are durable before they are, and its disk never gets them.
    ShowsBeforeItPersists,
    /// Believes every digest that is announced to it.
    ChecksNoDigest,
}

/// Takes the announced digest for the one that it has.
#[derive(Debug)]
pub(super) struct Gullible;

impl Rules for Gullible {
    fn apply(&self, before: &Head, entry: &LogEntry) -> Result<Head, String> {
        let head = CatalogRules.apply(before, entry)?;
        Ok(Head { digest: entry.digest, ..head })
    }

    fn open(&self, bytes: &[u8]) -> Result<Head, String> {
        CatalogRules.open(bytes)
    }
}

/// The entry with another command in place of its own, under the digest of the old one; `None` when it creates nothing that could
/// be named otherwise.
pub(super) fn corrupted(entry: &LogEntry) -> Option<LogEntry> {
    let mut command = decode_command(&entry.command).ok()?;
    command.actor = Actor::node("corruption");
    let Some(Change::CreateAccount(account)) = command.changes.first_mut() else { return None };
    "corrupted".clone_into(&mut account.name);
    Some(LogEntry { command: encode_command(&command).into(), ..entry.clone() })
}
