//! What events and the wishes of relays come to.

use std::{sync::Arc, time::Duration};

use skerry_control::{
    catalog::wire::encode_catalog,
    feed::{
        follow,
        message::Down,
        publish::{self, Snapshot, SubscriberId},
        relay::{Action, Input},
        rules::position,
    },
    state::LogEntry,
};
use skerry_proto::id::NodeId;

use super::{
    SPEED,
    disk::Write,
    mutant::{Mutant, corrupted},
    world::{Event, Link, World},
};

/// How long opening and encoding a snapshot take.
const SNAPSHOT: Duration = Duration::from_millis(20);
/// When a link notices that nothing passes: QUIC would repeat until its idle timeout, which is longer than most cuts.
const NOTICED: Duration = Duration::from_millis(500);

const UP: usize = 0;
const DOWN: usize = 1;

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Timer(id) => {
                if let Some(life) = self.lives.get_mut(&id).filter(|life| life.timer == Some(self.now)) {
                    life.timer = None;
                    self.tell(id, Input::Timeout);
                }
            }
            Event::Tick(id, life) => self.tick(id, life),
            Event::Arrive(link) => self.arrive(link),
            Event::Connected(link) if self.links[link].open => {
                let Link { lower, upstream, .. } = self.links[link];
                self.tell(lower, Input::Up(follow::Input::Connected(upstream)));
            }
            Event::Up(link, message) if self.links[link].open => {
                let Link { upper, subscriber, .. } = self.links[link];
                self.tell(upper, Input::Down(publish::Input::Received(subscriber, message)));
            }
            Event::Down(link, message) if self.links[link].open => {
                let Link { lower, upstream, .. } = self.links[link];
                self.tell(lower, Input::Up(follow::Input::Received(upstream, message)));
            }
            Event::Ended(link) => self.ended(link),
            Event::Flushed(id, life) if self.lives_on(id, life) => {
                if let Some(revision) = self.disks.entry(id).or_default().end() {
                    self.tell(id, Input::Up(follow::Input::Persisted(revision)));
                }
                self.flush(id);
            }
            Event::Opened(id, life, upstream, bytes) if self.lives_on(id, life) => {
                let opened = self.lives[&id].rules.open(&bytes);
                self.tell(id, Input::Up(follow::Input::Opened(upstream, opened)));
            }
            Event::Encoded(id, life) if self.lives_on(id, life) => {
                let head = self.lives[&id].states.head();
                let bytes = encode_catalog(&head.catalog).into();
                let snapshot = Arc::new(Snapshot { position: position(&head), bytes });
                self.tell(id, Input::Down(publish::Input::Encoded(snapshot)));
            }
            // They come to nobody.
            Event::Connected(_)
            | Event::Up(..)
            | Event::Down(..)
            | Event::Flushed(..)
            | Event::Opened(..)
            | Event::Encoded(..) => {}
        }
    }

    fn lives_on(&self, id: NodeId, number: u64) -> bool {
        self.lives.get(&id).is_some_and(|life| life.number == number)
    }

    /// Gives a relay an input and does what it wants.
    pub(super) fn tell(&mut self, id: NodeId, input: Input) {
        let (now, mut actions) = (self.now, Vec::new());
        let Some(life) = self.lives.get_mut(&id) else { return };
        life.relay.handle(now, input, &mut actions);
        for action in actions {
            match action {
                Action::Up(action) => self.up(id, action),
                Action::Down(action) => self.down(id, action),
            }
        }
        let Some(life) = self.lives.get_mut(&id) else { return };
        let holds = life.relay.follower().is_some_and(|follower| follower.held().is_some());
        self.figures.refusals += u64::from(holds && !life.holds);
        life.holds = holds;
        let due = life.relay.next_timeout().max(now + Duration::from_millis(1));
        if life.timer.is_none_or(|timer| due < timer) {
            life.timer = Some(due);
            self.at(due, Event::Timer(id));
        }
    }

    fn up(&mut self, id: NodeId, action: follow::Action) {
        match action {
            follow::Action::Dial(upstream, to) => {
                let (subscriber, busy) = (SubscriberId(0), [self.now; 2]);
                self.links.push(Link { upper: to, subscriber, lower: id, upstream, open: true, busy });
                let link = self.links.len() - 1;
                self.life(id).ups.insert(upstream, link);
                self.pass(link, UP, Event::Arrive(link));
            }
            follow::Action::Send(upstream, message) => {
                if let Some(link) = self.life(id).ups.get(&upstream).copied() {
                    self.pass(link, UP, Event::Up(link, message));
                }
            }
            follow::Action::Close(upstream) => {
                if let Some(link) = self.life(id).ups.remove(&upstream) {
                    self.after(NOTICED, Event::Ended(link));
                }
            }
            follow::Action::Persist(entry) => self.persist(id, entry),
            follow::Action::PersistState(head, _) => {
                self.figures.snapshots += 1;
                self.disks.entry(id).or_default().write(Write::State(head));
                self.flush(id);
            }
            follow::Action::Open(upstream, bytes) => {
                let life = self.life(id).number;
                self.after(SNAPSHOT, Event::Opened(id, life, upstream, bytes));
            }
            follow::Action::Advance(head, entries) => {
                self.figures.deltas += entries.len() as u64;
                let entries = entries.iter().map(|entry| LogEntry::clone(entry)).collect();
                self.life(id).states.advance(head, entries);
                self.shown(id);
            }
            follow::Action::Replace(head) => {
                self.life(id).states.replace(head);
                self.shown(id);
            }
            // These stay inside the relay.
            follow::Action::Refuse(_) | follow::Action::Accept | follow::Action::ForwardAll => {}
        }
    }

    fn down(&mut self, id: NodeId, action: publish::Action) {
        match action {
            publish::Action::Send(subscriber, message) => {
                if let Some(link) = self.life(id).downs.get(&subscriber).copied() {
                    let message = self.bend(link, message);
                    self.pass(link, DOWN, Event::Down(link, message));
                    self.tell(id, Input::Down(publish::Input::Sent(subscriber)));
                }
            }
            publish::Action::Close(subscriber) => {
                if let Some(link) = self.life(id).downs.remove(&subscriber) {
                    self.after(NOTICED, Event::Ended(link));
                }
            }
            publish::Action::Encode => {
                let life = self.life(id).number;
                self.after(SNAPSHOT, Event::Encoded(id, life));
            }
            // These stay inside the relay.
            publish::Action::Forward(_) => {}
        }
    }

    fn persist(&mut self, id: NodeId, entry: Arc<LogEntry>) {
        if self.life(id).mutant == Some(Mutant::ShowsBeforeItPersists) {
            return self.tell(id, Input::Up(follow::Input::Persisted(entry.revision)));
        }
        self.disks.entry(id).or_default().write(Write::Entry(entry));
        self.flush(id);
    }

    fn flush(&mut self, id: NodeId) {
        let life = self.life(id).number;
        if self.disks.entry(id).or_default().begin() {
            let lasts = self.some_ms(10, 50);
            self.after(lasts, Event::Flushed(id, life));
        }
    }

    /// Something travels along a link, after what was sent before it; or the link ends.
    fn pass(&mut self, link: usize, way: usize, event: Event) {
        let Link { upper, lower, .. } = self.links[link];
        let (from, to) = if way == UP { (lower, upper) } else { (upper, lower) };
        let Some(late) = self.net.way(from, to) else {
            // What follows must not arrive without it.
            self.links[link].open = false;
            return self.after(NOTICED, Event::Ended(link));
        };
        let at = (self.now + late * SPEED + self.some_ms(1, 10)).max(self.links[link].busy[way]);
        self.links[link].busy[way] = at;
        self.at(at, event);
    }

    /// The message as it arrives: a lie of the network may have corrupted it.
    fn bend(&mut self, link: usize, message: Down) -> Down {
        let Down::Delta(entry) = message else { return message };
        if self.net.corrupts(self.links[link].lower)
            && let Some(corrupted) = corrupted(&entry)
        {
            self.figures.corrupted += 1;
            return Down::Delta(Arc::new(corrupted));
        }
        Down::Delta(entry)
    }

    fn arrive(&mut self, link: usize) {
        let Link { upper, lower, open, .. } = self.links[link];
        let Some(life) = self.lives.get_mut(&upper).filter(|_| open) else {
            return self.after(NOTICED, Event::Ended(link));
        };
        life.next_subscriber += 1;
        let subscriber = SubscriberId(life.next_subscriber);
        life.downs.insert(subscriber, link);
        self.links[link].subscriber = subscriber;
        self.tell(upper, Input::Down(publish::Input::Arrived(subscriber, lower)));
        self.pass(link, DOWN, Event::Connected(link));
    }

    fn ended(&mut self, link: usize) {
        self.links[link].open = false;
        let Link { upper, subscriber, lower, upstream, .. } = self.links[link];
        if let Some(life) = self.lives.get_mut(&lower)
            && life.ups.get(&upstream) == Some(&link)
        {
            life.ups.remove(&upstream);
            self.tell(lower, Input::Up(follow::Input::Closed(upstream)));
        }
        if let Some(life) = self.lives.get_mut(&upper)
            && life.downs.get(&subscriber) == Some(&link)
        {
            life.downs.remove(&subscriber);
            self.tell(upper, Input::Down(publish::Input::Closed(subscriber)));
        }
    }

    fn life(&mut self, id: NodeId) -> &mut super::world::Life {
        self.lives.get_mut(&id).expect("only a node that is up is told something, and only then wants something")
    }
}
