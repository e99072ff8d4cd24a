//! Pure. What this build makes of an entry and of a snapshot.
//!
//! **Owns** applying one entry and opening one snapshot, with every failure a reason. **Must not know** where they come
//! from. **Enter at** [`Rules`].
//!
//! A panic in `apply` is caught here: a command works on a copy, so what the node serves is untouched, and refusing one
//! revision is better than crashing with every start (Cloudflare, 2025-11-18). On voters the same panic ends the process,
//! because there the order of the log can not be left.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::message::Position;
use crate::{
    catalog::{
        Catalog, Digest, Repeated,
        wire::{decode_catalog, decode_command},
    },
    state::{Head, LogEntry},
};

/// What a build makes of entries and snapshots. A trait, so that simulations can have builds that disagree.
pub trait Rules: Send + Sync + fmt::Debug {
    /// The state after `entry`, with the digest that it has; not yet compared with the announced one.
    fn apply(&self, before: &Head, entry: &LogEntry) -> Result<Head, String>;

    /// The state in an encoded catalog, with the digest that it has. Takes long for large ones.
    fn open(&self, bytes: &[u8]) -> Result<Head, String>;
}

/// The catalog's own rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct CatalogRules;

impl Rules for CatalogRules {
    fn apply(&self, before: &Head, entry: &LogEntry) -> Result<Head, String> {
        let command = decode_command(&entry.command).map_err(|error| chain(&error))?;
        if entry.revision <= before.catalog.revision() {
            return Err(format!("revision {} is not above {}", entry.revision, before.catalog.revision()));
        }
        let mut catalog = Catalog::clone(&before.catalog);
        let applied = catch_unwind(AssertUnwindSafe(|| catalog.apply(entry.revision, &command)));
        match applied {
            Ok(Ok(applied)) if applied.repeated == Repeated::No => {
                let digest = before.digest.advance(&before.catalog, &catalog);
                Ok(Head { catalog: Arc::new(catalog), digest })
            }
            Ok(Ok(_)) => Err("it repeats an earlier command, so it can have made no revision".to_owned()),
            Ok(Err(rejection)) => Err(format!("this build refuses the command: {rejection}")),
            Err(_) => Err("this build panics when it applies the command; the node's log has the place".to_owned()),
        }
    }

    fn open(&self, bytes: &[u8]) -> Result<Head, String> {
        let catalog = decode_catalog(bytes).map_err(|error| chain(&error))?;
        let digest = Digest::of(&catalog);
        Ok(Head { catalog: Arc::new(catalog), digest })
    }
}

/// The name of a state.
#[must_use]
pub fn position(head: &Head) -> Position {
    Position { revision: head.catalog.revision(), digest: head.digest }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
