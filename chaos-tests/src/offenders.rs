//! Workers that misbehave, each in its own way, and a quiet neighbour beside them.
//!
//! **Owns** the offences and what their visitors get. **Must not know** how the node contains them. **Enter at**
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
    /// CPU time that it may use for one event, in milliseconds; `None` leaves the default.
    pub cpu_ms: Option<u32>,
    /// What its visitors get.
    pub answer: Expected,
}

/// What a visitor of an offender gets.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// An error page.
    Page {
        /// Its status.
        status: StatusCode,
        /// The code that it names.
        code: &'static str,
        /// The sentence that says why.
        says: &'static str,
    },
    /// An answer that begins and is then cut off, so that it can not be taken for a whole one.
    CutOff,
    /// Nothing before the event's wall time, five minutes, is over; then 504.
    Silence,
}

const THREW: &str = "The worker failed while it answered this request.";

const fn exceeded(says: &'static str) -> Expected {
    Expected::Page { status: StatusCode::SERVICE_UNAVAILABLE, code: "1102", says }
}

const fn failed(says: &'static str) -> Expected {
    Expected::Page { status: StatusCode::INTERNAL_SERVER_ERROR, code: "1101", says }
}

/// Every offence with its documented answer.
pub const OFFENDERS: [Offender; 8] = [
    Offender {
        name: "loops",
        source: "export default { fetch() { for (;;); } }",
        cpu_ms: None,
        answer: exceeded("CPU time"),
    },
    Offender {
        name: "allocates",
        source: "export default { fetch() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); } }",
        // So much that memory is what runs out.
        cpu_ms: Some(30_000),
        answer: exceeded("memory"),
    },
    Offender {
        name: "recurses",
        source: "export default { fetch() { const f = () => f() + 1; f(); } }",
        cpu_ms: None,
        answer: failed(THREW),
    },
    Offender {
        name: "throws",
        source: "export default { fetch() { throw new Error('on purpose') } }",
        cpu_ms: None,
        answer: failed(THREW),
    },
    Offender {
        name: "breaks",
        source: "export default { fetch() {
            let pieces = 0;
            return new Response(new ReadableStream({ pull(controller) {
                if (pieces++ === 2) throw new Error('on purpose');
                controller.enqueue(new TextEncoder().encode('half '));
            } }));
        } }",
        cpu_ms: None,
        answer: Expected::CutOff,
    },
    Offender {
        name: "hangs",
        source: "export default { fetch() { return new Promise(() => {}) } }",
        cpu_ms: None,
        answer: failed("will never generate a response"),
    },
    Offender {
        name: "waits",
        source: "export default { async fetch() { await scheduler.wait(2 ** 31 - 1); return new Response('late') } }",
        cpu_ms: None,
        answer: Expected::Silence,
    },
    Offender {
        name: "mumbles",
        source: "export default { fetch() { return 42 } }",
        cpu_ms: None,
        answer: failed(THREW),
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
        let mut worker = Worker::module(offender.source);
        if let Some(cpu_ms) = offender.cpu_ms {
            worker = worker.cpu_ms(cpu_ms);
        }
        api.deploy(offender.name, "production", &worker).await.done()?;
    }
    Ok(())
}

/// How long a visitor waits between an answer and the next request. BOUND: without a pause the visitors alone would fill
/// both cores of a small machine, and the figure would be about them.
const PAUSE: Duration = Duration::from_millis(20);

/// Visitors that keep asking until this is dropped.
#[derive(Debug)]
pub struct Visited {
    _visitors: JoinSet<()>,
}

/// Starts one visitor for each offender.
#[must_use]
pub fn visit_all(address: SocketAddr) -> Visited {
    visit(address, OFFENDERS.map(|offender| (format!("{}.{DOMAIN}", offender.name), Connection::Kept)))
}

/// Starts as many visitors to workers that behave: what the offenders' visitors are compared with.
#[must_use]
pub fn visit_quietly(address: SocketAddr) -> Visited {
    visit(address, OFFENDERS.map(|_| (quiet_host(), Connection::Kept)))
}

/// The same, with a new connection for each visit where an offender's answer ends its own: what of the difference is the
/// connections'.
#[must_use]
pub fn visit_quietly_anew(address: SocketAddr) -> Visited {
    let connection = |answer| if matches!(answer, Expected::CutOff) { Connection::New } else { Connection::Kept };
    visit(address, OFFENDERS.map(|offender| (quiet_host(), connection(offender.answer))))
}

/// Whether a visitor comes again on the connection that it has, as long as that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Kept,
    New,
}

fn visit(address: SocketAddr, hosts: [(String, Connection); OFFENDERS.len()]) -> Visited {
    let mut visitors = JoinSet::new();
    for (host, connection) in hosts {
        visitors.spawn(async move {
            // An offender's connection may be closed under its visitor: it comes back until the measurement is over.
            loop {
                if let Ok(mut visitor) = Visitor::connect(address).await {
                    while visitor.get(&host, "/").await.is_ok() && connection == Connection::Kept {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                tokio::time::sleep(PAUSE).await;
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
    // On a thread of its own: how long the other visitors keep the threads of this process is not the node's doing.
    let measuring = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(p99(address, count))
    });
    measuring.await?
}

async fn p99(address: SocketAddr, count: usize) -> Result<Duration> {
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
