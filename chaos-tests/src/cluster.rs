//! Several nodes, each a process in a network namespace of its own.
//!
//! **Owns** founding, joining, killing and starting again, and that nothing stays when a test ends or panics. **Must not
//! know** what the nodes are put through. **Enter at** [`Cluster`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    door::{Door, Life},
    namespace::Namespace,
    network::Network,
    process::Process,
    volume::Volume,
};
use crate::{
    api::{Answer, Api},
    clock,
    node::DOMAIN,
    programs::Programs,
};

pub mod door;
pub mod namespace;
pub mod network;
mod process;
mod volume;

const HTTP: &str = "127.0.0.1:8080";
const HTTPS: &str = "127.0.0.1:8443";
const API: &str = "127.0.0.1:8700";
const METRICS: &str = "127.0.0.1:9090";
/// The port of the mesh in every namespace.
pub const MESH_PORT: u16 = 8701;
/// BOUND: how long a deployer waits before the outcome counts as unknown. Longer than a deploy takes on a slow machine,
/// shorter than an election with its retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// BOUND: how long a cluster may take to agree on something; elections, joins and snapshots take seconds in a debug build.
pub const AGREE_TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// What a node may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It votes.
    Voter,
    /// It follows the feed.
    Edge,
}

/// A cluster. Ends, with everything that belongs to it, when dropped.
#[derive(Debug)]
pub struct Cluster {
    // In this order: processes end before their disks and networks go.
    members: Vec<Member>,
    network: Network,
    folder: TempDir,
    programs: Programs,
    token: String,
    account: String,
}

#[derive(Debug)]
struct Member {
    process: Option<Process>,
    volume: Option<Volume>,
    name: String,
    place: Arc<Namespace>,
    data_dir: PathBuf,
    flags: Vec<String>,
    // Known once the operator's token is.
    door: Option<Door>,
    life: Life,
}

impl Cluster {
    /// A founder, more voters and edges on a network of `hosts`. Returns once all voters vote.
    ///
    /// # Errors
    /// When a node does not start, or they do not agree.
    pub async fn start(programs: &Programs, hosts: u8, roles: &[Role]) -> Result<Self> {
        let network = Network::new(hosts)?;
        let folder = tempfile::Builder::new().prefix("skerry-chaos-").tempdir().context("make a folder")?;
        let mut cluster = Self {
            members: Vec::new(),
            network,
            folder,
            programs: programs.clone(),
            token: String::new(),
            account: String::new(),
        };
        cluster.found().await?;
        for role in &roles[1..] {
            cluster.join(*role, None).await?;
        }
        let voters = roles.iter().filter(|role| **role == Role::Voter).count();
        cluster.wait_for_voters(voters).await?;
        Ok(cluster)
    }

    async fn found(&mut self) -> Result<()> {
        let mut member = self.member(vec!["--bootstrap".to_owned()], None)?;
        self.boot(&mut member).await?;
        let token = std::fs::read_to_string(member.data_dir.join("admin.token")).context("read the token")?;
        token.trim().clone_into(&mut self.token);
        let accounts = self.door(&member)?.call(Method::GET, "/accounts", None).await.done()?;
        accounts[0]["id"].as_str().context("the first account has an id")?.clone_into(&mut self.account);
        member.door = Some(self.door(&member)?);
        self.members.push(member);
        Ok(())
    }

    /// One more node; with a size in MiB its data directory is a disk so small. Returns its place.
    ///
    /// # Errors
    /// When it can not join.
    pub async fn join(&mut self, role: Role, disk_mib: Option<u32>) -> Result<usize> {
        let body = json!({ "role": if role == Role::Edge { "edge" } else { "voter" } });
        let made = self.write(Method::POST, "/cluster/join-tokens", Some(body)).await?;
        let token_file = self.folder.path().join(format!("join-{}", self.members.len() + 1));
        std::fs::write(&token_file, made["token"].as_str().context("a join token has a text")?)?;
        let at = format!("{}:{MESH_PORT}", self.network.hosts()[0].address());
        let mut flags = vec!["--join".to_owned(), at, "--join-token-file".to_owned(), token_file.display().to_string()];
        if role == Role::Edge {
            flags.extend(["--role".to_owned(), "edge".to_owned()]);
        }
        let mut member = self.member(flags, disk_mib)?;
        self.boot(&mut member).await?;
        member.door = Some(self.door(&member)?);
        self.members.push(member);
        Ok(self.members.len() - 1)
    }

    /// The next node, not started yet.
    fn member(&self, flags: Vec<String>, disk_mib: Option<u32>) -> Result<Member> {
        let at = self.members.len();
        let name = format!("n{}", at + 1);
        let place = Arc::clone(self.network.hosts().get(at).context("the network has no more hosts")?);
        let data_dir = self.folder.path().join(&name);
        let volume = disk_mib.map(|size| Volume::mount(&data_dir, size)).transpose()?;
        Ok(Member { process: None, volume, name, place, data_dir, flags, door: None, life: Life::default() })
    }

    async fn boot(&self, member: &mut Member) -> Result<()> {
        let mesh = format!("{}:{MESH_PORT}", member.place.address());
        let (data_dir, cache) = (member.data_dir.display().to_string(), self.programs.folder.join("chaos-cache"));
        let cache = cache.display().to_string();
        let common = [
            ["--node-name", &member.name],
            ["--domain", DOMAIN],
            ["--log-format", "json"],
            ["--data-dir", &data_dir],
            // Compiled images are kept from run to run.
            ["--cache-dir", &cache],
            ["--http", HTTP],
            ["--https", HTTPS],
            ["--api", API],
            ["--metrics", METRICS],
            ["--mesh", &mesh],
        ];
        let flags: Vec<String> =
            common.iter().flatten().map(ToString::to_string).chain(member.flags.iter().cloned()).collect();
        let log = self.log(&member.name);
        let process = Process::start(&member.place, &self.programs.node, &flags, &log).await;
        member.process = Some(process.with_context(|| format!("start {}", member.name))?);
        Ok(())
    }

    fn door(&self, member: &Member) -> Result<Door> {
        let api = Api::at(API.parse()?, &self.token, &self.account, CALL_TIMEOUT)?;
        Ok(Door {
            name: member.name.clone(),
            inside: member.place.inside().clone(),
            api,
            http: HTTP.parse()?,
            life: member.life.clone(),
        })
    }

    /// How each node is reached, in the order in which they joined.
    #[must_use]
    pub fn doors(&self) -> Vec<Door> {
        self.members.iter().filter_map(|member| member.door.clone()).collect()
    }

    /// The network between the nodes.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where a node writes its log.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// SIGKILL. The node is excused until it is started again.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self, at: usize) -> Result<()> {
        let member = &mut self.members[at];
        let process = member.process.take().with_context(|| format!("{} does not run", member.name))?;
        member.life.end();
        process.kill().await.map(drop).with_context(|| member.name.clone())
    }

    /// Starts killed nodes at once, each on the directory that it had.
    ///
    /// # Errors
    /// When one does not become ready.
    pub async fn restart(&mut self, nodes: &[usize]) -> Result<()> {
        let all = std::mem::take(&mut self.members).into_iter().enumerate();
        let (mut down, mut members): (Vec<_>, Vec<_>) = all.partition(|(at, _)| nodes.contains(at));
        let booted = try_join_all(down.iter_mut().map(|(_, member)| self.boot(member))).await;
        members.extend(down);
        members.sort_by_key(|(at, _)| *at);
        self.members = members.into_iter().map(|(_, member)| member).collect();
        booted?;
        nodes.iter().for_each(|at| self.members[*at].life.begin());
        Ok(())
    }

    /// SIGSTOP. The node is excused until it goes on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, at: usize) -> Result<()> {
        self.members[at].life.end();
        self.running(at)?.signal("STOP")
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, at: usize) -> Result<()> {
        self.running(at)?.signal("CONT")?;
        self.members[at].life.begin();
        Ok(())
    }

    /// Leaves the disk of a node not one free byte; returns how many it took.
    ///
    /// # Errors
    /// When its disk is not a small one.
    pub fn fill_disk(&self, at: usize) -> Result<u64> {
        self.members[at].volume.as_ref().context("its disk is not small")?.fill()
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When it was not filled.
    pub fn empty_disk(&self, at: usize) -> Result<()> {
        self.members[at].volume.as_ref().context("its disk is not small")?.empty()
    }

    /// The nodes whose processes have ended by themselves, with how.
    ///
    /// # Errors
    /// When a process can not be looked at.
    pub fn ended(&mut self) -> Result<Vec<String>> {
        let mut ended = Vec::new();
        for member in &mut self.members {
            if let Some(status) = member.process.as_mut().map(Process::ended).transpose()?.flatten() {
                ended.push(format!("{}: {status}", member.name));
            }
        }
        Ok(ended)
    }

    /// Keeps the folder with the logs, and says where.
    #[must_use]
    pub fn keep_logs(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    fn running(&self, at: usize) -> Result<&Process> {
        let member = &self.members[at];
        member.process.as_ref().with_context(|| format!("{} does not run", member.name))
    }

    /// Makes a change at whichever node takes it.
    ///
    /// # Errors
    /// When none has taken it in time; says what the last one answered.
    pub async fn write(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let deadline = clock::now() + AGREE_TIMEOUT;
        loop {
            let mut last = Answer::Unknown;
            for door in self.doors() {
                match door.call(method.clone(), path, body.clone()).await {
                    Answer::Done(result) => return Ok(result),
                    other => last = other,
                }
            }
            if clock::now() > deadline {
                return last.done().with_context(|| format!("{method} {path} is taken by no node"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Which node leads: the one that says so of itself in the newest term that any of `asked` knows. A leader that was cut
    /// off goes on saying it of an older term.
    ///
    /// # Errors
    /// When none of them leads in time.
    pub async fn leader(&self, asked: &[usize]) -> Result<usize> {
        let doors = self.doors();
        until("one of the nodes leads", async || {
            let mut claims = Vec::new();
            for at in asked {
                if let Ok((term, leads)) = claim(&doors[*at]).await {
                    claims.push((term, leads, *at));
                }
            }
            let (_, leads, at) = claims.into_iter().max()?;
            leads.then_some(at)
        })
        .await
    }

    /// Waits until the cluster has exactly so many voters.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn wait_for_voters(&self, count: usize) -> Result<()> {
        let doors = self.doors();
        until(&format!("{count} nodes vote"), async || {
            for door in &doors {
                let Ok(cluster) = door.cluster().await else { continue };
                if cluster["voters"].as_array().is_some_and(|voters| voters.len() == count) {
                    return Some(());
                }
            }
            None
        })
        .await
    }
}

/// The term that a node knows, and whether it says that it leads.
async fn claim(door: &Door) -> Result<(u64, bool)> {
    let cluster = door.cluster().await?;
    let nodes = door.call(Method::GET, "/cluster/nodes", None).await.done()?;
    let own = nodes.as_array().into_iter().flatten().find(|node| node["name"] == *door.name);
    let own = own.context("a node knows itself")?;
    Ok((cluster["term"].as_u64().context("a voter knows a term")?, own["raft"] == "leader"))
}

/// Looks until there is something; fails after [`AGREE_TIMEOUT`].
///
/// # Errors
/// Says what never was.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> Result<T> {
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(AGREE_TIMEOUT, waiting).await.with_context(|| format!("never: {what}"))
}
