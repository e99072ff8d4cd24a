//! Another authority for the mesh, while the cluster works.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use skerry_control::mesh::NodeIdentity;

use super::*;

/// How many namespaces are made while an authority is replaced.
const NAMESPACES: usize = 300;

impl Cluster {
    fn signing(&self, node: usize) -> Vec<Bytes> {
        let catalog = self.nodes[node].control.catalog();
        catalog.cluster().unwrap().mesh_authorities.iter().map(|one| one.certificate.clone()).collect()
    }

    async fn rotate(&self, node: usize, query: &str) -> (StatusCode, Value) {
        self.call(node, "POST", &format!("/cluster/rotate-ca{query}"), None).await
    }

    /// Until somebody is waited for in this phase; the names.
    async fn waiting_in(&self, node: usize, phase: &str) -> Vec<Value> {
        let asking = async {
            loop {
                let (_, answer) = self.call(node, "GET", "/cluster/mesh", None).await;
                let rotation = &answer["result"]["rotation"];
                let waiting = rotation["waiting"].as_array().cloned().unwrap_or_default();
                if rotation["phase"] == phase && !waiting.is_empty() {
                    return waiting;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asking).await.expect("it comes to this phase and waits")
    }
}

fn identity(node: &Node) -> NodeIdentity {
    NodeIdentity::open(&node.config.data_dir).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_replaced_without_a_restart_or_a_failed_request() {
    let mut cluster = Cluster::start(3).await;
    let token = cluster.join_token(json!({ "role": "edge", "uses": 2 })).await;
    let edge = cluster.join("edge", NodeRole::Edge, &token).await.unwrap();
    let old = cluster.signing(0);
    let (is_over, turns, written) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let writing = async {
        while !is_over.load(Ordering::Relaxed) {
            let number = turns.fetch_add(1, Ordering::Relaxed);
            // An account has a thousand namespaces at most; later writes say what is known already.
            let (status, answer) = if number < NAMESPACES {
                written.store(number + 1, Ordering::Relaxed);
                cluster.write(number % 4, &format!("title-{number}")).await
            } else {
                let level = Some(json!({ "level": 1 }));
                cluster.call(number % 4, "PUT", "/cluster/feature-level", level).await
            };
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
    };
    let rotating = async {
        let (status, answer) = cluster.rotate(edge, "").await;
        assert_eq!((status, &answer["result"]["rotation"]["phase"]), (StatusCode::OK, &json!("trusting")), "{answer}");
        // Asked again it begins nothing: there are two authorities, not three.
        let (_, again) = cluster.rotate(0, "").await;
        assert_eq!(again["result"]["authorities"].as_array().unwrap().len(), 2, "{again}");
        until("one authority is left on every node", || (0..4).all(|node| cluster.signing(node).len() == 1)).await;
        until("and on every disk", || cluster.nodes.iter().all(|node| identity(node).authorities.len() == 1)).await;
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(writing, rotating);
    let new = cluster.signing(0);
    assert_ne!(new, old);
    for node in &cluster.nodes {
        assert_eq!((&identity(node).chain[1..], &identity(node).authorities), (&new[..], &new));
        assert!(!*node.control.restarts().borrow());
    }
    let all = written.load(Ordering::Relaxed);
    until("every write is everywhere", || (0..4).all(|node| cluster.titles(node).len() == all)).await;
    let (_, shown) = cluster.call(edge, "GET", "/cluster", None).await;
    assert_eq!(shown["result"]["ca_rotation"], Value::Null);
    let refused = cluster.join("late", NodeRole::Edge, &token).await.unwrap_err();
    assert!(chain(&refused).contains("another cluster"), "an old token names the old authority: {}", chain(&refused));
    let token = cluster.join_token(json!({})).await;
    let late = cluster.join("late", NodeRole::Voter, &token).await.unwrap();
    assert_eq!(cluster.titles(late).len(), all);
    // What a restart finds is the new one.
    let edge = cluster.nodes.remove(edge).restart().await;
    cluster.nodes.push(edge);
    let (status, answer) = cluster.write(cluster.nodes.len() - 1, "after").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_node_that_is_down_and_goes_on_when_it_is_back() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token(json!({ "role": "edge" })).await;
    let edge = cluster.join("edge", NodeRole::Edge, &token).await.unwrap();
    let id = cluster.nodes[edge].control.node();
    let away = cluster.nodes.remove(edge);
    away.control.shutdown().await;
    assert_eq!(cluster.rotate(0, "?force=true").await.0, StatusCode::CONFLICT, "nothing is under way");
    cluster.rotate(0, "").await;
    let waiting = cluster.waiting_in(0, "trusting").await;
    assert_eq!(waiting, [json!({ "id": id.0, "name": "edge", "answers": false })]);
    let (_, shown) = cluster.call(0, "GET", "/cluster", None).await;
    assert_eq!(shown["result"]["ca_rotation"], "trusting");
    // The leader does not remember; the catalog does.
    let first = cluster.nodes.remove(0).restart().await;
    cluster.nodes.insert(0, first);
    cluster.waiting_in(0, "trusting").await;
    let back = Node::start(ControlConfig { bootstrap: Bootstrap::Never, ..away.config }).await.unwrap();
    cluster.nodes.push(back);
    until("it is done", || (0..2).all(|node| cluster.signing(node).len() == 1)).await;
    until("by both", || cluster.nodes.iter().all(|node| identity(node).authorities == cluster.signing(0))).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_can_be_forced_without_a_node_that_is_lost() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token(json!({ "role": "edge" })).await;
    let edge = cluster.join("edge", NodeRole::Edge, &token).await.unwrap();
    let lost = cluster.nodes.remove(edge);
    lost.control.shutdown().await;
    cluster.rotate(0, "").await;
    for phase in ["trusting", "renewing"] {
        cluster.waiting_in(0, phase).await;
        let (status, answer) = cluster.rotate(0, "?force=true").await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    assert_eq!(cluster.signing(0).len(), 1);
    until("the founder has followed", || identity(&cluster.nodes[0]).authorities == cluster.signing(0)).await;
    let (status, answer) = cluster.write(0, "goes on").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    cluster.stop().await;
}
