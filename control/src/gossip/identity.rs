//! Pure. Who a member is: a node, and which of its lives.
//!
//! **Owns** the order of a node's lives. **Must not know** how a boot counter is kept. **Enter at** [`Identity`].
//!
//! SWIM never takes "down" back, so a node that was taken for down comes back as somebody newer: a restart counts `boot` up
//! (persisted, so it only grows; a wall clock may go back), a return without a restart counts `generation` up.

use skerry_proto::id::NodeId;

/// A node in one of its lives. Lives of a node are ordered; the later one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Identity {
    /// The node.
    pub(super) node: NodeId,
    /// How often it was started. From 1; 0 stands for whichever life it is in.
    pub(super) boot: u64,
    /// How often it came back since then after others took it for down.
    pub(super) generation: u64,
}

impl Identity {
    /// A node that was just started.
    #[must_use]
    pub(super) fn started(node: NodeId, boot: u64) -> Self {
        Self { node, boot, generation: 0 }
    }

    /// The address of a node of which nothing else is known.
    #[must_use]
    pub(super) fn any_life(node: NodeId) -> Self {
        Self::started(node, 0)
    }

    /// The life after this one; `None` at the end of all numbers.
    #[must_use]
    pub(super) fn next_life(&self) -> Option<Self> {
        match self.generation.checked_add(1) {
            Some(generation) => Some(Self { generation, ..*self }),
            None => Some(Self::started(self.node, self.boot.checked_add(1)?)),
        }
    }

    /// Whether this is a later life of the same node.
    #[must_use]
    pub(super) fn outlives(&self, other: &Self) -> bool {
        self.node == other.node && self > other
    }
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    fn addr(&self) -> NodeId {
        self.node
    }

    fn renew(&self) -> Option<Self> {
        self.next_life()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.outlives(adversary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_life_wins_and_a_renewed_one_is_later() {
        let node = NodeId(7);
        let first = Identity::started(node, 1);
        let renewed = first.next_life().unwrap();
        let restarted = Identity::started(node, 2);
        assert!(renewed.outlives(&first) && restarted.outlives(&renewed));
        assert!(!first.outlives(&first) && !first.outlives(&restarted));
        assert!(!Identity::started(NodeId(8), 9).outlives(&first));
    }

    #[test]
    fn the_end_of_all_numbers_is_no_new_life() {
        let last = Identity { node: NodeId(7), boot: 3, generation: u64::MAX };
        assert_eq!(last.next_life(), Some(Identity::started(NodeId(7), 4)));
        assert_eq!(Identity { boot: u64::MAX, ..last }.next_life(), None);
    }
}
