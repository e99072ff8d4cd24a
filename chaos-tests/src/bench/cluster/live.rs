//! How long a deploy takes until every node serves it.
//!
//! **Owns** the two views of it: the cluster's own, by acknowledgements, and that of end users who ask each node without
//! pause. **Must not know** how a deploy travels. **Enter at** [`measure`].

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::Method;
use tokio::{
    runtime::Handle,
    time::{Duration, sleep, timeout},
};

use super::{fleet::Fleet, numbered, text};
use crate::{
    api::Api,
    bench::spread::Spread,
    clock,
    cluster::{AGREE_TIMEOUT, door::Door, until},
    node::DOMAIN,
    visitor::Visitor,
};

const SERVICE: &str = "live";
/// Between an answer and the next request of the same end user: how exactly a change is seen. Shorter would take the nodes'
/// CPU time.
const PAUSE: Duration = Duration::from_millis(2);

/// One node's API and its workers.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// Its API.
    pub api: Api,
    /// Its workers.
    pub http: SocketAddr,
    /// Where the sockets of who talks to it are made.
    pub inside: Handle,
}

/// What deploys took.
#[derive(Debug)]
pub struct Live {
    /// From the commit to the last node's acknowledgement, as the cluster says.
    pub acknowledged: Spread,
    /// From the answer of the deploy to the first answer of the new version at the last node.
    pub observed: Spread,
    /// From sending a deploy to its answer.
    pub answered: Spread,
}

/// One deploy.
struct Took {
    acknowledged: Duration,
    observed: Duration,
    answered: Duration,
}

impl Entrance {
    /// A node on loopback.
    ///
    /// # Errors
    /// When it does not run.
    pub fn of(fleet: &Fleet, at: usize) -> Result<Self> {
        let http = fleet.node(at)?.addresses.http;
        Ok(Self { api: fleet.api(at)?.clone(), http, inside: Handle::current() })
    }

    /// A node in a namespace of its own.
    #[must_use]
    pub fn through(door: &Door) -> Self {
        Self { api: door.api().clone(), http: door.http(), inside: door.inside().clone() }
    }

    /// Deploys a number and returns what the node says of it.
    async fn deploy(&self, number: u64) -> Result<serde_json::Value> {
        let api = self.api.clone();
        let call = async move { api.deploy(SERVICE, "production", &numbered(number)).await };
        self.inside.spawn(call).await?.done()
    }

    /// When this node first served a number, after at least one older one.
    async fn sees(&self, number: u64) -> Result<Instant> {
        let sees = self.inside.spawn(sees(self.http, number));
        timeout(AGREE_TIMEOUT, sees).await.with_context(|| format!("{} never served {number}", self.http))??
    }

    /// How long a deployment took to be acknowledged by all nodes; waits until it is.
    async fn live(&self, deployment: &str) -> Result<Duration> {
        let path = format!(
            "/accounts/{}/workers/services/{SERVICE}/environments/production/deployments/{deployment}/propagation",
            self.api.account
        );
        let live_ms = until("all nodes have acknowledged the deploy", async || {
            let (api, path) = (self.api.clone(), path.clone());
            let call = self.inside.spawn(async move { api.call(Method::GET, &path, None).await });
            call.await.ok()?.done().ok()?["live_ms"].as_u64()
        });
        Ok(Duration::from_millis(live_ms.await?))
    }
}

/// Deploys one service over and over, at each node in turn, while end users ask every node for it.
///
/// # Errors
/// When a deploy or any request fails, or a node goes back to an older version.
pub async fn measure(entrances: &[Entrance], deploys: u64) -> Result<Live> {
    let first = entrances.first().context("a cluster has nodes")?;
    let made = first.deploy(0).await?;
    first.live(made["deployment"].as_str().context("a deploy has an id")?).await?;
    let mut took = Vec::new();
    for (number, entrance) in (1..=deploys).zip(entrances.iter().cycle()) {
        took.push(one(entrances, entrance, number).await.with_context(|| format!("deploy {number}"))?);
    }
    Ok(Live {
        acknowledged: took.iter().map(|took| took.acknowledged).collect(),
        observed: took.iter().map(|took| took.observed).collect(),
        answered: took.iter().map(|took| took.answered).collect(),
    })
}

async fn one(entrances: &[Entrance], at: &Entrance, number: u64) -> Result<Took> {
    let deploy = async {
        let sent = clock::now();
        let made = at.deploy(number).await?;
        anyhow::Ok((sent, clock::now(), made))
    };
    let seen = try_join_all(entrances.iter().map(|entrance| entrance.sees(number)));
    let ((sent, answered, made), seen) = tokio::try_join!(deploy, seen)?;
    let last = seen.into_iter().max().context("a cluster has nodes")?;
    let acknowledged = at.live(made["deployment"].as_str().context("a deploy has an id")?).await?;
    // A node may serve it before the deployer hears so.
    Ok(Took { acknowledged, observed: last.saturating_duration_since(answered), answered: answered - sent })
}

async fn sees(http: SocketAddr, number: u64) -> Result<Instant> {
    let mut visitor = Visitor::connect(http).await?;
    loop {
        let visit = visitor.get(&format!("{SERVICE}.{DOMAIN}"), "/").await?;
        let served: u64 = text(&visit)?.parse().context("the worker answers a number")?;
        if served == number {
            return Ok(clock::now());
        }
        ensure!(served + 1 == number, "{http} serves {served} after {}", number - 1);
        sleep(PAUSE).await;
    }
}
