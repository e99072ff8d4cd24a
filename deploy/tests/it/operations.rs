//! Backups, upgrades and rotations: what each command sends, says and leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use skerry_proto::archive::{Manifest, Part, PartKind};
use skerry_proto::id::{NodeId, Revision};

use crate::fake::{Fake, Recorded, Reply};
use crate::run::Workspace;

fn backup() -> Vec<u8> {
    let catalog = b"everything";
    let manifest = Manifest {
        cluster: "c".repeat(32),
        domain: "workers.example".to_owned(),
        revision: Revision(42),
        digest: vec![7; 16].into(),
        feature_level: 1,
        made_at_ms: 5,
        build: "0.1.0".to_owned(),
        node: NodeId(1),
        parts: vec![Part::of(PartKind::Catalog, catalog)],
    };
    [&manifest.head()[..], catalog].concat()
}

fn sends(bytes: Vec<u8>) -> Fake {
    Fake::start(move |call| (call.what() == "GET /cluster/backup").then(|| Reply::Bytes(bytes.clone())))
}

#[test]
fn a_backup_has_its_name_once_it_is_whole_and_only_its_owner_reads_it() {
    let fake = sends(backup());
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let file = workspace.path("it.backup");
    let seen = workspace.run(&["cluster", "backup", "--output", "it.backup"]).ok();
    assert!(seen.stdout.contains("Backed up revision 42 of cluster cccc"), "{}", seen.stdout);
    assert!(seen.stderr.contains("Not in it: KV entries, and the cluster's key"), "{}", seen.stderr);
    assert_eq!(fs::read(&file).unwrap(), backup());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let document = workspace.run(&["cluster", "backup", "-o", "it.backup", "--json"]).ok().json();
    assert_eq!((&document["revision"], &document["has_kv_entries"]), (&json!(42), &json!(false)));
}

#[test]
fn what_is_no_whole_backup_leaves_the_old_file_alone() {
    let mut damaged = backup();
    *damaged.last_mut().unwrap() ^= 1;
    let cut = backup()[..backup().len() - 1].to_vec();
    for (bytes, says) in [(damaged, "the catalog is not what it was"), (cut, "it ends in the catalog")] {
        let fake = sends(bytes);
        let workspace = Workspace::talking_to(&fake.url, &[]);
        fs::write(workspace.path("old"), "older").unwrap();
        let before = fs::read_dir(workspace.path("")).unwrap().count();
        workspace.run(&["cluster", "backup", "--output", "old"]).fails(1, says);
        assert_eq!(fs::read_to_string(workspace.path("old")).unwrap(), "older");
        assert_eq!(fs::read_dir(workspace.path("")).unwrap().count(), before, "nothing is left over");
    }
    let fake = Fake::start(|_| Some(Reply::Error(409, 10040, "no node that answers has bundle ab of version 3")));
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["cluster", "backup", "--output", "new"]).fails(1, "bundle ab of version 3");
    assert!(!workspace.path("new").exists());
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["cluster", "backup", "--output", "no/such/new"]).fails(1, "no/such/new can not be written");
}

fn at_levels(now: u32, nodes: [u32; 2]) -> Fake {
    Fake::start(move |call: &Recorded| {
        let node = |id: usize| json!({ "id": id, "name": format!("n{id}"), "build": format!("0.{id}.0"), "feature_level": nodes[id - 1] });
        Some(Reply::Result(match call.what().as_str() {
            "GET /cluster" => json!({ "id": "c", "feature_level": now }),
            "GET /cluster/nodes" => json!([node(1), node(2)]),
            "PUT /cluster/feature-level" => json!({ "id": "c", "feature_level": call.json()["level"] }),
            _ => return None,
        }))
    })
}

#[test]
fn an_upgrade_names_the_nodes_that_are_in_the_way() {
    let fake = at_levels(1, [2, 1]);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let refused = workspace.run(&["cluster", "upgrade", "--yes"]);
    refused.fails(1, "n2 (build 0.2.0) knows 1; update Skerry there first");
    assert_eq!(fake.writes(), Vec::<String>::new());
    let status = workspace.run(&["cluster", "status"]).ok();
    assert!(!status.stderr.contains("skerry cluster upgrade"), "{}", status.stderr);
}

#[test]
fn an_upgrade_asks_and_goes_as_far_as_all_nodes_know() {
    let fake = at_levels(1, [2, 2]);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["cluster", "upgrade"]).fails(2, "from 1 to 2? Older builds can not join or start again then");
    assert_eq!(fake.writes(), Vec::<String>::new());
    let status = workspace.run(&["cluster", "status"]).ok();
    assert!(status.stderr.contains("all nodes know feature level 2: raise it"), "{}", status.stderr);
    let seen = workspace.run(&["cluster", "upgrade", "--yes"]).ok();
    assert_eq!(seen.stdout, "The cluster is at feature level 2\n");
    assert_eq!(fake.call("PUT /cluster/feature-level").json(), json!({ "level": 2 }));
    let fake = at_levels(2, [2, 2]);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let seen = workspace.run(&["cluster", "upgrade"]).ok();
    assert!(seen.stdout.contains("Nothing to do"), "{}", seen.stdout);
    assert_eq!(fake.writes(), Vec::<String>::new());
}

fn rotation(phase: &str, waiting: Value) -> Value {
    json!({ "authorities": [], "rotation": { "phase": phase, "waiting": waiting } })
}

#[test]
fn a_rotation_is_followed_to_its_end() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let fake = Fake::start(|call| match call.what().as_str() {
        "POST /cluster/rotate-ca" => Some(Reply::Result(rotation("trusting", Value::Null))),
        "GET /cluster/mesh" => Some(Reply::Result(match LOOKS.fetch_add(1, Ordering::SeqCst) {
            0 => rotation("renewing", json!([{ "id": 2, "name": "n2", "answers": true }])),
            _ => json!({ "authorities": [], "rotation": null }),
        })),
        _ => None,
    });
    let seen = Workspace::talking_to(&fake.url, &[]).run(&["cluster", "rotate-ca"]).ok();
    assert!(seen.stdout.contains("every node a certificate of it"), "{}", seen.stdout);
    assert!(seen.stderr.contains("make new ones"), "{}", seen.stderr);
    assert_eq!(LOOKS.load(Ordering::SeqCst), 2);
}

#[test]
fn a_forced_step_names_whom_it_locks_out_before_it_is_done() {
    let waiting = json!([{ "id": 9, "name": "n3", "answers": false }]);
    let fake = Fake::start(move |call| match call.what().as_str() {
        "GET /cluster/mesh" => Some(Reply::Result(rotation("renewing", waiting.clone()))),
        "POST /cluster/rotate-ca" => Some(Reply::Result(json!({ "rotation": null }))),
        "GET /cluster" => Some(Reply::Result(json!({ "id": "c", "ca_rotation": "renewing" }))),
        "GET /cluster/nodes" => Some(Reply::Result(json!([]))),
        _ => None,
    });
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let asked = workspace.run(&["cluster", "rotate-ca", "--force"]);
    asked.fails(2, "Do this step without n3 (node 9, does not answer)?");
    assert_eq!(fake.writes(), Vec::<String>::new());
    let status = workspace.run(&["cluster", "status"]).ok();
    assert!(
        status.stdout.contains("new CA    renewing, waiting for n3 (node 9, does not answer)"),
        "{}",
        status.stdout
    );
    workspace.run(&["cluster", "rotate-ca", "--force", "--yes"]).ok();
    assert_eq!(fake.call("POST /cluster/rotate-ca").query, "force=true");
    let fake = Fake::start(|_| Some(Reply::Result(json!({ "rotation": null }))));
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["cluster", "rotate-ca", "--force", "--yes"]).fails(1, "no rotation is under way");
    assert_eq!(fake.writes(), Vec::<String>::new());
}

#[test]
fn what_was_done_to_the_cluster_has_a_log_of_its_own() {
    let fake = Fake::start(|call| {
        let entry = json!({
            "id": "5-0", "when": "2026-11-28T21:37:36.828Z", "revision": 5, "actor": { "type": "system", "name": "node-1" },
            "action": { "type": "node.admit", "result": true }, "resource": { "type": "node", "id": "node-1" },
            "metadata": { "role": "voter" },
        });
        (call.what() == "GET /cluster/audit_logs").then(|| Reply::Result(json!([entry])))
    });
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let shown = workspace.run(&["audit", "--cluster", "--action", "node"]).ok().stdout;
    assert!(shown.contains("node.admit") && shown.contains("role=voter"), "{shown}");
    assert!(fake.last("GET /cluster/audit_logs").query.contains("action=node"));
    workspace.run(&["audit", "--cluster", "--env", "staging"]).fails(2, "--cluster");
}
