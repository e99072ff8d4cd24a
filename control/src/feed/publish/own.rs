//! Pure. What this node itself serves and refuses.

use std::sync::Arc;

use skerry_proto::id::{NodeId, Revision};

use super::{
    super::acks::{Ack, Refusal},
    Refuser,
};

/// This node's own acknowledgement.
#[derive(Debug)]
pub(super) struct Own {
    node: NodeId,
    boot: u64,
    sequence: u64,
    shown: Revision,
    by_feed: Option<Refusal>,
    by_plane: Option<Refusal>,
}

impl Own {
    pub(super) fn new(node: NodeId, boot: u64) -> Self {
        Self { node, boot, sequence: 0, shown: Revision(0), by_feed: None, by_plane: None }
    }

    /// The acknowledgement when it is a new one. An older revision is news that comes late.
    pub(super) fn shown(&mut self, revision: Revision) -> Option<Arc<Ack>> {
        let repaired = self.by_plane.as_ref().is_some_and(|refusal| refusal.revision == revision);
        if revision <= self.shown && !repaired {
            return None;
        }
        self.shown = self.shown.max(revision);
        if repaired {
            self.by_plane = None;
        }
        Some(self.say())
    }

    pub(super) fn refused(&mut self, refuser: Refuser, refusal: Refusal) -> Option<Arc<Ack>> {
        let place = match refuser {
            Refuser::Feed => &mut self.by_feed,
            Refuser::Plane => &mut self.by_plane,
        };
        if place.as_ref() == Some(&refusal) {
            return None;
        }
        *place = Some(refusal);
        Some(self.say())
    }

    pub(super) fn accepted(&mut self) -> Option<Arc<Ack>> {
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
