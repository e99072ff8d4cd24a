//! `dev`, with a node that the test plays: a script that says where the fake listens, and waits.

use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

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
        what if what.starts_with("GET ") && what.ends_with("/routes") => Some(Reply::Result(json!([]))),
        what if what.starts_with("POST ") && what.ends_with("/routes") => Some(Reply::Result(json!({ "id": "r" }))),
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

#[test]
fn a_failed_build_is_tried_again_once_its_cause_is_mended_wherever_it_lies() {
    let own = Fake::start(node);
    let shop = workspace(&own.url, PROJECT);
    shop.write("index.js", "import \"./lib/new.js\"; export default {};");
    shop.write(".dev.vars", "KEY\n");
    let mut child = dev(&shop);
    let lines = follow(child.stderr.take().unwrap());
    let waits = || until(&lines, |line| line.contains("Waiting for a change"));
    until(&lines, |line| line.contains("lib/new.js"));
    waits();
    // A folder that did not exist, then a file that no bundler reads.
    shop.write("lib/new.js", "export {};");
    until(&lines, |line| line.contains(".dev.vars"));
    waits();
    shop.write(".dev.vars", "KEY=1\n");
    until(&lines, |line| line.contains("Version 1 is live"));
    waits();
    // Away with the folder, and back.
    std::fs::remove_dir_all(shop.path("lib")).unwrap();
    until(&lines, |line| line.contains("lib/new.js"));
    waits();
    shop.write("lib/new.js", "export {};");
    until(&lines, |line| line.contains("Version 1 is live"));
    send(&child, "-INT");
    assert!(end(&mut child).success());
}

#[test]
fn beside_a_build_command_the_bundled_files_are_watched_too() {
    let own = Fake::start(node);
    let build = "[build]\ncommand = \"echo >> builds; date +%N > src/made.txt\"\n";
    let shop = workspace(&own.url, &format!("{PROJECT}{build}"));
    shop.write("src/made.txt", "");
    let mut child = dev(&shop);
    let lines = follow(child.stderr.take().unwrap());
    until(&lines, |line| line.contains("Waiting for a change"));
    shop.write("index.js", "export default { a: 1 };");
    until(&lines, |line| line.contains("Version 1 is live"));
    send(&child, "-INT");
    assert!(end(&mut child).success());
    let upload = own.last("PUT /workers/services/shop/environments/production");
    assert!(upload.part("index.js").unwrap().contains("a: 1"));
}

#[test]
fn dev_takes_its_secrets_from_the_environments_file_and_goes_without_the_others() {
    let own = Fake::start(node);
    let secrets = "[env.mine.secrets]\nrequired = [\"KEY\", \"OTHER\"]\n";
    let shop = workspace(&own.url, &format!("{PROJECT}{secrets}"));
    shop.write(".dev.vars", "ONLY_THERE=all\n");
    shop.write(".dev.vars.mine", "KEY=of-mine\nCOLOR=of-mine\n");
    let args = ["dev", "--data-dir", "data", "--env", "mine", "--var", "COLOR=red"];
    let mut child = shop.command(&args).spawn().unwrap();
    let lines = follow(child.stderr.take().unwrap());
    until(&lines, |line| line.contains("OTHER is missing") && line.contains(".dev.vars.mine"));
    until(&lines, |line| line.contains("Version 1 is live"));
    send(&child, "-INT");
    assert!(end(&mut child).success());
    let upload = own.last("PUT /workers/services/shop/environments/mine");
    let metadata: serde_json::Value = serde_json::from_str(&upload.part("metadata").unwrap()).unwrap();
    let bindings = metadata["bindings"].as_array().unwrap();
    assert!(bindings.contains(&json!({ "type": "secret_text", "name": "KEY", "text": "of-mine" })), "{bindings:?}");
    assert!(bindings.contains(&json!({ "type": "plain_text", "name": "COLOR", "text": "red" })), "{bindings:?}");
    assert!(!bindings.iter().any(|binding| binding["name"] == "ONLY_THERE"), "{bindings:?}");
    assert_eq!(metadata["keep_bindings"], json!([]));
}

#[test]
fn dev_opens_the_log_again_when_its_connection_breaks() {
    let was_opened = AtomicBool::new(false);
    let own = Fake::start(move |call| match call.what() {
        what if what.starts_with("POST ") && what.ends_with("/tails") => {
            let id = if was_opened.swap(true, Ordering::SeqCst) { "one" } else { "gone" };
            Some(Reply::Result(json!({ "id": id })))
        }
        _ => node(call),
    });
    let shop = workspace(&own.url, PROJECT);
    let mut child = dev(&shop);
    let lines = follow(child.stderr.take().unwrap());
    let logs = follow(child.stdout.take().unwrap());
    until(&lines, |line| line.contains("The log's connection broke"));
    until(&logs, |line| line.contains("hello 1"));
    send(&child, "-INT");
    assert!(end(&mut child).success());
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
