//! A `skerry-node` of one's own, for `skerry dev` and `skerry cluster up`.
//!
//! **Owns** the process: finding the program, starting it, stopping it. **Must not know** what is deployed to it.
//! **Enter at** [`LocalNode::start`].

mod ready;

pub(crate) mod tied;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};

pub(crate) use self::ready::Addresses;

/// BOUND: a first start compiles the engine image, which takes a slow machine many seconds; several nodes may start at once.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// BOUND: what a person reads of a log that ends in an error.
const LAST_LINES: usize = 10;
/// BOUND: far more than those lines have; a log grows without end.
const LAST_BYTES: u64 = 64 << 10;
/// The variables of a node that the nodes started here take from the shell: what they log, and where they send traces. The
/// others are meant for a node that is started by hand, and `SKERRY_API` is an address of ours.
const KEPT_VARIABLES: [&str; 4] =
    ["SKERRY_LOG", "SKERRY_OTLP_ENDPOINT", "SKERRY_OTLP_HEADERS", "SKERRY_OTLP_SAMPLE_RATIO"];

/// How to start it.
#[derive(Debug)]
pub(crate) struct NodeConfig {
    /// Its settings.
    pub(crate) flags: Vec<OsString>,
    /// Gets what the node logs, after what it holds already.
    pub(crate) log: PathBuf,
}

/// A node that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalNode {
    /// Where it listens.
    pub(crate) addresses: Addresses,
    log: Log,
    child: Child,
    // Kept open so that the node can go on printing.
    _stdout: BufReader<ChildStdout>,
}

impl LocalNode {
    /// Starts the program and waits until it is ready. To be awaited by the main thread, see [`tied`].
    pub(crate) async fn start(config: NodeConfig) -> anyhow::Result<Self> {
        let program = find()?;
        let NodeConfig { flags, log } = config;
        let (log, file) = Log::open(log)?;
        let mut command = tied::command(&program)?;
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SKERRY_") && !KEPT_VARIABLES.contains(&name)) {
                command.env_remove(name);
            }
        }
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).kill_on_drop(true);
        // A Ctrl-C in the terminal is for us; we then stop the node in order.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output was piped above"));
        let ready = tokio::time::timeout(START_DEADLINE, ready(&mut stdout)).await;
        let ready = ready.unwrap_or_else(|_elapsed| {
            let seconds = START_DEADLINE.as_secs();
            Err(anyhow!("it was not ready within {seconds} s"))
        });
        // What the program itself says is the reason, and stands last.
        let addresses = ready.map_err(|why| anyhow!("skerry-node did not start: {why:#}\n{}", log.last_lines()))?;
        Ok(Self { addresses, log, child, _stdout: stdout })
    }

    /// The process, which becomes the node's where it is tied to this one first.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Completes when the node has ended by itself, with how.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => format!("ended: {status}"),
            Err(error) => format!("was lost: {error}"),
        }
    }

    /// The end of its log.
    pub(crate) fn last_lines(&self) -> String {
        self.log.last_lines()
    }

    /// Asks it to drain, and kills it if it has not ended after `deadline`.
    pub(crate) async fn stop(mut self, deadline: Duration) {
        let id = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            // It has ended already where this fails.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(deadline, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Reads until the line that says where it listens.
async fn ready(stdout: &mut BufReader<ChildStdout>) -> anyhow::Result<Addresses> {
    let mut line = String::new();
    loop {
        line.clear();
        if stdout.read_line(&mut line).await? == 0 {
            bail!("it ended before it was ready");
        }
        if let Some(addresses) = Addresses::read(&line) {
            return Ok(addresses);
        }
    }
}

/// The program: beside this one, else on the PATH; `SKERRY_NODE_BIN` comes first.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("SKERRY_NODE_BIN").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("skerry-node")));
    if let Some(path) = beside.filter(|path| path.is_file()) {
        return Ok(path);
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|dir| dir.join("skerry-node")).find(|path| path.is_file());
    found.context("skerry-node was found neither beside skerry nor on the PATH; set SKERRY_NODE_BIN to the program")
}

/// What a node logs, from its start on.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    /// Before it stands what earlier runs logged.
    start: u64,
}

impl Log {
    fn open(path: PathBuf) -> anyhow::Result<(Self, File)> {
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let measured = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (start, file) = measured.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok((Self { path, start }, file))
    }

    fn last_lines(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.start.max(length.saturating_sub(LAST_BYTES))))?;
            file.read_to_end(&mut bytes)
        });
        let text = if read.is_ok() { String::from_utf8_lossy(&bytes) } else { "".into() };
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}
