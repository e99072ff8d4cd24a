//! One node of a cluster: where it is, what it was told, and whether it runs.
//!
//! **Owns** its flags and its environment. **Must not know** the other nodes. **Enter at** [`Member`].

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};

use super::{
    MESH_PORT,
    door::{Door, Life},
    namespace::Namespace,
    process::{Process, Started},
    volume::{Frozen, Volume},
    wall_clock::WallClock,
};
use crate::{node::DOMAIN, programs::Programs};

pub(super) const HTTP: &str = "127.0.0.1:8080";
pub(super) const HTTPS: &str = "127.0.0.1:8443";
pub(super) const API: &str = "127.0.0.1:8700";
pub(super) const METRICS: &str = "127.0.0.1:9090";

/// One node.
#[derive(Debug)]
pub(super) struct Member {
    // In this order: the process ends before its disks go.
    pub(super) process: Option<Process>,
    pub(super) frozen: Option<Frozen>,
    pub(super) volume: Option<Volume>,
    pub(super) clock: Option<WallClock>,
    pub(super) name: String,
    pub(super) place: Arc<Namespace>,
    pub(super) data_dir: PathBuf,
    pub(super) log: PathBuf,
    /// What it was told beside what every node is.
    pub(super) flags: Vec<String>,
    /// Where others dial it, when that is not where it is.
    pub(super) advertise: Option<SocketAddr>,
    /// Known once the operator's token is; gone when the node is no part of the cluster any more.
    pub(super) door: Option<Door>,
    pub(super) life: Life,
}

impl Member {
    /// Starts it, and waits until it is ready.
    pub(super) async fn boot(&mut self, programs: &Programs) -> Result<()> {
        let flags = self.flags.clone();
        match self.start(programs, &flags).await? {
            Started::Ready(process) => {
                self.process = Some(*process);
                Ok(())
            }
            Started::Ended(said) => anyhow::bail!("{} ended before it was ready: {said}", self.name),
        }
    }

    /// Starts it with these flags in place of its own, and waits until it is ready or has ended.
    pub(super) async fn start(&self, programs: &Programs, flags: &[String]) -> Result<Started> {
        let all: Vec<String> = self.common(programs).into_iter().chain(flags.iter().cloned()).collect();
        let variables = self.clock.as_ref().map(|clock| clock.variables().to_vec()).unwrap_or_default();
        let started = Process::start(&self.place, &variables, &programs.node, &all, &self.log).await;
        started.with_context(|| format!("start {}", self.name))
    }

    fn common(&self, programs: &Programs) -> Vec<String> {
        let mesh = format!("{}:{MESH_PORT}", self.place.address());
        let shown = |path: &Path| path.display().to_string();
        // Compiled images are kept from run to run.
        let (data_dir, cache) = (shown(&self.data_dir), shown(&programs.folder.join("chaos-cache")));
        let common = [
            ["--node-name", &self.name],
            ["--domain", DOMAIN],
            ["--log-format", "json"],
            ["--data-dir", &data_dir],
            ["--cache-dir", &cache],
            ["--http", HTTP],
            ["--https", HTTPS],
            ["--api", API],
            ["--metrics", METRICS],
            ["--mesh", &mesh],
        ];
        let advertise = self.advertise.map(|address| ["--mesh-advertise".to_owned(), address.to_string()]);
        common.iter().flatten().map(ToString::to_string).chain(advertise.into_iter().flatten()).collect()
    }

    /// The process, while it runs.
    pub(super) fn running(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))
    }
}
