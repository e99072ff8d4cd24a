//! Measures Skerry beside its peers and prints a table; see README.md for what each figure means.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use skerry_chaos_tests::{
    api::{Api, Worker},
    bench::{
        cluster, cold, hops,
        peer::Peer,
        report::{Report, Target},
        throughput::{Measured, Plan, Server, compare},
    },
    node::{DOMAIN, Node},
    offenders::{self, Visited},
    programs::Programs,
};

/// The small JSON handler, the same source on Skerry and on workerd.
const JSON_WORKER: &str = r#"
export default {
    async fetch(request) {
        const url = new URL(request.url);
        return Response.json({ hello: "world", method: request.method, path: url.pathname, items: [1, 2, 3] });
    },
};
"#;

/// Measures Skerry beside its peers in one run.
#[derive(Debug, Parser)]
struct Options {
    /// Folder with skerry-node, skerry and this crate's programs.
    #[arg(long)]
    bin_dir: PathBuf,
    /// Folder that `.ci/setup` filled.
    #[arg(long)]
    tools: PathBuf,
    /// A component that exports `wasi:http/incoming-handler`; without it that figure is left out.
    #[arg(long)]
    component: Option<PathBuf>,
    /// Where to write the figures as JSON.
    #[arg(long)]
    json: PathBuf,
    /// Seconds of one round of load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds of each server; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Distinct workers for the cold start and the memory figures.
    #[arg(long, default_value_t = 1000)]
    isolates: usize,
    /// Deploys whose way to all nodes is measured.
    #[arg(long, default_value_t = 200)]
    deploys: u64,
    /// How often the leader is killed.
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// Services on the edge node that is weighed.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Only these figures.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
}

/// Figures that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All of one node, beside its peers.
    Node,
    /// A small JSON worker.
    Json,
    /// A Wasm component.
    Component,
    /// A service binding.
    Binding,
    /// A quiet worker beside offenders.
    Neighbours,
    /// Cold isolates and their memory.
    Cold,
    /// Commit to live.
    Live,
    /// Commit to live with delay between regions.
    Delayed,
    /// Writes a second, beside etcd.
    Writes,
    /// A dead leader.
    Failover,
    /// Memory of an edge node.
    Memory,
    /// All of several nodes.
    Cluster,
}

impl Part {
    /// What asks for this part together with others.
    fn group(self) -> Self {
        match self {
            Self::Node | Self::Json | Self::Component | Self::Binding | Self::Neighbours | Self::Cold => Self::Node,
            Self::Cluster | Self::Live | Self::Delayed | Self::Writes | Self::Failover | Self::Memory => Self::Cluster,
        }
    }
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part) || self.only.contains(&part.group())
    }

    fn wants_any_of(&self, group: Part) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| part.group() == group)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let programs = Programs::in_folder(&options.bin_dir, &options.tools)?;
    let mut report = Report::default();
    if options.wants_any_of(Part::Node) {
        node(&mut report, &options, &programs).await?;
    }
    several(&mut report, &options, &programs).await?;

    println!("{report}");
    std::fs::write(&options.json, serde_json::to_vec_pretty(&report)?).context("write the JSON report")?;
    println!("written to {}", options.json.display());
    Ok(())
}

async fn node(report: &mut Report, options: &Options, programs: &Programs) -> Result<()> {
    let folder = tempfile::tempdir().context("make a folder for the run")?;
    let node = Node::start(programs, &folder.path().join("node"), &[]).await?;
    let api = Api::of(&node).await?;
    let plan = Plan { rounds: options.rounds, seconds: options.seconds, connections: 32 };

    if options.wants(Part::Json) {
        eprintln!("small JSON worker: Skerry, workerd, hyper");
        json_worker(report, programs, &node, &api, folder.path(), plan).await?;
    }
    anyhow::ensure!(
        options.component.is_some() || !options.only.contains(&Part::Component),
        "--only component needs --component FILE"
    );
    if let Some(component) = options.component.as_ref().filter(|_| options.wants(Part::Component)) {
        eprintln!("Wasm component: Skerry, the same component in wasmtime's own server");
        wasm_component(report, programs, &node, &api, component, plan).await?;
    }
    if options.wants(Part::Binding) {
        eprintln!("service binding");
        let hop = hops::microseconds_per_hop(&node, &api).await?;
        report.alone("service binding, us per hop", hop, Target::AtMost(40.0));
    }
    if options.wants(Part::Neighbours) {
        eprintln!("a quiet worker beside {} offenders", offenders::OFFENDERS.len());
        neighbours(report, &node, &api).await?;
    }
    if options.wants(Part::Cold) {
        eprintln!("{} cold isolates", options.isolates);
        let cold = cold::measure(&node, &api, options.isolates).await?;
        report.alone("cold first byte over warm, p50 ms", cold.p50_ms, Target::AtMost(2.0));
        report.alone("cold first byte over warm, p99 ms", cold.p99_ms, Target::None);
        report.alone("memory per idle isolate, MB", cold.isolate_mb, Target::AtMost(0.5));
    }
    node.stop().await
}

async fn several(report: &mut Report, options: &Options, programs: &Programs) -> Result<()> {
    let Options { deploys, rounds, seconds, kills, services, .. } = *options;
    let plan = cluster::Plan { deploys, rounds, seconds, kills, services };
    if options.wants(Part::Live) {
        eprintln!("{deploys} deploys on 5 nodes");
        plan.live(report, programs).await?;
    }
    if options.wants(Part::Delayed) {
        eprintln!("{deploys} deploys on 5 nodes in 3 regions");
        plan.delayed(report, programs).await?;
    }
    if options.wants(Part::Writes) {
        eprintln!("writes: Skerry, etcd");
        plan.writes(report, programs).await?;
    }
    if options.wants(Part::Failover) {
        eprintln!("{kills} kills of the leader");
        plan.failover(report, programs).await?;
    }
    if options.wants(Part::Memory) {
        eprintln!("an edge node with {services} services");
        plan.memory(report, programs).await?;
    }
    Ok(())
}

async fn json_worker(
    report: &mut Report,
    programs: &Programs,
    node: &Node,
    api: &Api,
    folder: &std::path::Path,
    plan: Plan,
) -> Result<()> {
    api.deploy("json", "production", &Worker::module(JSON_WORKER)).await.done()?;
    let workerd = Peer::workerd(programs, folder, JSON_WORKER).await?;
    let hyper = Peer::own(programs, "hyper_peer", &[]).await?;
    let host = format!("json.{DOMAIN}");
    let server = |address, pid| Server { address, host: host.clone(), pid };
    let servers = [
        server(node.addresses.http, node.pid()?),
        server(workerd.address, workerd.pid()?),
        server(hyper.address, hyper.pid()?),
    ];
    let measured = compare(&servers, plan).await?;
    let [skerry, workerd, hyper] = measured.as_slice() else { anyhow::bail!("three servers were measured") };
    beside(report, "JSON worker", skerry, "workerd", workerd, Target::RatioAtLeast(2.5), Target::RatioAtMost(1.0));
    report.beside("JSON worker, req/s", skerry.requests_per_second, "hyper", hyper.requests_per_second, Target::None);
    report.beside("JSON worker, CPU us/req", skerry.cpu_us, "hyper", hyper.cpu_us, Target::RatioAtMost(2.5));
    Ok(())
}

async fn wasm_component(
    report: &mut Report,
    programs: &Programs,
    node: &Node,
    api: &Api,
    component: &std::path::Path,
    plan: Plan,
) -> Result<()> {
    let code = std::fs::read(component).with_context(|| format!("read {}", component.display()))?;
    api.deploy("component", "production", &Worker::component(code)).await.done()?;
    let wasmtime = Peer::own(programs, "wasi_http_peer", &[component]).await?;
    let host = format!("component.{DOMAIN}");
    let server = |address, pid| Server { address, host: host.clone(), pid };
    let servers = [server(node.addresses.http, node.pid()?), server(wasmtime.address, wasmtime.pid()?)];
    let measured = compare(&servers, plan).await?;
    let [skerry, wasmtime] = measured.as_slice() else { anyhow::bail!("two servers were measured") };
    beside(report, "component", skerry, "wasmtime", wasmtime, Target::RatioAtLeast(0.9), Target::None);
    Ok(())
}

/// Rounds of the comparison of neighbours, and requests of the quiet worker in each.
const NEIGHBOUR_ROUNDS: usize = 7;
const NEIGHBOUR_REQUESTS: usize = 2000;

async fn neighbours(report: &mut Report, node: &Node, api: &Api) -> Result<()> {
    offenders::deploy(api).await?;
    let address = node.addresses.http;
    offenders::quiet_p99(address, 500).await?;
    let (mut compared, mut anew) = (Vec::new(), Vec::new());
    for _ in 0..NEIGHBOUR_ROUNDS {
        let behaving = quiet_beside(address, offenders::visit_quietly).await?;
        compared.push((behaving, quiet_beside(address, offenders::visit_all).await?));
        anew.push((behaving, quiet_beside(address, offenders::visit_quietly_anew).await?));
    }
    let what = "quiet worker's p99 beside eight offenders, ms";
    let (behaving, offending) = middle(compared);
    report.beside(what, offending, "eight that behave", behaving, Target::RatioAtMost(1.2));
    let what = "the same beside seven that behave and one on new connections, ms";
    let (behaving, connecting) = middle(anew);
    report.beside(what, connecting, "eight that behave", behaving, Target::None);
    Ok(())
}

/// The quiet worker's p99 in milliseconds, while these visitors are about.
async fn quiet_beside(address: SocketAddr, visitors: fn(SocketAddr) -> Visited) -> Result<f64> {
    let _visited = visitors(address);
    Ok(offenders::quiet_p99(address, NEIGHBOUR_REQUESTS).await?.as_secs_f64() * 1e3)
}

/// The pair in the middle, by its ratio.
fn middle(mut pairs: Vec<(f64, f64)>) -> (f64, f64) {
    pairs.sort_by(|(a, b), (c, d)| (b / a).total_cmp(&(d / c)));
    pairs[pairs.len() / 2]
}

fn beside(
    report: &mut Report,
    what: &str,
    skerry: &Measured,
    peer: &str,
    value: &Measured,
    throughput: Target,
    tail: Target,
) {
    let mut add = |unit: &str, of: fn(&Measured) -> f64, target| {
        report.beside(&format!("{what}, {unit}"), of(skerry), peer, of(value), target);
    };
    add("req/s", |measured| measured.requests_per_second, throughput);
    add("p50 ms", |measured| measured.p50_ms, Target::None);
    add("p99 ms", |measured| measured.p99_ms, tail);
    add("CPU us/req", |measured| measured.cpu_us, Target::None);
}
