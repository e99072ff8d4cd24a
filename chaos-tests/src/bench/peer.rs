//! The programs that Skerry is measured beside.
//!
//! **Owns** starting and stopping them. **Must not know** what is asked of them. **Enter at** [`Peer`].

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

use crate::{clock, programs::Programs};

/// BOUND: a peer that does not listen by then will not.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running peer. Killed when dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
}

impl Peer {
    /// The stock workerd, serving `worker` (the source of one ES module).
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn workerd(programs: &Programs, folder: &Path, worker: &str) -> Result<Self> {
        let address = free_address()?;
        std::fs::write(folder.join("worker.js"), worker).context("write the worker")?;
        let config = format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\nconst config :Workerd.Config = (\n  services = [(name = \
             \"main\", worker = (modules = [(name = \"worker\", esModule = embed \"worker.js\")], compatibilityDate = \
             \"2026-01-01\"))],\n  sockets = [(name = \"http\", address = \"{address}\", http = (), service = \"main\")]\n);\n"
        );
        let path = folder.join("config.capnp");
        std::fs::write(&path, config).context("write workerd's configuration")?;
        let mut command = Command::new(programs.workerd()?);
        command.arg("serve").arg(&path);
        Self::start(command, address).await
    }

    /// One of this crate's own peers, which take the address to serve as their first argument.
    ///
    /// # Errors
    /// When it is not built or does not start.
    pub async fn own(programs: &Programs, name: &str, arguments: &[&Path]) -> Result<Self> {
        let program = programs.folder.join(name);
        ensure!(program.exists(), "{} is missing: build skerry-chaos-tests with --features peers", program.display());
        let address = free_address()?;
        let mut command = Command::new(program);
        command.arg(address.to_string()).args(arguments);
        Self::start(command, address).await
    }

    /// The process id.
    ///
    /// # Errors
    /// When the peer has exited.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the peer has exited")
    }

    async fn start(mut command: Command, address: SocketAddr) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn();
        let peer = Self { child: child.with_context(|| format!("start {command:?}"))?, address };
        let deadline = clock::now() + START_TIMEOUT;
        while TcpStream::connect(address).await.is_err() {
            ensure!(clock::now() < deadline, "{command:?} does not listen on {address}");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(peer)
    }
}

/// An address that nobody listens on right now.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    listener.local_addr().context("the listener has an address")
}
