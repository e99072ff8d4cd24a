//! kill -9 while changes are being made: nothing acknowledged may be missing afterwards.
//!
//! **Owns** the workload, the kills and the judgement. **Must not know** how a node stores things. **Enter at** [`run`].

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use reqwest::StatusCode;

use crate::{
    api::{Answer, Api, Worker},
    node::{DOMAIN, Node},
    programs::Programs,
    rng::Rng,
    visitor::Visitor,
};

/// Services that are deployed to at the same time, and writers to KV: enough that a kill always finds work in flight.
const LANES: usize = 4;

/// BOUND: rounds of one run. Each that makes no progress doubles the time to the next kill, so a machine on which so many are
/// not enough does not get through at all.
const ROUNDS_MAX: u64 = 200;

/// BOUND: the longest time from a start to its kill, however slow the machine is, in milliseconds.
const KILL_WITHIN_MS_MAX: u64 = 60_000;

/// What to do between the kills.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Chooses when to kill.
    pub seed: u64,
    /// Deploys to make at least, over all services.
    pub deploys: u64,
    /// KV values to write at least, over all writers.
    pub writes: u64,
    /// Kills to survive at least.
    pub kills: u64,
    /// Longest time between a node's start and its kill, in milliseconds; doubled after each round that got nothing done.
    pub kill_within_ms: u64,
}

/// What a run did. Nothing acknowledged was missing, or there would be an error instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survived {
    /// Times the node was killed with changes in flight.
    pub kills: u64,
    /// Deploys acknowledged and found again.
    pub deploys: u64,
    /// KV writes acknowledged and found again.
    pub writes: u64,
    /// Changes whose answer the kill cut off; repeated afterwards.
    pub unknown: u64,
}

/// Runs `plan` on a fresh node in `data_dir`.
///
/// # Errors
/// When an acknowledged change is missing, a change is refused, the node does not come back, or the plan is not through after
/// 200 rounds.
pub async fn run(programs: &Programs, data_dir: &Path, plan: Plan) -> Result<Survived> {
    let mut rng = Rng::new(plan.seed);
    let history = History::default();
    let mut kills = 0;
    let mut kill_within_ms = plan.kill_within_ms;
    let mut namespace = None;
    for _ in 0..ROUNDS_MAX {
        let node = Node::start(programs, data_dir, &[]).await.context("the node comes back after a kill")?;
        let api = Api::of(&node).await?;
        let namespace = match &namespace {
            Some(known) => known,
            None => namespace.insert(api.create_kv("crash").await?),
        };
        history.check(&node, &api, namespace).await.with_context(|| format!("after kill {kills}"))?;
        if kills >= plan.kills && history.complete(plan) {
            node.stop().await?;
            return Ok(history.survived(kills));
        }
        let before = history.acknowledged();
        let delay = Duration::from_millis(20 + rng.below(kill_within_ms));
        let work = async { tokio::try_join!(deploys(&api, &history), writes(&api, namespace, &history)) };
        let kill = async {
            tokio::time::sleep(delay).await;
            node.kill().await
        };
        tokio::try_join!(work, kill)?;
        kills += 1;
        if history.acknowledged() == before {
            kill_within_ms = (kill_within_ms * 2).min(KILL_WITHIN_MS_MAX);
        }
    }
    bail!("{ROUNDS_MAX} rounds were not enough: {:?} of {plan:?}", history.survived(kills))
}

/// What has been acknowledged so far. Lane `i` owns every `LANES`-th change, and makes them in order.
#[derive(Debug, Default)]
struct History {
    deployed: [AtomicU64; LANES],
    written: [AtomicU64; LANES],
    unknown: AtomicU64,
}

impl History {
    fn complete(&self, plan: Plan) -> bool {
        total(&self.deployed) >= plan.deploys && total(&self.written) >= plan.writes
    }

    fn acknowledged(&self) -> u64 {
        total(&self.deployed) + total(&self.written)
    }

    fn survived(&self, kills: u64) -> Survived {
        let unknown = self.unknown.load(Ordering::Relaxed);
        Survived { kills, deploys: total(&self.deployed), writes: total(&self.written), unknown }
    }

    /// Every acknowledged change is there. The one after the last acknowledged may be, too: its answer was cut off.
    async fn check(&self, node: &Node, api: &Api, namespace: &str) -> Result<()> {
        let mut visitor = Visitor::connect(node.addresses.http).await?;
        for (lane, deployed) in self.deployed.iter().enumerate() {
            let acknowledged = deployed.load(Ordering::Relaxed);
            if acknowledged == 0 {
                continue;
            }
            let visit = visitor.get(&format!("{}.{DOMAIN}", service(lane)), "/").await?;
            ensure!(visit.status == StatusCode::OK, "{} answered {visit:?}", service(lane));
            let live: u64 = std::str::from_utf8(&visit.body)?.parse().context("the worker answers with its number")?;
            ensure!(
                live == acknowledged || live == acknowledged + 1,
                "{} serves deploy {live}, but {acknowledged} was acknowledged",
                service(lane),
            );
        }
        for (lane, written) in self.written.iter().enumerate() {
            for place in 1..=written.load(Ordering::Relaxed) {
                let key = key(lane, place);
                let value = api.get_kv(namespace, &key).await?;
                ensure!(value.as_deref() == Some(&*key), "the acknowledged {key} reads as {value:?}");
            }
        }
        Ok(())
    }
}

async fn deploys(api: &Api, history: &History) -> Result<()> {
    let lanes = history.deployed.iter().enumerate().map(|(lane, done)| {
        in_order(done, &history.unknown, async move |place| {
            let source = format!("export default {{ fetch() {{ return new Response('{place}') }} }}");
            api.deploy(&service(lane), "production", &Worker::module(&source)).await
        })
    });
    try_join_all(lanes).await.map(drop)
}

async fn writes(api: &Api, namespace: &str, history: &History) -> Result<()> {
    let lanes = history.written.iter().enumerate().map(|(lane, done)| {
        in_order(done, &history.unknown, async move |place| {
            let key = key(lane, place);
            api.put_kv(namespace, &key, key.clone()).await
        })
    });
    try_join_all(lanes).await.map(drop)
}

/// Makes the changes after `done` one after another until the node is gone, so that each kill cuts one off.
async fn in_order(done: &AtomicU64, unknown: &AtomicU64, change: impl AsyncFn(u64) -> Answer) -> Result<()> {
    loop {
        match change(done.load(Ordering::Relaxed) + 1).await {
            Answer::Done(_) => done.fetch_add(1, Ordering::Relaxed),
            Answer::Unknown => {
                unknown.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            refused @ Answer::Refused(..) => return refused.done().map(drop),
        };
    }
}

fn total(lanes: &[AtomicU64; LANES]) -> u64 {
    lanes.iter().map(|lane| lane.load(Ordering::Relaxed)).sum()
}

fn service(lane: usize) -> String {
    format!("crash-{lane}")
}

fn key(lane: usize, place: u64) -> String {
    format!("{lane}-{place}")
}
