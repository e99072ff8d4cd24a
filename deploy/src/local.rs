//! A whole cluster of one's own: several nodes as processes of this machine, on loopback.
//!
//! **Owns** who starts and stops when, and when the nodes are one cluster. **Must not know** how any of it is shown.
//! **Enter at** [`LocalCluster::start`].
//!
//! ```text
//! founder and those that have joined before --agree--> join token -> newcomers --agree--> running
//! ```
//! - agree: every node that runs knows of all, and the voters follow one leader. Without a majority nothing would come of
//!   a token, so all that were members start together.
//! - a start that fails, or a node that ends meanwhile, ends all.

mod agreement;
mod folder;
mod ports;
pub(crate) mod roster;
pub(crate) mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::future::{join_all, select_all, try_join_all};
use serde_json::json;

use self::agreement::{Goal, View, lacking};
use self::folder::Folder;
use self::roster::{FOUNDER, Wanted};
use self::settings::{NodeSettings, Role};
use crate::client::{Call, model};
use crate::context::Context;
use crate::node::{self, LocalNode, NodeConfig};

/// How often the nodes are asked whether they are one cluster.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// BOUND: voters are made one at a time, each within a second or so; a busy machine needs several times that.
const AGREE_DEADLINE: Duration = Duration::from_secs(120);
/// BOUND: a node on loopback answers within milliseconds; one that does not is not waited for.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// BOUND: a node drains for 5 s, unless its file says otherwise, and closes its files within seconds after that.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// BOUND: newcomers use the token within moments.
const TOKEN_TTL_SECONDS: u32 = 600;

/// The nodes, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalCluster {
    folder: Folder,
    nodes: Vec<Member>,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) settings: NodeSettings,
    /// The file that has them.
    pub(crate) file: PathBuf,
    pub(crate) log: PathBuf,
    /// `None` once it has ended.
    process: Option<LocalNode>,
}

/// A node that has ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) name: String,
    /// `ended: signal: 9 (SIGKILL)`
    pub(crate) how: String,
    pub(crate) last_lines: String,
    /// What a shell starts it again with.
    pub(crate) again: String,
}

impl LocalCluster {
    /// Starts what is there and what is wanted beyond that, and waits until all are one cluster.
    pub(crate) async fn start(context: &Context, dir: &Path, wanted: &Wanted) -> anyhow::Result<Self> {
        let folder = Folder::open(dir)?;
        let nodes = folder.settle(wanted)?.into_iter().map(|settings| {
            let (file, log) = (folder.settings(&settings), folder.log(&settings));
            Member { settings, file, log, process: None }
        });
        let mut cluster = Self { nodes: nodes.collect(), folder };
        cluster.start_where(|folder, node| node.name == FOUNDER || folder.is_member(node)).await?;
        let (all, running) = (cluster.nodes.len(), cluster.running().count());
        if running < all {
            cluster.agree(context, Goal { voters: None, nodes: running }).await?;
            cluster.make_join_token(context, all - running).await?;
            cluster.start_where(|_, _| true).await?;
            cluster.folder.remove_join_token();
        }
        let voters = cluster.nodes.iter().filter(|node| node.settings.role == Role::Voter).count();
        cluster.agree(context, Goal { voters: Some(voters), nodes: all }).await?;
        Ok(cluster)
    }

    /// All nodes, the founder first.
    pub(crate) fn nodes(&self) -> &[Member] {
        &self.nodes
    }

    /// Leaves the variables by which `skerry` finds the cluster in its folder, and returns the lines.
    pub(crate) fn write_environment(&self) -> anyhow::Result<[String; 3]> {
        self.folder.write_environment(&self.nodes[0].api())
    }

    /// The file with the operator's token, and the one with the CA's certificate.
    pub(crate) fn credentials(&self) -> [PathBuf; 2] {
        [self.folder.token_file(), self.folder.ca()]
    }

    /// Completes when a node has ended by itself, and never while none runs.
    pub(crate) async fn ended(&mut self) -> Ended {
        let waiting = self.nodes.iter_mut().filter_map(|node| {
            let (process, settings, file) = (node.process.as_mut()?, &node.settings, &node.file);
            Some(Box::pin(async move {
                let how = process.ended().await;
                Ended { name: settings.name.clone(), how, last_lines: process.last_lines(), again: again(file) }
            }))
        });
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            return std::future::pending().await;
        }
        let ended = select_all(waiting).await.0;
        for node in self.nodes.iter_mut().filter(|node| node.settings.name == ended.name) {
            node.process = None;
        }
        ended
    }

    /// Whether anything is left to stop.
    pub(crate) fn is_running(&self) -> bool {
        self.running().next().is_some()
    }

    /// Stops the nodes one after another, the leader last, so that it changes as seldom as can be.
    pub(crate) async fn stop(mut self, context: &Context) {
        let leader = self.leader(context).await;
        self.nodes
            .sort_by_key(|node| (Some(&node.settings.name) == leader.as_ref(), node.settings.role == Role::Voter));
        for node in self.nodes {
            if let Some(process) = node.process {
                process.stop(STOP_DEADLINE).await;
            }
        }
    }

    fn running(&self) -> impl Iterator<Item = &Member> {
        self.nodes.iter().filter(|node| node.process.is_some())
    }

    /// Starts those that do not run yet and are meant, all at once.
    async fn start_where(&mut self, is_meant: impl Fn(&Folder, &NodeSettings) -> bool) -> anyhow::Result<()> {
        let Self { folder, nodes } = self;
        let meant = nodes.iter_mut().filter(|node| node.process.is_none() && is_meant(folder, &node.settings));
        let starting = meant.map(|node| async move {
            let flags = vec!["--config".into(), node.file.clone().into()];
            let started = LocalNode::start(NodeConfig { flags, log: node.log.clone() }).await;
            node.process = Some(started.with_context(|| node.settings.name.clone())?);
            anyhow::Ok(())
        });
        try_join_all(starting).await.map(|_started| ())
    }

    /// Waits until the nodes that run are one cluster.
    async fn agree(&mut self, context: &Context, goal: Goal) -> anyhow::Result<()> {
        let asked = self.running().map(|node| Ok((node.settings.clone(), self.context_of(context, node)?)));
        let asked: Vec<(NodeSettings, Context)> = asked.collect::<anyhow::Result<_>>()?;
        let mut lacks = None;
        let agreed = async {
            loop {
                let views = asked.iter().map(|(node, context)| async {
                    View { name: &node.name, role: node.role, cluster: look(context).await }
                });
                lacks = lacking(&join_all(views).await, goal);
                if lacks.is_none() {
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(AGREE_DEADLINE, agreed) => outcome,
            ended = self.ended() => bail!("{} {}\n{}", ended.name, ended.how, ended.last_lines),
        };
        let lacks = lacks.unwrap_or_default();
        outcome.map_err(|_elapsed| anyhow!("no cluster within {} s: {lacks}", AGREE_DEADLINE.as_secs()))
    }

    async fn make_join_token(&self, context: &Context, uses: usize) -> anyhow::Result<()> {
        let context = self.context_of(context, &self.nodes[0])?;
        let body = json!({ "uses": uses, "ttl_seconds": TOKEN_TTL_SECONDS, "name": "skerry cluster up" });
        let call = Call::post(["cluster", "join-tokens"]).json(body);
        let made = context.client().await?.send::<model::JoinToken>(call).await?;
        self.folder.put_join_token(&made.result.token)
    }

    /// The name of the leader, as the first node has it that answers.
    async fn leader(&self, context: &Context) -> Option<String> {
        for node in self.running().filter(|node| node.settings.role == Role::Voter) {
            let Ok(context) = self.context_of(context, node) else { continue };
            let Some(leader) = look(&context).await.and_then(|cluster| cluster.leader) else { continue };
            let id = leader.to_string();
            let call = Call::get(["cluster", "nodes", id.as_str()]);
            let found = tokio::time::timeout(ANSWER_DEADLINE, context.client().await.ok()?.send::<model::Node>(call));
            return Some(found.await.ok()?.ok()?.result.name);
        }
        None
    }

    /// The command line, talking to this node.
    fn context_of(&self, context: &Context, node: &Member) -> anyhow::Result<Context> {
        let path = self.folder.token_file();
        let token = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        context.at_node(node.api(), token.trim().to_owned(), self.folder.ca())
    }
}

impl Member {
    /// The process; `None` once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref()?.pid()
    }

    /// The address that `skerry --api` takes.
    pub(crate) fn api(&self) -> String {
        let at = self.settings.ports.api;
        // A node serves TLS wherever a token could be overheard.
        format!("{}://{at}", if at.ip().is_loopback() { "http" } else { "https" })
    }
}

/// What a node says of the cluster; `None` where it does not answer.
async fn look(context: &Context) -> Option<model::Cluster> {
    let call = Call::get(["cluster"]);
    let answer = tokio::time::timeout(ANSWER_DEADLINE, context.client().await.ok()?.send::<model::Cluster>(call)).await;
    Some(answer.ok()?.ok()?.result)
}

/// The command that starts a node again. A shell that has been pointed at the cluster has SKERRY_API, which a node would
/// take for the address of its own API.
fn again(file: &Path) -> String {
    let program = match node::find() {
        Ok(program) => quoted(&program.to_string_lossy()),
        Err(_) => "skerry-node".to_owned(),
    };
    format!("env -u SKERRY_API {program} --config {}", quoted(&file.to_string_lossy()))
}

/// A word of a shell's command line.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_stays_one_word_in_a_shell() {
        assert_eq!(quoted("/tmp/a-b_c.1"), "/tmp/a-b_c.1");
        assert_eq!((quoted("it's here"), quoted("")), ("'it'\\''s here'".to_owned(), "''".to_owned()));
    }
}
