//! Several voters over a transport in memory, whose links can be cut one way.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Mutex,
};

use openraft::async_runtime::watch::WatchReceiver as _;
use skerry_proto::id::NodeId;
use tempfile::TempDir;

use super::{answer::AnswerError, *};

/// The network between the voters of one test.
#[derive(Default)]
struct Net {
    nodes: Mutex<HashMap<NodeId, Raft>>,
    cut: Mutex<HashSet<(NodeId, NodeId)>>,
}

/// One voter's end of it.
struct End {
    from: NodeId,
    net: Arc<Net>,
}

#[async_trait::async_trait]
impl Transport for End {
    async fn ask(&self, to: NodeId, question: Question, within: Duration) -> Result<Answer, TransportError> {
        let lost = |reason: &str| TransportError::Lost { reason: reason.to_owned() };
        let is_cut = |from, to| self.net.cut.lock().unwrap().contains(&(from, to));
        let peer = self.net.nodes.lock().unwrap().get(&to).cloned();
        let (Some(peer), false) = (peer, is_cut(self.from, to)) else {
            return Err(TransportError::Unreachable { reason: "cut".to_owned() });
        };
        let answered = tokio::time::timeout(within, peer.answer(question)).await;
        if is_cut(to, self.from) {
            return Err(lost("the answer is cut"));
        }
        answered
            .unwrap_or_else(|_late| Err(AnswerError::Stopped { reason: "late".to_owned() }))
            .map_err(|error| lost(&error.to_string()))
    }
}

struct Voters {
    net: Arc<Net>,
    folders: HashMap<NodeId, TempDir>,
    logs_per_snapshot: u64,
}

impl Voters {
    /// Node 1 founds a cluster; the others are learners of it, then voters.
    async fn start(ids: &[u64], logs_per_snapshot: u64) -> Self {
        let mut voters = Self { net: Arc::default(), folders: HashMap::new(), logs_per_snapshot };
        for id in ids {
            voters.folders.insert(NodeId(*id), tempfile::tempdir().unwrap());
            voters.boot(NodeId(*id)).await;
        }
        let first = voters.node(1);
        first.found().await.unwrap();
        first.recover(Duration::ZERO).await.unwrap();
        for id in &ids[1..] {
            first.add_learner(NodeId(*id), "memory").await.unwrap();
        }
        first.set_voters(&ids.iter().map(|id| NodeId(*id)).collect()).await.unwrap();
        voters
    }

    async fn boot(&self, id: NodeId) -> Raft {
        let config = RaftConfig {
            heartbeat: Duration::from_millis(50),
            ..config(self.folders[&id].path(), id.0, self.logs_per_snapshot)
        };
        let end = End { from: id, net: Arc::clone(&self.net) };
        let raft = Raft::start(config, states(), Arc::new(end)).await.unwrap();
        self.net.nodes.lock().unwrap().insert(id, raft.clone());
        raft
    }

    fn node(&self, id: u64) -> Raft {
        self.net.nodes.lock().unwrap()[&NodeId(id)].clone()
    }

    fn nodes(&self) -> Vec<Raft> {
        self.net.nodes.lock().unwrap().values().cloned().collect()
    }

    /// Cuts a node off, both ways.
    fn isolate(&self, id: NodeId) {
        let mut cut = self.net.cut.lock().unwrap();
        for other in self.folders.keys().filter(|other| **other != id) {
            cut.extend([(id, *other), (*other, id)]);
        }
    }

    fn heal(&self) {
        self.net.cut.lock().unwrap().clear();
    }

    /// Proposes at whoever leads, until it is acknowledged; the label makes a repetition harmless.
    async fn write(&self, among: &[u64], label: &str) {
        until("a write is acknowledged", || async {
            for id in among {
                match self.node(*id).propose(account("tenant", Some(label))).await {
                    Ok(_) => return true,
                    Err(ProposeError::Rejected(_)) => return true,
                    Err(_) => {}
                }
            }
            false
        })
        .await;
    }

    async fn converge(&self) {
        until("all nodes hold the same", || async {
            let heads: Vec<_> = self.nodes().iter().map(|raft| raft.states().head()).collect();
            heads
                .iter()
                .all(|head| head.digest == heads[0].digest && head.catalog.revision() == heads[0].catalog.revision())
        })
        .await;
    }

    async fn stop(self) {
        for raft in self.nodes() {
            raft.shutdown().await;
        }
    }
}

/// Asks until it is so; fails after a minute.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_write_on_the_leader_reaches_every_voter() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    voters.write(&[1, 2, 3], "tenant-a").await;
    voters.converge().await;
    let status = voters.node(2).status();
    assert_eq!(status.voters, [NodeId(1), NodeId(2), NodeId(3)]);
    assert_eq!(status.leader, Some(NodeId(1)));
    voters.stop().await;
}

#[tokio::test]
async fn a_voter_that_does_not_lead_says_who_does() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    let refused = voters.node(2).propose(account("tenant", Some("tenant-a"))).await;
    assert!(matches!(refused, Err(ProposeError::NotLeader { leader: Some(NodeId(1)) })), "{refused:?}");
    voters.stop().await;
}

#[tokio::test]
async fn a_leader_in_the_minority_loses_nothing_and_acknowledges_nothing() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    voters.write(&[1], "before").await;
    voters.isolate(NodeId(1));
    voters.write(&[2, 3], "during").await;
    let alone = tokio::time::timeout(Duration::from_secs(2), voters.node(1).propose(account("t", Some("alone")))).await;
    assert!(!matches!(alone, Ok(Ok(_))), "a leader without a quorum acknowledged a write");
    assert!(!voters.node(1).is_current(Duration::from_secs(1)).await);
    voters.heal();
    voters.converge().await;
    let labels: BTreeSet<String> =
        voters.node(1).catalog().accounts().filter_map(|account| Some(account.label.as_ref()?.to_string())).collect();
    assert!(labels.contains("before") && labels.contains("during"), "{labels:?}");
    voters.stop().await;
}

#[tokio::test]
async fn a_follower_that_is_cut_off_knows_how_old_its_state_is() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    voters.write(&[1], "before").await;
    let follower = voters.node(2);
    until("it hears of the leader", || async { follower.leader_age().is_some() }).await;
    voters.isolate(NodeId(2));
    let age = Duration::from_secs(1);
    until("its state grows old", || async { follower.leader_age().is_some_and(|heard| heard > age) }).await;
    voters.heal();
    until("it is fresh again", || async { follower.leader_age().is_some_and(|heard| heard < age) }).await;
    voters.stop().await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_speaks_for_nobody_and_names_nobody() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    voters.write(&[1], "before").await;
    let old = voters.node(1);
    assert!(old.leads());
    assert_eq!(old.status().leader, Some(NodeId(1)));
    voters.isolate(NodeId(1));
    until("it speaks for nobody", || async { !old.leads() && old.status().leader.is_none() }).await;
    assert!(old.is_elected(), "nobody has told it of another leader");
    voters.write(&[2, 3], "during").await;
    voters.heal();
    voters.converge().await;
    until("it names the other one", || async { old.status().leader.is_some_and(|leader| leader != NodeId(1)) }).await;
    voters.stop().await;
}

#[tokio::test]
async fn a_voter_that_is_left_alone_names_no_leader() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    voters.write(&[1], "before").await;
    voters.converge().await;
    let left = voters.node(2);
    assert_eq!(left.status().leader, Some(NodeId(1)));
    voters.isolate(NodeId(2));
    until("it hears of none", || async { left.status().leader.is_none() }).await;
    voters.stop().await;
}

#[tokio::test]
async fn a_leader_that_is_heard_but_hears_nothing_is_replaced() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    voters.write(&[1], "before").await;
    voters.net.cut.lock().unwrap().extend([(NodeId(2), NodeId(1)), (NodeId(3), NodeId(1))]);
    voters.write(&[2, 3], "during").await;
    voters.heal();
    voters.converge().await;
    assert!(!voters.node(1).leads());
    voters.stop().await;
}

#[tokio::test]
async fn a_voter_that_is_killed_and_starts_alone_shows_what_it_showed() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    for id in [1, 2, 3] {
        voters.write(&[1], "tenant-a").await;
        voters.write(&[1], &format!("tenant-{id}")).await;
        voters.converge().await;
        let shown = voters.node(id).catalog();
        let copy = killed(voters.folders[&NodeId(id)].path());
        let again = Raft::start(config(copy.path(), id, 1000), states(), Arc::new(NoTransport)).await.unwrap();
        assert!(!again.recover(Duration::ZERO).await.unwrap(), "it can not know what the others have agreed on");
        assert_eq!(again.catalog(), shown);
        again.shutdown().await;
    }
    voters.stop().await;
}

#[tokio::test]
async fn a_voter_that_was_away_catches_up_by_snapshot() {
    let voters = Voters::start(&[1, 2, 3], 10).await;
    let away = voters.node(3);
    voters.isolate(NodeId(3));
    for at in 0..60 {
        voters.write(&[1, 2], &format!("tenant-{at}")).await;
    }
    let behind = away.catalog().revision();
    let needs = away.status().last_log_index;
    until("nobody has the log that it needs", || async {
        let purged = |raft: &Raft| raft.raft.metrics().borrow_watched().purged.map(|purged| purged.index);
        [1, 2].iter().all(|id| purged(&voters.node(*id)) > needs)
    })
    .await;
    voters.heal();
    voters.converge().await;
    assert!(away.catalog().revision() > behind);
    assert!(away.status().snapshot_index.is_some(), "the log behind the snapshot was purged");
    voters.stop().await;
}

#[tokio::test]
async fn a_cluster_grows_and_shrinks_while_it_takes_writes() {
    let voters = Voters::start(&[1, 2, 3, 4, 5], 20).await;
    for round in 0..3 {
        for members in [&[1_u64, 2, 3][..], &[1, 2, 3, 4, 5]] {
            let ids = members.iter().map(|id| NodeId(*id)).collect();
            until("the members change", || async {
                let leader = voters.nodes().into_iter().find(Raft::leads);
                match leader {
                    Some(leader) => leader.set_voters(&ids).await.is_ok(),
                    None => false,
                }
            })
            .await;
            voters.write(&[1, 2, 3, 4, 5], &format!("tenant-{round}-{}", members.len())).await;
        }
    }
    voters.converge().await;
    assert_eq!(voters.node(1).catalog().accounts().count(), 6);
    voters.stop().await;
}

#[tokio::test]
async fn the_lead_is_handed_over_on_request() {
    let voters = Voters::start(&[1, 2, 3], 1000).await;
    voters.write(&[1], "tenant-a").await;
    until("node 2 is level", || async {
        voters.node(1).status().replicated.get(&NodeId(2)).copied().flatten() == voters.node(1).status().last_log_index
    })
    .await;
    voters.node(1).transfer_lead(NodeId(2)).await.unwrap();
    until("node 2 leads", || async { voters.node(2).leads() }).await;
    voters.write(&[2], "tenant-b").await;
    voters.converge().await;
    voters.stop().await;
}
