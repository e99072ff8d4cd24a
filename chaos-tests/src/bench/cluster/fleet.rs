//! Nodes on loopback that are one cluster.
//!
//! **Owns** founding, joining, kill -9 and starting again. **Must not know** what is measured. **Enter at** [`Fleet`].

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    api::Api,
    cluster::{Role, until},
    node::Node,
    programs::Programs,
};

/// BOUND: how long a call may wait for its answer; a node itself waits 8 s for a leader.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster. Its processes end, and its folder goes, when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    // In this order: processes end before their folder goes.
    members: Vec<Member>,
    folder: TempDir,
    programs: Programs,
    token: String,
    account: String,
}

#[derive(Debug)]
struct Member {
    flags: Vec<String>,
    role: Role,
    /// `None` while it is killed.
    up: Option<Up>,
}

#[derive(Debug)]
struct Up {
    node: Node,
    api: Api,
}

impl Fleet {
    /// A founder, and who joins it, in the order of `roles`. Returns once all voters vote and all nodes agree.
    ///
    /// # Errors
    /// When a node does not start, or they do not agree.
    pub async fn start(programs: &Programs, roles: &[Role]) -> Result<Self> {
        let (members, folder) = (Vec::new(), folder(programs)?);
        let (token, account) = (String::new(), String::new());
        let mut fleet = Self { members, folder, programs: programs.clone(), token, account };
        fleet.found().await?;
        for role in &roles[1..] {
            fleet.join(*role).await?;
        }
        fleet.settle().await?;
        Ok(fleet)
    }

    async fn found(&mut self) -> Result<()> {
        let node = self.launch(0, &["--bootstrap".to_owned()]).await?;
        let api = Api::of(&node).await?;
        (self.token, self.account) = (api.token().to_owned(), api.account.clone());
        // Started again it is no founder any more: it must not found another cluster on an empty directory.
        self.members.push(Member { flags: Vec::new(), role: Role::Voter, up: Some(Up { node, api }) });
        Ok(())
    }

    async fn join(&mut self, role: Role) -> Result<()> {
        let (at, role_name) = (self.members.len(), if role == Role::Edge { "edge" } else { "voter" });
        let founder = self.up(0)?;
        let made = founder.api.call(Method::POST, "/cluster/join-tokens", Some(json!({ "role": role_name }))).await;
        let made = made.done()?;
        let file = self.folder.path().join(format!("join-{at}"));
        std::fs::write(&file, made["token"].as_str().context("a join token has a text")?)?;
        let (mesh, file) = (founder.node.addresses.mesh.clone(), file.display().to_string());
        let words = ["--role", role_name, "--join", &mesh, "--join-token-file", &file];
        let flags: Vec<String> = words.iter().map(ToString::to_string).collect();
        let up = self.bring_up(at, &flags).await?;
        self.members.push(Member { flags, role, up: Some(up) });
        Ok(())
    }

    async fn bring_up(&self, at: usize, flags: &[String]) -> Result<Up> {
        let node = self.launch(at, flags).await?;
        let api = Api::at(node.addresses.api, &self.token, &self.account, PATIENCE)?;
        Ok(Up { node, api })
    }

    async fn launch(&self, at: usize, flags: &[String]) -> Result<Node> {
        let name = name(at);
        // Compiled images are kept from run to run.
        let cache = self.programs.folder.join("bench-cache").display().to_string();
        let mut words = vec!["--node-name", &name, "--mesh", "127.0.0.1:0", "--cache-dir", &cache];
        words.extend(flags.iter().map(String::as_str));
        let node = Node::launch(&self.programs, &self.data_dir(at), &words).await;
        node.with_context(|| format!("start {name}"))
    }

    fn data_dir(&self, at: usize) -> PathBuf {
        self.folder.path().join(name(at))
    }

    fn up(&self, at: usize) -> Result<&Up> {
        self.members[at].up.as_ref().with_context(|| format!("{} does not run", name(at)))
    }

    /// The API of a node that runs.
    ///
    /// # Errors
    /// When it does not run.
    pub fn api(&self, at: usize) -> Result<&Api> {
        Ok(&self.up(at)?.api)
    }

    /// A node that runs.
    ///
    /// # Errors
    /// When it does not run.
    pub fn node(&self, at: usize) -> Result<&Node> {
        Ok(&self.up(at)?.node)
    }

    /// The places of the nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|at| self.members[*at].up.is_some()).collect()
    }

    /// What a node may do.
    #[must_use]
    pub fn role(&self, at: usize) -> Role {
        self.members[at].role
    }

    /// kill -9.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self, at: usize) -> Result<()> {
        let up = self.members[at].up.take().with_context(|| format!("{} does not run", name(at)))?;
        up.node.kill().await
    }

    /// Starts a killed node on the directory that it had.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self, at: usize) -> Result<()> {
        let up = self.bring_up(at, &self.members[at].flags).await?;
        self.members[at].up = Some(up);
        Ok(())
    }

    /// Waits until every voter that runs knows all as voters, and all nodes serve the newest revision.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn settle(&self) -> Result<()> {
        let is_voter = |at: &usize| self.members[*at].role == Role::Voter;
        let voters = (0..self.members.len()).filter(is_voter).count();
        until("the nodes agree", async || {
            for at in self.running().into_iter().filter(is_voter) {
                let cluster = self.api(at).ok()?.call(Method::GET, "/cluster", None).await.done().ok()?;
                (cluster["voters"].as_array()?.len() == voters).then_some(())?;
            }
            let serve = self.api(0).ok()?.call(Method::GET, "/cluster/propagation", None).await.done().ok()?;
            (serve["acknowledged"] == self.members.len()).then_some(())
        })
        .await
    }

    /// The place of the node that leads, as a voter has it that runs.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn leader(&self) -> Result<usize> {
        until("one of the nodes leads", async || {
            let voter = self.running().into_iter().find(|at| self.members[*at].role == Role::Voter)?;
            let api = self.api(voter).ok()?;
            let cluster = api.call(Method::GET, "/cluster", None).await.done().ok()?;
            let path = format!("/cluster/nodes/{}", cluster["leader"].as_u64()?);
            let leader = api.call(Method::GET, &path, None).await.done().ok()?;
            self.running().into_iter().find(|at| leader["name"] == *name(*at))
        })
        .await
    }
}

/// A folder on the disk that has the programs: `/tmp` may be memory, where an fsync costs nothing.
///
/// # Errors
/// When it can not be made.
pub fn folder(programs: &Programs) -> Result<TempDir> {
    let disk: &Path = &programs.folder;
    tempfile::Builder::new().prefix("bench-data-").tempdir_in(disk).context("make a folder for the run")
}

fn name(at: usize) -> String {
    format!("n{}", at + 1)
}
