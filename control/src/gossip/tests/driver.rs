//! Whole nodes on the real clock, over channels in place of a mesh.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    gossip::{
        BuildError, Datagrams, Gossip, GossipConfig, GossipDeps, GossipHandle, Liveness, Members, Profile, Roster, boot,
    },
    limits::{GOSSIP_DATAGRAM_BYTES, GOSSIP_INBOX_MAX},
    task,
};

#[derive(Default)]
struct Hub {
    inboxes: Mutex<BTreeMap<NodeId, mpsc::Sender<(NodeId, Bytes)>>>,
}

struct Port {
    own: NodeId,
    hub: Arc<Hub>,
    bytes_max: usize,
}

impl Datagrams for Port {
    fn send(&self, to: NodeId, bytes: Bytes) {
        if let Some(inbox) = self.hub.inboxes.lock().unwrap().get(&to) {
            // A full inbox loses it, as a network does.
            let _ = inbox.try_send((self.own, bytes));
        }
    }

    fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

struct Node {
    handle: GossipHandle,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

fn build(hub: &Arc<Hub>, node: u64, data_dir: &Path, bytes_max: usize) -> Result<Gossip, BuildError> {
    let (sender, inbox) = mpsc::channel(GOSSIP_INBOX_MAX);
    hub.inboxes.lock().unwrap().insert(NodeId(node), sender);
    let (_, roster) = watch::channel(Roster::new([1, 2].map(NodeId), Profile::Lan));
    let datagrams = Arc::new(Port { own: NodeId(node), hub: Arc::clone(hub), bytes_max });
    let (data_dir, version) = (data_dir.to_path_buf(), "0.1.0".to_owned());
    let config = GossipConfig { node: NodeId(node), data_dir, feature_level: 3, version };
    Gossip::build(config, GossipDeps { datagrams, inbox, roster })
}

fn start(hub: &Arc<Hub>, node: u64, data_dir: &Path) -> Node {
    let gossip = build(hub, node, data_dir, GOSSIP_DATAGRAM_BYTES).unwrap();
    let (handle, shutdown) = (gossip.handle(), CancellationToken::new());
    let running = task::spawn("gossip", gossip.run(shutdown.clone()));
    Node { handle, shutdown, running }
}

async fn until(node: &Node, holds: impl Fn(&Members) -> bool) {
    let mut members = node.handle.members();
    let wait = members.wait_for(|members| holds(members));
    timeout(Duration::from_secs(20), wait).await.expect("in time").expect("gossip runs");
}

async fn stop(node: Node) {
    node.shutdown.cancel();
    timeout(Duration::from_secs(20), node.running).await.expect("in time").expect("no panic");
}

fn sees(members: &Members, node: u64, alive: Liveness, boot: u64) -> bool {
    members.state(NodeId(node)).is_some_and(|state| state.alive == alive && state.boot == boot)
}

#[tokio::test]
async fn a_node_is_seen_coming_telling_leaving_and_coming_again() {
    let (hub, first, second) = (Arc::default(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = start(&hub, 1, first.path());
    let two = start(&hub, 2, second.path());
    until(&one, |members| sees(members, 2, Liveness::Alive, 1)).await;
    until(&two, |members| sees(members, 1, Liveness::Alive, 1)).await;

    two.handle.announce_revision(Revision(42));
    two.handle.set_load(7);
    two.handle.set_certificate_end(1_790_000_000);
    until(&one, |members| {
        let news = members.state(NodeId(2)).and_then(|state| state.news.as_ref());
        news.is_some_and(|news| {
            let ends_s = news.certificate_ends_s.map(NonZeroU64::get);
            (news.revision, news.load, news.feature_level, ends_s) == (Revision(42), 7, 3, Some(1_790_000_000))
        })
    })
    .await;
    assert_eq!(one.handle.members().borrow().newest_revision(), Some((NodeId(2), Revision(42))));

    stop(two).await;
    until(&one, |members| sees(members, 2, Liveness::Down, 1)).await;
    let two = start(&hub, 2, second.path());
    until(&one, |members| sees(members, 2, Liveness::Alive, 2)).await;
    let status = one.handle.status();
    assert!(status.sent > 0 && status.received > 0 && status.bad == 0, "{status:?}");
    stop(one).await;
    stop(two).await;
}

#[tokio::test]
async fn a_counter_that_was_set_back_is_mended_on_disk() {
    let (hub, first, second) = (Arc::default(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = start(&hub, 1, first.path());
    boot::keep(second.path(), 8).unwrap();
    let two = start(&hub, 2, second.path());
    until(&one, |members| sees(members, 2, Liveness::Alive, 9)).await;
    two.running.abort();
    let _ = two.running.await;

    boot::keep(second.path(), 2).unwrap();
    let two = start(&hub, 2, second.path());
    until(&two, |members| sees(members, 2, Liveness::Alive, 9)).await;
    until(&one, |members| {
        let state = members.state(NodeId(2));
        state.is_some_and(|state| (state.alive, state.boot, state.generation) == (Liveness::Alive, 9, 1))
    })
    .await;
    stop(two).await;
    assert_eq!(boot::next(second.path()).unwrap(), 10);
    stop(one).await;
}

#[test]
fn a_mesh_that_carries_too_little_is_refused_before_the_start_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let refused = build(&Arc::default(), 1, folder.path(), GOSSIP_DATAGRAM_BYTES - 1);
    assert!(matches!(refused, Err(BuildError::Datagrams { bytes_max }) if bytes_max < GOSSIP_DATAGRAM_BYTES));
    assert!(!folder.path().join("boot").exists());
}
