//! Code that is deployed nowhere.

use skerry_proto::id::BundleHash;

use super::*;

fn file(cluster: &Cluster, node: usize, hash: &BundleHash) -> PathBuf {
    let hash = hash.to_string();
    cluster.nodes[node].config.data_dir.join("bundles").join(&hash[..2]).join(&hash)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_get_the_code_of_every_version_and_the_last_copies_do_not_leave() {
    let mut cluster = Cluster::start(1).await;
    cluster.deploy(0).await;
    let hash = cluster.nodes[0].control.catalog().bundles().next().unwrap().hash;
    let token = cluster.join_token(json!({ "uses": 2 })).await;
    for name in ["node-2", "node-3"] {
        cluster.join(name, NodeRole::Voter, &token).await.unwrap();
    }
    let files = [1, 2].map(|node| file(&cluster, node, &hash));
    until("those that vote now have what was uploaded before", || files.iter().all(|file| file.exists())).await;
    until("they vote", || cluster.nodes[0].control.status().unwrap().voters.len() == 3).await;

    let first = format!("/cluster/nodes/{}", cluster.nodes[0].control.node());
    let edge = Some(json!({ "role": "edge" }));
    let contents = std::fs::read(&files[0]).unwrap();
    std::fs::remove_file(&files[0]).unwrap();
    let (status, answer) = cluster.call(0, "PATCH", &first, edge.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    assert!(answer.to_string().contains("code of 1 versions"), "{answer}");
    std::fs::write(&files[0], contents).unwrap();
    let (status, answer) = cluster.call(0, "PATCH", &first, edge).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    cluster.stop().await;
}
