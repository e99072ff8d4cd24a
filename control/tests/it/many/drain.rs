//! Voters that drain.

use super::*;

/// Drains a node; its id.
async fn drain(cluster: &Cluster, node: usize) -> NodeId {
    let id = cluster.nodes[node].control.node();
    let (status, answer) = cluster.call(node, "POST", &format!("/cluster/nodes/{id}/drain"), None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_drains_hands_over_and_goes_on_showing_the_newest_state() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().unwrap();
    let drained = drain(&cluster, leader).await;
    let other = (leader + 1) % 3;
    until("another one leads", || cluster.leader().is_some_and(|now| now != leader)).await;
    let token = cluster.join_token(json!({})).await;
    cluster.join("spare", NodeRole::Voter, &token).await.unwrap();
    until("the spare has its vote", || {
        let status = cluster.nodes[other].control.status().unwrap();
        status.voters.len() == 3 && !status.voters.contains(&drained) && status.learners.contains(&drained)
    })
    .await;
    let (status, answer) = cluster.write(other, "later").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("the drained node shows it", || cluster.titles(leader) == ["later"]).await;
    let (status, answer) = cluster.call(other, "POST", &format!("/cluster/nodes/{drained}/undrain"), None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let spare = cluster.nodes[3].control.node();
    drain(&cluster, 3).await;
    until("it votes again", || {
        let status = cluster.nodes[leader].control.status().unwrap();
        status.voters.contains(&drained) && !status.voters.contains(&spare)
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_drains_hands_over_to_the_voter_that_is_left() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.nodes.remove(cluster.leader().unwrap());
    cluster.nodes.push(leader);
    // The one that would be first in line.
    let gone = cluster.nodes.remove(0);
    gone.control.shutdown().await;
    drain(&cluster, 1).await;
    let left = cluster.nodes[0].control.clone();
    until("the one that is left leads", || left.leads()).await;
    assert_eq!(left.status().unwrap().voters.len(), 3, "the one that drains votes on: two of three agree");
    let (status, answer) = cluster.write(1, "after").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    cluster.stop().await;
}
