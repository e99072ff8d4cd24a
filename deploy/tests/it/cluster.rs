//! Running the cluster: what each command sends and shows.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::fake::{Fake, Recorded, Reply};
use crate::run::Workspace;

fn node(id: u64, name: &str, role: &str, raft: Option<&str>) -> Value {
    json!({
        "id": id, "name": name, "role": role, "raft": raft, "state": "active", "region": "eu", "zone": "a",
        "address": format!("{name}.example:7000"), "build": "0.1.0", "alive": true, "lag": 0, "rtt_ms": 0.52,
        "view": { "node": 5, "leads": true },
    })
}

fn nodes() -> Value {
    let mut third = node(9, "n3", "edge", None);
    third["alive"] = json!(false);
    third["lag"] = json!(4);
    third["state"] = json!("draining");
    third["refused"] = json!({ "revision": 40, "reason": "its digest differs" });
    third["certificate_expires_on"] = json!("2026-01-01T00:00:00.000Z");
    let mut fourth = json!({ "id": 12, "name": "n4", "role": "voter", "raft": "learner" });
    fourth["state"] = json!("active");
    json!([node(1, "n1", "voter", Some("voter")), node(5, "n2", "voter", Some("leader")), third, fourth])
}

fn cluster(call: &Recorded) -> Option<Reply> {
    Some(Reply::Result(match call.what().as_str() {
        "GET /cluster" => json!({
            "id": "c".repeat(32), "domain": "workers.example", "revision": 44, "feature_level": 2, "leader": 5,
            "term": 3, "voters": [1, 5], "nodes": 4, "version": "0.1.0",
        }),
        "GET /cluster/nodes" => nodes(),
        "GET /cluster/nodes/n3" => nodes()[2].clone(),
        "POST /cluster/nodes/n3/drain" | "POST /cluster/nodes/n3/undrain" => nodes()[2].clone(),
        "POST /cluster/join-tokens" => {
            json!({ "id": "d".repeat(32), "token": "skj_text", "expires_on": "2026-11-22T04:00:00.000Z" })
        }
        _ => return None,
    }))
}

#[test]
fn status_shows_the_cluster_and_every_node_on_one_screen() {
    let fake = Fake::start(cluster);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let seen = workspace.run(&["cluster", "status"]).ok();
    for line in [
        "cluster   cccccccc",
        "domain    workers.example",
        "leader    n2 (node 5), term 3",
        "revision  44 at feature level 2",
    ] {
        assert!(seen.stdout.contains(line), "{line:?} in {}", seen.stdout);
    }
    let row = |name: &str| -> Vec<String> {
        let line = seen.stdout.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    assert_eq!(
        row("n1"),
        ["n1", "1", "voter", "active", "yes", "0", "0.5 ms", "-", "eu/a", "0.1.0", "n1.example:7000"]
    );
    assert_eq!(row("n2")[2], "voter (leader)");
    assert_eq!(row("n3")[2..6], ["edge", "draining", "no", "4"]);
    assert_eq!(row("n3")[7], "ended");
    assert_eq!(row("n4")[2..9], ["voter (learner)", "active", "-", "-", "-", "-", "-"]);
    assert!(seen.stderr.contains("n3 does not serve revision 40: its digest differs"), "{}", seen.stderr);
    let document = workspace.run(&["cluster", "status", "--json"]).ok().json();
    assert_eq!((&document["cluster"]["term"], &document["nodes"][3]["name"]), (&json!(3), &json!("n4")));
}

#[test]
fn a_cluster_without_a_leader_says_what_that_means() {
    for (term, words) in
        [(json!(3), "leader    none: nothing can be changed now"), (json!(null), "known to voters only")]
    {
        let fake = Fake::start(move |call| match call.what().as_str() {
            "GET /cluster" => Some(Reply::Result(json!({ "id": "c", "leader": null, "term": term }))),
            "GET /cluster/nodes" => Some(Reply::Result(json!([]))),
            _ => None,
        });
        let seen = Workspace::talking_to(&fake.url, &[]).run(&["cluster", "status"]).ok();
        assert!(seen.stdout.contains(words), "{}", seen.stdout);
        assert!(seen.stdout.contains("no nodes yet"), "{}", seen.stdout);
    }
}

#[test]
fn nodes_are_a_table_for_people_and_a_list_for_programs() {
    let fake = Fake::start(cluster);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let table = workspace.run(&["cluster", "nodes"]).ok().stdout;
    assert!(table.trim_start().starts_with("NODE"), "{table}");
    let list = workspace.run(&["cluster", "nodes", "--json"]).ok().json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|node| (&node["id"], &node["name"])).collect();
    assert_eq!(names[0], (&json!(1), &json!("n1")));
    assert_eq!(names.len(), 4);
}

#[test]
fn a_join_token_comes_with_the_command_to_run() {
    let fake = Fake::start(cluster);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let made = workspace
        .run(&["cluster", "join-token", "--role", "edge", "--uses", "3", "--ttl", "2d", "--name", "rack 7"])
        .ok();
    assert_eq!(made.stdout, "skj_text\n", "the token alone, so that it can be caught by a shell");
    let command = "skerry-node --join n2.example:7000 --join-token-file join.token --role edge --mesh 0.0.0.0:7000 \
        --mesh-advertise HERE";
    assert!(made.stderr.contains(command), "{}", made.stderr);
    assert!(made.stderr.contains("admits 3 machines until 2026-11-22 04:00:00"), "{}", made.stderr);
    let sent = fake.call("POST /cluster/join-tokens").json();
    assert_eq!(sent, json!({ "role": "edge", "uses": 3, "ttl_seconds": 172_800, "name": "rack 7" }));
    let document = workspace.run(&["cluster", "join-token", "--json"]).ok().json();
    assert_eq!((&document["token"], &document["id"]), (&json!("skj_text"), &json!("d".repeat(32))));
    assert!(document["command"].as_str().unwrap().starts_with("skerry-node --join n2.example:7000"), "{document}");
    let sent = fake.last("POST /cluster/join-tokens").json();
    assert_eq!(sent, json!({ "role": null, "uses": 1, "ttl_seconds": 3600, "name": null }));
}

#[test]
fn a_join_token_that_cannot_be_is_refused_before_anything_is_sent() {
    let fake = Fake::start(cluster);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    for (flag, value, says) in [
        ("--role", "king", "possible values: voter, edge"),
        ("--uses", "0", "--uses"),
        ("--ttl", "1w", "such as 1h"),
        ("--ttl", "10s", "use 1m to 30d"),
    ] {
        workspace.run(&["cluster", "join-token", flag, value]).fails(2, says);
    }
    assert!(fake.calls().is_empty());
}

#[test]
fn a_node_is_drained_and_given_work_again() {
    let fake = Fake::start(cluster);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let drained = workspace.run(&["cluster", "drain", "n3"]).ok();
    assert_eq!(drained.stdout, "Node n3 takes no new work\n");
    assert!(drained.stderr.contains("n3 does not answer; it learns of this when it does"), "{}", drained.stderr);
    assert!(drained.stderr.contains("/readyz says 503"), "{}", drained.stderr);
    assert_eq!(workspace.run(&["cluster", "undrain", "n3"]).ok().stdout, "Node n3 takes work again\n");
    assert_eq!(fake.writes(), ["POST /cluster/nodes/n3/drain", "POST /cluster/nodes/n3/undrain"]);
    assert_eq!(workspace.run(&["cluster", "drain", "n3", "--json"]).ok().json()["name"], "n3");
}

/// A cluster whose n1, the leader, is drained: what it does in raft at each look after the first, and whether a leader says so.
fn draining(raft: impl Fn(u32) -> (&'static str, bool) + Send + Sync + 'static) -> Fake {
    let looks = AtomicU32::new(0);
    Fake::start(move |call| {
        let n1 = |(raft, leads): (&str, bool)| {
            let mut n1 = node(1, "n1", "voter", Some(raft));
            n1["state"] = json!("draining");
            n1["view"] = json!({ "node": 5, "leads": leads });
            n1
        };
        Some(Reply::Result(match call.what().as_str() {
            "GET /cluster/nodes" => json!([n1(("leader", true)), node(5, "n2", "voter", Some("voter"))]),
            "POST /cluster/nodes/n1/drain" => n1(("leader", true)),
            "GET /cluster/nodes/1" => n1(raft(looks.fetch_add(1, Ordering::SeqCst))),
            _ => return None,
        }))
    })
}

#[test]
fn a_drain_waits_until_another_leader_says_that_the_node_leads_no_more() {
    // Who does not lead may not know of it; a node without spare keeps its vote.
    let fake =
        draining(|look| [("leader", true), ("learner", false), ("voter", true)][usize::try_from(look.min(2)).unwrap()]);
    let outcome = Workspace::talking_to(&fake.url, &[]).run(&["cluster", "drain", "n1"]).ok();
    assert_eq!(outcome.stdout, "Node n1 takes no new work and does not lead\n");
    assert!(outcome.stderr.contains("It keeps its vote until another node can take it"), "{}", outcome.stderr);
    assert_eq!(fake.calls().iter().filter(|call| call.what() == "GET /cluster/nodes/1").count(), 3);
    let fake = draining(|_| ("learner", true));
    let outcome = Workspace::talking_to(&fake.url, &[]).run(&["cluster", "drain", "n1", "--json"]).ok();
    assert_eq!(outcome.json()["raft"], "learner", "as it is afterwards");
    assert!(!outcome.stderr.contains("vote"), "{}", outcome.stderr);
}

#[test]
fn a_drain_of_the_only_node_that_may_lead_says_that_it_still_does() {
    let fake = Fake::start(|call| {
        let n1 = node(1, "n1", "voter", Some("leader"));
        Some(Reply::Result(match call.what().as_str() {
            "GET /cluster/nodes" => json!([n1, node(9, "n3", "edge", None)]),
            "POST /cluster/nodes/n1/drain" => n1,
            _ => return None,
        }))
    });
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["cluster", "drain", "n1"]).fails(1, "takes no new work and still leads, because no other node may");
}

#[test]
fn an_edge_is_removed_by_its_id_once_somebody_has_agreed() {
    let fake = Fake::start(cluster);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["cluster", "remove", "n3"]).fails(2, "Remove node n3 (9, edge)?").fails(2, "give --yes");
    assert_eq!(fake.writes(), Vec::<String>::new());
    assert_eq!(workspace.run(&["cluster", "remove", "n3", "--yes"]).ok().stdout, "Removed node n3\n");
    assert_eq!(fake.writes(), ["DELETE /cluster/nodes/9"]);
}

#[test]
fn a_voter_hands_over_its_vote_before_it_is_removed() {
    static LOOKS: AtomicU32 = AtomicU32::new(0);
    let fake = Fake::start(|call| match call.what().as_str() {
        "GET /cluster/nodes/n1" => Some(Reply::Result(node(1, "n1", "voter", Some("voter")))),
        "GET /cluster/nodes/1" => {
            let raft = if LOOKS.fetch_add(1, Ordering::SeqCst) < 2 { Some("voter") } else { None };
            Some(Reply::Result(node(1, "n1", "edge", raft)))
        }
        _ => None,
    });
    Workspace::talking_to(&fake.url, &[]).run(&["cluster", "remove", "n1", "--yes"]).ok();
    assert_eq!(fake.writes(), ["PATCH /cluster/nodes/1", "DELETE /cluster/nodes/1"]);
    assert_eq!(fake.call("PATCH /cluster/nodes/1").json(), json!({ "role": "edge" }));
    assert_eq!(LOOKS.load(Ordering::SeqCst), 3);
    assert_eq!(fake.call("DELETE /cluster/nodes/1").query, "");
}

#[test]
fn only_the_leader_is_believed_that_a_node_votes_no_more() {
    static LOOKS: AtomicU32 = AtomicU32::new(0);
    let fake = Fake::start(|call| match call.what().as_str() {
        "GET /cluster/nodes/n1" => Some(Reply::Result(node(1, "n1", "voter", Some("voter")))),
        "GET /cluster/nodes/1" => {
            // An edge that reaches no leader knows nothing of votes.
            let mut seen = node(1, "n1", "edge", None);
            if LOOKS.fetch_add(1, Ordering::SeqCst) < 2 {
                seen["view"] = json!({ "node": 9, "leads": false });
            }
            Some(Reply::Result(seen))
        }
        _ => None,
    });
    Workspace::talking_to(&fake.url, &[]).run(&["cluster", "remove", "n1", "--yes"]).ok();
    assert_eq!(LOOKS.load(Ordering::SeqCst), 3);
    assert_eq!(fake.writes(), ["PATCH /cluster/nodes/1", "DELETE /cluster/nodes/1"]);
}

#[test]
fn status_at_an_edge_names_the_leader_and_says_when_none_has_answered() {
    for leads in [true, false] {
        let fake = Fake::start(move |call| match call.what().as_str() {
            "GET /cluster" => Some(Reply::Result(json!({ "id": "c", "leader": null, "term": null }))),
            "GET /cluster/nodes" => {
                let mut nodes = nodes();
                for node in nodes.as_array_mut().unwrap() {
                    node["raft"] = if leads { node["raft"].clone() } else { Value::Null };
                    node["view"] = json!({ "node": if leads { 5 } else { 9 }, "leads": leads });
                }
                Some(Reply::Result(nodes))
            }
            _ => None,
        });
        let seen = Workspace::talking_to(&fake.url, &[]).run(&["cluster", "status"]).ok();
        let leader = if leads { "leader    n2 (node 5)\n" } else { "leader    known to voters only\n" };
        assert!(seen.stdout.contains(leader), "{}", seen.stdout);
        let note = "no leader has answered: this is what node 9 knows of the others";
        assert_eq!(seen.stderr.contains(note), !leads, "{}", seen.stderr);
    }
}

#[test]
fn a_lost_voter_is_removed_by_force_without_waiting() {
    let fake = Fake::start(|call| match call.what().as_str() {
        "GET /cluster/nodes/n1" => Some(Reply::Result(node(1, "n1", "voter", Some("voter")))),
        _ => None,
    });
    Workspace::talking_to(&fake.url, &[]).run(&["cluster", "remove", "n1", "--force", "--yes"]).ok();
    assert_eq!(fake.writes(), ["DELETE /cluster/nodes/1"]);
    assert_eq!(fake.call("DELETE /cluster/nodes/1").query, "force=true");
}

#[test]
fn a_node_that_may_not_go_stays_and_the_reason_is_shown() {
    let fake = Fake::start(|call| match call.method.as_str() {
        "GET" => Some(Reply::Result(node(1, "n1", "voter", Some("leader")))),
        "PATCH" => Some(Reply::Error(409, 10064, "node \"n1\" is in use by the cluster: it is the last voter")),
        _ => None,
    });
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["cluster", "remove", "n1", "--yes"]).fails(1, "it is the last voter [code 10064]");
    assert_eq!(fake.writes(), ["PATCH /cluster/nodes/1"]);
}
