//! Acknowledged writes a second, of stores that are compared in rounds that alternate.
//!
//! **Owns** the fairness of the comparison: one client, the same number of connections, each waiting for one answer before
//! it sends the next write, spread evenly over all nodes. **Must not know** how a store agrees. **Enter at** [`compare`].

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::fleet::Fleet;
use crate::{
    bench::{process::cpu_time, spread::Spread},
    clock,
    visitor::Visitor,
};

/// Makes the write of one connection: its place, and a number that no other write has.
type Write = dyn Fn(usize, u64) -> Result<Request<Full<Bytes>>> + Send + Sync;

/// Who takes writes.
pub struct Store {
    /// Its nodes.
    pub addresses: Vec<SocketAddr>,
    /// Their processes.
    pub processes: Vec<u32>,
    /// What is written.
    pub write: Arc<Write>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// The median round of one store.
#[derive(Debug, Clone)]
pub struct Rate {
    /// Acknowledged writes a second.
    pub writes_per_second: f64,
    /// From sending a write to its answer.
    pub times: Spread,
    /// CPU time of all nodes for one write, in microseconds.
    pub cpu_us: f64,
}

/// No two writes of a run have the same number.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// Each connection gives a KV namespace of its own another title with every write: the smallest change that the API
    /// knows, and like a put of a key that is there.
    ///
    /// # Errors
    /// When the namespaces can not be made.
    pub async fn of_fleet(fleet: &Fleet, writers: usize) -> Result<Self> {
        let nodes = fleet.running();
        let api = fleet.api(nodes[0])?;
        let (token, account) = (api.token().to_owned(), api.account.clone());
        let mut namespaces = Vec::new();
        for writer in 0..writers {
            namespaces.push(api.create_kv(&format!("writer {writer}")).await?);
        }
        let write = move |writer: usize, number: u64| {
            let namespace: &String = namespaces.get(writer).context("each writer has a namespace")?;
            let request = Request::put(format!("/client/v4/accounts/{account}/storage/kv/namespaces/{namespace}"))
                .header("host", "localhost")
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json");
            Ok(request.body(Full::from(json!({ "title": format!("number {number}") }).to_string()))?)
        };
        let nodes: Vec<_> = nodes.into_iter().map(|at| fleet.node(at)).collect::<Result<_>>()?;
        let addresses = nodes.iter().map(|node| node.addresses.api).collect();
        let processes = nodes.iter().map(|node| node.pid()).collect::<Result<_>>()?;
        Ok(Self { addresses, processes, write: Arc::new(write) })
    }
}

/// Writes to each store in turn, `rounds` times, over `writers` connections. The round whose rate is in the middle counts.
///
/// # Errors
/// When any write is not acknowledged.
pub async fn compare(stores: &[Store], writers: usize, rounds: usize, seconds: u64) -> Result<Vec<Rate>> {
    for store in stores {
        round(store, writers, Duration::from_secs(1)).await?;
    }
    let mut measured = vec![Vec::new(); stores.len()];
    for _ in 0..rounds {
        for (store, measured) in stores.iter().zip(&mut measured) {
            measured.push(round(store, writers, Duration::from_secs(seconds)).await?);
        }
    }
    Ok(measured.into_iter().map(median).collect())
}

fn median(mut rounds: Vec<Rate>) -> Rate {
    rounds.sort_by(|a, b| a.writes_per_second.total_cmp(&b.writes_per_second));
    rounds.swap_remove(rounds.len() / 2)
}

async fn round(store: &Store, writers: usize, length: Duration) -> Result<Rate> {
    let used = || store.processes.iter().map(|process| cpu_time(*process)).sum::<Result<Duration>>();
    let mut connections = Vec::new();
    for writer in 0..writers {
        connections.push(Visitor::connect(store.addresses[writer % store.addresses.len()]).await?);
    }
    let (before, start) = (used()?, clock::now());
    let mut tasks = JoinSet::new();
    for (writer, connection) in connections.into_iter().enumerate() {
        tasks.spawn(write(Arc::clone(&store.write), connection, writer, start + length));
    }
    let mut times = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        times.append(&mut ended??);
    }
    let (took, used) = (start.elapsed(), used()?.saturating_sub(before));
    let writes = f64::from(u32::try_from(times.len())?);
    Ok(Rate {
        writes_per_second: writes / took.as_secs_f64(),
        times: times.into_iter().collect(),
        cpu_us: used.as_secs_f64() * 1e6 / writes,
    })
}

async fn write(write: Arc<Write>, mut connection: Visitor, writer: usize, end: Instant) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while clock::now() < end {
        let request = write(writer, NUMBER.fetch_add(1, Ordering::Relaxed))?;
        let start = clock::now();
        let answer = connection.send(request).await?;
        times.push(start.elapsed());
        ensure!(answer.status == StatusCode::OK, "a write was answered with {answer:?}");
    }
    Ok(times)
}
