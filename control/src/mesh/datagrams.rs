//! Received datagrams on their way to gossip.
//!
//! **Owns** that the newest are kept when nobody reads. **Must not know** what they say. **Enter at** [`Datagrams`].

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use skerry_proto::id::NodeId;
use tokio::sync::{Notify, mpsc};

use crate::{limits::DATAGRAMS_MAX, task};

/// A queue that drops its oldest when it is full. A channel would drop the newest.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    ring: Mutex<Ring>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Ring {
    waiting: VecDeque<(NodeId, Bytes)>,
    is_taken: bool,
}

impl Datagrams {
    /// Queues one. `false`: the oldest made room for it.
    pub(super) fn push(&self, from: NodeId, datagram: Bytes) -> bool {
        let mut ring = self.ring();
        let has_room = ring.waiting.len() < DATAGRAMS_MAX;
        if !has_room {
            ring.waiting.pop_front();
        }
        ring.waiting.push_back((from, datagram));
        drop(ring);
        self.filled.notify_one();
        has_room
    }

    /// The other end. The second one that is taken ends at once.
    pub(super) fn take(self: &Arc<Self>) -> mpsc::Receiver<(NodeId, Bytes)> {
        // BOUND: one is on its way; the others wait in the ring.
        let (sender, receiver) = mpsc::channel(1);
        if !std::mem::replace(&mut self.ring().is_taken, true) {
            task::spawn("mesh datagrams", Arc::clone(self).forward(sender));
        }
        receiver
    }

    async fn forward(self: Arc<Self>, sender: mpsc::Sender<(NodeId, Bytes)>) {
        loop {
            // First a place, then the newest content.
            let Ok(place) = sender.reserve().await else { return };
            let datagram = loop {
                let oldest = self.ring().waiting.pop_front();
                match oldest {
                    Some(datagram) => break datagram,
                    None => tokio::select! {
                        () = self.filled.notified() => {}
                        () = sender.closed() => return,
                    },
                }
            };
            place.send(datagram);
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_are_kept_when_nobody_reads() {
        let datagrams = Arc::new(Datagrams::default());
        let number = |number: usize| Bytes::from(number.to_string());
        for sent in 0..DATAGRAMS_MAX + 10 {
            assert_eq!(datagrams.push(NodeId(1), number(sent)), sent < DATAGRAMS_MAX);
        }
        let mut receiver = datagrams.take();
        for expected in 10..DATAGRAMS_MAX + 10 {
            assert_eq!(receiver.recv().await, Some((NodeId(1), number(expected))));
        }
        assert_eq!(datagrams.take().recv().await, None, "they are taken once");
    }
}
