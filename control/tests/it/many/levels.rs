//! Nodes of two builds in one cluster, and when it may rely on what the newer ones know.

use super::*;

impl Cluster {
    /// A node whose build knows this level.
    async fn join_at(&mut self, name: &str, role: NodeRole, level: u32) -> Result<usize, BuildError> {
        let token = self.join_token(json!({})).await;
        let bootstrap = Bootstrap::Join { at: self.nodes[0].address(), token };
        let older = config(self.folder.path().join(name), name, role, bootstrap);
        let node = Node::start(ControlConfig { feature_level: level, ..older }).await?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// Starts a node again with another build.
    async fn rebuilt(&mut self, node: usize, level: u32) -> Result<(), BuildError> {
        let old = self.nodes.remove(node);
        old.control.shutdown().await;
        let config = ControlConfig { feature_level: level, bootstrap: Bootstrap::Never, ..old.config };
        let again = Node::start(config).await?;
        self.nodes.insert(node, again);
        Ok(())
    }

    async fn raise(&self, node: usize, level: u32) -> (StatusCode, Value) {
        self.call(node, "PUT", "/cluster/feature-level", Some(json!({ "level": level }))).await
    }

    async fn until_known(&self, node: usize, level: u32) {
        let id = self.nodes[node].control.node();
        let knows = |node: &Node| node.control.catalog().node(id).is_some_and(|node| node.feature_level == level);
        until("the cluster knows the new build", || self.nodes.iter().all(knows)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_cluster_works_and_rises_once_every_node_knows_more() {
    let mut cluster = Cluster::start(1).await;
    for name in ["node-2", "node-3"] {
        cluster.join_at(name, NodeRole::Voter, 1).await.unwrap();
    }
    let edge = cluster.join_at("edge", NodeRole::Edge, 1).await.unwrap();
    // A rolling upgrade: one node after the other starts with the newer build, and every node takes writes in between.
    for node in 0..3 {
        let refused = cluster.raise(node, 2).await;
        assert_eq!(refused.0, StatusCode::BAD_REQUEST, "{}", refused.1);
        cluster.rebuilt(node, 2).await.unwrap();
        cluster.until_known(node, 2).await;
        for at in [node, edge] {
            let (status, answer) = cluster.write(at, &format!("{node}-at-{at}")).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
    }
    let (status, answer) = cluster.raise(edge, 2).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert!(answer.to_string().contains(r#"node \"edge\" knows 1 at most; update Skerry there first"#), "{answer}");
    let other = cluster.nodes[0].control.catalog().feature_level();
    assert_eq!(other, 1, "a refusal changes nothing");

    cluster.rebuilt(edge, 2).await.unwrap();
    cluster.until_known(edge, 2).await;
    let (status, answer) = cluster.raise(edge, 2).await;
    assert_eq!((status, &answer["result"]["feature_level"]), (StatusCode::OK, &json!(2)), "{answer}");
    let is_at = |node: &Node| node.control.catalog().feature_level() == 2;
    until("all nodes are at it", || cluster.nodes.iter().all(is_at)).await;
    until("all nodes have all writes", || (0..4).all(|node| cluster.titles(node).len() == 6)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_knows_too_little_neither_joins_nor_starts() {
    let mut cluster = Cluster::start(1).await;
    cluster.rebuilt(0, 2).await.unwrap();
    cluster.until_known(0, 2).await;
    let (voter, edge) = (
        cluster.join_at("node-2", NodeRole::Voter, 2).await.unwrap(),
        cluster.join_at("edge", NodeRole::Edge, 2).await.unwrap(),
    );
    let (status, answer) = cluster.raise(voter, 2).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let before = cluster.nodes[0].control.catalog().nodes().count();
    let refused = cluster.join_at("old", NodeRole::Edge, 1).await.unwrap_err();
    let says = "feature level: the cluster is at 2, this build knows 1 at most; update Skerry on this machine";
    assert!(chain(&refused).contains(says), "{}", chain(&refused));
    assert_eq!(cluster.nodes[0].control.catalog().nodes().count(), before);

    for node in [edge, voter] {
        let dir = cluster.nodes[node].config.data_dir.clone();
        until("it has noted the level", || is_noted(&dir, 2)).await;
        let config = cluster.nodes[node].config.clone();
        let refused = cluster.rebuilt(node, 1).await.unwrap_err();
        assert!(matches!(refused, BuildError::OldBuild { cluster: 2, known: 1 }), "{refused}");
        assert!(!chain(&refused).contains('\n') && refused.to_string().contains("update Skerry"), "{refused}");
        // The directory is as it was: the newer build goes on with it.
        let config = ControlConfig { bootstrap: Bootstrap::Never, ..config };
        cluster.nodes.insert(node, Node::start(config).await.unwrap());
    }
    cluster.stop().await;
}

fn is_noted(data_dir: &Path, level: u32) -> bool {
    let identity = skerry_control::mesh::NodeIdentity::open(data_dir).unwrap().unwrap();
    identity.feature_level == level
}
