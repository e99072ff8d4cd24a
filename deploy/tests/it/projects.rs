//! New projects, completions, and `doctor`.

use crate::fake::{Fake, Reply};
use crate::run::Workspace;

#[test]
fn every_template_builds_and_nothing_is_overwritten() {
    let fake = Fake::start(|call| (call.method == "PUT").then(|| Reply::Result(serde_json::json!({}))));
    let workspace = Workspace::talking_to(&fake.url, &[]);
    for template in ["js", "ts", "hono"] {
        let dir = format!("my-{template}");
        workspace.run(&["init", &dir, "--template", template]).ok();
        if template == "hono" {
            workspace.write("my-hono/node_modules/hono/package.json", r#"{"name":"hono","main":"index.js"}"#);
            workspace.write("my-hono/node_modules/hono/index.js", "export class Hono { get() {} fetch() {} }");
        }
        let config = format!("{dir}/wrangler.toml");
        let outcome = workspace.run(&["deploy", "--dry-run", "--config", &config]).ok();
        assert!(outcome.stdout.contains(&format!("Would deploy my-{template}")), "{}", outcome.stdout);
    }
    workspace.run(&["init", "my-js"]).fails(2, "exists already; nothing was written");
}

#[test]
fn completions_name_the_commands() {
    let workspace = Workspace::new(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let script = workspace.run(&["completions", shell]).ok().stdout;
        assert!(script.contains("rollback") && script.contains("pipeline"), "{shell}");
    }
}

#[test]
fn doctor_names_what_stands_in_the_way() {
    let fake = Fake::start(|_| None);
    let package = r#"{ "dependencies": { "hono": "4" } }"#;
    let files = [("wrangler.toml", "name = \"a\"\nmain = \"absent.ts\""), ("package.json", package)];
    let outcome = Workspace::talking_to(&fake.url, &files).run(&["doctor"]).fails(1, "checks failed");
    for text in ["absent.ts does not exist", "npm install", "version 0.1.0"] {
        assert!(outcome.stdout.contains(text), "{text:?} in {}", outcome.stdout);
    }
}

#[test]
fn a_pipe_that_closes_early_is_no_error() {
    let workspace = Workspace::new(&[]);
    let mut child = workspace.command(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
