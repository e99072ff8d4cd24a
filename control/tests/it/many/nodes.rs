//! What any node's API says of all of them: the leader's view, while there is a leader.

use http::StatusCode;
use serde_json::{Value, json};
use skerry_control::catalog::NodeRole;

use super::{Cluster, until};

/// The nodes as one of them shows them.
async fn seen(cluster: &Cluster, at: usize) -> (Vec<Value>, Value) {
    let (status, answer) = cluster.call(at, "GET", "/cluster/nodes", None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    (answer["result"].as_array().unwrap().clone(), answer["messages"].clone())
}

/// Three voters and two edges; the place of the first edge.
async fn with_edges() -> (Cluster, usize) {
    let mut cluster = Cluster::start(3).await;
    let token = cluster.join_token(json!({ "role": "edge", "uses": 2 })).await;
    let edge = cluster.join("edge-1", NodeRole::Edge, &token).await.unwrap();
    cluster.join("edge-2", NodeRole::Edge, &token).await.unwrap();
    (cluster, edge)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_shows_the_nodes_as_the_leader_sees_them() {
    let (cluster, edge) = with_edges().await;
    let leader = cluster.nodes[cluster.leader().unwrap()].control.node().0;
    let (nodes, messages) = seen(&cluster, edge).await;
    let roles: Vec<_> = nodes.iter().map(|node| node["raft"].as_str()).collect();
    assert_eq!(roles.iter().filter(|role| **role == Some("leader")).count(), 1, "{nodes:?}");
    assert_eq!(roles.iter().filter(|role| **role == Some("voter")).count(), 2, "{nodes:?}");
    assert!(nodes.iter().all(|node| node["view"] == json!({ "node": leader, "leads": true })), "{nodes:?}");
    assert_eq!(messages, json!([]));
    let (_, one) = cluster.call(edge, "GET", "/cluster/nodes/node-1", None).await;
    assert_eq!(one["result"]["view"]["node"], leader);

    // What one edge refuses, the other one hears from nobody but the leader.
    let revision = cluster.nodes[edge + 1].control.catalog().revision();
    cluster.nodes[edge + 1].control.refused(revision, "its disk is full");
    let refused = async || {
        let (nodes, _) = seen(&cluster, edge).await;
        nodes.iter().any(|node| node["name"] == "edge-2" && node["refused"]["reason"] == "its disk is full")
    };
    let heard = async {
        while !refused().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), heard).await.expect("the leader is told, and tells");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_leader_an_edge_shows_what_it_knows_itself_and_says_so() {
    let (cluster, edge) = with_edges().await;
    for voter in &cluster.nodes[..3] {
        voter.control.shutdown().await;
    }
    let own = cluster.nodes[edge].control.node().0;
    let (nodes, messages) = seen(&cluster, edge).await;
    assert_eq!(nodes.len(), 5);
    assert!(nodes.iter().all(|node| node["view"] == json!({ "node": own, "leads": false })), "{nodes:?}");
    assert!(messages[0].as_str().unwrap().contains("no leader has answered"), "{messages}");
    let (status, _) = cluster.call(edge, "GET", "/cluster/nodes/edge-2", None).await;
    assert_eq!(status, StatusCode::OK);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_says_when_its_certificate_ends() {
    let (cluster, edge) = with_edges().await;
    let all = cluster.nodes.len();
    let known = |by: usize| cluster.nodes[by].control.members().unwrap().iter().count();
    until("all know each other", || (0..all).all(|by| known(by) == all)).await;
    // As every data plane does; else it waits for the time at which gossip repeats itself.
    for node in &cluster.nodes {
        node.control.shown(node.control.catalog().revision());
    }
    let ends = |at: usize| cluster.nodes[at].control.certificate_expires_ms().unwrap() / 1000;
    let told = |by: usize| {
        let members = cluster.nodes[by].control.members().unwrap();
        (0..all).filter(|at| *at != by).all(|at| {
            let news = members.state(cluster.nodes[at].control.node()).and_then(|state| state.news.as_ref());
            let told = news.and_then(|news| news.certificate_ends_s);
            told.is_some_and(|told| i64::try_from(told.get()) == Ok(ends(at)))
        })
    };
    until("gossip has it everywhere", || (0..all).all(told)).await;
    let (nodes, _) = seen(&cluster, edge).await;
    assert!(nodes.iter().all(|node| node["certificate_expires_on"].is_string()), "{nodes:?}");
    cluster.stop().await;
}
