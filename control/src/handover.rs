//! What a node has shown before it started anew in another role, and where it finds that again.
//!
//! **Owns** `DIR/shown`, and that the copy of the other role is kept until this one has as much. **Must not know** why its role
//! has changed. **Enter at** [`keep`] and [`reach`].
//!
//! A node that takes another role gets the catalog another way, from raft's log or from the feed. Those may be away, and what it
//! finds there may be older than what it has shown. So it notes that before it takes the role, begins with what it had in the
//! other one, and shows nothing before it has all of it again.

use std::{fs, io, path::Path, time::Duration};

use skerry_proto::{
    feed as wire,
    id::Revision,
    versioned::{Kind, decode, encode},
};

use crate::{
    feed, raft,
    state::{Head, States},
    store::{Privacy, read_file, write_file},
};

const FILE: &str = "shown";
/// BOUND: how long a start waits for it. A voter or an upstream that is up has it within a second; when none is, what is old is
/// better than nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Notes what was shown; durable when this returns. A disk that takes nothing costs the note, not the stop.
pub(crate) async fn keep(data_dir: &Path, revision: Revision) {
    let path = data_dir.join(FILE);
    let note = encode(Kind::Shown, &wire::Shown { revision: revision.0 });
    let written = tokio::task::spawn_blocking(move || write_file(&path, &note, Privacy::Public)).await;
    if let Err(error) = written.map_err(io::Error::from).and_then(|written| written) {
        tracing::warn!(%error, %revision, "what this node has shown is not noted; it may show something older for a moment");
    }
}

/// The copy that a node which votes now had as an edge, to begin with; empty when there is none.
pub(crate) async fn of_edge(data_dir: &Path) -> Head {
    let data_dir = data_dir.to_path_buf();
    let read = tokio::task::spawn_blocking(move || feed::stopped::read(&data_dir)).await;
    found(read.map_err(io::Error::from).and_then(|read| read))
}

/// Gives an edge that has voted until now what was agreed then: its own copy begins with it.
pub(crate) async fn from_voter(data_dir: &Path) {
    if !data_dir.join(FILE).exists() || !data_dir.join("raft.redb").exists() {
        return;
    }
    let head = found(raft::stopped::agreed(data_dir).await);
    let data_dir = data_dir.to_path_buf();
    let begun = tokio::task::spawn_blocking(move || feed::stopped::begin_with(&data_dir, &head)).await;
    if let Err(error) = begun.map_err(io::Error::from).and_then(|begun| begun) {
        tracing::warn!(%error, "what this node had as a voter is not kept; it is fetched again");
    }
}

/// Removes an edge's copy from a node that votes, once raft has all of it: it would be old by the time that the node is an edge
/// again.
pub(crate) async fn forget_edge(data_dir: &Path, applied: Option<Revision>) {
    let data_dir = data_dir.to_path_buf();
    let forgotten = tokio::task::spawn_blocking(move || {
        let had = feed::stopped::read(&data_dir)?.catalog.revision();
        if applied >= Some(had) { feed::stopped::forget(&data_dir) } else { Ok(()) }
    });
    if let Err(error) = forgotten.await.map_err(io::Error::from).and_then(|forgotten| forgotten) {
        tracing::warn!(%error, "what this node had as an edge is not removed");
    }
}

/// A copy that can not be read is none: the other role has its own way to the newest state.
fn found(read: io::Result<Head>) -> Head {
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "what this node had in its other role can not be read; it is fetched again");
        Head::default()
    })
}

/// Returns once the newest state is as new as what was shown, or after `patience`, and forgets the note.
pub(crate) async fn reach(data_dir: &Path, states: &States, patience: Duration) -> io::Result<()> {
    let path = data_dir.join(FILE);
    let Some(note) = read_file(&path)? else { return Ok(()) };
    // A note that can not be read is none.
    let shown = Revision(decode::<wire::Shown>(Kind::Shown, &note).unwrap_or_default().revision);
    if !states.reach(shown, patience).await {
        let revision = states.catalog().revision();
        tracing::warn!(%revision, %shown, "nobody gives this node what it has shown before; it serves what it has");
    }
    fs::remove_file(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_start_waits_for_what_was_shown_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::new(Head::default());
        reach(folder.path(), &states, LONG).await.unwrap();
        keep(folder.path(), Revision(0)).await;
        reach(folder.path(), &states, LONG).await.unwrap();
        keep(folder.path(), Revision(7)).await;
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
