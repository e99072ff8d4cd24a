//! A `skerry-node` of one's own, for `skerry dev`.
//!
//! **Owns** the process: finding the program, starting it, stopping it. **Must not know** what is deployed to it.
//! **Enter at** [`LocalNode::start`].

pub(crate) mod tied;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};

/// BOUND: a first start compiles the engine image, which takes a slow machine many seconds.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// BOUND: draining ends requests in flight; a developer does not wait longer than this.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// How to start it.
#[derive(Debug)]
pub(crate) struct NodeConfig {
    /// Kept between runs when given; else a temporary folder.
    pub(crate) data_dir: Option<PathBuf>,
    /// Where workers answer in plain HTTP on the loopback interface; 0 picks a free port.
    pub(crate) port: u16,
}

/// A node that stops when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalNode {
    pub(crate) api: String,
    pub(crate) token: String,
    pub(crate) ca: PathBuf,
    /// `HOST:PORT` of plain HTTP.
    pub(crate) http: String,
    child: Child,
    // Kept open so that the node can go on printing; and the folder, so that it lives as long as the node.
    _stdout: BufReader<ChildStdout>,
    _temporary: Option<tempfile::TempDir>,
}

impl LocalNode {
    /// Starts the program and waits until it is ready.
    pub(crate) async fn start(config: NodeConfig) -> anyhow::Result<Self> {
        let program = find()?;
        let (dir, temporary) = match config.data_dir {
            Some(dir) => (dir, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("skerry-dev-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let log = dir.join("node.log");
        let mut command = tied::command(&program)?;
        command.arg("--data-dir").arg(&dir).arg("--bootstrap");
        command.args(["--node-name", "dev", "--domain", "workers.localhost", "--log-format", "json"]);
        command.args([
            "--api",
            "127.0.0.1:0",
            "--https",
            "127.0.0.1:0",
            "--http",
            &format!("127.0.0.1:{}", config.port),
        ]);
        command.args(["--metrics", "off", "--mesh", "off", "--dns", "off"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log)?).kill_on_drop(true);
        // A Ctrl-C in the terminal is for us; we then stop the node in order.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output was piped above"));
        let Ok(ready) = tokio::time::timeout(START_DEADLINE, ready(&mut stdout)).await else {
            bail!("skerry-node was not ready within {} s\n{}", START_DEADLINE.as_secs(), last_lines(&log));
        };
        let ready = ready.with_context(|| format!("skerry-node did not start\n{}", last_lines(&log)))?;
        let address = |name: &str| {
            let text = ready[name].as_str().filter(|address| *address != "off");
            text.map(str::to_owned).with_context(|| format!("skerry-node named no {name} address"))
        };
        let token = std::fs::read_to_string(dir.join("admin.token")).context("skerry-node wrote no admin.token")?;
        Ok(Self {
            api: format!("http://{}", address("api")?),
            http: address("http")?,
            token: token.trim().to_owned(),
            ca: dir.join("ca.pem"),
            child,
            _stdout: stdout,
            _temporary: temporary,
        })
    }

    /// Completes when the node has ended by itself.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => format!("skerry-node ended: {status}"),
            Err(error) => format!("skerry-node was lost: {error}"),
        }
    }

    /// Asks it to drain, and ends it if it does not.
    pub(crate) async fn stop(mut self) {
        let id = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            // It has ended already where this fails.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The `ready` line: one JSON object with every bound address.
async fn ready(stdout: &mut BufReader<ChildStdout>) -> anyhow::Result<serde_json::Value> {
    let mut line = String::new();
    loop {
        line.clear();
        if stdout.read_line(&mut line).await? == 0 {
            bail!("it ended before it was ready");
        }
        match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(value) if value["event"] == "ready" => return Ok(value),
            _ => {}
        }
    }
}

/// Beside this program, else on the PATH; `SKERRY_NODE_BIN` comes first.
fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("SKERRY_NODE_BIN").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("skerry-node")));
    if let Some(path) = beside.filter(|path| path.is_file()) {
        return Ok(path);
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|dir| dir.join("skerry-node")).find(|path| path.is_file());
    found.context("skerry-node was found neither beside skerry nor on the PATH; set SKERRY_NODE_BIN, or use a running node with --remote and --api")
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
