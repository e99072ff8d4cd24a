//! `dev`, with a node that the test plays: a script that says where the fake listens, and waits.

use std::path::Path;
use std::process::Child;

use serde_json::json;

use crate::fake::{ACCOUNT, Fake, Recorded, Reply};
use crate::run::{Workspace, end, follow, send, until, wait_for};

/// What a node leaves in its data directory, then the line that it prints once it is ready.
const NODE: &str = r#"#!/bin/sh
while [ "$1" != --data-dir ]; do shift; done
printf node-token > "$2/admin.token"
cp "$CA" "$2/ca.pem"
echo $$ > "$2/pid"
[ -z "$API" ] || echo "ready node=dev http=127.0.0.1:1 api=${API#http://}"
exec sleep 600
"#;

const PROJECT: &str = "name = \"shop\"\nmain = \"index.js\"\n[[kv_namespaces]]\nbinding = \"CART\"\n\
    id = \"abababababababababababababababab\"\n";

fn node(call: &Recorded) -> Option<Reply> {
    match call.what().as_str() {
        "GET /storage/kv/namespaces" => Some(Reply::Result(json!([]))),
        "POST /storage/kv/namespaces" => Some(Reply::Result(json!({ "id": "ef".repeat(16), "title": "shop-cart" }))),
        what if what.ends_with("/tails") => Some(Reply::Result(json!({ "id": "one" }))),
        what if what.starts_with("PUT ") => Some(Reply::Result(json!({ "version_number": 1 }))),
        _ => None,
    }
}

/// A project whose node is the script; `api` is where it says that it answers, empty if it never does.
fn workspace(api: &str, project: &str) -> Workspace {
    let files = [("wrangler.toml", project), ("index.js", "export default {};"), ("node.sh", NODE)];
    let mut workspace = Workspace::new(&files);
    workspace.write("ca.pem", include_str!("ca.pem"));
    for (name, path) in [("SKERRY_NODE_BIN", "node.sh"), ("CA", "ca.pem")] {
        workspace.set(name, &workspace.path(path).display().to_string());
    }
    std::fs::set_permissions(workspace.path("node.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    workspace.set("API", api);
    workspace
}

fn dev(workspace: &Workspace) -> Child {
    workspace.command(&["dev", "--data-dir", "data"]).spawn().unwrap()
}

/// The process of the script, once it runs.
fn pid(workspace: &Workspace) -> String {
    let path = workspace.path("data/pid");
    wait_for("the node's start", || std::fs::read_to_string(&path).ok().filter(|pid| pid.ends_with('\n')))
        .trim()
        .to_owned()
}

/// Waits until that process is gone; one that nobody has waited for yet has no command line any more.
fn gone(pid: &str) {
    let path = Path::new("/proc").join(pid).join("cmdline");
    wait_for("the node's end", || std::fs::read(&path).map_or(true, |line| line.is_empty()).then_some(()));
}

#[test]
fn dev_deploys_to_a_node_of_its_own_whatever_the_settings_name() {
    let (cluster, own) = (Fake::start(node), Fake::start(node));
    let mut workspace = workspace(&own.url, PROJECT);
    workspace.set("SKERRY_API", &cluster.url);
    workspace.set("SKERRY_TOKEN", "cluster-token");
    workspace.set("SKERRY_ACCOUNT", &"f".repeat(32));
    let mut child = dev(&workspace);
    let lines = follow(child.stderr.take().unwrap());
    until(&lines, |line| line.contains("Version 1 is live"));
    until(&lines, |line| line.contains("Waiting for a change"));
    send(&child, "-INT");
    assert!(end(&mut child).success());
    gone(&pid(&workspace));

    assert!(cluster.calls().is_empty());
    let upload = own.last("PUT /workers/services/shop/environments/production");
    assert_eq!(upload.header("authorization"), Some("Bearer node-token"));
    assert!(upload.path.contains(ACCOUNT));
    // The file's id is the cluster's: this node finds the namespace by title.
    assert_eq!(own.call("POST /storage/kv/namespaces").json(), json!({ "title": "shop-cart" }));
    assert!(upload.part("metadata").unwrap().contains(&"ef".repeat(16)));
}

#[test]
fn a_node_gets_the_variables_that_are_meant_for_it_and_is_understood_when_its_log_is_json() {
    let own = Fake::start(node);
    let mut workspace = workspace(&own.url, PROJECT);
    let json =
        r#"env > "$2/environment"; echo "{\"event\":\"ready\",\"api\":\"${API#http://}\",\"http\":\"127.0.0.1:1\"}""#;
    let said = NODE.lines().find(|line| line.contains("echo \"ready")).unwrap();
    workspace.write("node.sh", &NODE.replace(said, json));
    let kept = ["SKERRY_LOG", "SKERRY_OTLP_ENDPOINT", "SKERRY_OTLP_HEADERS", "SKERRY_OTLP_SAMPLE_RATIO"];
    let others = ["SKERRY_LOG_FORMAT", "SKERRY_LOGS_PER_SNAPSHOT", "SKERRY_OTLP_ENDPOINTS"];
    for name in kept.iter().chain(&others) {
        workspace.set(name, "given");
    }
    let mut child = dev(&workspace);
    let lines = follow(child.stderr.take().unwrap());
    until(&lines, |line| line.contains("Version 1 is live"));
    send(&child, "-INT");
    assert!(end(&mut child).success());
    let environment = std::fs::read_to_string(workspace.path("data/environment")).unwrap();
    let has = |name: &&str| environment.lines().any(|line| line == format!("{name}=given"));
    assert!(kept.iter().all(has), "{environment}");
    assert!(!others.iter().any(has), "{environment}");
}

#[test]
fn dev_serves_from_a_cluster_only_after_a_question_and_never_in_production() {
    let cluster = Fake::start(node);
    let mut workspace = workspace("", PROJECT);
    workspace.set("SKERRY_API", &cluster.url);
    workspace.run(&["dev", "--remote", "--yes"]).fails(2, "--remote: every save would go live in production");
    workspace.run(&["dev", "--remote", "--env", "mine"]).fails(2, "give --yes");
    assert_eq!(cluster.writes(), Vec::<String>::new());
    let mut child = workspace.command(&["dev", "--remote", "--env", "mine", "--yes"]).spawn().unwrap();
    let lines = follow(child.stderr.take().unwrap());
    until(&lines, |line| line.contains("Waiting for a change"));
    send(&child, "-TERM");
    assert!(end(&mut child).success());
    cluster.last("PUT /workers/services/shop/environments/mine");
}

#[test]
fn ctrl_c_stops_the_node_while_it_starts_and_during_the_first_build() {
    let own = Fake::start(node);
    let starting = workspace("", PROJECT);
    let building = workspace(&own.url, &format!("{PROJECT}[build]\ncommand = \"touch building; exec sleep 600\"\n"));
    let begun = [starting.path("data/pid"), building.path("building")];
    for (workspace, begun) in [starting, building].into_iter().zip(begun) {
        let mut child = dev(&workspace);
        wait_for("the beginning", || begun.exists().then_some(()));
        send(&child, "-INT");
        assert!(end(&mut child).success());
        gone(&pid(&workspace));
    }
}

/// The tie between the two is the kernel's, and Linux's.
#[cfg(target_os = "linux")]
#[test]
fn the_node_ends_with_dev_even_when_dev_is_killed() {
    let own = Fake::start(node);
    let workspace = workspace(&own.url, PROJECT);
    let mut child = dev(&workspace);
    let lines = follow(child.stderr.take().unwrap());
    until(&lines, |line| line.contains("Waiting for a change"));
    let pid = pid(&workspace);
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&pid);
}
