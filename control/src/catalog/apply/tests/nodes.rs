//! Who becomes a node, and what keeps a cluster whole.

use skerry_proto::id::{NamespaceId, NodeId};

use super::*;
use crate::catalog::{
    Admission, Authority, Cluster, JoinToken, NewNode, Node, NodeRole, NodeState, NodeUpdate, WhenVoter,
};

/// A cluster of its founder, `n1`.
fn founded() -> Lab {
    let mut lab = Lab::new();
    let founder = lab.new_node("n1", Admission::Founder);
    lab.run(vec![founder]).unwrap();
    lab
}

/// A join token that is good for a minute.
fn token(lab: &mut Lab, role: Option<NodeRole>, uses: u32) -> JoinToken {
    let change = lab.new_join_token(role, uses, 60_000);
    lab.run(vec![change.clone()]).unwrap();
    let Change::CreateJoinToken(token) = change else { panic!("{change:?}") };
    token
}

fn join(lab: &mut Lab, name: &str, token: &JoinToken) -> Result<NodeId, Rejection> {
    let change = lab.new_node(name, Admission::Token(token.hash));
    lab.run(vec![change])?;
    Ok(node(lab, name).id)
}

/// As [`join`], as an edge.
fn join_edge(lab: &mut Lab, name: &str, token: &JoinToken) -> Result<NodeId, Rejection> {
    let change = edit_node(lab.new_node(name, Admission::Token(token.hash)), |node| node.role = NodeRole::Edge);
    lab.run(vec![change])?;
    Ok(node(lab, name).id)
}

fn node(lab: &Lab, name: &str) -> Node {
    lab.catalog.node_by_name(name).unwrap().as_ref().clone()
}

/// That a change is refused with a reason that says all of this, and nothing moves.
#[track_caller]
fn refuses(lab: &mut Lab, change: Change, says: &[&str]) {
    let before = lab.catalog.clone();
    let reason = lab.run(vec![change]).unwrap_err().to_string();
    assert!(says.iter().all(|part| reason.contains(part)), "{reason}");
    assert_eq!(lab.catalog, before);
}

#[test]
fn the_founder_is_node_1_and_others_are_the_revision_that_admits_them() {
    let mut lab = founded();
    assert_eq!(node(&lab, "n1").id, NodeId(1));
    let token = token(&mut lab, None, 1);
    let id = join(&mut lab, "n2", &token).unwrap();
    assert_eq!(id.0, lab.catalog.revision().0);
    assert_eq!(lab.catalog.node_by_key(&node(&lab, "n2").public_key).unwrap().id, id);
    assert_eq!(node(&lab, "n2").admitted_by, Some(token.hash));
    let second = lab.new_node("n3", Admission::Founder);
    refuses(&mut lab, second, &["join token", "has nodes already", "skerry cluster join-token"]);
}

#[test]
fn nobody_joins_a_cluster_that_has_no_founder() {
    let mut lab = Lab::new();
    let token = token(&mut lab, None, 1);
    let admit = lab.new_node("n1", Admission::Token(token.hash));
    refuses(&mut lab, admit, &["join token: the cluster has no nodes yet", "start the one that made it"]);
}

#[test]
fn a_founder_votes() {
    let mut lab = Lab::new();
    let founder = edit_node(lab.new_node("n1", Admission::Founder), |node| node.role = NodeRole::Edge);
    refuses(&mut lab, founder, &["role: the first node is a voter"]);
}

#[test]
fn a_token_admits_as_many_as_it_says_and_is_gone_then() {
    let mut lab = founded();
    let token = token(&mut lab, None, 2);
    join(&mut lab, "n2", &token).unwrap();
    assert_eq!(lab.catalog.join_token_by_hash(&token.hash).unwrap().uses_left, 1);
    join(&mut lab, "n3", &token).unwrap();
    assert_eq!(lab.catalog.join_tokens().count(), 0);
    let reason = join(&mut lab, "n4", &token).unwrap_err().to_string();
    assert!(reason.starts_with("join token: it is unknown, used up"), "{reason}");
}

#[test]
fn a_node_whose_answer_was_lost_asks_again_and_is_admitted_once() {
    let mut lab = founded();
    let token = token(&mut lab, None, 1);
    let id = join(&mut lab, "n2", &token).unwrap();
    // The token is used up, the operator has made it an edge, and it has another address: still the same node.
    lab.run(vec![Change::SetNodeRole { id, role: NodeRole::Edge }]).unwrap();
    let before = node(&lab, "n2");
    let again = edit_node(lab.new_node("n2", Admission::Token(token.hash)), |node| node.address = "z:1".to_owned());
    lab.run(vec![again.clone()]).unwrap();
    assert_eq!((node(&lab, "n2"), lab.catalog.nodes().count()), (before, 2));
    // With another token it is somebody who holds the key of a node.
    let other = self::token(&mut lab, None, 1);
    let stranger = edit_node(again, |node| node.admission = Admission::Token(other.hash));
    refuses(&mut lab, stranger, &["name: node ", "is called \"n2\"", "remove that node first"]);
    assert_eq!(lab.catalog.join_token_by_hash(&other.hash).unwrap().uses_left, 1);
}

#[test]
fn an_edge_joins_again_as_itself_with_another_token_and_a_voter_does_not() {
    let mut lab = founded();
    let first = token(&mut lab, None, 2);
    let edge = edit_node(lab.new_node("n2", Admission::Token(first.hash)), |node| node.role = NodeRole::Edge);
    let voter = lab.new_node("n3", Admission::Token(first.hash));
    lab.run(vec![edge.clone()]).unwrap();
    lab.run(vec![voter.clone()]).unwrap();
    let (before, second) = (node(&lab, "n2"), token(&mut lab, Some(NodeRole::Edge), 2));
    let with = |change, hash| edit_node(change, |node| node.admission = Admission::Token(hash));
    lab.run(vec![with(edge.clone(), second.hash)]).unwrap();
    let after = node(&lab, "n2");
    assert_eq!((after.id, after.admitted_by, lab.catalog.nodes().count()), (before.id, Some(second.hash), 3));
    assert_eq!(lab.catalog.join_token_by_hash(&second.hash).unwrap().uses_left, 1);
    let renamed = edit_node(with(edge, second.hash), |node| node.name = "n4".to_owned());
    refuses(&mut lab, renamed, &["public key: node ", "(n2) has this key"]);
    let third = token(&mut lab, None, 1);
    refuses(&mut lab, with(voter, third.hash), &["name: node ", "is called \"n3\""]);
}

#[test]
fn a_founder_that_was_cut_off_founds_again() {
    let mut lab = founded();
    let again = lab.new_node("n1", Admission::Founder);
    lab.run(vec![again]).unwrap();
    assert_eq!(lab.catalog.nodes().count(), 1);
}

#[test]
fn a_token_admits_nobody_when_it_has_expired() {
    let mut lab = founded();
    let change = lab.new_join_token(None, 5, 5);
    lab.run(vec![change.clone()]).unwrap();
    let Change::CreateJoinToken(token) = change else { panic!("{change:?}") };
    let admit = lab.new_node("n2", Admission::Token(token.hash));
    let mut command = lab.command(vec![admit]);
    command.at_ms = token.expires_at_ms;
    let reason = lab.apply(&command).unwrap_err().to_string();
    assert!(reason.starts_with("join token: it has expired; make another"), "{reason}");
    command.at_ms -= 1;
    lab.apply(&command).unwrap();
}

#[test]
fn expired_tokens_go_when_another_is_made_or_used() {
    let mut lab = founded();
    let short = lab.new_join_token(None, 5, 3);
    lab.run(vec![short.clone()]).unwrap();
    let lasting = token(&mut lab, None, 5);
    assert_eq!(lab.catalog.join_tokens().count(), 2);
    token(&mut lab, None, 5);
    let left: Vec<_> = lab.catalog.join_tokens().map(|token| token.expires_at_ms).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    let Change::CreateJoinToken(gone) = short else { panic!("{short:?}") };
    assert!(lab.catalog.join_token(&gone.id).is_none() && lab.catalog.join_token(&lasting.id).is_some());
    let short = lab.new_join_token(None, 5, 1);
    lab.run(vec![short]).unwrap();
    join(&mut lab, "n2", &lasting).unwrap();
    assert_eq!(lab.catalog.join_tokens().count(), 2);
}

#[test]
fn a_token_for_edges_admits_no_voter() {
    let mut lab = founded();
    let edges = token(&mut lab, Some(NodeRole::Edge), 2);
    let reason = join(&mut lab, "n2", &edges).unwrap_err().to_string();
    assert!(reason.contains("join token: it admits no voter") && reason.contains("--role voter"), "{reason}");
    join_edge(&mut lab, "n2", &edges).unwrap();
    let voters = token(&mut lab, Some(NodeRole::Voter), 2);
    join_edge(&mut lab, "n3", &voters).unwrap();
    join(&mut lab, "n4", &voters).unwrap();
}

#[test]
fn a_revoked_token_admits_nobody() {
    let mut lab = founded();
    let token = token(&mut lab, None, 1);
    lab.run(vec![Change::RevokeJoinToken { id: token.id.clone() }]).unwrap();
    assert!(join(&mut lab, "n2", &token).unwrap_err().to_string().contains("join token"));
    refuses(&mut lab, Change::RevokeJoinToken { id: token.id }, &["join token", "does not exist"]);
}

#[test]
fn names_and_keys_belong_to_one_node() {
    let mut lab = founded();
    let token = token(&mut lab, None, 9);
    let admit = |lab: &Lab, name: &str| lab.new_node(name, Admission::Token(token.hash));
    let twin = edit_node(admit(&lab, "n1"), |node| node.public_key = [9; 32]);
    refuses(&mut lab, twin, &["name: node 1 is called \"n1\"; use another name, or remove that node first"]);
    let key = node(&lab, "n1").public_key;
    let clone = edit_node(admit(&lab, "n2"), |node| node.public_key = key);
    refuses(&mut lab, clone, &["public key: node 1 (n1) has this key; join with an empty data directory"]);
    let (one, two) = (admit(&lab, "n2"), admit(&lab, "n3"));
    let reason = lab.run(vec![one, two]).unwrap_err().to_string();
    assert_eq!(reason, "changes: a command admits one node");
}

#[test]
fn what_a_node_says_of_itself_is_checked_field_by_field() {
    let mut lab = founded();
    let token = token(&mut lab, None, 9);
    type Edit = fn(&mut NewNode);
    let edits: [(&str, Edit); 12] = [
        ("name", |node| node.name = String::new()),
        ("name", |node| node.name = "a b".to_owned()),
        ("name", |node| node.name = "n".repeat(64)),
        ("region", |node| node.region = "e\nu".to_owned()),
        ("zone", |node| node.zone = "z".repeat(64)),
        ("build", |node| node.build = "b".repeat(129)),
        ("address", |node| node.address = String::new()),
        ("address", |node| node.address = "host".to_owned()),
        ("address", |node| node.address = "host:0".to_owned()),
        ("address", |node| node.address = "host:+80".to_owned()),
        ("address", |node| node.address = "::1:80".to_owned()),
        ("api", |node| node.api = "http://host:80".to_owned()),
    ];
    for (field, edit) in edits {
        let change = edit_node(lab.new_node("n2", Admission::Token(token.hash)), edit);
        refuses(&mut lab, change, &[&format!("{field}: ")]);
    }
    for address in ["n2.example:7000", "192.0.2.1:1", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:7000"] {
        let change =
            edit_node(lab.new_node("n2", Admission::Token(token.hash)), |node| address.clone_into(&mut node.address));
        lab.run(vec![change]).unwrap();
        let id = node(&lab, "n2").id;
        lab.run(vec![Change::RemoveNode { id, voter: WhenVoter::Remove }]).unwrap();
    }
}

#[test]
fn an_update_replaces_what_a_node_says_and_nothing_else() {
    let mut lab = founded();
    let before = node(&lab, "n1");
    let update = lab.node_update(NodeId(1), 2);
    assert_ne!(before.updated(&update), before, "it says something new");
    lab.run(vec![Change::UpdateNode(update.clone())]).unwrap();
    let after = node(&lab, "n1");
    assert_eq!((after.zone.as_str(), after.api.as_str(), after.boot), ("b", "[2001:db8::7]:8700", 2));
    let kept = (after.public_key, after.role, after.state, after.admitted_by, after.joined_at_ms);
    assert_eq!(kept, (before.public_key, before.role, before.state, before.admitted_by, before.joined_at_ms));
    assert_eq!(after.updated(&update), after, "a second one need not be proposed");
    lab.run(vec![Change::UpdateNode(update.clone())]).unwrap();
    refuses(
        &mut lab,
        Change::UpdateNode(NodeUpdate { id: NodeId(9), ..update.clone() }),
        &["node \"9\" does not exist"],
    );
    let old = NodeUpdate { boot: 1, ..update };
    refuses(&mut lab, Change::UpdateNode(old), &["boot: 1 is older than 2", "join with an empty one"]);
}

#[test]
fn only_a_single_node_does_without_a_mesh() {
    let mut lab = founded();
    let off = NodeUpdate { address: String::new(), ..lab.node_update(NodeId(1), 2) };
    lab.run(vec![Change::UpdateNode(off.clone())]).unwrap();
    let token = token(&mut lab, None, 1);
    join(&mut lab, "n2", &token).unwrap();
    refuses(&mut lab, Change::UpdateNode(off), &["address: use host:port"]);
}

#[test]
fn a_cluster_keeps_a_voter() {
    let mut lab = founded();
    let token = token(&mut lab, None, 9);
    let edge = join_edge(&mut lab, "n2", &token).unwrap();
    let last = ["node \"n1\" is in use by the cluster", "make another node a voter first"];
    refuses(&mut lab, Change::SetNodeRole { id: NodeId(1), role: NodeRole::Edge }, &last);
    for voter in [WhenVoter::Refuse, WhenVoter::Remove] {
        refuses(&mut lab, Change::RemoveNode { id: NodeId(1), voter }, &last);
    }
    lab.run(vec![Change::SetNodeRole { id: edge, role: NodeRole::Voter }]).unwrap();
    let remove = |voter| Change::RemoveNode { id: NodeId(1), voter };
    refuses(&mut lab, remove(WhenVoter::Refuse), &["it is a voter", "make it an edge", "force"]);
    lab.run(vec![remove(WhenVoter::Remove)]).unwrap();
    assert!(lab.catalog.node(NodeId(1)).is_none());
    let founder = lab.new_node("n1", Admission::Founder);
    refuses(&mut lab, founder, &["has nodes already"]);
    let back = join(&mut lab, "n1", &token).unwrap();
    assert!(back > edge, "{back} was used before");
}

#[test]
fn an_edge_goes_at_once() {
    let mut lab = founded();
    let token = token(&mut lab, None, 9);
    let id = join_edge(&mut lab, "n2", &token).unwrap();
    let key = node(&lab, "n2").public_key;
    lab.run(vec![Change::RemoveNode { id, voter: WhenVoter::Refuse }]).unwrap();
    assert!(lab.catalog.node(id).is_none() && lab.catalog.node_by_key(&key).is_none());
    refuses(&mut lab, Change::RemoveNode { id, voter: WhenVoter::Refuse }, &["does not exist"]);
}

/// A namespace whose entries a node keeps.
fn keep(lab: &mut Lab, title: &str, home: NodeId) -> Result<NamespaceId, Rejection> {
    let (id, mut change) = lab.create_namespace(title);
    if let Change::CreateNamespace { home: of, .. } = &mut change {
        *of = home;
    }
    lab.run(vec![change]).map(|_| id)
}

#[test]
fn a_namespaces_home_is_a_node_that_there_is() {
    let mut alone = Lab::new();
    keep(&mut alone, "cache", NodeId(1)).unwrap();
    let reason = keep(&mut alone, "other", NodeId(2)).unwrap_err().to_string();
    assert_eq!(reason, "node \"2\" does not exist");
    let mut lab = founded();
    let token = token(&mut lab, None, 1);
    let second = join(&mut lab, "n2", &token).unwrap();
    for (title, home) in [("near", NodeId(1)), ("far", second)] {
        let id = keep(&mut lab, title, home).unwrap();
        assert_eq!(lab.catalog.namespace(&id).unwrap().home, home);
    }
    keep(&mut lab, "lost", NodeId(second.0 + 100)).unwrap_err();
}

#[test]
fn a_home_goes_by_force_only_and_is_told_what_it_keeps() {
    let mut lab = founded();
    let token = token(&mut lab, None, 1);
    let home = join_edge(&mut lab, "n2", &token).unwrap();
    let kept: Vec<_> = (1..=6).map(|n| keep(&mut lab, &format!("cache-{n}"), home).unwrap()).collect();
    keep(&mut lab, "elsewhere", NodeId(1)).unwrap();
    let remove = |voter| Change::RemoveNode { id: home, voter };
    let named =
        "\"cache-1\", \"cache-2\", \"cache-3\", \"cache-4\", \"cache-5\" and 1 more; delete these namespaces, or";
    refuses(&mut lab, remove(WhenVoter::Refuse), &["node \"n2\" is in use by KV", named, "use force"]);
    let delete = |lab: &Lab, id: &NamespaceId| Change::DeleteNamespace { account: lab.account.clone(), id: id.clone() };
    let change = delete(&lab, &kept[5]);
    lab.run(vec![change]).unwrap();
    refuses(&mut lab, remove(WhenVoter::Refuse), &["\"cache-5\"; delete"]);
    lab.run(vec![remove(WhenVoter::Remove)]).unwrap();
    assert_eq!(lab.catalog.namespace(&kept[0]).unwrap().home, home, "it keeps its dead home");
    let change = delete(&lab, &kept[0]);
    lab.run(vec![change]).unwrap();
    assert!(lab.catalog.namespace(&kept[0]).is_none());
}

#[test]
fn a_node_that_keeps_nothing_any_more_goes_freely() {
    let mut lab = founded();
    let token = token(&mut lab, None, 1);
    let home = join_edge(&mut lab, "n2", &token).unwrap();
    let id = keep(&mut lab, "cache", home).unwrap();
    assert_eq!(lab.catalog.last_home(&id), None, "it is not deleted yet");
    let account = lab.account.clone();
    lab.run(vec![Change::DeleteNamespace { account, id: id.clone() }]).unwrap();
    assert_eq!(lab.catalog.last_home(&id), Some(home), "its entries must be found");
    lab.run(vec![Change::RemoveNode { id: home, voter: WhenVoter::Refuse }]).unwrap();
}

#[test]
fn draining_is_a_state_that_ends() {
    let mut lab = founded();
    for (state, action) in [(NodeState::Draining, "node.drain"), (NodeState::Active, "node.undrain")] {
        lab.run(vec![Change::SetNodeState { id: NodeId(1), state }]).unwrap();
        assert_eq!(node(&lab, "n1").state, state);
        assert_eq!(lab.catalog.audit().next_back().unwrap().actions[0].action, action);
    }
    refuses(&mut lab, Change::SetNodeState { id: NodeId(5), state: NodeState::Draining }, &["does not exist"]);
}

#[test]
fn the_feature_level_rises_as_far_as_every_node_knows_and_never_falls() {
    let mut lab = Lab::new();
    let level = |level| Change::SetFeatureLevel { level };
    refuses(&mut lab, level(2), &["level: the cluster has no nodes yet"]);
    let founder = edit_node(lab.new_node("n1", Admission::Founder), |node| node.feature_level = 3);
    lab.run(vec![founder]).unwrap();
    let token = token(&mut lab, None, 9);
    for name in ["n2", "n4"] {
        join(&mut lab, name, &token).unwrap();
    }
    let both = "level: node \"n2\" knows 1 at most, node \"n4\" knows 1 at most; update Skerry there first";
    refuses(&mut lab, level(2), &[both]);
    let update = NodeUpdate { feature_level: 2, ..lab.node_update(node(&lab, "n4").id, 2) };
    lab.run(vec![Change::UpdateNode(update)]).unwrap();
    refuses(&mut lab, level(2), &["level: node \"n2\" knows 1 at most; update Skerry there first"]);
    let update = NodeUpdate { feature_level: 2, ..lab.node_update(node(&lab, "n2").id, 2) };
    lab.run(vec![Change::UpdateNode(update.clone())]).unwrap();
    lab.run(vec![level(2)]).unwrap();
    lab.run(vec![level(2)]).unwrap();
    assert_eq!(lab.catalog.feature_level(), 2);
    refuses(&mut lab, level(1), &["level: the cluster is at 2 and never goes back"]);
    let old = "feature level: the cluster is at 2, this build knows 1 at most; update Skerry on this machine";
    refuses(&mut lab, Change::UpdateNode(NodeUpdate { feature_level: 1, ..update }), &[old]);
    let third = lab.new_node("n3", Admission::Token(token.hash));
    refuses(&mut lab, third, &[old]);
}

#[test]
fn what_needs_a_level_waits_until_the_cluster_is_at_it() {
    let mut lab = Lab::new();
    let founder = edit_node(lab.new_node("n1", Admission::Founder), |node| node.feature_level = 2);
    lab.run(vec![founder]).unwrap();
    let reason = lab.catalog.check_level(2).unwrap_err().to_string();
    assert!(reason.contains("this needs 2 and the cluster is at 1"), "{reason}");
    lab.run(vec![Change::SetFeatureLevel { level: 2 }]).unwrap();
    assert_eq!(lab.catalog.check_level(2), Ok(()));
}

#[test]
fn mesh_authorities_are_few_distinct_and_carry_keys_of_their_own() {
    let mut lab = Lab::new();
    let set = |authorities| Change::SetMeshAuthorities { authorities, replaces: Vec::new() };
    refuses(&mut lab, set(vec![]), &["mesh authorities", "at least one"]);
    refuses(&mut lab, set(vec![authority("a"), authority("a")]), &["is there twice"]);
    let moved = Authority { key: authority("b").key, ..authority("a") };
    refuses(&mut lab, set(vec![moved]), &["was sealed for something else"]);
    refuses(&mut lab, set(vec![authority("")]), &["1 to 4096 bytes"]);
    refuses(&mut lab, set(["a", "b", "c", "d", "e"].map(authority).to_vec()), &["at most 4"]);
    lab.run(vec![set(vec![authority("a"), authority("b")])]).unwrap();
    assert_eq!(lab.catalog.cluster().unwrap().mesh_authority(), Some(&authority("a")));
}

#[test]
fn a_late_step_of_a_rotation_brings_no_authority_back() {
    let mut lab = Lab::new();
    let step = |from: &[&str], to: &[&str]| Change::SetMeshAuthorities {
        authorities: to.iter().map(|name| authority(name)).collect(),
        replaces: from.iter().map(|name| authority(name).fingerprint()).collect(),
    };
    lab.run(vec![step(&[], &["old"])]).unwrap();
    lab.run(vec![step(&["old"], &["old", "new"])]).unwrap();
    let late = step(&["old", "new"], &["new", "old"]);
    lab.run(vec![late.clone()]).unwrap();
    refuses(&mut lab, late.clone(), &["the mesh's authorities"]);
    lab.run(vec![step(&["new", "old"], &["new"])]).unwrap();
    refuses(&mut lab, late, &["the mesh's authorities"]);
    assert_eq!(lab.catalog.cluster().unwrap().mesh_authorities, [authority("new")]);
    lab.run(vec![step(&[], &["other"])]).unwrap();
}

#[test]
fn setting_the_domain_undoes_nothing_that_came_in_between() {
    let mut lab = Lab::new();
    let stale = lab.catalog.cluster().unwrap().as_ref().clone();
    let founder = edit_node(lab.new_node("n1", Admission::Founder), |node| node.feature_level = 2);
    lab.run(vec![founder]).unwrap();
    lab.run(vec![Change::SetMeshAuthorities { authorities: vec![authority("a")], replaces: Vec::new() }]).unwrap();
    lab.run(vec![Change::SetFeatureLevel { level: 2 }]).unwrap();
    let now = lab.catalog.cluster().unwrap().as_ref().clone();
    let domain = skerry_proto::id::Hostname::new("other.test").unwrap();
    let renamed = Cluster { domain: domain.clone(), id: "f".repeat(32), ..stale };
    lab.run(vec![Change::SetCluster(renamed)]).unwrap();
    let expected = Cluster { domain, ..now };
    assert_eq!(lab.catalog.cluster().unwrap().as_ref(), &expected);
}

#[test]
fn join_tokens_have_bounds() {
    let mut lab = founded();
    let (none, many, past) =
        (lab.new_join_token(None, 0, 9), lab.new_join_token(None, 1001, 9), lab.new_join_token(None, 1, 0));
    refuses(&mut lab, none, &["uses: use 1 to 1000"]);
    refuses(&mut lab, many, &["uses: use 1 to 1000"]);
    refuses(&mut lab, past, &["expires_on: use a time in the future"]);
    for _ in 0..limits::JOIN_TOKENS_MAX {
        token(&mut lab, None, 1);
    }
    let change = lab.new_join_token(None, 1, 60_000);
    refuses(&mut lab, change, &["join tokens: a cluster has at most 1000; revoke some"]);
}
