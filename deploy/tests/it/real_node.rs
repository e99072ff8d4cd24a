//! A project deployed to a real node. `SKERRY_NODE_BIN` names the program; else it is looked for beside `skerry`, where
//! `make test` builds it. Where it is not built, as in a run of this crate alone, these tests say so and pass.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::run::{DEADLINE, Workspace, follow, until};

const PROJECT: &str = "name = \"shop\"\nmain = \"src/index.ts\"\ncompatibility_date = \"2026-01-01\"\n[vars]\nCOLOR = \"blue\"\n\
    [[kv_namespaces]]\nbinding = \"CART\"\n[env.staging.vars]\nCOLOR = \"green\"\n";
const CODE: &str = "interface Env { COLOR: string; KEY?: string; CART: { get(key: string): Promise<string | null> } }\n\
    export default { async fetch(request: Request, env: Env): Promise<Response> {\n  console.log(\"asked\", new URL(request.url).pathname);\n  \
    return Response.json({ color: env.COLOR, key: env.KEY ?? null, cart: await env.CART.get(\"item\"), code: 1 });\n} };\n";

/// The node program, if it is built.
pub(crate) fn program() -> Option<PathBuf> {
    let named = std::env::var_os("SKERRY_NODE_BIN").map(PathBuf::from);
    let beside = || Some(PathBuf::from(env!("CARGO_BIN_EXE_skerry")).with_file_name("skerry-node"));
    let found = named.or_else(beside).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: skerry-node is not built");
    }
    found
}

struct Node {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    addresses: Value,
    dir: tempfile::TempDir,
}

/// The engine image that this very program compiled at its first start, kept for the next nodes of the tests.
pub(crate) struct EngineCache(PathBuf);

impl EngineCache {
    pub(crate) fn of(program: &Path) -> Self {
        let made = program.metadata().unwrap();
        let since = made.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine-{}-{since}", made.len())))
    }

    /// Gives a node's empty data directory the cache, if there is one.
    pub(crate) fn seed(&self, data_dir: &Path) {
        if self.0.is_dir() {
            copy(&self.0, &data_dir.join("cache"));
        }
    }

    /// Keeps what a node has made. Another process may do so at the same time; the first whole copy stays.
    pub(crate) fn keep(&self, data_dir: &Path) {
        if !self.0.is_dir() {
            let copied = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            copy(&data_dir.join("cache"), &copied.path().join("cache"));
            let _ = std::fs::rename(copied.path().join("cache"), &self.0);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

impl Node {
    fn start(program: &Path) -> Self {
        // One at a time, so that the first compiles the engine image and the others find it.
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let cache = EngineCache::of(program);
        cache.seed(dir.path());
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(dir.path()).args(["--bootstrap", "--node-name", "test", "--log-format", "json"]);
        command.args(["--domain", "workers.localhost", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"]);
        command.args(["--api", "127.0.0.1:0", "--metrics", "off", "--mesh", "off", "--dns", "off"]);
        let log = std::fs::File::create(dir.path().join("node.log")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let addresses = loop {
            line.clear();
            let read = stdout.read_line(&mut line).unwrap();
            let log = || std::fs::read_to_string(dir.path().join("node.log")).unwrap_or_default();
            assert!(read > 0, "the node ended before it was ready: {}", log());
            match serde_json::from_str::<Value>(&line) {
                Ok(value) if value["event"] == "ready" => break value,
                _ => {}
            }
        };
        cache.keep(dir.path());
        Self { child, _stdout: stdout, addresses, dir }
    }

    fn workspace(&self, files: &[(&str, &str)]) -> Workspace {
        let mut workspace = Workspace::new(files);
        workspace.set("SKERRY_API", &format!("http://{}", self.addresses["api"].as_str().unwrap()));
        workspace.set("SKERRY_TOKEN_FILE", &self.dir.path().join("admin.token").display().to_string());
        workspace
    }

    fn get(&self, host: &str) -> Value {
        get(self.addresses["http"].as_str().unwrap(), host).unwrap_or_else(|error| panic!("{host}: {error}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The JSON that a worker answers, or what came instead.
pub(crate) fn get(address: &str, host: &str) -> Result<Value, String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET /path HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let body = &answer[answer.find('{').unwrap_or(0)..=answer.rfind('}').unwrap_or(answer.len().saturating_sub(1))];
    serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))
}

#[test]
fn the_settings_of_the_image_are_ones_that_a_node_takes() {
    let Some(program) = program() else { return };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/skerry.toml");
    let checked = Command::new(program).arg("--config").arg(file).arg("check-config").env_clear().output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success() && said.contains("0.0.0.0:8700"), "{said}{wrong}");
}

#[test]
fn a_service_goes_from_deploy_over_staging_to_production_and_back() {
    let Some(program) = program() else { return };
    let node = Node::start(&program);
    let shop = node.workspace(&[("wrangler.toml", PROJECT), ("src/index.ts", CODE)]);
    let deployed = shop.run(&["deploy", "--message", "first"]).ok();
    assert!(deployed.stdout.contains("Deployed shop to production: version 1"), "{}", deployed.stdout);
    assert_eq!(node.get("shop.workers.localhost")["color"], "blue");

    shop.run(&["clone", "production", "staging"]).ok();
    shop.write("src/index.ts", &CODE.replace("code: 1", "code: 2"));
    let staged = shop.run(&["deploy", "--env", "staging"]).ok();
    assert!(staged.stdout.contains("staging.shop.workers.localhost"), "{}", staged.stdout);
    let answer = node.get("staging.shop.workers.localhost");
    assert_eq!((&answer["color"], &answer["code"]), (&"green".into(), &2.into()));
    assert_eq!(node.get("shop.workers.localhost")["code"], 1);

    let difference = shop.run(&["diff", "staging", "production"]).ok().stdout;
    assert!(difference.contains("COLOR") && difference.contains("green"), "{difference}");
    shop.run(&["promote", "staging", "production", "--yes", "-m", "ship"]).ok();
    let answer = node.get("shop.workers.localhost");
    assert_eq!((&answer["color"], &answer["code"]), (&"blue".into(), &2.into()), "code moves, variables stay");
    shop.run(&["rollback", "--yes"]).ok();
    assert_eq!(node.get("shop.workers.localhost")["code"], 1);

    let audit = shop.run(&["audit", "--json", "--limit", "100"]).ok().json();
    let actions: Vec<&str> =
        audit.as_array().unwrap().iter().filter_map(|entry| entry["action"]["type"].as_str()).collect();
    for action in ["environment.promote", "deployment.rollback"] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
    let environments = shop.run(&["env", "list", "--json"]).ok().json();
    assert_eq!(environments.as_array().unwrap().len(), 2);
    shop.run(&["delete", "--env", "staging", "--yes"]).ok();
    shop.run(&["delete", "--yes"]).ok();
    assert_eq!(shop.run(&["service", "list", "--json"]).ok().json(), serde_json::json!([]));
}

#[test]
fn secrets_variables_and_kv_reach_the_worker_at_once() {
    let Some(program) = program() else { return };
    let node = Node::start(&program);
    let shop = node.workspace(&[("wrangler.toml", PROJECT), ("src/index.ts", CODE)]);
    shop.run(&["deploy"]).ok();
    shop.run_with(&["secret", "put", "KEY"], b"hunter2\n").ok();
    assert_eq!(node.get("shop.workers.localhost")["key"], "hunter2");
    assert!(!shop.run(&["secret", "list"]).ok().stdout.contains("hunter2"));
    shop.run(&["var", "set", "COLOR=red"]).ok();
    assert_eq!(node.get("shop.workers.localhost")["color"], "red");
    shop.run(&["kv", "key", "put", "item", "tea", "--binding", "CART"]).ok();
    assert_eq!(node.get("shop.workers.localhost")["cart"], "tea");
    assert_eq!(shop.run(&["kv", "key", "get", "item", "--binding", "CART"]).ok().stdout, "tea");
    assert_eq!(shop.run(&["kv", "key", "list", "--binding", "CART", "--json"]).ok().json()[0]["name"], "item");
    // Deploying again keeps the secret, which is in no file.
    shop.run(&["deploy"]).ok();
    assert_eq!(node.get("shop.workers.localhost")["key"], "hunter2");
    shop.run(&["secret", "delete", "KEY", "--yes"]).ok();
    assert_eq!(node.get("shop.workers.localhost")["key"], Value::Null);
    let listed = shop.run(&["versions", "list", "--json", "--limit", "3"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[test]
fn a_token_may_do_what_it_was_made_for_until_it_is_revoked() {
    let Some(program) = program() else { return };
    let node = Node::start(&program);
    let workspace = node.workspace(&[]);
    let token = workspace.run(&["token", "create", "reader", "--scope", "workers:read"]).ok().stdout;
    let reader = ["--token", token.trim()];
    workspace.run(&[&reader[..], &["service", "list"]].concat()).ok();
    workspace.run(&[&reader[..], &["kv", "namespace", "create", "x"]].concat()).fails(1, "[code 9109]");
    workspace.run(&["token", "revoke", "reader", "--yes"]).ok();
    workspace.run(&[&reader[..], &["service", "list"]].concat()).fails(1, "[code 10000]");
    workspace.run(&["status"]).ok();
    workspace.run(&["doctor"]).ok();
}

#[test]
fn a_mistake_that_only_the_engine_sees_is_named_with_its_position() {
    let Some(program) = program() else { return };
    let node = Node::start(&program);
    let project = "name = \"bad\"\nmain = \"index.js\"\ncompatibility_date = \"2026-01-01\"\n";
    let bad = node
        .workspace(&[("wrangler.toml", project), ("index.js", "export default { fetch() {} };\nundefinedName();\n")]);
    let outcome = bad.run(&["deploy"]).fails(1, "[code 10021]");
    assert!(outcome.stderr.contains("index.js:"), "{}", outcome.stderr);
    assert_eq!(bad.run(&["service", "list", "--json"]).ok().json(), serde_json::json!([]));
}

#[test]
fn dev_serves_again_after_a_change_and_survives_a_mistake() {
    let Some(program) = program() else { return };
    // A cluster's id, which the node started here can not know.
    let project = PROJECT.replace("binding = \"CART\"", &format!("binding = \"CART\"\nid = \"{}\"", "ab".repeat(16)));
    let mut shop = Workspace::new(&[("wrangler.toml", &project), ("src/index.ts", CODE), (".dev.vars", "KEY=local\n")]);
    shop.set("SKERRY_NODE_BIN", &program.display().to_string());
    EngineCache::of(&program).seed(&shop.path("data"));
    let mut child = shop.command(&["dev", "--port", "0", "--data-dir", "data"]).spawn().unwrap();
    let lines = follow(child.stderr.take().unwrap());
    let logs = follow(child.stdout.take().unwrap());

    let url = until(&lines, |line| line.contains("http://shop.workers.localhost:"));
    let address = format!("127.0.0.1:{}", url.trim().trim_end_matches('/').rsplit(':').next().unwrap());
    let answer = get(&address, "shop.workers.localhost").unwrap();
    assert_eq!((&answer["code"], &answer["key"]), (&1.into(), &"local".into()));
    assert_eq!(get(&address, &address).unwrap()["code"], 1, "the address itself answers");
    until(&logs, |line| line.contains("asked /path"));

    until(&lines, |line| line.contains("Waiting for a change"));
    shop.write("src/index.ts", "export default {");
    until(&lines, |line| line.contains("src/index.ts:1"));
    until(&lines, |line| line.contains("Waiting for a change"));
    assert_eq!(get(&address, "shop.workers.localhost").unwrap()["code"], 1, "what was live stays live");

    shop.write("src/index.ts", &CODE.replace("code: 1", "code: 3"));
    until(&lines, |line| line.contains("Version 2 is live"));
    assert_eq!(get(&address, "shop.workers.localhost").unwrap()["code"], 3);

    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(TcpStream::connect(&address).is_err(), "the node ends with dev");
}
