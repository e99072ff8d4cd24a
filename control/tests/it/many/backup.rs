//! Backups of a cluster, and the clusters that begin with them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use http::header;
use skerry_control::{
    backup::{AdminToken, RestoreConfig, RestoreError, Restored, StoppedConfig, restore, stopped},
    catalog::Binding,
};
use skerry_proto::archive::{PartKind, Reader};

use super::*;
use crate::api::node::{Form, HELLO};

const SERVICE: &str = "/accounts/:a/workers/services/shop";

impl Cluster {
    /// A call whose answer may be anything.
    async fn raw(&self, node: usize, token: &str, path: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().uri(format!("/client/v4{path}"));
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
        let response = self.nodes[node].router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        if parts.status == StatusCode::OK && path == "/cluster/backup" {
            assert_eq!(parts.headers[header::CONTENT_LENGTH], bytes.len().to_string());
        }
        (parts.status, bytes)
    }

    pub(super) async fn deploy(&self, node: usize) {
        let form = Form::new().metadata(&json!({ "main_module": "index.js" }));
        let form = form.part("index.js", "application/javascript+module", HELLO.as_bytes()).finish();
        let path = format!("/client/v4{SERVICE}/environments/production").replace(":a", &self.account);
        let request = Request::builder().method("PUT").uri(path).header("content-type", Form::CONTENT_TYPE);
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let response = self.nodes[node].router.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        let secret = json!({ "name": "KEY", "text": "hidden", "type": "secret_text" });
        let path = format!("{SERVICE}/environments/production/secrets");
        let (status, answer) = self.call(node, "PUT", &path, Some(secret)).await;
        assert!(status.is_success(), "{answer}");
    }

    fn dir(&self, node: usize) -> PathBuf {
        self.nodes[node].config.data_dir.clone()
    }
}

async fn restored(from: &Path, keys: Option<&Path>, data_dir: &Path) -> Result<Restored, RestoreError> {
    restore(RestoreConfig { from, keys, data_dir, kv_file: "kv.redb" }).await
}

/// Starts the first node of a restored cluster.
async fn begin(data_dir: PathBuf, token: String, folder: tempfile::TempDir) -> Cluster {
    let first = Node::start(config(data_dir, "again", NodeRole::Voter, Bootstrap::Never)).await.unwrap();
    let account = first.control.catalog().first_account().unwrap().to_string();
    Cluster { nodes: vec![first], token, account, folder }
}

/// That a cluster has what [`Cluster::deploy`] made, and takes more.
async fn serves_on(cluster: &Cluster) {
    let catalog = cluster.nodes[0].control.catalog();
    let service = catalog.all_services().next().unwrap();
    let environment = service.environments.values().next().unwrap();
    let version = environment.versions.values().next_back().unwrap();
    let code = cluster.nodes[0].control.bundles().load(&version.code.bundle.hash).await.unwrap().unwrap();
    assert_eq!(code.modules[0].content, HELLO.as_bytes());
    let Some(Binding::Secret(sealed)) = version.config.bindings.get("KEY") else { panic!("the secret is there") };
    assert_eq!(cluster.nodes[0].control.sealer().open(sealed).unwrap(), b"hidden");
    cluster.deploy(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_from_any_node_begins_a_new_cluster_with_everything() {
    let mut old = Cluster::start(3).await;
    let invitation = old.join_token(json!({ "role": "edge" })).await;
    let edge = old.join("edge", NodeRole::Edge, &invitation).await.unwrap();
    let follower = (0..3).find(|node| !old.nodes[*node].control.leads()).unwrap();
    old.deploy(follower).await;
    old.write(edge, "last").await;
    let last = old.nodes[edge].control.catalog().revision();
    for node in [edge, follower, old.leader().unwrap()] {
        let (status, bytes) = old.raw(node, &old.token, "/cluster/backup").await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
        let manifest = Reader::open(&bytes[..]).and_then(Reader::finish).unwrap();
        assert!(manifest.revision >= last, "everything that was acknowledged is in it");
        assert_eq!(manifest.of_kind(PartKind::Bundle).count(), 1);
        assert_eq!(manifest.of_kind(PartKind::Keys).count(), 0, "no keys leave through the API");
        fs::write(old.folder.path().join("backup"), bytes).unwrap();
    }

    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new");
    let from = old.folder.path().join("backup");
    let seen = restored(&from, Some(&old.dir(0)), &place).await.unwrap();
    assert_eq!((seen.services, seen.admin), (1, AdminToken::Kept));
    assert_eq!(seen.empty_namespaces, ["last"]);
    let before = old.nodes[0].control.catalog();
    let mut new = begin(place, old.token.clone(), folder).await;
    let after = new.nodes[0].control.catalog();
    let (was, is) = (before.cluster().unwrap(), after.cluster().unwrap());
    assert_ne!(was.id, is.id);
    assert_eq!(was.ca_certificate, is.ca_certificate, "end users see the same CA");
    assert_ne!(was.mesh_authority().unwrap().certificate, is.mesh_authority().unwrap().certificate);
    assert!(after.revision() >= seen.manifest.revision);
    let names: Vec<_> = after.nodes().map(|node| node.name.clone()).collect();
    assert_eq!((names, after.join_tokens().count()), (vec!["again".to_owned()], 0));
    assert!(after.audit().count() > before.audit().count(), "the audit log goes on");
    serves_on(&new).await;
    old.stop().await;
    let token = new.join_token(json!({})).await;
    let second = new.join("second", NodeRole::Voter, &token).await.unwrap();
    assert_eq!(new.titles(second), ["last"]);
    // It is a directory like any other.
    let first = new.nodes.remove(0).restart().await;
    new.nodes.insert(0, first);
    serves_on(&new).await;
    new.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_would_lack_code_fails_and_names_it() {
    let cluster = Cluster::start(1).await;
    cluster.deploy(0).await;
    let hash = cluster.nodes[0].control.catalog().bundles().next().unwrap().hash.to_string();
    let file = cluster.dir(0).join("bundles").join(&hash[..2]).join(&hash);
    let code = fs::read(&file).unwrap();
    for break_it in [|file: &Path| fs::remove_file(file).unwrap(), |file: &Path| fs::write(file, b"evil").unwrap()] {
        break_it(&file);
        let (status, answer) = cluster.raw(0, &cluster.token, "/cluster/backup").await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(status, StatusCode::CONFLICT, "{answer}");
        assert!(answer.contains(&hash) && answer.contains("of shop/production"), "{answer}");
    }
    fs::write(&file, code).unwrap();
    assert_eq!(cluster.raw(0, &cluster.token, "/cluster/backup").await.0, StatusCode::OK);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_runs_the_cluster_gets_a_backup() {
    let cluster = Cluster::start(1).await;
    for (body, status) in [
        (json!({ "name": "looks", "account": null, "scopes": ["cluster:read"] }), StatusCode::FORBIDDEN),
        (json!({ "name": "deploys", "scopes": ["workers:write"] }), StatusCode::FORBIDDEN),
        (json!({ "name": "one account's", "scopes": ["cluster:write"] }), StatusCode::FORBIDDEN),
        (json!({ "name": "runs", "account": null, "scopes": ["cluster:write"] }), StatusCode::OK),
    ] {
        let (made, answer) = cluster.call(0, "POST", "/accounts/:a/tokens", Some(body.clone())).await;
        assert!(made.is_success(), "{answer}");
        let token = answer["result"]["token"].as_str().or(answer["result"]["value"].as_str()).unwrap();
        assert_eq!(cluster.raw(0, token, "/cluster/backup").await.0, status, "{body}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_voters_and_edges_are_backed_up_with_their_key() {
    let mut old = Cluster::start(1).await;
    let invitation = old.join_token(json!({ "role": "edge" })).await;
    let edge = old.join("edge", NodeRole::Edge, &invitation).await.unwrap();
    old.deploy(0).await;
    until("the edge has it", || old.nodes[edge].control.catalog() == old.nodes[0].control.catalog()).await;
    let hash = old.nodes[0].control.catalog().bundles().next().unwrap().hash;
    old.nodes[edge].control.bundles().load(&hash).await.unwrap().unwrap();
    let revision = old.nodes[0].control.catalog().revision();
    let (voter, edge, token) = (old.dir(0), old.dir(edge), old.token.clone());
    for node in &old.nodes {
        node.control.shutdown().await;
    }
    fs::write(edge.join("kv.redb"), b"entries").unwrap();
    for (data_dir, admin) in [(&edge, AdminToken::New), (&voter, AdminToken::Kept)] {
        let output = old.folder.path().join("file");
        let made = stopped(StoppedConfig { data_dir, kv_file: "kv.redb", output: &output }).await.unwrap();
        assert!(made.revision >= revision, "{} and {revision}", made.revision);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/new");
        let seen = restored(&output, None, &place).await.unwrap();
        assert_eq!(seen.admin, admin);
        assert_eq!(place.join("kv.redb").exists(), made.of_kind(PartKind::Kv).count() == 1);
        let text = fs::read_to_string(place.join("admin.token")).unwrap().trim().to_owned();
        assert_eq!(text == token, admin == AdminToken::Kept);
        let new = begin(place, text, folder).await;
        serves_on(&new).await;
        new.stop().await;
    }
    // The directory is as good as before.
    let again = Node::start(ControlConfig { bootstrap: Bootstrap::Never, ..old.nodes.remove(0).config }).await.unwrap();
    old.nodes = vec![again];
    serves_on(&old).await;
    old.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_restored_leaves_nothing_behind() {
    let (cluster, other) = (Cluster::start(1).await, Cluster::start(1).await);
    cluster.deploy(0).await;
    let (_, bytes) = cluster.raw(0, &cluster.token, "/cluster/backup").await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new");
    let from = cluster.folder.path().join("backup");
    let (own, foreign) = (cluster.dir(0), other.dir(0));
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (content, keys, says) in [
        (&bytes[..], None, "give --keys DIR"),
        (&bytes, Some(foreign.as_path()), "another cluster's"),
        (&bytes, Some(cluster.folder.path()), "cluster.key is missing"),
        (&bytes[..bytes.len() - 1], Some(own.as_path()), "cut off: it ends in bundle"),
        (&damaged, Some(own.as_path()), "damaged: bundle"),
        (b"PK", Some(own.as_path()), "not a Skerry backup"),
    ] {
        fs::write(&from, content).unwrap();
        let refused = restored(&from, keys, &place).await.unwrap_err();
        assert!(chain(&refused).contains(says), "{says:?}: {}", chain(&refused));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{says}");
    }
    fs::write(&from, &bytes).unwrap();
    let in_use = restored(&from, Some(&own), &foreign).await.unwrap_err();
    assert!(matches!(in_use, RestoreError::NotEmpty(_)), "{in_use}");
    restored(&from, Some(&own), &place).await.unwrap();
    let twice = restored(&from, Some(&own), &place).await.unwrap_err();
    assert!(matches!(twice, RestoreError::NotEmpty(_)), "{twice}");
    other.stop().await;
    cluster.stop().await;
}
