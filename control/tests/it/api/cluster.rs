//! Nodes, join tokens, and who may run the cluster.

use std::{collections::BTreeMap, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use skerry_control::{
    api::ports::{NodeView, RaftRole},
    catalog::{
        Actor, Admission, Authority, Change, Command, Fingerprint, JoinToken, NewNode, NodeRole, SealScope, TokenHash,
    },
};
use skerry_proto::id::{NodeId, Revision};

use super::node::Node;

async fn propose(node: &Node, change: Change) -> u64 {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let command = Command::new(Actor::node("test"), now_ms, vec![change]);
    node.control.propose(command).await.unwrap().revision.0
}

fn newcomer(name: &str, role: NodeRole, admission: Admission) -> Change {
    Change::AdmitNode(NewNode {
        admission,
        name: name.to_owned(),
        role,
        region: "eu".to_owned(),
        zone: "a".to_owned(),
        address: format!("{name}.example:7000"),
        api: format!("{name}.example:8700"),
        public_key: *blake3::hash(name.as_bytes()).as_bytes(),
        feature_level: 2,
        build: "0.1.0".to_owned(),
        boot: 1,
    })
}

/// A cluster with a mesh, whose node 1 is `n1`.
async fn founded() -> Node {
    let node = Node::start().await;
    let certificate = Bytes::from_static(b"certificate");
    let key = node.control.sealer().seal(SealScope::mesh_authority(Fingerprint::of(&certificate)), b"key");
    let authorities = vec![Authority { certificate, key, created_at_ms: 1 }];
    propose(&node, Change::SetMeshAuthorities { authorities, replaces: Vec::new() }).await;
    propose(&node, newcomer("n1", NodeRole::Voter, Admission::Founder)).await;
    node
}

/// Makes a token through the API and joins with its text; the node's id.
async fn join(node: &Node, name: &str, role: NodeRole) -> u64 {
    let made = node.json("POST", "/cluster/join-tokens", json!({})).await.ok();
    let hash = TokenHash::of(made["token"].as_str().unwrap());
    propose(node, newcomer(name, role, Admission::Token(hash))).await
}

#[tokio::test]
async fn the_cluster_says_what_it_is_and_who_leads() {
    let node = founded().await;
    let cluster = node.get("/cluster").await;
    let catalog = node.control.catalog();
    assert_eq!(cluster["id"], catalog.cluster().unwrap().id.as_str());
    assert_eq!(cluster["revision"], catalog.revision().0);
    assert_eq!((&cluster["leader"], &cluster["voters"], &cluster["nodes"]), (&json!(1), &json!([1]), &json!(1)));
    assert_eq!((&cluster["domain"], &cluster["feature_level"]), (&json!("workers.localhost"), &json!(1)));
    assert!(cluster["term"].as_u64().unwrap() > 0, "{cluster}");
    assert_eq!((&cluster["default_account"], &cluster["http_port"]), (&json!(node.account), &json!(8080)));
}

#[tokio::test]
async fn a_node_alone_shows_itself_alive_and_leading() {
    let node = founded().await;
    let nodes = node.get("/cluster/nodes").await;
    let [one] = nodes.as_array().unwrap().as_slice() else { panic!("{nodes}") };
    assert_eq!(
        (&one["id"], &one["name"], &one["role"], &one["raft"]),
        (&json!(1), &json!("n1"), &json!("voter"), &json!("leader"))
    );
    assert_eq!((&one["alive"], &one["lag"], &one["state"]), (&json!(true), &json!(0), &json!("active")));
    assert_eq!(
        (&one["region"], &one["address"], &one["api"]),
        (&json!("eu"), &json!("n1.example:7000"), &json!("n1.example:8700"))
    );
    assert_eq!(
        (&one["rtt_ms"], &one["certificate_expires_on"], &one["refused"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn what_is_known_of_each_node_stands_beside_what_is_agreed() {
    let node = founded().await;
    let id = join(&node, "n2", NodeRole::Edge).await;
    let head = node.control.catalog().revision();
    node.tell(
        id,
        NodeView {
            alive: Some(false),
            revision: Some(Revision(head.0 - 2)),
            raft: None,
            rtt: Some(Duration::from_micros(1500)),
            build: Some("0.2.0".to_owned()),
            certificate_expires_ms: Some(1_795_000_000_042),
            refused: Some((head, "digest differs".to_owned())),
        },
    );
    let seen = node.get("/cluster/nodes/n2").await;
    assert_eq!((&seen["id"], &seen["role"], &seen["raft"]), (&json!(id), &json!("edge"), &Value::Null));
    assert_eq!((&seen["alive"], &seen["lag"], &seen["rtt_ms"]), (&json!(false), &json!(2), &json!(1.5)));
    assert_eq!(
        (&seen["build"], &seen["certificate_expires_on"]),
        (&json!("0.2.0"), &json!("2026-11-18T11:06:40.042Z"))
    );
    assert_eq!(seen["refused"], json!({ "revision": head.0, "reason": "digest differs" }));
    // The founder is known to the catalog only.
    assert_eq!(node.get("/cluster/nodes/1").await["alive"], Value::Null);
}

#[tokio::test]
async fn a_node_is_found_by_id_or_name_and_never_by_the_wrong_one() {
    let node = founded().await;
    let id = join(&node, "n2", NodeRole::Edge).await;
    for name in ["n2".to_owned(), id.to_string()] {
        assert_eq!(node.get(&format!("/cluster/nodes/{name}")).await["id"], id);
    }
    for wrong in ["n3", "+1", "99", "18446744073709551616"] {
        node.call("GET", &format!("/cluster/nodes/{wrong}")).await.fails(404, 10107, wrong);
    }
    let named_one = join(&node, "1", NodeRole::Edge).await;
    node.call("DELETE", "/cluster/nodes/1").await.fails(409, 10040, &format!("the name of node {named_one}"));
    assert_eq!(node.get("/cluster/nodes/n1").await["id"], 1);
    assert_eq!(node.get(&format!("/cluster/nodes/{named_one}")).await["name"], "1");
}

#[tokio::test]
async fn nodes_come_in_pages() {
    let node = founded().await;
    for name in ["a", "b", "c"] {
        join(&node, name, NodeRole::Edge).await;
    }
    let reply = node.call("GET", "/cluster/nodes?page=2&per_page=3").await;
    assert_eq!(reply.ok()[0]["name"], "c");
    assert_eq!(reply.envelope()["result_info"]["total_count"], 4);
}

#[tokio::test]
async fn a_node_is_drained_and_given_work_again() {
    let node = founded().await;
    let drained = node.call("POST", "/cluster/nodes/n1/drain").await;
    assert_eq!(drained.ok()["state"], "draining");
    assert!(drained.headers.contains_key("skerry-revision"));
    assert_eq!(node.get("/cluster/nodes/n1").await["state"], "draining");
    assert_eq!(node.call("POST", "/cluster/nodes/1/undrain").await.ok()["state"], "active");
    node.call("POST", "/cluster/nodes/n9/drain").await.fails(404, 10107, "n9");
}

#[tokio::test]
async fn roles_change_and_the_last_voter_stays_one() {
    let node = founded().await;
    node.json("PATCH", "/cluster/nodes/n1", json!({ "role": "edge" })).await.fails(409, 10064, "last voter");
    join(&node, "n2", NodeRole::Edge).await;
    assert_eq!(node.json("PATCH", "/cluster/nodes/n2", json!({ "role": "voter" })).await.ok()["role"], "voter");
    node.json("PATCH", "/cluster/nodes/n2", json!({ "role": "king" })).await.fails(
        400,
        10001,
        "role: use voter or edge",
    );
    node.json("PATCH", "/cluster/nodes/n2", json!({ "rol": "edge" })).await.fails(400, 10001, "rol");
}

#[tokio::test]
async fn an_edge_is_removed_and_its_id_is_gone() {
    let node = founded().await;
    let id = join(&node, "n2", NodeRole::Edge).await;
    let path = format!("/cluster/nodes/{id}");
    let headers = [("idempotency-key", "once")];
    node.with("DELETE", &path, &headers, "").await.ok();
    node.with("DELETE", &path, &headers, "").await.ok();
    node.call("DELETE", &path).await.fails(404, 10107, &id.to_string());
    assert!(join(&node, "n2", NodeRole::Edge).await > id);
}

#[tokio::test]
async fn a_voter_is_removed_by_force_only_and_never_the_last_one_or_one_that_is_needed() {
    let node = founded().await;
    for path in ["/cluster/nodes/n1", "/cluster/nodes/n1?force=true"] {
        node.call("DELETE", path).await.fails(409, 10064, "n1");
    }
    join(&node, "n2", NodeRole::Voter).await;
    node.call("DELETE", "/cluster/nodes/n2").await.fails(409, 10064, "make it an edge");
    // n1 is the only one that votes so far, so without it nobody agrees on anything.
    node.call("DELETE", "/cluster/nodes/n1?force=true").await.fails(409, 10064, "0 of 1 voters answer");
    node.call("DELETE", "/cluster/nodes/n2?force=true").await.ok();
    node.call("DELETE", "/cluster/nodes/n1?force=perhaps").await.fails(400, 10001, "force");
}

#[tokio::test]
async fn a_node_that_became_an_edge_stays_until_it_does_not_vote() {
    let node = founded().await;
    let id = join(&node, "n2", NodeRole::Edge).await;
    let votes = |raft| NodeView { raft, alive: Some(true), ..NodeView::default() };
    node.tell(1, votes(Some(RaftRole::Leader)));
    node.tell(id, votes(Some(RaftRole::Voter)));
    node.call("DELETE", "/cluster/nodes/n2").await.fails(409, 10064, "wait until it does not");
    node.tell(id, votes(Some(RaftRole::Learner)));
    node.call("DELETE", "/cluster/nodes/n2").await.ok();
}

#[tokio::test]
async fn a_join_token_is_shown_once_and_names_the_authority() {
    let node = founded().await;
    let body = json!({ "role": "edge", "uses": 3, "ttl_seconds": 120, "name": "rack 7" });
    let reply = node.json("POST", "/cluster/join-tokens", body).await;
    assert_eq!(reply.status, 201);
    let made = reply.ok();
    let text = made["token"].as_str().unwrap();
    assert_eq!(JoinToken::authority_in(text), Some(Fingerprint::of(b"certificate")));
    assert!(node.control.catalog().join_token_by_hash(&TokenHash::of(text)).is_some());
    let list = node.get("/cluster/join-tokens").await;
    assert_eq!((&list[0]["id"], &list[0]["role"], &list[0]["uses_left"]), (&made["id"], &json!("edge"), &json!(3)));
    assert_eq!((&list[0]["name"], &list[0]["status"]), (&json!("rack 7"), &json!("active")));
    assert!(!list.to_string().contains(text), "{list}");
    node.advance(121_000);
    assert_eq!(node.get("/cluster/join-tokens").await[0]["status"], "expired");
}

#[tokio::test]
async fn a_join_token_without_wishes_admits_one_node_for_an_hour() {
    let node = founded().await;
    let made = node.call("POST", "/cluster/join-tokens").await.ok();
    assert_eq!((&made["role"], &made["uses_left"]), (&Value::Null, &json!(1)));
    let at = |field: &str| made[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(at("expires_on") - at("created_on"), 3600);
}

#[tokio::test]
async fn a_repeated_join_token_is_not_made_twice() {
    let node = founded().await;
    let headers = [("idempotency-key", "once")];
    node.with("POST", "/cluster/join-tokens", &headers, "{}").await.ok();
    node.with("POST", "/cluster/join-tokens", &headers, "{}").await.fails(409, 10040, "Idempotency-Key");
    assert_eq!(node.control.catalog().join_tokens().count(), 1);
}

#[tokio::test]
async fn a_join_token_is_revoked() {
    let node = founded().await;
    let made = node.call("POST", "/cluster/join-tokens").await.ok();
    let path = format!("/cluster/join-tokens/{}", made["id"].as_str().unwrap());
    node.call("DELETE", &path).await.ok();
    assert_eq!(node.get("/cluster/join-tokens").await, json!([]));
    node.call("DELETE", &path).await.fails(404, 10108, "join token");
    node.call("DELETE", "/cluster/join-tokens/nonsense").await.fails(404, 10108, "nonsense");
}

#[tokio::test]
async fn bad_join_tokens_name_their_field() {
    let node = founded().await;
    for (body, field) in [
        (json!({ "role": "king" }), "role"),
        (json!({ "uses": 0 }), "uses"),
        (json!({ "uses": 1001 }), "uses"),
        (json!({ "ttl_seconds": 59 }), "ttl_seconds"),
        (json!({ "ttl_seconds": 2_592_001 }), "ttl_seconds"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "ttl": 60 }), "ttl"),
    ] {
        node.json("POST", "/cluster/join-tokens", body).await.fails(400, 10001, field);
    }
    assert_eq!(node.control.catalog().join_tokens().count(), 0);
}

#[tokio::test]
async fn a_cluster_without_a_mesh_invites_nobody() {
    let node = Node::start().await;
    node.call("POST", "/cluster/join-tokens").await.fails(409, 10040, "no mesh yet");
    assert_eq!(node.get("/cluster/nodes").await, json!([]));
}

#[tokio::test]
async fn the_feature_level_rises_to_what_every_node_knows() {
    let node = founded().await;
    let set = |level: u32| node.json("PUT", "/cluster/feature-level", json!({ "level": level }));
    set(3).await.fails(400, 10001, "level: node \"n1\" knows 2 at most");
    assert_eq!(set(2).await.ok()["feature_level"], 2);
    set(1).await.fails(400, 10001, "level");
}

#[tokio::test]
async fn only_a_token_for_all_accounts_with_the_scope_runs_the_cluster() {
    let node = founded().await;
    let make = |body: Value| async {
        node.json("POST", "/accounts/:a/tokens", body).await.ok()["value"].as_str().unwrap().to_owned()
    };
    let call = |token: String, method: &'static str, path: &'static str| {
        let request = Request::builder().method(method).uri(format!("/client/v4{path}"));
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
        node.send(request)
    };
    let tenant = make(json!({ "name": "tenant", "scopes": ["admin"] })).await;
    call(tenant.clone(), "GET", "/cluster").await.ok();
    for (method, path) in [
        ("GET", "/cluster/nodes"),
        ("GET", "/cluster/nodes/1"),
        ("GET", "/cluster/join-tokens"),
        ("POST", "/cluster/join-tokens"),
        ("POST", "/cluster/nodes/1/drain"),
        ("POST", "/cluster/nodes/1/undrain"),
        ("DELETE", "/cluster/nodes/1"),
    ] {
        call(tenant.clone(), method, path).await.fails(403, 9109, "for all accounts");
    }
    let reader = make(json!({ "name": "reader", "scopes": ["cluster:read"], "account": null })).await;
    call(reader.clone(), "GET", "/cluster/nodes").await.ok();
    call(reader, "POST", "/cluster/join-tokens").await.fails(403, 9109, "cluster:write");
    let deployer = make(json!({ "name": "deployer", "scopes": ["workers:write"], "account": null })).await;
    call(deployer, "GET", "/cluster/nodes").await.fails(403, 9109, "cluster:read");
}

#[tokio::test]
async fn the_nodes_keys_and_the_authoritys_key_are_shown_nowhere() {
    let node = founded().await;
    join(&node, "n2", NodeRole::Edge).await;
    let shown = [node.get("/cluster").await, node.get("/cluster/nodes").await, node.get("/cluster/join-tokens").await];
    let shown: BTreeMap<&str, &Value> = shown.iter().flat_map(fields).collect();
    assert!(!shown.keys().any(|field| field.contains("key") || field.contains("hash")), "{shown:?}");
    assert_eq!(node.control.catalog().node(NodeId(1)).unwrap().name, "n1");
}

fn fields(value: &Value) -> Vec<(&str, &Value)> {
    match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        Value::Array(list) => list.iter().flat_map(fields).collect(),
        _ => Vec::new(),
    }
}
