//! What the relay wants, done.

use std::{io, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};
use tokio::sync::mpsc;

use super::{
    Event, Feed, Follower, Head, Limit, Publisher, Rules, Snapshot, Start, States, Store, UpstreamId, WINDOW,
    create_folder, encode_catalog, follow, position, publish, pump, quarantine, remove_unfinished, store, task,
};
use crate::{
    clock,
    feed::{message::Down, quarantine::Boot, relay::Input},
    state::LogEntry,
};

/// What a start finds.
pub(super) struct Opened {
    pub(super) head: Head,
    pub(super) entries: Vec<LogEntry>,
    pub(super) store: Option<Store>,
    pub(super) journal: Vec<Boot>,
    pub(super) start: Start,
}

/// Finds the node's own copy. A voter has only the journal here, and says up to where it may have shown what raft agreed on.
/// Blocking.
pub(super) fn open(folder: &Path, agreed: Option<Revision>, rules: &dyn Rules) -> io::Result<Opened> {
    create_folder(folder)?;
    remove_unfinished(folder)?;
    let newest = agreed.map_or_else(|| store::newest(folder), Ok)?;
    let (journal, start) = quarantine::begin(store::read_boots(folder), newest, clock::unix_ms());
    if let Err(error) = store::write_boots(folder, &journal) {
        // A full disk must not keep a node from serving what it has.
        tracing::error!(%error, "the journal of starts can not be written");
    }
    if agreed.is_some() {
        let (head, entries, store) = (Head::default(), Vec::new(), None);
        return Ok(Opened { head, entries, store, journal, start });
    }
    let limit = match &start {
        Start::Newest => Limit::Newest,
        Start::Before(served, _) => Limit::UpTo(*served),
    };
    let (mut loaded, mut start) = (store::load(folder, limit, rules)?, start);
    if limit != Limit::Newest && loaded.head.catalog.revision() == Revision(0) {
        // The snapshots are all newer than what was good: a suspect state is better than none.
        (loaded, start) = (store::load(folder, Limit::Newest, rules)?, Start::Newest);
    }
    let store = Some(Store::start(folder, &loaded)?);
    let entries = std::mem::take(&mut loaded.entries);
    tracing::info!(revision = %loaded.head.catalog.revision(), records = entries.len(), "the feed's own copy is loaded");
    Ok(Opened { head: loaded.head, entries, store, journal, start })
}

/// The revision that this life begins by serving.
pub(super) fn begins_at(opened: &Opened, agreed: Option<Revision>) -> Revision {
    match (&opened.start, agreed) {
        (Start::Before(served, _), _) => *served,
        (Start::Newest, Some(agreed)) => agreed,
        (Start::Newest, None) => opened.head.catalog.revision(),
    }
}

/// A publisher of everything that `states` has.
pub(super) fn publisher(now: Instant, node: NodeId, states: &States, opened: &Opened) -> Publisher {
    let number = opened.journal.last().map_or(1, |boot| boot.number);
    let (mut publisher, mut nobody) = (Publisher::new(now, node, number), Vec::new());
    publisher.handle(now, publish::Input::Advanced(states.kept()), &mut nobody);
    let head = position(&states.head());
    if publisher.head() != head {
        publisher.handle(now, publish::Input::Replaced(head), &mut nobody);
    }
    if let Start::Before(_, refusal) = &opened.start {
        publisher.handle(now, publish::Input::Refused(refusal.clone()), &mut nobody);
    }
    publisher
}

/// A follower that begins where the disk ends.
pub(super) fn follower(now: Instant, node: NodeId, rules: Arc<dyn Rules>, opened: &Opened) -> Follower {
    let mut follower = Follower::new(now, node, rules, opened.head.clone());
    if let Start::Before(served, refusal) = &opened.start {
        tracing::error!(%served, until = %refusal.revision, reason = refusal.reason, "a revision is quarantined");
        follower.quarantine(now, refusal.revision, refusal.reason.clone());
    }
    follower
}

impl Feed {
    pub(super) fn up(&mut self, action: follow::Action) {
        match action {
            follow::Action::Dial(id, to) => self.dial(id, to),
            follow::Action::Send(id, message) => {
                let sent = self.upstreams.get(&id).map(|frames| frames.try_send(message.encode()));
                if !matches!(sent, Some(Ok(()))) {
                    // It takes nothing, or is gone already: its task says so again, to which nobody listens.
                    self.upstreams.remove(&id);
                    self.consequences.push_back(Input::Up(follow::Input::Closed(id)));
                }
            }
            follow::Action::Close(id) => drop(self.upstreams.remove(&id)),
            follow::Action::Persist(entry) => {
                let queued = self.store.as_ref().map_or(Ok(()), |store| store.append(entry));
                self.queued(queued);
            }
            follow::Action::PersistState(head, bytes) => {
                let queued = self.store.as_ref().map_or(Ok(()), |store| store.state(position(&head), bytes));
                self.queued(queued);
            }
            follow::Action::Open(id, bytes) => self.open_state(id, bytes),
            follow::Action::Advance(head, entries) => {
                self.states.advance(head, entries.iter().map(|entry| LogEntry::clone(entry)).collect());
            }
            follow::Action::Replace(head) => self.states.replace(head),
            // These stay inside the relay.
            follow::Action::Refuse(_) | follow::Action::Accept | follow::Action::ForwardAll => {}
        }
    }

    pub(super) fn down(&mut self, action: publish::Action) {
        match action {
            publish::Action::Send(id, message) => {
                let frame = self.frame(&message);
                let sent = self.subscribers.get(&id).map(|frames| frames.try_send(frame));
                if !matches!(sent, Some(Ok(()))) {
                    self.subscribers.remove(&id);
                    self.consequences.push_back(Input::Down(publish::Input::Closed(id)));
                }
            }
            publish::Action::Close(id) => drop(self.subscribers.remove(&id)),
            publish::Action::Encode => self.encode(),
            // These stay inside the relay.
            publish::Action::Forward(_) => {}
        }
    }

    fn dial(&mut self, id: UpstreamId, to: NodeId) {
        let (frames, queue) = mpsc::channel(WINDOW);
        self.upstreams.insert(id, frames);
        let run = pump::upstream(id, to, Arc::clone(&self.dial), queue, self.handle.events.clone());
        task::spawn("feed upstream", run);
    }

    fn queued(&mut self, queued: Result<(), String>) {
        if let Err(reason) = queued {
            self.consequences.push_back(Input::Up(follow::Input::NotPersisted(reason)));
        }
    }

    fn frame(&mut self, message: &Down) -> Bytes {
        let Down::Delta(entry) = message else { return message.encode() };
        match &self.encoded {
            Some((revision, frame)) if *revision == entry.revision => frame.clone(),
            _ => {
                let frame = message.encode();
                self.encoded = Some((entry.revision, frame.clone()));
                frame
            }
        }
    }

    fn open_state(&self, id: UpstreamId, bytes: Bytes) {
        let (rules, events) = (Arc::clone(&self.rules), self.handle.events.clone());
        task::spawn("feed snapshot", async move {
            let opened = tokio::task::spawn_blocking(move || rules.open(&bytes)).await;
            let opened = opened.unwrap_or_else(|error| Err(format!("reading it failed: {error}")));
            // During a shutdown nobody needs it.
            let _ = events.send(Event::Opened(id, opened)).await;
        });
    }

    fn encode(&self) {
        let (head, events) = (self.states.head(), self.handle.events.clone());
        task::spawn("feed snapshot", async move {
            let name = position(&head);
            let encoded = tokio::task::spawn_blocking(move || Bytes::from(encode_catalog(&head.catalog))).await;
            match encoded {
                Ok(bytes) => drop(events.send(Event::Encoded(Snapshot { position: name, bytes })).await),
                Err(error) => {
                    tracing::error!(%error, "a snapshot can not be encoded");
                    drop(events.send(Event::NotEncoded).await);
                }
            }
        });
    }

    /// Writes a snapshot of what is served beside the log.
    pub(super) fn snapshot(&mut self) {
        let (head, folder, events) = (self.states.head(), self.folder.clone(), self.handle.events.clone());
        let run = async move {
            let written = tokio::task::spawn_blocking(move || {
                store::write_snapshot(&folder, position(&head), encode_catalog(&head.catalog).into())
            });
            let written = written.await.map_err(io::Error::from).and_then(|written| written);
            // During a shutdown the log stays as it is.
            let _ = events.send(Event::Snapshotted(written)).await;
        };
        task::spawn("feed snapshot", run);
    }

    pub(super) fn snapshotted(&mut self, written: io::Result<()>) {
        self.snapshotting = false;
        let done = written.map_err(|error| error.to_string());
        let done = done.and_then(|()| self.store.as_ref().map_or(Ok(()), Store::snapshotted));
        if let Err(reason) = done {
            tracing::error!(reason, "a snapshot can not be written; the log grows until one can");
        }
    }

    /// Writes the journal of starts, after the last write of it.
    pub(super) fn write_journal(&mut self) {
        let (folder, journal, before) = (self.folder.clone(), self.journal.clone(), self.writing.take());
        let run = async move {
            if let Some(before) = before {
                // It logs its own failures.
                let _ = before.await;
            }
            let written = tokio::task::spawn_blocking(move || store::write_boots(&folder, &journal)).await;
            if let Err(error) = written.map_err(io::Error::from).and_then(|written| written) {
                tracing::error!(error = %error, "the journal of starts can not be written");
            }
        };
        self.writing = Some(task::spawn("feed journal", run));
    }
}
