//! One network namespace, seen from inside.
//!
//! **Owns** the thread whose sockets belong to the namespace. **Must not know** what is sent through them. **Enter at**
//! [`Namespace`].

use std::{fs::File, io, net::Ipv4Addr, os::fd::AsRawFd, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use tokio::runtime::{Builder, Handle, Runtime};

/// A namespace, and a runtime that lives in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    address: Ipv4Addr,
    // Taken when dropped.
    runtime: Option<Runtime>,
}

impl Namespace {
    pub(super) fn enter(name: String, address: Ipv4Addr) -> Result<Self> {
        let file = File::open(format!("/run/netns/{name}")).with_context(|| format!("open namespace {name}"))?;
        let file = Arc::new(file);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(&name)
            .on_thread_start(move || enter(&file).expect("root enters what it has made"))
            .enable_all()
            .build();
        let runtime = runtime.context("start a thread inside")?;
        let namespace = Self { name, address, runtime: Some(runtime) };
        namespace.check()?;
        Ok(namespace)
    }

    /// Nothing that a test sends may reach the machine's own network.
    fn check(&self) -> Result<()> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        self.inside().spawn(async move {
            // The other end waits for it.
            let _ = tell.send(own_namespace());
        });
        let inside = told.recv().context("the thread inside does not run")??;
        ensure!(inside != own_namespace()?, "the thread is not inside its namespace");
        Ok(())
    }

    /// The name by which `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the bridge.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where futures run whose sockets are to be inside.
    #[must_use]
    pub fn inside(&self) -> &Handle {
        self.runtime.as_ref().expect("only taken when dropped").handle()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Moves this thread into a network namespace.
#[expect(unsafe_code, reason = "the standard library has no call for it")]
fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: takes two integers, and the descriptor is open for as long as the call lasts.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn own_namespace() -> Result<PathBuf> {
    std::fs::read_link("/proc/thread-self/ns/net").context("read this thread's namespace")
}
