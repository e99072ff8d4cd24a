//! `skerry cluster up`
//!
//! **Owns** what a local cluster shows of itself while it runs. **Must not know** how nodes are started. **Enter at**
//! [`run`].
//!
//! ```text
//! Starting --one cluster--> Running --signal--> Stopping
//! ```
//! - a start that fails: the command fails, and no node is left.
//! - a node ends while Running: told, with the end of its log; the others go on. With the last one the command fails.
//! - a signal while Starting kills the nodes, and so does a second one while Stopping. They lose nothing by it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use skerry_proto::id::Hostname;

use crate::context::Context;
use crate::local::roster::Wanted;
use crate::local::{Ended, LocalCluster, Member};
use crate::output::cell;
use crate::signals::Signals;

/// BOUND: more than a machine can usefully run; a real cluster has one node a machine.
const EDGES_MAX: u16 = 16;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// How many voters: 1, 3 or 5 [default: those there are, else 3]
    #[arg(long, value_name = "N", value_parser = voters)]
    nodes: Option<usize>,
    /// How many nodes that follow and do not vote [default: those there are, else 0]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u16).range(0..=i64::from(EDGES_MAX)))]
    edges: Option<u16>,
    /// Where the cluster is kept
    #[arg(long, value_name = "DIR", default_value = ".skerry-cluster")]
    dir: PathBuf,
    /// The zone that it serves; fixed at the first start [default: workers.localhost]
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<Hostname>,
    /// Regions for new nodes, in turn
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    regions: Vec<String>,
}

pub(super) async fn run(context: &Context, args: UpArgs) -> anyhow::Result<()> {
    let wanted = Wanted {
        voters: args.nodes,
        edges: args.edges.map(usize::from),
        domain: args.domain.map(|domain| domain.to_string()),
        regions: args.regions,
    };
    let mut signals = Signals::listen()?;
    let started = {
        let _progress = context.out.progress("Starting the nodes");
        signals.race(LocalCluster::start(context, &args.dir, &wanted)).await
    };
    let Some(cluster) = started else { return Ok(()) };
    let mut cluster = cluster?;
    show(context, &cluster)?;
    let watched = signals.race(watch(context, &mut cluster)).await;
    if watched.is_none() {
        context.out.note("Stopping the nodes; a second Ctrl-C does not wait for them");
    }
    signals.race(cluster.stop(context)).await;
    watched.unwrap_or(Ok(()))
}

fn show(context: &Context, cluster: &LocalCluster) -> anyhow::Result<()> {
    let environment = cluster.write_environment()?;
    let [token_file, ca] = cluster.credentials();
    context.out.document(&json!({
        "api": cluster.nodes()[0].api(), "token_file": token_file, "ca": ca,
        "nodes": cluster.nodes().iter().map(document).collect::<Vec<_>>(),
    }));
    let rows = cluster.nodes().iter().map(|Member { settings, .. }| {
        let ports = &settings.ports;
        let [http, https, api, mesh] = [ports.http, ports.https, ports.api, ports.mesh].map(|at| at.to_string());
        let region = Some(settings.region.as_str()).filter(|region| !region.is_empty());
        [settings.name.clone(), settings.role.as_str().to_owned(), cell(region), http, https, api, mesh]
    });
    context.out.table(["NODE", "ROLE", "REGION", "HTTP", "HTTPS", "API", "MESH"], rows);
    context.out.line(format!("\nIn another terminal:\n  {}\n  skerry cluster status", environment.join("\n  ")));
    context.out.note("\nCtrl-C stops the nodes");
    Ok(())
}

fn document(node: &Member) -> serde_json::Value {
    let (settings, ports) = (&node.settings, &node.settings.ports);
    json!({
        "name": settings.name, "role": settings.role.as_str(), "region": settings.region,
        "http": ports.http, "https": ports.https, "api": ports.api, "metrics": ports.metrics, "mesh": ports.mesh,
        "config": node.file, "log": node.log, "pid": node.pid(),
    })
}

/// Tells of every node that ends; comes back when none is left.
async fn watch(context: &Context, cluster: &mut LocalCluster) -> anyhow::Result<()> {
    while cluster.is_running() {
        let Ended { name, how, last_lines, again } = cluster.ended().await;
        let log: Vec<String> = last_lines.lines().map(|line| format!("  {line}\n")).collect();
        context.out.note(format!("\n{name} {how}; its log ends:\n{}It is started again by:\n  {again}", log.concat()));
    }
    anyhow::bail!("no node is left")
}

fn voters(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("use 1, 3 or 5: an even number tolerates no more failures than the odd one below it".to_owned()),
    }
}
