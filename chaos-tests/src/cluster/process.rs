//! One `skerry-node` process inside a namespace.
//!
//! **Owns** starting it, signals, and that it ends when the test does. **Must not know** what the node is for. **Enter at**
//! [`Process`].

use std::{
    fs::OpenOptions,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{namespace::Namespace, network::run};
use crate::node::{READY_TIMEOUT, ready, tail};

/// A running node. Killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    // Kept open so that the node never writes into a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// What became of a start.
#[derive(Debug)]
pub(super) enum Started {
    /// It is ready.
    Ready(Box<Process>),
    /// It has ended by itself, and said this last.
    Ended(String),
}

impl Process {
    /// Starts a node with these variables and waits until it is ready or has ended. Its log is appended to `log`.
    pub(super) async fn start(
        place: &Namespace,
        variables: &[(&str, String)],
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> Result<Started> {
        let stderr = OpenOptions::new().create(true).append(true).open(log).context("open the node's log")?;
        // The kernel ends the node even when this program is killed.
        let mut child = Command::new("ip")
            .args(["netns", "exec", place.name(), "setpriv", "--pdeathsig", "KILL", "env"])
            .args(variables.iter().map(|(name, value)| format!("{name}={value}")))
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .context("start skerry-node")?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        match timeout(READY_TIMEOUT, ready(&mut lines)).await {
            Ok(Ok(_)) => Ok(Started::Ready(Box::new(Self { child, _stdout: lines }))),
            Ok(Err(error)) => {
                let status = child.wait().await.context("wait for the node")?;
                ensure!(!status.success(), "{error:#}, and called that a success");
                Ok(Started::Ended(last_line(log)))
            }
            Err(_) => bail!("the node did not become ready; its log ends:\n{}", tail(log)),
        }
    }

    /// SIGKILL, and waits until the process is gone.
    pub(super) async fn kill(mut self) -> Result<ExitStatus> {
        self.child.start_kill().context("kill the node")?;
        let status = self.child.wait().await.context("wait for the node")?;
        ensure!(status.signal() == Some(9), "the node had ended before it was killed: {status}");
        Ok(status)
    }

    /// SIGTERM, and waits until the node has stopped as it should.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.signal("TERM")?;
        let status = timeout(READY_TIMEOUT, self.child.wait()).await.context("the node does not stop")??;
        ensure!(status.success(), "the node stopped with {status}");
        Ok(())
    }

    /// Sends a signal by name, such as `STOP`.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        let process = self.child.id().context("the node has exited")?;
        run("kill", &[&format!("-{name}"), &process.to_string()]).map(drop)
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look at the node")
    }
}

/// What a program that failed says to people.
fn last_line(log: &Path) -> String {
    tail(log).lines().next_back().unwrap_or_default().to_owned()
}
