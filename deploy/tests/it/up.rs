//! `cluster up`: with a program that does not start, and with real nodes where they are built.

use std::path::Path;
use std::process::Child;
use std::sync::mpsc::Receiver;

use serde_json::Value;

use crate::real_node::{EngineCache, get, program};
use crate::run::{Workspace, end, follow, send, until, wait_for};

/// A workspace whose node program is this script.
fn playing(script: &str) -> Workspace {
    let mut workspace = Workspace::new(&[("node.sh", script)]);
    let path = workspace.path("node.sh");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    workspace.set("SKERRY_NODE_BIN", &path.display().to_string());
    workspace
}

#[test]
fn a_node_that_does_not_start_is_named_with_what_it_said_last() {
    let mut workspace =
        playing("#!/bin/sh\necho \"$1 ${SKERRY_API:-unset}\" >&2\necho 'skerry-node: no' >&2\nexit 1\n");
    // What a shell that is pointed at another cluster has, and a node would take for the address of its API.
    workspace.set("SKERRY_API", "http://127.0.0.1:1");
    let outcome = workspace.run(&["cluster", "up", "--edges", "1", "--domain", "a.test"]);
    let outcome = outcome.fails(1, "error: node-1: skerry-node did not start: it ended before it was ready");
    assert!(outcome.stderr.ends_with("\n--config unset\nskerry-node: no\n"), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
    // The ports stay, and an earlier run's log is not shown as this one's.
    let settings = std::fs::read_to_string(workspace.path(".skerry-cluster/node-3.toml")).unwrap();
    let again = workspace.run(&["cluster", "up"]).fails(1, "node-1");
    assert_eq!(again.stderr.matches("skerry-node: no").count(), 1, "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(workspace.path(".skerry-cluster/node-3.toml")).unwrap(), settings);
    assert!(settings.contains("domain = \"a.test\"") && settings.contains("join = \"127.0.0.1:"), "{settings}");
}

#[test]
fn what_can_not_be_is_refused_before_any_node_starts() {
    let workspace = playing("#!/bin/sh\ntouch started\nexit 1\n");
    for (args, says) in
        [(["--nodes", "2"], "use 1, 3 or 5"), (["--edges", "17"], "0..=16"), (["--domain", "no domain"], "--domain")]
    {
        workspace.run(&[&["cluster", "up"][..], &args].concat()).fails(2, says);
    }
    assert!(!workspace.path(".skerry-cluster").exists());
    workspace.run(&["cluster", "up", "--edges", "1"]).fails(1, "node-1");
    std::fs::remove_file(workspace.path("started")).unwrap();
    for (args, says) in [
        (["--nodes", "1"], "more voter nodes (3) than 1; `skerry cluster remove` takes one out"),
        (["--edges", "0"], "more edge nodes (1) than 0"),
        (["--domain", "b.test"], "the domain is workers.localhost for as long as the cluster exists"),
    ] {
        workspace.run(&[&["cluster", "up"][..], &args].concat()).fails(2, says);
    }
    workspace.write(".skerry-cluster/edge-1.toml", "role = \"king\"\n");
    workspace.run(&["cluster", "up"]).fails(2, "edge-1.toml: role must be \"voter\" or \"edge\"");
    std::fs::remove_file(workspace.path(".skerry-cluster/node-1.toml")).unwrap();
    std::fs::remove_file(workspace.path(".skerry-cluster/edge-1.toml")).unwrap();
    workspace.run(&["cluster", "up"]).fails(2, "there is no node-1");
    assert!(!workspace.path("started").exists());
}

#[test]
fn a_folder_is_used_by_one_run_at_a_time() {
    let workspace = playing("#!/bin/sh\ntouch started\nexec sleep 600\n");
    let mut child = workspace.command(&["cluster", "up"]).spawn().unwrap();
    wait_for("the first run", || workspace.path("started").exists().then_some(()));
    workspace.run(&["cluster", "up"]).fails(1, "runs already; stop that, or give another --dir");
    send(&child, "-TERM");
    assert!(end(&mut child).success());
}

/// A running `cluster up`, and what it says.
struct Up {
    child: Child,
    notes: Receiver<String>,
    document: Value,
}

impl Up {
    fn start(workspace: &Workspace, args: &[&str]) -> Self {
        let args = [&["cluster", "up", "--json"][..], args].concat();
        let mut child = workspace.command(&args).spawn().unwrap();
        let notes = follow(child.stderr.take().unwrap());
        let output = follow(child.stdout.take().unwrap());
        // The document is printed once all is ready, and its last line is the closing brace.
        let mut text = String::new();
        loop {
            let line = until(&output, |_| true);
            text += &line;
            if line == "}" {
                break;
            }
        }
        Self { child, notes, document: serde_json::from_str(&text).unwrap() }
    }

    fn node(&self, at: usize, what: &str) -> &str {
        self.document["nodes"][at][what].as_str().unwrap()
    }

    fn pids(&self) -> Vec<u64> {
        self.document["nodes"].as_array().unwrap().iter().map(|node| node["pid"].as_u64().unwrap()).collect()
    }

    fn stop(mut self) {
        send(&self.child, "-INT");
        assert!(end(&mut self.child).success());
        for pid in self.pids() {
            assert!(!Path::new("/proc").join(pid.to_string()).exists(), "{pid} is left");
        }
    }
}

#[test]
fn a_cluster_on_one_machine_serves_at_every_node_loses_one_and_goes_on_after_a_stop() {
    let Some(program) = program() else { return };
    let mut workspace = Workspace::new(&[
        ("wrangler.toml", "name = \"shop\"\nmain = \"index.js\"\ncompatibility_date = \"2026-01-01\"\n"),
        ("index.js", "export default { fetch: () => Response.json({ code: 1 }) };"),
    ]);
    workspace.set("SKERRY_NODE_BIN", &program.display().to_string());
    EngineCache::of(&program).seed(&workspace.path("c"));
    let up = Up::start(&workspace, &["--dir", "c", "--edges", "1", "--regions", "eu,us"]);
    let names: Vec<_> = (0..4).map(|at| [up.node(at, "name"), up.node(at, "role"), up.node(at, "region")]).collect();
    let edge = ["edge-1", "edge", "us"];
    assert_eq!(names, [["node-1", "voter", "eu"], ["node-2", "voter", "us"], ["node-3", "voter", "eu"], edge]);
    EngineCache::of(&program).keep(&workspace.path("c"));

    for variable in std::fs::read_to_string(workspace.path("c/env")).unwrap().lines() {
        let (name, value) = variable.strip_prefix("export ").unwrap().split_once('=').unwrap();
        workspace.set(name, value);
    }
    let at = |node: usize| format!("http://{}", up.node(node, "api"));
    workspace.run(&["deploy", "--api", &at(1)]).ok();
    let serves = |node: usize| wait_for("an answer", || get(up.node(node, "http"), "shop.workers.localhost").ok());
    for node in 0..4 {
        assert_eq!(serves(node)["code"], 1, "{node}");
    }
    let nodes = workspace.run(&["cluster", "nodes", "--json", "--api", &at(3)]).ok().json();
    assert_eq!(nodes.as_array().unwrap().len(), 4);

    let lost = up.pids()[2].to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &lost]).status().unwrap().success());
    until(&up.notes, |line| line.starts_with("node-3 ended: signal: 9"));
    until(&up.notes, |line| line.contains("skerry-node --config") && line.ends_with("/c/node-3.toml"));
    workspace.write("index.js", "export default { fetch: () => Response.json({ code: 2 }) };");
    workspace.run(&["deploy", "--api", &at(0)]).ok();
    wait_for("the new code", || (serves(1)["code"] == 2).then_some(()));
    let before = up.document.clone();
    up.stop();

    let up = Up::start(&workspace, &["--dir", "c"]);
    for (now, before) in up.document["nodes"].as_array().unwrap().iter().zip(before["nodes"].as_array().unwrap()) {
        for key in ["name", "role", "http", "https", "api", "mesh", "config"] {
            assert_eq!(now[key], before[key]);
        }
    }
    let answer = wait_for("the node that was lost", || get(up.node(2, "http"), "shop.workers.localhost").ok());
    assert_eq!(answer["code"], 2);
    up.stop();
}
