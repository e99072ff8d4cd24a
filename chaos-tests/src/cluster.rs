//! Several nodes, each a process in a network namespace of its own.
//!
//! **Owns** founding, joining, killing and starting again, and that nothing stays when a test ends or panics. **Must not
//! know** what the nodes are put through. **Enter at** [`Cluster`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    door::{Door, Life},
    ground::{Clocks, Ground, Way},
    member::{API, HTTP, Member},
    network::Network,
    process::{Process, Started},
    relay::Relay,
    volume::{Frozen, Volume},
    wall_clock::WallClock,
};
use crate::{
    api::{Answer, Api},
    clock,
    programs::Programs,
};

pub mod door;
pub mod ground;
mod member;
pub mod namespace;
pub mod network;
mod process;
pub mod relay;
mod stray;
mod volume;
mod wall_clock;

pub use self::stray::{Applicant, Stray};

/// The port of the mesh in every namespace.
pub const MESH_PORT: u16 = 8701;
/// What a relay loses is the same in every run that sends the same; what is sent is not.
const RELAY_SEED: u64 = 1;
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
    relay: Option<Relay>,
    network: Network,
    folder: TempDir,
    programs: Programs,
    ground: Ground,
    token: String,
    account: String,
}

impl Cluster {
    /// A founder, more voters and edges on a network of `hosts`. Returns once all voters vote.
    ///
    /// # Errors
    /// When a node does not start, or they do not agree.
    pub async fn start(programs: &Programs, hosts: u8, roles: &[Role]) -> Result<Self> {
        Self::start_on(programs, Ground::of(hosts), roles).await
    }

    /// The same on a network and with clocks of another kind.
    ///
    /// # Errors
    /// When a node does not start, or they do not agree.
    pub async fn start_on(programs: &Programs, ground: Ground, roles: &[Role]) -> Result<Self> {
        let network = Network::new(ground.hosts)?;
        if let Some(mtu) = ground.mtu {
            network.limit_packets(mtu)?;
        }
        let relay = match ground.way {
            Way::Direct => None,
            Way::Relayed => {
                let hosts = network.hosts().iter().map(|host| host.address()).collect();
                Some(Relay::start(network.hub(), hosts, RELAY_SEED).await?)
            }
        };
        let folder = tempfile::Builder::new().prefix("skerry-chaos-").tempdir().context("make a folder")?;
        let mut cluster = Self {
            members: Vec::new(),
            relay,
            network,
            folder,
            programs: programs.clone(),
            ground,
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
        member.boot(&self.programs).await?;
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
        let mut member = self.member(self.invitation(role).await?, disk_mib)?;
        member.boot(&self.programs).await?;
        member.door = Some(self.door(&member)?);
        self.members.push(member);
        Ok(self.members.len() - 1)
    }

    /// The flags of a node that joins, with a token that was made for it.
    ///
    /// # Errors
    /// When no node makes a token.
    pub async fn invitation(&self, role: Role) -> Result<Vec<String>> {
        let body = json!({ "role": if role == Role::Edge { "edge" } else { "voter" } });
        let made = self.write(Method::POST, "/cluster/join-tokens", Some(body)).await?;
        let id = made["id"].as_str().context("a join token has an id")?;
        let token_file = self.folder.path().join(format!("join-{id}"));
        std::fs::write(&token_file, made["token"].as_str().context("a join token has a text")?)?;
        let host = self.members.iter().position(|member| member.process.is_some()).context("a node runs")?;
        let mut flags = vec!["--join".to_owned(), self.dialled(host), "--join-token-file".to_owned()];
        flags.push(token_file.display().to_string());
        if role == Role::Edge {
            flags.extend(["--role".to_owned(), "edge".to_owned()]);
        }
        Ok(flags)
    }

    /// Where other nodes reach the node of a host.
    fn dialled(&self, host: usize) -> String {
        match &self.relay {
            Some(relay) => relay.address_of(host).to_string(),
            None => format!("{}:{MESH_PORT}", self.network.hosts()[host].address()),
        }
    }

    /// The next node, not started yet.
    fn member(&self, flags: Vec<String>, disk_mib: Option<u32>) -> Result<Member> {
        let at = self.members.len();
        let name = format!("n{}", at + 1);
        let place = Arc::clone(self.network.hosts().get(at).context("the network has no more hosts")?);
        let data_dir = self.folder.path().join(&name);
        let volume = disk_mib.map(|size| Volume::mount(&data_dir, size)).transpose()?;
        let clock = match self.ground.clocks {
            Clocks::Real => None,
            Clocks::Settable => Some(WallClock::new(self.folder.path().join(format!("{name}.clock")))?),
        };
        Ok(Member {
            process: None,
            volume,
            frozen: None,
            clock,
            log: self.log(&name),
            name,
            place,
            data_dir,
            flags: self.ground.flags.iter().cloned().chain(flags).collect(),
            advertise: self.relay.as_ref().map(|relay| relay.address_of(at)),
            door: None,
            life: Life::default(),
        })
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

    /// How one node is reached.
    ///
    /// # Errors
    /// When it is no part of the cluster any more.
    pub fn door_of(&self, at: usize) -> Result<Door> {
        let member = self.members.get(at).context("no node has this place")?;
        member.door.clone().with_context(|| format!("{} is no part of the cluster any more", member.name))
    }

    /// The network between the nodes.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What carries between the nodes, where [`Way::Relayed`] was chosen.
    ///
    /// # Errors
    /// When it was not.
    pub fn relay(&self) -> Result<&Relay> {
        self.relay.as_ref().context("nothing carries between these nodes")
    }

    /// Where a node keeps everything.
    #[must_use]
    pub fn data_dir(&self, at: usize) -> &Path {
        &self.members[at].data_dir
    }

    /// So many seconds are added to what a node takes for the time of day, from within a second or two.
    ///
    /// # Errors
    /// When the clocks of this cluster can not be set.
    pub fn set_clock(&self, at: usize, seconds: i64) -> Result<()> {
        self.members[at].clock.as_ref().context("its clock is the machine's")?.set(seconds)
    }

    /// Where a node writes its log.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// How many lines of a node's log contain this.
    #[must_use]
    pub fn lines(&self, name: &str, words: &str) -> u64 {
        let text = std::fs::read_to_string(self.log(name)).unwrap_or_default();
        text.lines().filter(|line| line.contains(words)).count() as u64
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

    /// SIGTERM. The node is excused until it is started again.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub async fn stop(&mut self, at: usize) -> Result<()> {
        let member = &mut self.members[at];
        let process = member.process.take().with_context(|| format!("{} does not run", member.name))?;
        member.life.end();
        process.stop().await.with_context(|| member.name.clone())
    }

    /// Starts killed nodes at once, each on the directory that it had.
    ///
    /// # Errors
    /// When one does not become ready.
    pub async fn restart(&mut self, nodes: &[usize]) -> Result<()> {
        let all = std::mem::take(&mut self.members).into_iter().enumerate();
        let (mut down, mut members): (Vec<_>, Vec<_>) = all.partition(|(at, _)| nodes.contains(at));
        let booted = try_join_all(down.iter_mut().map(|(_, member)| member.boot(&self.programs))).await;
        members.extend(down);
        members.sort_by_key(|(at, _)| *at);
        self.members = members.into_iter().map(|(_, member)| member).collect();
        booted?;
        nodes.iter().for_each(|at| self.members[*at].life.begin());
        Ok(())
    }

    /// Starts a killed node with these flags in place of its own. It must not become ready; returns what it says last.
    ///
    /// # Errors
    /// When it becomes ready.
    pub async fn refused(&self, at: usize, flags: &[String]) -> Result<String> {
        let member = &self.members[at];
        match member.start(&self.programs, flags).await? {
            Started::Ready(_) => bail!("{} starts, which it must not", member.name),
            Started::Ended(said) => Ok(said),
        }
    }

    /// What a node was told beside what every node is.
    #[must_use]
    pub fn flags(&self, at: usize) -> &[String] {
        &self.members[at].flags
    }

    /// From now on a killed node is started with these flags.
    pub fn set_flags(&mut self, at: usize, flags: Vec<String>) {
        self.members[at].flags = self.ground.flags.iter().cloned().chain(flags).collect();
    }

    /// A killed node is no part of the cluster any more; nothing is expected of it.
    pub fn forget(&mut self, at: usize) {
        self.members[at].door = None;
    }

    /// SIGSTOP. The node is excused until it goes on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, at: usize) -> Result<()> {
        self.members[at].life.end();
        self.members[at].running()?.signal("STOP")
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, at: usize) -> Result<()> {
        self.members[at].running()?.signal("CONT")?;
        self.members[at].life.begin();
        Ok(())
    }

    /// The code that a killed node has stored stays as it is from its next start on; none is added.
    ///
    /// # Errors
    /// When it can not be mounted so.
    pub fn freeze_code(&mut self, at: usize) -> Result<()> {
        let member = &mut self.members[at];
        member.frozen = Some(Frozen::mount(&member.data_dir.join("bundles"))?);
        Ok(())
    }

    /// A killed node can store code again from its next start on.
    pub fn thaw_code(&mut self, at: usize) {
        self.members[at].frozen = None;
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
        let doors = asked.iter().map(|at| Ok((*at, self.door_of(*at)?))).collect::<Result<Vec<_>>>()?;
        until("one of the nodes leads", async || {
            let mut claims = Vec::new();
            for (at, door) in &doors {
                if let Ok((term, leads)) = claim(door).await {
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
