//! What a node has shown before it started anew in another role.
//!
//! **Owns** `DIR/shown`. **Must not know** why its role has changed. **Enter at** [`keep`] and [`reach`].
//!
//! A node that takes another role gets the catalog another way, from raft's log or from the feed, and what it finds there may be
//! older than what it has shown. So it notes that when it stops, and shows nothing before it has it again.

use std::{fs, io, path::Path, time::Duration};

use skerry_proto::{
    feed as pb,
    id::Revision,
    versioned::{Kind, decode, encode},
};

use crate::{
    state::States,
    store::{Privacy, read_file, write_file},
};

const FILE: &str = "shown";
/// BOUND: how long a start waits for it. A voter or an upstream that is up has it within a second; when none is, what is old is
/// better than nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Notes what was shown; durable when this returns. Blocking. A disk that takes nothing costs the note, not the stop.
pub(super) fn keep(data_dir: &Path, revision: Revision) {
    let note = encode(Kind::Shown, &pb::Shown { revision: revision.0 });
    if let Err(error) = write_file(&data_dir.join(FILE), &note, Privacy::Public) {
        tracing::warn!(%error, %revision, "what this node has shown is not noted; it may show something older for a moment");
    }
}

/// Returns once the newest state is as new as what was shown, or after `patience`, and forgets the note.
pub(super) async fn reach(data_dir: &Path, states: &States, patience: Duration) -> io::Result<()> {
    let path = data_dir.join(FILE);
    let Some(note) = read_file(&path)? else { return Ok(()) };
    // A note that can not be read is none.
    let shown = Revision(decode::<pb::Shown>(Kind::Shown, &note).unwrap_or_default().revision);
    if !states.reach(shown, patience).await {
        let revision = states.catalog().revision();
        tracing::warn!(%revision, %shown, "nobody gives this node what it has shown before; it serves what it has");
    }
    fs::remove_file(&path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Head;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_start_waits_for_what_was_shown_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::new(Head::default());
        reach(folder.path(), &states, LONG).await.unwrap();
        keep(folder.path(), Revision(0));
        reach(folder.path(), &states, LONG).await.unwrap();
        keep(folder.path(), Revision(7));
        let waiting = reach(folder.path(), &states, LONG);
        tokio::time::timeout(Duration::from_millis(50), waiting).await.unwrap_err();
        assert!(folder.path().join(FILE).exists(), "a start that was cut off waits again");
        reach(folder.path(), &states, Duration::ZERO).await.unwrap();
        assert!(!folder.path().join(FILE).exists(), "the next start does not wait again");
    }

    #[tokio::test]
    async fn a_damaged_note_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"noise").unwrap();
        reach(folder.path(), &States::new(Head::default()), LONG).await.unwrap();
    }
}
