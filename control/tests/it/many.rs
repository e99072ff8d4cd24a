//! Several nodes, each with its mesh on loopback and its API.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use skerry_control::{
    api::{self, ApiConfig, ApiDeps, ports::LiveView},
    catalog::NodeRole,
    config::{Bootstrap, ControlConfig, MeshSettings},
    control::{self, Control},
    error::BuildError,
    kv::KvStore,
};
use skerry_proto::{
    feed as pb,
    id::{Hostname, NodeId},
    versioned,
};
use tower::ServiceExt;

use crate::api::fakes::{FakeClock, FakeKv, FakeTails, FakeValidator};

mod backup;
mod carried;
mod code;
mod drain;
mod kv;
mod levels;
mod newer;
mod nodes;
mod rotation;

/// One node. It keeps its folder and its mesh's port when it is started again.
struct Node {
    control: Control,
    router: Router,
    config: ControlConfig,
    /// What it keeps itself.
    local: Arc<FakeKv>,
    /// What the cluster keeps.
    kv: Arc<dyn KvStore>,
}

struct Cluster {
    nodes: Vec<Node>,
    token: String,
    account: String,
    folder: tempfile::TempDir,
}

fn mesh() -> MeshSettings {
    MeshSettings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), advertise: None }
}

fn config(data_dir: PathBuf, name: &str, role: NodeRole, bootstrap: Bootstrap) -> ControlConfig {
    let domain = Hostname::new("workers.localhost").unwrap();
    let config = ControlConfig::new(data_dir, name.to_owned(), domain, bootstrap);
    ControlConfig { mesh: Some(mesh()), role, ..config }
}

impl Node {
    async fn start(config: ControlConfig) -> Result<Self, BuildError> {
        Self::start_with(config, Arc::default()).await
    }

    /// With the entries that it had before.
    async fn start_with(config: ControlConfig, local: Arc<FakeKv>) -> Result<Self, BuildError> {
        let control = control::build(config.clone()).await?;
        let kv = control.kv(local.clone());
        let deps = ApiDeps {
            control: control.clone(),
            validator: Arc::new(FakeValidator),
            kv: Arc::clone(&kv),
            tails: Arc::new(FakeTails::default()),
            cluster: Arc::new(LiveView(control.clone())),
            clock: Arc::new(FakeClock::default()),
        };
        let router = api::router(ApiConfig::default(), deps);
        api::serve_carried(&control, router.clone());
        Ok(Self { control, router, config, local, kv })
    }

    /// Stops it and starts it again as it was.
    async fn restart(self) -> Self {
        self.control.shutdown().await;
        let config = ControlConfig { bootstrap: Bootstrap::Never, ..self.config };
        Self::start_with(config, self.local).await.unwrap()
    }

    fn address(&self) -> String {
        self.control.mesh_address().unwrap().to_string()
    }
}

impl Cluster {
    /// The founder, and as many voters as make `count`.
    async fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let first = config(folder.path().join("1"), "node-1", NodeRole::Voter, Bootstrap::IfEmpty);
        let first = Node::start(first).await.unwrap();
        let token = std::fs::read_to_string(folder.path().join("1/admin.token")).unwrap().trim().to_owned();
        let account = first.control.catalog().first_account().unwrap().to_string();
        let mut cluster = Self { nodes: vec![first], token, account, folder };
        for at in 1..count {
            let token = cluster.join_token(json!({})).await;
            cluster.join(&format!("node-{}", at + 1), NodeRole::Voter, &token).await.unwrap();
        }
        until("the voters agree on themselves", || cluster.nodes[0].control.status().unwrap().voters.len() == count)
            .await;
        cluster
    }

    async fn join(&mut self, name: &str, role: NodeRole, token: &str) -> Result<usize, BuildError> {
        let at = self.nodes[0].address();
        let bootstrap = Bootstrap::Join { at, token: token.to_owned() };
        let node = Node::start(config(self.folder.path().join(name), name, role, bootstrap)).await?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    async fn join_token(&self, body: Value) -> String {
        let (status, answer) = self.call(0, "POST", "/cluster/join-tokens", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["result"]["token"].as_str().unwrap().to_owned()
    }

    /// Calls a node's API; `:a` stands for the account.
    async fn call(&self, node: usize, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/client/v4{}", path.replace(":a", &self.account)))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let response = self.nodes[node].router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Creates a KV namespace at a node: a small write.
    async fn write(&self, node: usize, title: &str) -> (StatusCode, Value) {
        self.call(node, "POST", "/accounts/:a/storage/kv/namespaces", Some(json!({ "title": title }))).await
    }

    fn titles(&self, node: usize) -> Vec<String> {
        let catalog = self.nodes[node].control.catalog();
        let account = catalog.first_account().unwrap();
        let mut titles: Vec<_> = catalog.namespaces(account).map(|namespace| namespace.title.clone()).collect();
        titles.sort();
        titles
    }

    fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.control.leads())
    }

    async fn stop(self) {
        for node in &self.nodes {
            node.control.shutdown().await;
        }
    }
}

/// Looks until it is so; fails after a minute.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_at_any_node_shows_at_that_node_and_then_at_all() {
    let cluster = Cluster::start(3).await;
    for node in 0..3 {
        let title = format!("from-{node}");
        let (status, answer) = cluster.write(node, &title).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(cluster.titles(node).contains(&title), "the node that was asked shows the change");
    }
    until("all nodes show all", || (0..3).all(|node| cluster.titles(node).len() == 3)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_goes_on_when_its_leader_is_gone() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().unwrap();
    let gone = cluster.nodes.remove(leader);
    gone.control.shutdown().await;
    let (status, answer) = cluster.write(0, "after").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("both show it", || (0..2).all(|node| cluster.titles(node) == ["after"])).await;
    // It comes back to the same port under the same id, and catches up.
    let again = Node::start(ControlConfig { bootstrap: Bootstrap::Never, ..gone.config }).await.unwrap();
    assert_eq!(again.control.node(), gone.control.node());
    cluster.nodes.push(again);
    until("the one that was away shows it", || cluster.titles(2) == ["after"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_never_used_again() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token(json!({ "uses": 2 })).await;
    let second = cluster.join("node-2", NodeRole::Voter, &token).await.unwrap();
    let id = cluster.nodes[second].control.node();
    let gone = cluster.nodes.remove(second);
    gone.control.shutdown().await;
    let (status, answer) = cluster.call(0, "DELETE", &format!("/cluster/nodes/{id}?force=true"), None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let third = cluster.join("node-3", NodeRole::Voter, &token).await.unwrap();
    assert!(cluster.nodes[third].control.node() > id);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_without_its_log_does_not_come_back() {
    let mut cluster = Cluster::start(3).await;
    let gone = cluster.nodes.remove(2);
    gone.control.shutdown().await;
    std::fs::remove_file(gone.config.data_dir.join("raft.redb")).unwrap();
    let refused = Node::start(gone.config).await.err().expect("it must not start");
    assert!(matches!(refused, BuildError::LostLog { .. }), "{refused}");
    assert!(refused.to_string().contains("skerry cluster remove"), "{refused}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_join_says_why_and_leaves_no_node() {
    let mut cluster = Cluster::start(1).await;
    let spent = cluster.join_token(json!({ "uses": 1 })).await;
    cluster.join("node-2", NodeRole::Voter, &spent).await.unwrap();
    let fresh = cluster.join_token(json!({})).await;
    let edges_only = cluster.join_token(json!({ "role": "edge" })).await;
    let other = Cluster::start(1).await;
    let foreign = other.join_token(json!({})).await;
    for (name, token, words) in [
        ("node-3", spent.as_str(), "join token"),
        ("node-2", fresh.as_str(), "node-2"),
        ("node-4", edges_only.as_str(), "edge"),
        ("node-5", foreign.as_str(), "another cluster"),
        ("node-6", "skj_5407", "copy it whole"),
        ("node-7", "nonsense", "skj_"),
    ] {
        let name_of_folder = format!("bad-{name}");
        let bootstrap = Bootstrap::Join { at: cluster.nodes[0].address(), token: token.to_owned() };
        let config = config(cluster.folder.path().join(name_of_folder), name, NodeRole::Voter, bootstrap);
        let refused = Node::start(config).await.err().expect("it must not join");
        let chain = chain(&refused);
        assert!(chain.contains(words), "{name}: {chain}");
    }
    assert_eq!(cluster.nodes[0].control.catalog().nodes().count(), 2);
    other.stop().await;
    cluster.stop().await;
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_for_the_revision_that_it_asks_for() {
    let cluster = Cluster::start(3).await;
    cluster.write(0, "seen").await;
    let revision = cluster.nodes[0].control.catalog().revision();
    let path = format!("/accounts/:a/storage/kv/namespaces?min_revision={revision}");
    for node in 0..3 {
        let (status, answer) = cluster.call(node, "GET", &path, None).await;
        assert_eq!((status, &answer["result"][0]["title"]), (StatusCode::OK, &json!("seen")));
    }
    let (status, answer) = cluster.call(1, "GET", "/cluster?min_revision=soon", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert!(answer.to_string().contains("min_revision"), "{answer}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_follows_writes_and_acknowledges() {
    let mut cluster = Cluster::start(3).await;
    let token = cluster.join_token(json!({ "role": "edge", "uses": 2 })).await;
    let edge = cluster.join("edge-1", NodeRole::Edge, &token).await.unwrap();
    cluster.join("edge-2", NodeRole::Edge, &token).await.unwrap();
    assert!(cluster.nodes[edge].control.status().is_none(), "an edge takes no part in raft");
    let (status, answer) = cluster.write(edge, "from-the-edge").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(cluster.titles(edge), ["from-the-edge"]);
    until("all nodes show it", || (0..5).all(|node| cluster.titles(node).len() == 1)).await;
    let revision = cluster.nodes[0].control.catalog().revision();
    for node in &cluster.nodes {
        node.control.shown(revision);
    }
    until("the leader knows that all serve it", || {
        let leader = cluster.leader().map(|leader| cluster.nodes[leader].control.propagation(revision));
        leader.is_some_and(|known| (known.acknowledged, known.total) == (5, 5))
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_starts_again_while_every_voter_is_gone() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token(json!({ "role": "edge" })).await;
    let edge = cluster.join("edge-1", NodeRole::Edge, &token).await.unwrap();
    cluster.write(0, "kept").await;
    until("the edge shows it", || cluster.titles(edge) == ["kept"]).await;
    let edge = cluster.nodes.remove(edge);
    edge.control.shutdown().await;
    cluster.nodes[0].control.shutdown().await;
    let again = Node::start(ControlConfig { bootstrap: Bootstrap::Never, ..edge.config }).await.unwrap();
    cluster.nodes = vec![again];
    assert_eq!(cluster.titles(0), ["kept"], "it serves what it has persisted");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_becomes_a_voter_and_an_edge_again() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token(json!({ "role": "edge", "uses": 2 })).await;
    for name in ["edge-1", "edge-2"] {
        cluster.join(name, NodeRole::Edge, &token).await.unwrap();
    }
    for (role, voters) in [("voter", 3), ("edge", 1)] {
        for node in 1..3 {
            let id = cluster.nodes[node].control.node();
            let body = Some(json!({ "role": role }));
            let (status, answer) = cluster.call(0, "PATCH", &format!("/cluster/nodes/{id}"), body).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
        for node in 1..3 {
            let control = cluster.nodes[node].control.clone();
            until("the node wants to start anew", || *control.restarts().borrow()).await;
            control.shutdown().await;
            let config = ControlConfig { bootstrap: Bootstrap::Never, ..cluster.nodes[node].config.clone() };
            cluster.nodes[node] = Node::start(config).await.unwrap();
        }
        until("the voters are as many", || cluster.nodes[0].control.status().unwrap().voters.len() == voters).await;
        cluster.write(2, role).await;
        until("all show it", || (0..3).all(|node| cluster.titles(node).contains(&role.to_owned()))).await;
    }
    assert!(cluster.nodes[1].control.status().is_none());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_takes_another_role_has_what_it_had_while_nobody_else_is_there() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token(json!({ "role": "edge" })).await;
    cluster.join("other", NodeRole::Edge, &token).await.unwrap();
    let id = cluster.nodes[1].control.node();
    for role in ["voter", "edge"] {
        cluster.write(0, role).await;
        until("the other shows it", || cluster.titles(1).contains(&role.to_owned())).await;
        let path = format!("/cluster/nodes/{id}");
        let (status, answer) = cluster.call(0, "PATCH", &path, Some(json!({ "role": role }))).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let control = cluster.nodes[1].control.clone();
        until("it wants to start anew", || *control.restarts().borrow()).await;
        let (mut other, first) = (cluster.nodes.pop().unwrap(), cluster.nodes.pop().unwrap());
        first.control.shutdown().await;
        // Killed, so nothing is noted on the way out.
        let killed = cluster.folder.path().join(format!("killed-{role}"));
        copy_folder(&other.config.data_dir, &killed);
        other.control.shutdown().await;
        other.config.data_dir = killed;
        let alone = Node::start(ControlConfig { bootstrap: Bootstrap::Never, ..other.config.clone() }).await.unwrap();
        cluster.nodes = vec![alone];
        assert!(cluster.titles(0).contains(&role.to_owned()), "as a new {role}: {:?}", cluster.titles(0));
        let other = cluster.nodes.pop().unwrap();
        cluster.nodes = vec![first.restart().await, other];
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_is_away_while_it_becomes_an_edge_hears_of_it_when_it_is_back() {
    let mut cluster = Cluster::start(3).await;
    let away = cluster.nodes.remove(2);
    let id = away.control.node();
    away.control.shutdown().await;
    let path = format!("/cluster/nodes/{id}");
    let (status, answer) = cluster.call(0, "PATCH", &path, Some(json!({ "role": "edge" }))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("raft goes on without it", || {
        let known = cluster.leader().map(|leader| cluster.nodes[leader].control.status().unwrap());
        known.is_some_and(|known| !known.voters.contains(&id) && !known.learners.contains(&id))
    })
    .await;
    let back = away.restart().await;
    until("it wants to start anew", || *back.control.restarts().borrow()).await;
    cluster.nodes.push(back.restart().await);
    assert!(cluster.nodes[2].control.status().is_none(), "it takes no part in raft");
    cluster.write(0, "later").await;
    until("it follows", || cluster.titles(2) == ["later"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_crashed_twice_shows_what_was_good_until_there_is_something_newer() {
    let mut cluster = Cluster::start(3).await;
    let (revision, leader) = (|node: &Node| node.control.watch().borrow().revision(), 0);
    cluster.write(leader, "good").await;
    let good = revision(&cluster.nodes[leader]);
    until("the third shows it", || revision(&cluster.nodes[2]) == good).await;
    // It served what is good for a minute; then it takes what makes it crash, and crashes with it again.
    let mut victim = cluster.nodes.remove(2);
    let boots = victim.config.data_dir.join("feed/boots");
    victim.control.shutdown().await;
    let journal = |lives: &[(u64, u64)]| {
        let boot = |(number, (settled, reached)): (u64, &(u64, u64))| pb::Boot {
            number,
            at_ms: 1,
            settled: *settled,
            reached: *reached,
            quarantined: 0,
            clean: false,
        };
        let boots = pb::Boots { boots: (1..).zip(lives).map(boot).collect() };
        versioned::encode(versioned::Kind::Boots, &boots)
    };
    cluster.write(leader, "poison").await;
    std::fs::write(&boots, journal(&[(good.0, good.0)])).unwrap();
    victim = victim.restart().await;
    until("it has taken it", || revision(&victim) > good).await;
    let poison = revision(&victim);
    victim.control.shutdown().await;
    std::fs::write(&boots, journal(&[(good.0, poison.0), (good.0, poison.0)])).unwrap();
    victim = victim.restart().await;
    assert_eq!(revision(&victim), good, "its data plane is shown what was good");
    assert!(victim.control.catalog().revision() >= poison, "and its raft goes on");
    let id = victim.control.node();
    until("the others hear of it", || {
        let refused = cluster.nodes.iter().flat_map(|node| node.control.propagation(poison).refused);
        refused.into_iter().any(|(node, reason)| node == id && reason.contains("crashed twice"))
    })
    .await;
    cluster.write(leader, "mended").await;
    until("what is newer is tried", || revision(&victim) > poison).await;
    cluster.nodes.push(victim);
    cluster.stop().await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_knows_who_is_alive() {
    let cluster = Cluster::start(3).await;
    let ids: Vec<NodeId> = cluster.nodes.iter().map(|node| node.control.node()).collect();
    until("everyone is alive to everyone", || {
        let sees =
            |node: &Node| node.control.members().is_some_and(|members| ids.iter().all(|id| members.is_active(*id)));
        cluster.nodes.iter().all(sees)
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_node_is_number_one() {
    let cluster = Cluster::start(1).await;
    assert_eq!(cluster.nodes[0].control.node(), NodeId(1));
    assert_eq!(cluster.nodes[0].control.catalog().nodes().count(), 1);
    cluster.stop().await;
}
