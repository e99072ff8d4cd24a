//! Pure. What comes from an upstream, and what of it is believed.

use std::{sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};

use super::{
    super::{
        limits::{AGE_MAX, PENDING_MAX, SNAPSHOT_BYTES_MAX},
        message::{Down, Heartbeat, Position},
        rules::position,
    },
    Action, Follower, UpstreamId,
    hold::{Pending, differs},
};
use crate::state::{Head, LogEntry};

/// A snapshot on its way.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) from: UpstreamId,
    position: Position,
    size_bytes: u64,
    bytes: BytesMut,
}

impl Follower {
    pub(super) fn received(&mut self, now: Instant, id: UpstreamId, message: Down, out: &mut Vec<Action>) {
        let Some(upstream) = self.upstream_mut(id).filter(|upstream| upstream.is_subscribed()) else { return };
        upstream.heard_at = now;
        match message {
            Down::Redirect(nodes) => {
                self.peers.suggest(&nodes);
                self.give_up(now, id, out);
            }
            Down::Heartbeat(heartbeat) => self.heartbeat(now, id, heartbeat, out),
            Down::Delta(entry) => self.delta(now, id, entry, out),
            Down::Snapshot(announced, size_bytes) => self.announced(now, id, announced, size_bytes, out),
            Down::Chunk(bytes) => self.chunk(now, id, &bytes, out),
        }
    }

    fn heartbeat(&mut self, now: Instant, id: UpstreamId, heartbeat: Heartbeat, out: &mut Vec<Action>) {
        let Some(upstream) = self.upstream_mut(id) else { return };
        upstream.heartbeat(now, heartbeat);
        let node = upstream.node;
        if heartbeat.age <= AGE_MAX {
            self.peers.works(node);
            if let Some(slot) = self.slots.iter().position(|slot| slot.as_ref().is_some_and(|one| one.id == id)) {
                self.attempts[slot] = 0;
            }
        }
        self.pay();
        self.raise(heartbeat.position.revision, out);
        self.compare(now, id, heartbeat.position, out);
    }

    /// Compares what an upstream says about the state that this node has reached.
    fn compare(&mut self, now: Instant, id: UpstreamId, theirs: Position, out: &mut Vec<Action>) {
        let (own, node) = (self.position(), self.upstream(id).map(|upstream| upstream.node));
        if theirs.revision != own.revision || own.revision.0 == 0 {
            return;
        }
        match &self.hold {
            None if theirs.digest != own.digest => self.refuse(now, id, theirs, differs(theirs, own), out),
            Some(hold) if theirs == own && hold.refused.revision == own.revision && hold.accused != node => {
                self.exonerate(now, out);
            }
            _ => {}
        }
    }

    fn delta(&mut self, now: Instant, id: UpstreamId, entry: Arc<LogEntry>, out: &mut Vec<Action>) {
        let announced = Position { revision: entry.revision, digest: entry.digest };
        let own = self.position();
        let Some(upstream) = self.upstream_mut(id) else { return };
        upstream.saw(announced);
        if announced.revision <= own.revision {
            upstream.asked_at = None;
            return self.compare(now, id, announced, out);
        }
        self.raise(announced.revision, out);
        if self.hold.as_ref().is_some_and(|hold| !hold.lets(announced)) || self.opening.is_some() {
            return;
        }
        if entry.previous < own.revision && self.hold.is_none() {
            let reason = format!("{announced} follows {}, but this node has {own} before it", entry.previous);
            return self.refuse(now, id, announced, reason, out);
        }
        if entry.previous != own.revision {
            return self.gap(now, id, own, out);
        }
        if self.pending.len() >= PENDING_MAX || self.ask_again_at.is_some() {
            self.ask_again_at.get_or_insert(now);
            return;
        }
        self.apply(now, id, entry, out);
    }

    /// Something is missing before what came: the upstream starts again from here, once.
    fn gap(&mut self, now: Instant, id: UpstreamId, own: Position, out: &mut Vec<Action>) {
        if self.hold.is_some() || self.ask_again_at.is_some() || self.incoming.is_some() {
            return;
        }
        let Some(upstream) = self.upstream_mut(id).filter(|upstream| upstream.asked_at.is_none()) else { return };
        upstream.asked_at = Some(now);
        let have = (own.revision.0 > 0).then_some(own);
        out.push(Action::Send(id, super::Up::Subscribe(super::Subscribe::After(have))));
    }

    fn apply(&mut self, now: Instant, id: UpstreamId, entry: Arc<LogEntry>, out: &mut Vec<Action>) {
        let announced = Position { revision: entry.revision, digest: entry.digest };
        match self.rules.apply(&self.tip, &entry) {
            Ok(head) if position(&head) == announced => {
                if let Some(upstream) = self.upstream_mut(id) {
                    upstream.asked_at = None;
                }
                self.exonerate(now, out);
                self.tip = head.clone();
                self.pending.push_back(Pending::Entry(head, Arc::clone(&entry)));
                out.push(Action::Persist(entry));
            }
            Ok(head) if self.hold.is_none() => {
                self.refuse(now, id, announced, differs(announced, position(&head)), out)
            }
            Err(reason) if self.hold.is_none() => self.refuse(now, id, announced, reason, out),
            // Neither upstream's next entry fits: what was said about the first one stands.
            Ok(_) | Err(_) => {}
        }
    }

    fn announced(&mut self, now: Instant, id: UpstreamId, announced: Position, size_bytes: u64, out: &mut Vec<Action>) {
        let own = self.position();
        let Some(upstream) = self.upstream_mut(id) else { return };
        upstream.saw(announced);
        upstream.asked_at = None;
        self.incoming.take_if(|incoming| incoming.from == id);
        let wanted = match &self.hold {
            Some(hold) => announced.revision >= hold.least && announced.revision >= own.revision,
            None => announced.revision > own.revision,
        };
        if size_bytes > SNAPSHOT_BYTES_MAX {
            tracing::warn!(size_bytes, "a snapshot is too large; its upstream is given up");
            self.give_up(now, id, out);
        } else if wanted && self.incoming.is_none() && self.opening.is_none() {
            let bytes = BytesMut::new();
            self.incoming = Some(Incoming { from: id, position: announced, size_bytes, bytes });
        } else if self.hold.is_none() {
            self.compare(now, id, announced, out);
        }
    }

    fn chunk(&mut self, now: Instant, id: UpstreamId, bytes: &Bytes, out: &mut Vec<Action>) {
        let Some(incoming) = self.incoming.as_mut().filter(|incoming| incoming.from == id) else { return };
        incoming.bytes.extend_from_slice(bytes);
        let length = incoming.bytes.len() as u64;
        if length > incoming.size_bytes {
            return self.give_up(now, id, out);
        }
        if length == incoming.size_bytes
            && let Some(incoming) = self.incoming.take()
        {
            let bytes = incoming.bytes.freeze();
            self.opening = Some((id, incoming.position, bytes.clone()));
            out.push(Action::Open(id, bytes));
        }
    }

    pub(super) fn opened(&mut self, now: Instant, id: UpstreamId, opened: Result<Head, String>, out: &mut Vec<Action>) {
        let Some((_, announced, bytes)) = self.opening.take_if(|(from, ..)| *from == id) else { return };
        let head = match opened {
            Ok(head) if position(&head) == announced => head,
            Ok(head) => return self.refuse(now, id, announced, differs(announced, position(&head)), out),
            Err(reason) => {
                let reason = format!("the snapshot of {announced} can not be read: {reason}");
                return self.refuse(now, id, announced, reason, out);
            }
        };
        let own = self.position();
        let wanted = match &self.hold {
            Some(hold) => announced.revision >= hold.least && announced.revision >= own.revision,
            None => announced.revision > own.revision,
        };
        if wanted {
            self.release(now, out);
            self.tip = head.clone();
            self.pending.push_back(Pending::State(head.clone()));
            out.push(Action::PersistState(head, bytes));
        }
        self.ask_again(now, out);
    }
}
