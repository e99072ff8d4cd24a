//! Pure. Whether the newest revision is to be blamed for this node's crashes.
//!
//! **Owns** what the journal of starts says about it. **Must not know** files or clocks. **Enter at** [`begin`].
//!
//! ```text
//! a life:  began at a revision --took newer ones--> ... --a minute passes--> settled
//! crashed, with something unsettled --again, within a minute--> the next life begins at what was settled, and is quarantined
//! quarantined --a revision newer than the bad ones--> taken as a whole, and tried
//! ```
//! - What is newer than the last settled revision is suspect as a whole: several deploys may share a minute.
//! - A quarantined life that crashes is quarantined again: going back further would not be safer, and forward was worse.

use std::time::Instant;

use bytes::Bytes;
use skerry_proto::{
    feed as pb,
    id::Revision,
    versioned::{self, DecodeError, Kind},
};

use super::{
    acks::Refusal,
    limits::{BOOTS_KEPT, SETTLE},
};

/// One life of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Boot {
    /// Counts.
    pub number: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The newest revision that was served for a minute, in this life or before.
    pub settled: Revision,
    /// The newest revision on the disk when it had ended.
    pub reached: Revision,
    /// Nothing up to this revision was tried.
    pub quarantined: Option<Revision>,
    /// It was stopped, and did not crash.
    pub clean: bool,
}

/// Where a life begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the newest state.
    Newest,
    /// At the last one that was served for a minute; the refusal names the newest of those that are not tried again.
    Before(Revision, Refusal),
}

impl Start {
    /// What is served, and what is not.
    #[must_use]
    pub fn held(&self) -> Option<(Revision, Refusal)> {
        match self {
            Self::Newest => None,
            Self::Before(served, refusal) => Some((*served, refusal.clone())),
        }
    }
}

/// Decides where this life begins, and adds it to the journal. `newest`: what the disk has; `journal`: oldest first.
#[must_use]
pub fn begin(mut journal: Vec<Boot>, newest: Revision, at_ms: i64) -> (Vec<Boot>, Start) {
    if let Some(last) = journal.last_mut() {
        last.reached = newest;
    }
    let last = journal.last().copied().unwrap_or_default();
    let until = match last.quarantined {
        Some(until) if newest <= until => Some(until),
        _ => crashed_twice(&journal).then_some(newest),
    };
    let boot = Boot {
        number: last.number.saturating_add(1),
        at_ms,
        settled: last.settled.min(newest),
        reached: Revision(0),
        quarantined: until,
        clean: false,
    };
    journal.push(boot);
    let excess = journal.len().saturating_sub(BOOTS_KEPT);
    journal.drain(..excess);
    let start = until.map_or(Start::Newest, |until| {
        let reason = format!(
            "this node crashed twice within {} s of serving what came after revision {}; it serves that one again",
            SETTLE.as_secs(),
            boot.settled,
        );
        Start::Before(boot.settled, Refusal::new(until, reason))
    });
    (journal, start)
}

/// Whether the last two lives crashed with the same thing unsettled, and there is something settled to go back to. A life
/// that lasted a minute has settled what it began with, so its crash is a first one: on a busy cluster something is always
/// unsettled, and power that fails in May and again in July is nobody's fault.
fn crashed_twice(journal: &[Boot]) -> bool {
    let suspect = |boot: &Boot| !boot.clean && boot.reached > boot.settled;
    match journal {
        [.., before, last] => {
            let was_short = last.settled <= before.settled;
            suspect(before) && suspect(last) && was_short && last.settled > Revision(0)
        }
        _ => false,
    }
}

/// Watches what is served for a minute.
#[derive(Debug)]
pub struct Settling {
    served: Revision,
    watched: Option<(Revision, Instant)>,
}

impl Settling {
    /// `served` is served from now on.
    #[must_use]
    pub fn new(now: Instant, served: Revision) -> Self {
        Self { served, watched: Some((served, now + SETTLE)) }
    }

    /// A newer one is served.
    pub fn serve(&mut self, now: Instant, revision: Revision) {
        self.served = revision;
        self.watched.get_or_insert((revision, now + SETTLE));
    }

    /// What has settled, when something has.
    pub fn settle(&mut self, now: Instant) -> Option<Revision> {
        let (settled, _) = self.watched.take_if(|(_, at)| now >= *at)?;
        if self.served > settled {
            self.watched = Some((self.served, now + SETTLE));
        }
        Some(settled)
    }

    /// How long until [`Settling::settle`] has something to say.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.watched.map(|(_, at)| at)
    }
}

/// The journal as a file.
#[must_use]
pub fn encode(journal: &[Boot]) -> Bytes {
    let boots = journal.iter().map(|boot| pb::Boot {
        number: boot.number,
        at_ms: boot.at_ms,
        settled: boot.settled.0,
        reached: boot.reached.0,
        quarantined: boot.quarantined.map_or(0, |until| until.0),
        clean: boot.clean,
    });
    versioned::encode(Kind::Boots, &pb::Boots { boots: boots.collect() }).into()
}

/// The journal in a file.
pub fn decode(bytes: &[u8]) -> Result<Vec<Boot>, DecodeError> {
    let boots = versioned::decode::<pb::Boots>(Kind::Boots, bytes)?.boots;
    let boots = boots.into_iter().map(|boot| Boot {
        number: boot.number,
        at_ms: boot.at_ms,
        settled: Revision(boot.settled),
        reached: Revision(boot.reached),
        quarantined: (boot.quarantined > 0).then_some(Revision(boot.quarantined)),
        clean: boot.clean,
    });
    Ok(boots.collect())
}
