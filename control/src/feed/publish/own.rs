//! Pure. What this node itself serves and refuses.

use std::sync::Arc;

use skerry_proto::id::{NodeId, Revision};

use super::super::acks::{Ack, Refusal};

/// This node's own acknowledgement.
#[derive(Debug)]
pub(super) struct Own {
    node: NodeId,
    boot: u64,
    sequence: u64,
    shown: Revision,
    by_plane: Option<Refusal>,
    by_feed: Option<Refusal>,
}

impl Own {
    pub(super) fn new(node: NodeId, boot: u64) -> Self {
        Self { node, boot, sequence: 0, shown: Revision(0), by_plane: None, by_feed: None }
    }

    /// What the data plane says; the acknowledgement when that is new. An older revision is news that comes late.
    pub(super) fn plane(&mut self, shown: Revision, refused: Option<Refusal>) -> Option<Arc<Ack>> {
        if shown <= self.shown && refused == self.by_plane {
            return None;
        }
        (self.shown, self.by_plane) = (self.shown.max(shown), refused);
        Some(self.say())
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) -> Option<Arc<Ack>> {
        if self.by_feed.as_ref() == Some(&refusal) {
            return None;
        }
        self.by_feed = Some(refusal);
        Some(self.say())
    }

    pub(super) fn accept(&mut self) -> Option<Arc<Ack>> {
        self.by_feed.take()?;
        Some(self.say())
    }

    fn say(&mut self) -> Arc<Ack> {
        self.sequence += 1;
        Arc::new(Ack {
            node: self.node,
            revision: self.shown,
            refused: self.by_feed.clone().or_else(|| self.by_plane.clone()),
            boot: self.boot,
            sequence: self.sequence,
        })
    }
}
