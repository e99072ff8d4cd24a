//! Subscriptions to the feed over the mesh.
//!
//! **Owns** how a subscription's frames travel, and who may be subscribed to. **Must not know** what is in the frames.
//! **Enter at** [`MeshDial`] and [`FeedService`].

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::{
    id::{NodeId, Revision},
    mesh::{Method, refusal::Code},
};
use tokio::sync::watch;

use super::book::knows_upto;
use crate::{
    catalog::{Catalog, Node, NodeRole},
    feed::{Candidate, Dial, DialError, FeedHandle, Link, LinkReceiver, LinkSender},
    gossip::{Liveness, Members},
    limits::FRAME_BYTES_MAX,
    mesh::{CallError, Caller, FrameError, FrameReceiver, FrameSender, Incoming, Mesh, Service, Stream},
    state::States,
};

/// BOUND: how long a connection to a publisher may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Subscribes to other nodes, once there is a mesh.
pub(crate) struct MeshDial {
    pub(crate) node: NodeId,
    pub(crate) mesh: Arc<OnceLock<Mesh>>,
    pub(crate) states: OnceLock<Arc<States>>,
    pub(crate) members: Arc<OnceLock<watch::Receiver<Arc<Members>>>>,
    /// Whom to ask, and whether they vote, while the catalog does not know them yet.
    pub(crate) remembered: Vec<(NodeId, bool)>,
}

#[async_trait]
impl Dial for MeshDial {
    async fn subscribe(&self, to: NodeId) -> Result<Link, DialError> {
        let unreachable = |reason: String| DialError::Unreachable { node: to, source: io::Error::other(reason) };
        let mesh = self.mesh.get().ok_or_else(|| unreachable("this node has no mesh yet".to_owned()))?;
        match mesh.open(to, Method::FeedSubscribe, DIAL_TIMEOUT).await {
            Ok(stream) => Ok(link(stream)),
            Err(CallError::Refused { message, .. }) => Err(DialError::Refused { node: to, reason: message }),
            Err(error) => Err(unreachable(error.to_string())),
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let catalog = self.states.get().map(|states| states.catalog()).unwrap_or_default();
        let members = self.members.get().map(|members| Arc::clone(&members.borrow()));
        let is_dead = |node: NodeId| {
            let state = members.as_ref().and_then(|members| members.state(node));
            state.is_some_and(|state| state.alive == Liveness::Down)
        };
        let own = catalog.node(self.node);
        let near = |node: &Node| own.is_some_and(|own| place(own) == place(node));
        let others = catalog.nodes().filter(|node| node.id != self.node && !is_dead(node.id));
        let candidate = |node: &Arc<Node>| {
            let is_voter = node.role == NodeRole::Voter;
            Candidate { node: node.id, is_voter, near: near(node) }
        };
        let unlisted = self.unlisted(&catalog).into_iter();
        let unlisted = unlisted.map(|(node, is_voter)| Candidate { node, is_voter, near: false });
        others.map(candidate).chain(unlisted).collect()
    }

    fn newest(&self) -> Option<(NodeId, Revision)> {
        let newest = self.members.get().and_then(|members| members.borrow().newest_revision());
        newest.filter(|(node, _)| *node != self.node)
    }
}

impl MeshDial {
    /// Nodes that may have come since this node's catalog, and whether they vote: those that it remembers, and those that have
    /// called it, of which it does not know that.
    fn unlisted(&self, catalog: &Catalog) -> BTreeMap<NodeId, bool> {
        let callers = self.mesh.get().map(Mesh::callers).unwrap_or_default();
        let all = callers.into_iter().map(|node| (node, false)).chain(self.remembered.iter().copied());
        let upto = knows_upto(catalog);
        all.filter(|(node, _)| *node > upto && *node != self.node && catalog.node(*node).is_none()).collect()
    }
}

/// Where a node is, as far as being near goes: its region, or its zone where there are no regions.
fn place(node: &Node) -> (&str, &str) {
    if node.region.is_empty() { ("", &node.zone) } else { (&node.region, "") }
}

fn link(stream: Stream) -> Link {
    let Stream { send, receive } = stream;
    Link { sender: Box::new(Sender(send)), receiver: Box::new(Receiver(receive)) }
}

struct Sender(FrameSender);

#[async_trait]
impl LinkSender for Sender {
    async fn send(&mut self, frame: Bytes) -> io::Result<()> {
        self.0.send_bytes(frame).await.map_err(io::Error::other)
    }
}

struct Receiver(FrameReceiver);

#[async_trait]
impl LinkReceiver for Receiver {
    async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        self.0.next_bytes(FRAME_BYTES_MAX).await.map_err(io::Error::other)
    }
}

/// Takes subscriptions.
pub(crate) struct FeedService {
    pub(crate) feed: FeedHandle,
}

#[async_trait]
impl Service for FeedService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a subscription was not taken");
        }
    }
}

impl FeedService {
    async fn answer(&self, from: Caller, call: Incoming) -> Result<(), FrameError> {
        let Caller::Node(node) = from else {
            return call.refuse(Code::Forbidden, "only members subscribe").await;
        };
        let stream = call.accept_flow().await?;
        self.feed.serve(node, link(stream)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::testing::Lab, state::Head};

    fn dial(catalog: Catalog, remembered: Vec<(NodeId, bool)>) -> MeshDial {
        let states = Arc::new(States::new(Head { catalog: Arc::new(catalog), ..Head::default() }));
        let (mesh, members) = (Arc::default(), Arc::default());
        MeshDial { node: NodeId(9), mesh, states: OnceLock::from(states), members, remembered }
    }

    fn asked(dial: &MeshDial) -> Vec<(NodeId, bool)> {
        dial.candidates().iter().map(|candidate| (candidate.node, candidate.is_voter)).collect()
    }

    #[test]
    fn voters_that_came_while_this_node_was_away_are_asked_too() {
        let mut lab = Lab::new();
        let first = lab.voter("n1");
        let late = NodeId(lab.catalog.revision().0 + 7);
        let dial = dial(lab.catalog.clone(), vec![(first, true), (NodeId(2), true), (late, true)]);
        assert_eq!(asked(&dial), [(first, true), (late, true)]);
    }

    #[test]
    fn before_there_is_a_catalog_all_that_are_remembered_are_asked() {
        let dial = dial(Catalog::default(), vec![(NodeId(1), true), (NodeId(4), false), (NodeId(9), false)]);
        assert_eq!(asked(&dial), [(NodeId(1), true), (NodeId(4), false)]);
    }
}
