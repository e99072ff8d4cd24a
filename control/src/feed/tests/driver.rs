//! Whole feeds over channels, with real files.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::lab::History;
use crate::{
    feed::{
        Candidate, Dial, DialError, Feed, FeedConfig, FeedHandle, Leadership, Link, LinkReceiver, LinkSender, Role,
        rules::position,
    },
    state::{LogEntry, States},
    task,
};

const DEADLINE: Duration = Duration::from_secs(30);

struct ChannelSender(mpsc::Sender<Bytes>);
struct ChannelReceiver(mpsc::Receiver<Bytes>);

#[async_trait]
impl LinkSender for ChannelSender {
    async fn send(&mut self, frame: Bytes) -> io::Result<()> {
        self.0.send(frame).await.map_err(io::Error::other)
    }
}

#[async_trait]
impl LinkReceiver for ChannelReceiver {
    async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.0.recv().await)
    }
}

fn pair() -> (Link, Link) {
    let ((up, from_up), (down, from_down)) = (mpsc::channel(4), mpsc::channel(4));
    let link = |sender, receiver| Link {
        sender: Box::new(ChannelSender(sender)),
        receiver: Box::new(ChannelReceiver(receiver)),
    };
    (link(up, from_down), link(down, from_up))
}

/// Who runs, and how to reach them.
#[derive(Default)]
struct Switchboard {
    handles: Mutex<HashMap<NodeId, FeedHandle>>,
}

struct Dialer {
    node: NodeId,
    board: Arc<Switchboard>,
}

#[async_trait]
impl Dial for Dialer {
    async fn subscribe(&self, to: NodeId) -> Result<Link, DialError> {
        let handle = self.board.handles.lock().unwrap().get(&to).cloned();
        let gone = || DialError::Unreachable { node: to, source: io::ErrorKind::ConnectionRefused.into() };
        let (handle, (near, far), from) = (handle.ok_or_else(gone)?, pair(), self.node);
        task::spawn("served link", async move { handle.serve(from, far).await });
        Ok(near)
    }

    fn candidates(&self) -> Vec<Candidate> {
        let handles = self.board.handles.lock().unwrap();
        let mut nodes: Vec<_> = handles.keys().copied().filter(|node| *node != self.node).collect();
        nodes.sort_unstable();
        nodes.into_iter().map(|node| Candidate { node, is_voter: node.0 <= 2, near: true }).collect()
    }

    fn newest(&self) -> Option<(NodeId, Revision)> {
        None
    }
}

struct Leader(NodeId);

impl Leadership for Leader {
    fn leader(&self) -> Option<NodeId> {
        Some(self.0)
    }

    fn age(&self) -> Duration {
        Duration::ZERO
    }
}

struct Running {
    node: NodeId,
    states: Arc<States>,
    handle: FeedHandle,
    board: Arc<Switchboard>,
    stop: Option<oneshot::Sender<()>>,
    run: JoinHandle<()>,
}

impl Running {
    async fn start(board: &Arc<Switchboard>, node: u64, data_dir: &Path, voter: Option<Arc<States>>) -> Self {
        let node = NodeId(node);
        let role = voter.map_or(Role::Edge, |states| Role::Voter {
            agreed: states.catalog().revision(),
            states,
            leadership: Arc::new(Leader(NodeId(1))),
        });
        let dialer = Arc::new(Dialer { node, board: Arc::clone(board) });
        let feed = Feed::build(FeedConfig { data_dir: data_dir.to_path_buf(), node }, role, dialer).await.unwrap();
        let (states, handle) = (feed.states(), feed.handle());
        board.handles.lock().unwrap().insert(node, handle.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let run = task::spawn("feed", feed.run(async move { drop(stopped.await) }));
        Self { node, states, handle, board: Arc::clone(board), stop: Some(stop), run }
    }

    /// Waits until it serves the revision, and says so, as a data plane would.
    async fn serves(&self, revision: Revision) {
        let mut watch = self.states.watch();
        let served = watch.wait_for(|catalog| catalog.revision() >= revision);
        tokio::time::timeout(DEADLINE, served).await.unwrap_or_else(|_| panic!("{:?}", self.handle.status())).unwrap();
        self.handle.shown(self.states.catalog().revision());
    }

    async fn stop(mut self) {
        self.board.handles.lock().unwrap().remove(&self.node);
        drop(self.stop.take());
        tokio::time::timeout(DEADLINE, self.run).await.unwrap().unwrap();
    }

    /// As a kill: nothing is finished.
    async fn kill(self) {
        self.board.handles.lock().unwrap().remove(&self.node);
        self.run.abort();
        assert!(self.run.await.unwrap_err().is_cancelled());
    }
}

/// Waits until the leader knows that so many have acknowledged.
async fn acknowledged(leader: &Running, revision: Revision, members: &[NodeId], count: usize) {
    let mut acks = leader.handle.watch_acks();
    let all = acks.wait_for(|acks| acks.propagation(revision, members).acknowledged >= count);
    if tokio::time::timeout(DEADLINE, all).await.is_err() {
        panic!("{:?}", leader.handle.propagation(revision, members));
    }
}

fn commit(voters: &[&Running], history: &mut History) -> Revision {
    history.grow();
    let entry = LogEntry::clone(history.entries.last().unwrap());
    voters.iter().for_each(|voter| voter.states.advance(history.newest().clone(), vec![entry.clone()]));
    history.newest().catalog.revision()
}

fn voter_states(history: &History) -> Option<Arc<States>> {
    Some(Arc::new(States::new(history.newest().clone())))
}

#[tokio::test]
async fn every_node_serves_what_the_leader_commits_and_the_leader_knows_it() {
    let (board, mut history) = (Arc::new(Switchboard::default()), History::of(3));
    let folders: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = Vec::new();
    for (node, folder) in (1..).zip(&folders) {
        let states = if node <= 2 { voter_states(&history) } else { None };
        nodes.push(Running::start(&board, node, folder.path(), states).await);
    }
    for _ in 0..20 {
        commit(&[&nodes[0], &nodes[1]], &mut history);
    }
    let last = history.newest().catalog.revision();
    for node in &nodes {
        node.serves(last).await;
        assert_eq!(position(&node.states.head()), position(history.newest()));
    }
    let members: Vec<_> = nodes.iter().map(|node| node.node).collect();
    acknowledged(&nodes[0], last, &members, 6).await;
    nodes[4].handle.refused(last, "the code does not compile");
    let mut acks = nodes[0].handle.watch_acks();
    let refused = acks.wait_for(|acks| !acks.propagation(last, &members).refused.is_empty());
    tokio::time::timeout(DEADLINE, refused).await.unwrap().unwrap();
    assert_eq!(
        nodes[0].handle.propagation(last, &members).refused,
        [(NodeId(5), "the code does not compile".to_owned())]
    );
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_killed_node_comes_back_with_what_it_had_and_takes_what_it_missed() {
    let (board, mut history) = (Arc::new(Switchboard::default()), History::of(3));
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let leader = Running::start(&board, 1, folders[0].path(), voter_states(&history)).await;
    let edge = Running::start(&board, 3, folders[1].path(), None).await;
    edge.serves(history.newest().catalog.revision()).await;
    let first = commit(&[&leader], &mut history);
    edge.serves(first).await;
    edge.kill().await;
    let missed = commit(&[&leader], &mut history);
    leader.stop().await;

    let alone = Running::start(&board, 3, folders[1].path(), None).await;
    assert_eq!(alone.states.catalog().revision(), first, "it boots without anybody");
    let kept = alone.states.kept();
    assert_eq!(kept.last().map(|entry| entry.revision), Some(first), "and has deltas for those that are behind it");
    assert!(alone.handle.status().subscribers.is_empty());
    let leader = Running::start(&board, 1, folders[0].path(), voter_states(&history)).await;
    alone.serves(missed).await;
    acknowledged(&leader, missed, &[NodeId(3)], 1).await;
    alone.stop().await;
    leader.stop().await;
}

#[tokio::test]
async fn subscribers_of_a_relay_that_stops_find_another_way() {
    let (board, mut history) = (Arc::new(Switchboard::default()), History::of(3));
    let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let leader = Running::start(&board, 1, folders[0].path(), voter_states(&history)).await;
    let relay = Running::start(&board, 3, folders[1].path(), None).await;
    relay.serves(history.newest().catalog.revision()).await;
    // This one can not see the voter for now.
    let hidden = board.handles.lock().unwrap().remove(&NodeId(1)).unwrap();
    let leaf = Running::start(&board, 4, folders[2].path(), None).await;
    leaf.serves(history.newest().catalog.revision()).await;
    board.handles.lock().unwrap().insert(NodeId(1), hidden);
    relay.stop().await;
    let next = commit(&[&leader], &mut history);
    leaf.serves(next).await;
    leaf.stop().await;
    leader.stop().await;
}

#[tokio::test]
async fn a_node_that_crashed_twice_with_a_revision_serves_the_one_before_until_there_is_a_newer() {
    let (board, mut history) = (Arc::new(Switchboard::default()), History::of(3));
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let leader = Running::start(&board, 1, folders[0].path(), voter_states(&history)).await;
    let good = history.newest().catalog.revision();
    let edge = Running::start(&board, 3, folders[1].path(), None).await;
    edge.serves(good).await;
    edge.stop().await;
    // A minute passes.
    let feed = folders[1].path().join("feed");
    let mut journal = crate::feed::store::read_boots(&feed);
    journal.last_mut().unwrap().settled = good;
    crate::feed::store::write_boots(&feed, &journal).unwrap();

    let bad = commit(&[&leader], &mut history);
    for _ in 0..2 {
        let edge = Running::start(&board, 3, folders[1].path(), None).await;
        edge.serves(bad).await;
        edge.kill().await;
    }
    let edge = Running::start(&board, 3, folders[1].path(), None).await;
    assert_eq!(edge.states.catalog().revision(), good);
    let mut acks = leader.handle.watch_acks();
    let refused = acks.wait_for(|acks| !acks.propagation(bad, &[NodeId(3)]).refused.is_empty());
    tokio::time::timeout(DEADLINE, refused).await.unwrap().unwrap();
    assert_eq!(edge.states.catalog().revision(), good);
    let next = commit(&[&leader], &mut history);
    edge.serves(next).await;
    acknowledged(&leader, next, &[NodeId(3)], 1).await;
    edge.stop().await;
    leader.stop().await;
}

#[tokio::test]
async fn garbage_ends_a_link_and_nothing_else() {
    let (board, history) = (Arc::new(Switchboard::default()), History::of(3));
    let folder = tempfile::tempdir().unwrap();
    let leader = Running::start(&board, 1, folder.path(), voter_states(&history)).await;
    let (mut near, far) = pair();
    let handle = leader.handle.clone();
    let served = task::spawn("served link", async move { handle.serve(NodeId(9), far).await });
    near.sender.send(Bytes::from_static(b"\xff\xff garbage")).await.unwrap();
    tokio::time::timeout(DEADLINE, served).await.unwrap().unwrap();
    let mut left = Vec::new();
    while let Some(frame) = near.receiver.receive().await.unwrap() {
        left.push(frame);
    }
    assert!(left.len() <= 1);
    leader.stop().await;
}
