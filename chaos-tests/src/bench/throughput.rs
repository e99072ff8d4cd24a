//! Requests a second, latency and CPU, in rounds that alternate between the servers.
//!
//! **Owns** the fairness of the comparison. **Must not know** what the servers do. **Enter at** [`compare`].

use std::net::SocketAddr;

use anyhow::Result;

use super::{
    load::{self, Load},
    process::cpu_time,
};

/// A server under load.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it serves.
    pub address: SocketAddr,
    /// The `Host` it is asked for.
    pub host: String,
    /// Its process.
    pub pid: u32,
}

/// The median round of one server.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Answers a second.
    pub requests_per_second: f64,
    /// Milliseconds.
    pub p50_ms: f64,
    /// Milliseconds.
    pub p99_ms: f64,
    /// CPU time of the server for one request, in microseconds.
    pub cpu_us: f64,
}

/// How long and how hard.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds of each server; the median counts.
    pub rounds: usize,
    /// Seconds of a round.
    pub seconds: u64,
    /// Keep-alive connections.
    pub connections: usize,
}

/// Measures each server in turn, `plan.rounds` times, so that a slow minute of the machine touches all of them.
///
/// # Errors
/// When any request fails.
pub async fn compare(servers: &[Server], plan: Plan) -> Result<Vec<Measured>> {
    for server in servers {
        load::run(server.address, &server.host, plan.connections, 2).await?;
    }
    let mut rounds = vec![Vec::new(); servers.len()];
    for _ in 0..plan.rounds {
        for (server, rounds) in servers.iter().zip(&mut rounds) {
            rounds.push(round(server, plan).await?);
        }
    }
    Ok(rounds.into_iter().map(median).collect())
}

async fn round(server: &Server, plan: Plan) -> Result<Measured> {
    let before = cpu_time(server.pid)?;
    let Load { requests_per_second, requests, p50, p99 } =
        load::run(server.address, &server.host, plan.connections, plan.seconds).await?;
    let used = cpu_time(server.pid)?.saturating_sub(before);
    let requests = f64::from(u32::try_from(requests)?);
    let (p50_ms, p99_ms) = (p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
    Ok(Measured { requests_per_second, p50_ms, p99_ms, cpu_us: used.as_secs_f64() * 1e6 / requests })
}

/// The round whose throughput is in the middle.
fn median(mut rounds: Vec<Measured>) -> Measured {
    rounds.sort_by(|a, b| a.requests_per_second.total_cmp(&b.requests_per_second));
    rounds[rounds.len() / 2]
}
