//! `skerry cluster`
//!
//! **Owns** the commands of whoever runs the cluster. **Must not know** raft or the mesh. **Enter at** [`run`].

mod backup;
mod drain;
mod join;
mod rotate;
mod up;
mod upgrade;

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Answer, Call, Client, model};
use crate::context::Context;
use crate::output::{cell, time_left};

const NODES: [&str; 2] = ["cluster", "nodes"];
/// How often a node that hands over its vote is looked at, and for how long: raft agrees within seconds.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS: u32 = 240;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Run a whole cluster on this machine, to try things; started again, it goes on where it was
    Up(up::UpArgs),
    /// Show the cluster and its nodes on one screen
    Status,
    /// List the nodes
    Nodes,
    /// Make a token that lets a machine join, and show how
    JoinToken(join::JoinTokenArgs),
    /// Write the whole catalog and all code to a file, while the cluster runs
    Backup(backup::BackupArgs),
    /// Let nodes use what all of them know, after every one was updated; there is no way back
    Upgrade(upgrade::UpgradeArgs),
    /// Replace the authority that signs the nodes' certificates, while everything goes on
    RotateCa(rotate::RotateArgs),
    /// Take a node out of traffic before it is stopped, and wait until it does not lead
    ///
    /// Its /readyz says 503 ("draining"), so that load balancers leave it, and it answers whoever still comes. Another voter leads; the
    /// vote goes to another node where one can take it. KV namespaces whose entries it keeps stay with it.
    Drain {
        /// Its name or id
        node: String,
    },
    /// Give a drained node work again: it is ready, and may vote and lead
    Undrain {
        /// Its name or id
        node: String,
    },
    /// Cut a node off for good; a voter hands over its vote first
    Remove {
        /// Its name or id
        node: String,
        /// The machine is lost: do not wait for it to hand over its vote
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(context: &Context, command: ClusterCommand) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Up(args) => up::run(context, args).await,
        ClusterCommand::Status => status(context).await,
        ClusterCommand::Nodes => {
            let nodes = nodes(context.client().await?).await?;
            show(context, &nodes);
            Ok(())
        }
        ClusterCommand::Backup(args) => backup::run(context, args).await,
        ClusterCommand::Upgrade(args) => upgrade::run(context, args).await,
        ClusterCommand::RotateCa(args) => rotate::run(context, args).await,
        ClusterCommand::JoinToken(args) => join::run(context, args).await,
        ClusterCommand::Drain { node } => drain::run(context, &node).await,
        ClusterCommand::Undrain { node } => undrain(context, &node).await,
        ClusterCommand::Remove { node, force } => remove(context, &node, force).await,
    }
}

async fn nodes(client: &Client) -> anyhow::Result<Answer<Vec<model::Node>>> {
    Ok(client.list(Call::get(NODES), None, usize::MAX).await?)
}

async fn status(context: &Context) -> anyhow::Result<()> {
    let client = context.client().await?;
    let cluster = client.send::<model::Cluster>(Call::get(["cluster"])).await?;
    let nodes = nodes(client).await?;
    let found = &cluster.result;
    // A node that takes no part in elections does not know; the leader has said so itself where it answered for the nodes.
    let leading = nodes.result.iter().find(|node| node.raft.as_deref() == Some("leader")).map(|node| node.id);
    let leader = found.leader.or(leading).map(|id| {
        let named = nodes.result.iter().find(|node| node.id == id).map(|node| node.name.as_str());
        let term = found.term.map(|term| format!(", term {term}")).unwrap_or_default();
        format!("{} (node {id}){term}", named.unwrap_or("?"))
    });
    let none = if found.term.is_some() { "none: nothing can be changed now" } else { "known to voters only" };
    context.out.line(format!("cluster   {}", found.id));
    context.out.line(format!("domain    {}", found.domain));
    context.out.line(format!("leader    {}", leader.as_deref().unwrap_or(none)));
    context.out.line(format!("revision  {} at feature level {}", found.revision, found.feature_level));
    if let Some(phase) = &found.ca_rotation {
        context.out.line(format!("new CA    {}", rotate::status(client, phase).await));
    }
    context.out.line("");
    if context.out.is_json() {
        context.out.document(&json!({ "cluster": cluster.raw, "nodes": nodes.raw }));
    } else {
        show(context, &nodes);
    }
    let all_know = nodes.result.iter().map(|node| node.feature_level).min().unwrap_or_default();
    if all_know > found.feature_level {
        context.out.note(format!("all nodes know feature level {all_know}: raise it with `skerry cluster upgrade`"));
    }
    Ok(())
}

/// The table, and below it what some nodes do not serve, and who says all this where no leader does.
fn show(context: &Context, nodes: &Answer<Vec<model::Node>>) {
    let head = ["NODE", "ID", "ROLE", "STATE", "ALIVE", "BEHIND", "RTT", "CERTIFICATE", "PLACE", "BUILD", "ADDRESS"];
    let now = jiff::Timestamp::now();
    let rows = nodes.result.iter().map(|node| {
        let alive = node.alive.map(|alive| if alive { "yes" } else { "no" });
        let (lag, rtt) = (node.lag.map(|lag| lag.to_string()), node.rtt_ms.map(|rtt| format!("{rtt:.1} ms")));
        [
            node.name.clone(),
            node.id.to_string(),
            role(node),
            node.state.clone(),
            cell(alive),
            cell(lag.as_deref()),
            cell(rtt.as_deref()),
            cell(node.certificate_expires_on.as_deref().map(|ends| time_left(now, ends)).as_deref()),
            place(node),
            node.build.clone(),
            node.address.clone(),
        ]
    });
    context.out.list(&nodes.raw, head, rows, "no nodes yet");
    for node in &nodes.result {
        if let Some(refused) = &node.refused {
            context.out.note(format!("{} does not serve revision {}: {}", node.name, refused.revision, refused.reason));
        }
    }
    if let Some(by) = nodes.result.iter().find_map(model::Node::seen_without_leader) {
        context.out.note(format!("no leader has answered: this is what node {by} knows of the others"));
    }
}

/// The role it may have, and what it does in raft where that is something else.
fn role(node: &model::Node) -> String {
    match &node.raft {
        Some(raft) if *raft != node.role => format!("{} ({raft})", node.role),
        _ => node.role.clone(),
    }
}

fn place(node: &model::Node) -> String {
    let parts = [node.region.as_str(), node.zone.as_str()];
    let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if known.is_empty() { "-".to_owned() } else { known.join("/") }
}

async fn undrain(context: &Context, node: &str) -> anyhow::Result<()> {
    let client = context.client().await?;
    let now = client.send::<model::Node>(Call::post(["cluster", "nodes", node, "undrain"])).await?;
    context.out.document(&now.raw);
    context.out.line(format!("Node {} takes work again", now.result.name));
    Ok(())
}

async fn remove(context: &Context, node: &str, force: bool) -> anyhow::Result<()> {
    let client = context.client().await?;
    let found = client.send::<model::Node>(Call::get(["cluster", "nodes", node])).await?.result;
    let (name, id) = (&found.name, found.id.to_string());
    let question = format!("Remove node {name} ({id}, {})? It never comes back under this id.", role(&found));
    context.out.confirm(&question)?;
    // By its id from now on: a name may change hands while somebody thinks about the question.
    let path = ["cluster", "nodes", id.as_str()];
    if !force && (found.role == "voter" || found.votes()) {
        hand_over_vote(context, client, path, name).await?;
    }
    let call = Call::delete(path).query_some("force", force.then_some(true));
    let answer = client.send::<Value>(call).await?;
    context.out.document(&answer.raw);
    context.out.line(format!("Removed node {name}"));
    Ok(())
}

/// Makes a voter an edge, and waits until the others can agree without it.
async fn hand_over_vote(context: &Context, client: &Client, path: [&str; 3], name: &str) -> anyhow::Result<()> {
    client.send::<Value>(Call::patch(path).json(json!({ "role": "edge" }))).await?;
    let _progress = context.out.progress(format!("Waiting until {name} votes no more"));
    for _ in 0..LOOKS {
        let seen = client.send::<model::Node>(Call::get(path)).await?.result;
        // Only the leader knows for sure who votes.
        if !seen.votes() && seen.seen_without_leader().is_none() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    anyhow::bail!("{name} is an edge now and still votes; it was not removed: try again, or give --force if it is lost")
}
