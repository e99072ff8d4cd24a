//! What a dead leader costs.
//!
//! **Owns** the time until writes are taken again, and what end users at the other nodes notice. **Must not know** how a
//! leader is elected. **Enter at** [`measure`].

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use super::{fleet::Fleet, numbered, text};
use crate::{
    api::{Answer, Api},
    bench::spread::Spread,
    clock,
    cluster::{AGREE_TIMEOUT, Role, until},
    node::DOMAIN,
    visitor::Visitor,
};

const SERVICE: &str = "steady";
/// Keep-alive connections to each node.
const VISITORS: usize = 4;
/// Between an answer and the next request of the same end user.
const PAUSE: Duration = Duration::from_millis(5);
/// Between a refused write and the next attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// Answers that a node has given before the leader is killed, and gives again afterwards.
const STEADY: u64 = 200;

/// What kills of the leader came to.
#[derive(Debug)]
pub struct Failover {
    /// From the kill to the first acknowledged write, at any node.
    pub first: Spread,
    /// From the kill until every voter that is left had a write acknowledged.
    pub voters: Spread,
    /// From the kill until every edge had one.
    pub edges: Spread,
    /// Requests of end users at the nodes that were not killed. All of them were answered: one that was not is an error.
    pub requests: u64,
}

/// Kills whoever leads, `kills` times, and starts it again after each.
///
/// # Errors
/// When writes are not taken again, or a request at a node that runs fails.
pub async fn measure(fleet: &mut Fleet, kills: usize) -> Result<Failover> {
    let api = fleet.api(0)?;
    api.deploy(SERVICE, "production", &numbered(1)).await.done()?;
    let namespace = api.create_kv("failover").await?;
    let (mut took, mut requests) = (Vec::new(), 0);
    for round in 0..kills {
        let kill = kill(fleet, &namespace, round).await.with_context(|| format!("kill {round}"))?;
        requests += kill.requests;
        took.push(kill.took);
    }
    let last =
        |role| took.iter().filter_map(move |took| took.iter().filter(|(of, _)| *of == role).map(|(_, at)| *at).max());
    let first = took.iter().filter_map(|took| took.iter().map(|(_, at)| *at).min()).collect();
    Ok(Failover { first, voters: last(Role::Voter).collect(), edges: last(Role::Edge).collect(), requests })
}

/// What one kill came to.
struct Kill {
    /// The role of each other node, and how long it was until a write that it was asked for was acknowledged.
    took: Vec<(Role, Duration)>,
    requests: u64,
}

async fn kill(fleet: &mut Fleet, namespace: &str, round: usize) -> Result<Kill> {
    fleet.settle().await?;
    let leader = fleet.leader().await?;
    let others: Vec<_> = fleet.running().into_iter().filter(|at| *at != leader).collect();
    let addresses = others.iter().map(|at| Ok(fleet.node(*at)?.addresses.http)).collect::<Result<Vec<_>>>()?;
    let crowd = Crowd::gather(&addresses).await?;
    let start = clock::now();
    fleet.kill(leader).await?;
    let left: &Fleet = fleet;
    let writes = others.iter().map(|at| async move {
        let took = write(left.api(*at)?, namespace, format!("round {round} at {at}"), start).await?;
        anyhow::Ok((left.role(*at), took))
    });
    let took = try_join_all(writes).await?;
    crowd.served().await?;
    let requests = crowd.leave().await?;
    fleet.restart(leader).await?;
    Ok(Kill { took, requests })
}

/// Asks for one write at one node until it is acknowledged.
async fn write(api: &Api, namespace: &str, title: String, start: Instant) -> Result<Duration> {
    let path = format!("/accounts/{}/storage/kv/namespaces/{namespace}", api.account);
    let mut last = Answer::Unknown;
    while start.elapsed() < AGREE_TIMEOUT {
        last = api.call(Method::PUT, &path, Some(json!({ "title": title }))).await;
        if matches!(last, Answer::Done(_)) {
            return Ok(start.elapsed());
        }
        sleep(RETRY_PAUSE).await;
    }
    last.done()?;
    bail!("no write was acknowledged")
}

/// End users on keep-alive connections.
#[derive(Debug)]
struct Crowd {
    served: Vec<Arc<AtomicU64>>,
    is_leaving: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<String>>>,
    visits: JoinSet<()>,
}

impl Crowd {
    /// Lets end users come to each of these nodes, and waits until all are served.
    async fn gather(nodes: &[SocketAddr]) -> Result<Self> {
        let mut crowd =
            Self { served: Vec::new(), is_leaving: Arc::default(), failure: Arc::default(), visits: JoinSet::new() };
        for node in nodes {
            let served = Arc::new(AtomicU64::new(0));
            for _ in 0..VISITORS {
                let visitor = Visitor::connect(*node).await?;
                let (served, is_leaving) = (Arc::clone(&served), Arc::clone(&crowd.is_leaving));
                let (failure, node) = (Arc::clone(&crowd.failure), *node);
                crowd.visits.spawn(async move {
                    if let Err(error) = visit_for_ever(visitor, &served, &is_leaving).await {
                        let said = format!("{node} after {} answers: {error:#}", served.load(Ordering::Relaxed));
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(said);
                    }
                });
            }
            crowd.served.push(served);
        }
        crowd.served().await?;
        Ok(crowd)
    }

    /// Waits until every node has given some more answers.
    async fn served(&self) -> Result<()> {
        let count = |served: &Arc<AtomicU64>| served.load(Ordering::Relaxed);
        let enough: Vec<_> = self.served.iter().map(|served| count(served) + STEADY).collect();
        let is_served = || self.served.iter().zip(&enough).all(|(served, enough)| count(served) >= *enough);
        let failure = || self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        until("all end users are served", async || (is_served() || failure()).then_some(())).await
    }

    /// How many requests were answered.
    async fn leave(mut self) -> Result<u64> {
        self.is_leaving.store(true, Ordering::Relaxed);
        while self.visits.join_next().await.transpose()?.is_some() {}
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => bail!("a request failed at a node that was not killed: {failure}"),
            None => Ok(self.served.iter().map(|served| served.load(Ordering::Relaxed)).sum()),
        }
    }
}

async fn visit_for_ever(mut visitor: Visitor, served: &AtomicU64, is_leaving: &AtomicBool) -> Result<()> {
    while !is_leaving.load(Ordering::Relaxed) {
        let visit = visitor.get(&format!("{SERVICE}.{DOMAIN}"), "/").await?;
        text(&visit)?;
        served.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    Ok(())
}
