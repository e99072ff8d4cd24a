//! Workers that misbehave, each in its own way, and a quiet neighbour beside them.
//!
//! **Owns** the offences and the pages that answer them. **Must not know** how the node contains them. **Enter at**
//! [`OFFENDERS`].

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use tokio::task::JoinSet;

use crate::{
    api::{Api, Worker},
    node::DOMAIN,
    visitor::Visitor,
};

/// One way to misbehave.
#[derive(Debug, Clone, Copy)]
pub struct Offender {
    /// The service's name.
    pub name: &'static str,
    /// Its code.
    pub source: &'static str,
    /// What its visitors get.
    pub status: StatusCode,
    /// The code that the page names.
    pub code: &'static str,
}

/// Every offence with its documented answer.
pub const OFFENDERS: [Offender; 6] = [
    Offender {
        name: "loops",
        source: "export default { fetch() { for (;;); } }",
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "1102",
    },
    Offender {
        name: "allocates",
        source: "export default { fetch() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); } }",
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "1102",
    },
    Offender {
        name: "recurses",
        source: "export default { fetch() { const f = () => f() + 1; f(); } }",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "1101",
    },
    Offender {
        name: "throws",
        source: "export default { fetch() { throw new Error('on purpose') } }",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "1101",
    },
    Offender {
        name: "hangs",
        source: "export default { fetch() { return new Promise(() => {}) } }",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "1101",
    },
    Offender {
        name: "mumbles",
        source: "export default { fetch() { return 42 } }",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "1101",
    },
];

/// The neighbour's hostname.
#[must_use]
pub fn quiet_host() -> String {
    format!("quiet.{DOMAIN}")
}

/// Deploys the neighbour and every offender.
///
/// # Errors
/// When the node refuses one: each is well-formed and only misbehaves when it is visited.
pub async fn deploy(api: &Api) -> Result<()> {
    let quiet = Worker::module("export default { fetch() { return new Response('quiet') } }");
    api.deploy("quiet", "production", &quiet).await.done()?;
    for offender in OFFENDERS {
        api.deploy(offender.name, "production", &Worker::module(offender.source)).await.done()?;
    }
    Ok(())
}

/// Visitors that keep asking each offender until this is dropped.
#[derive(Debug)]
pub struct Visited {
    _visitors: JoinSet<()>,
}

/// Starts one visitor for each offender.
#[must_use]
pub fn visit_all(address: SocketAddr) -> Visited {
    let mut visitors = JoinSet::new();
    for offender in OFFENDERS {
        let host = format!("{}.{DOMAIN}", offender.name);
        visitors.spawn(async move {
            // An offender's connection may be closed under its visitor: it comes back until the measurement is over.
            loop {
                if let Ok(mut visitor) = Visitor::connect(address).await {
                    while visitor.get(&host, "/").await.is_ok() {}
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    Visited { _visitors: visitors }
}

/// 99 of 100 of `count` requests to the neighbour took at most this long.
///
/// # Errors
/// When any of them fails.
pub async fn quiet_p99(address: SocketAddr, count: usize) -> Result<Duration> {
    let mut visitor = Visitor::connect(address).await?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let visit = visitor.get(&quiet_host(), "/").await?;
        ensure!(visit.body == "quiet", "the neighbour answered {visit:?}");
        times.push(visit.first_byte);
    }
    times.sort();
    Ok(times[count * 99 / 100])
}
