//! One `skerry-node` process.
//!
//! **Owns** starting, killing and finding the addresses of a node. **Must not know** what is asked of it. **Enter at**
//! [`Node`].

use std::{
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::programs::Programs;

/// BOUND: how long a node may take to say `ready`: the first start compiles the engine image, in a debug build on a busy
/// machine.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(180);

/// The zone that test nodes serve; every name below it resolves to loopback in browsers, and tests set `Host` themselves.
pub const DOMAIN: &str = "workers.localhost";

/// A running node. Killed when dropped.
#[derive(Debug)]
pub struct Node {
    child: Child,
    data_dir: PathBuf,
    /// Where it listens.
    pub addresses: Addresses,
    // Kept open so that the node never writes into a closed pipe.
    _stdout: tokio::io::Lines<BufReader<ChildStdout>>,
}

/// The addresses of the `ready` line.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// Workers over plain HTTP.
    pub http: SocketAddr,
    /// Workers over TLS.
    pub https: SocketAddr,
    /// The API, plain because it is loopback.
    pub api: SocketAddr,
    /// Metrics and health.
    pub metrics: SocketAddr,
    /// Where other nodes reach it, or `off`.
    pub mesh: String,
}

impl Node {
    /// Starts a node that is a cluster of its own, on `data_dir`, and waits until it is ready. Its log goes to
    /// `DATA_DIR.log`.
    ///
    /// # Errors
    /// When the program does not start, exits, or does not become ready; the message ends with its last log lines.
    pub async fn start(programs: &Programs, data_dir: &Path, flags: &[&str]) -> Result<Self> {
        let alone = ["--node-name", "n1", "--bootstrap", "--mesh", "off"];
        Self::launch(programs, data_dir, &[&alone, flags].concat()).await
    }

    /// Starts a node that founds or joins whatever `flags` say, and is called what they say.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn launch(programs: &Programs, data_dir: &Path, flags: &[&str]) -> Result<Self> {
        let log_path = data_dir.with_extension("log");
        let log = OpenOptions::new().create(true).append(true).open(&log_path).context("open the node's log")?;
        let mut child = command(programs, data_dir, flags, log)?.spawn().context("start skerry-node")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        match timeout(READY_TIMEOUT, ready(&mut lines)).await {
            Ok(Ok(addresses)) => Ok(Self { child, data_dir: data_dir.to_owned(), addresses, _stdout: lines }),
            Ok(Err(error)) => bail!("{error:#}; its log ends:\n{}", tail(&log_path)),
            Err(_) => bail!("the node did not become ready; its log ends:\n{}", tail(&log_path)),
        }
    }

    /// The operator's token, written at the first start.
    ///
    /// # Errors
    /// When the node has not written it.
    pub fn admin_token(&self) -> Result<String> {
        let path = self.data_dir.join("admin.token");
        let token = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(token.trim().to_owned())
    }

    /// The certificate of the cluster's own authority.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.data_dir.join("ca.pem")
    }

    /// The process id.
    ///
    /// # Errors
    /// When the node has already exited.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the node has exited")
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("kill the node")
    }

    /// SIGTERM, and waits until it has drained.
    ///
    /// # Errors
    /// When it does not exit with success within a minute.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.pid()?.to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.context("run kill")?;
        anyhow::ensure!(sent.success(), "kill -TERM {pid} failed");
        let status = timeout(Duration::from_secs(60), self.child.wait()).await.context("the node did not drain")??;
        anyhow::ensure!(status.success(), "the node exited with {status}");
        Ok(())
    }
}

fn command(programs: &Programs, data_dir: &Path, flags: &[&str], log: File) -> Result<Command> {
    std::fs::create_dir_all(data_dir).context("create the data directory")?;
    let mut command = Command::new(&programs.node);
    let any = "127.0.0.1:0";
    command
        .args(["--domain", DOMAIN, "--log-format", "json"])
        .args(["--http", any, "--https", any, "--api", any, "--metrics", any, "--dns", "off"])
        .arg("--data-dir")
        .arg(data_dir)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true);
    Ok(command)
}

/// Reads a node's output until it says that it is ready.
pub(crate) async fn ready(lines: &mut tokio::io::Lines<BufReader<ChildStdout>>) -> Result<Addresses> {
    while let Some(line) = lines.next_line().await.context("read the node's output")? {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        if value["event"] == "ready" {
            return serde_json::from_value(value).with_context(|| format!("unexpected ready line {line}"));
        }
    }
    bail!("the node exited before it was ready")
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
