//! Figures of several nodes that are one cluster.
//!
//! **Owns** which figures there are, how long each is measured, and what is asked of it. **Must not know** how a cluster
//! does its work. **Enter at** [`Plan`].

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::{
    fleet::Fleet,
    live::{Entrance, Live},
    writes::{Rate, Store},
};
use super::report::{Report, Target};
use crate::{
    cluster::{
        Cluster, Role,
        ground::{Ground, Way},
        network,
    },
    programs::Programs,
};

pub mod etcd;
pub mod failover;
pub mod fleet;
pub mod fsync;
pub mod live;
pub mod memory;
pub mod writes;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Deploys whose way to all nodes is measured.
    pub deploys: u64,
    /// Rounds of writes to each store; the median counts.
    pub rounds: usize,
    /// Seconds of a round.
    pub seconds: u64,
    /// How often the leader is killed.
    pub kills: usize,
    /// Services on the node whose memory is weighed.
    pub services: usize,
}

/// A cluster of three voters and two edges.
const FIVE: [Role; 5] = [Role::Voter, Role::Voter, Role::Voter, Role::Edge, Role::Edge];
/// Their regions where there is delay: a voter in each.
const REGIONS: [usize; 5] = [0, 1, 2, 1, 2];
/// How long a datagram is on its way from one region to another.
const DELAY: Duration = Duration::from_millis(80);
/// Connections that write at once.
const WRITERS: [usize; 3] = [32, 64, 128];
/// Services that somebody asks for, of those on the node that is weighed.
const WARM: usize = 50;

impl Plan {
    /// From the commit of a deploy until every node of three voters and two edges serves it.
    ///
    /// # Errors
    /// When a deploy or a request fails.
    pub async fn live(&self, report: &mut Report, programs: &Programs) -> Result<()> {
        let fleet = Fleet::start(programs, &FIVE).await?;
        let entrances = fleet.running().into_iter().map(|at| Entrance::of(&fleet, at)).collect::<Result<Vec<_>>>()?;
        let live = live::measure(&entrances, self.deploys).await?;
        show_live(report, "5 nodes", &live, [Target::AtMost(150.0), Target::AtMost(500.0)]);
        Ok(())
    }

    /// The same while each datagram between three regions is late. Needs root; without it, it says so and is left out.
    ///
    /// # Errors
    /// When a deploy or a request fails, or nothing was late.
    pub async fn delayed(&self, report: &mut Report, programs: &Programs) -> Result<()> {
        if !network::is_allowed() {
            return Ok(());
        }
        let ground = Ground { way: Way::Relayed, ..Ground::of(u8::try_from(FIVE.len())?) };
        let cluster = Cluster::start_on(programs, ground, &FIVE).await?;
        cluster.relay()?.set_regions(&REGIONS, DELAY);
        let entrances: Vec<_> = cluster.doors().iter().map(Entrance::through).collect();
        let live = live::measure(&entrances, self.deploys).await?;
        ensure!(cluster.relay()?.carried().late > self.deploys, "nothing was late");
        let place = format!("5 nodes, {} ms between 3 regions", DELAY.as_millis());
        show_live(report, &place, &live, [Target::None, Target::AtMost(1000.0)]);
        Ok(())
    }

    /// Acknowledged writes a second of three voters, beside three members of etcd on the same disk.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn writes(&self, report: &mut Report, programs: &Programs) -> Result<()> {
        let most = WRITERS[WRITERS.len() - 1];
        let folder = fleet::folder(programs)?;
        report.alone("fsync of one small append, p50 us", fsync::median_us(folder.path())?, Target::None);
        let fleet = Fleet::start(programs, &[Role::Voter; 3]).await?;
        let etcd = etcd::Etcd::start(programs, folder.path()).await?;
        let stores = [Store::of_fleet(&fleet, most).await?, etcd.store(most)?];
        for writers in WRITERS {
            let rates = writes::compare(&stores, writers, self.rounds, self.seconds).await?;
            let [skerry, etcd] = rates.as_slice() else { anyhow::bail!("two stores were measured") };
            let target = if writers == most { Target::AtLeast(1000.0) } else { Target::None };
            show_writes(report, &format!("{writers} writers"), skerry, etcd, target);
        }
        Ok(())
    }

    /// From kill -9 of the leader until another one acknowledges a write, and what end users notice meanwhile.
    ///
    /// # Errors
    /// When a request at a node that runs fails.
    pub async fn failover(&self, report: &mut Report, programs: &Programs) -> Result<()> {
        let mut fleet = Fleet::start(programs, &[Role::Voter, Role::Voter, Role::Voter, Role::Edge]).await?;
        let seen = failover::measure(&mut fleet, self.kills).await?;
        let what = format!("first write after {} kills of the leader", self.kills);
        report.alone(&format!("{what}, p50 ms"), seen.first.p50_ms(), Target::None);
        report.alone(&format!("{what}, max ms"), seen.first.max_ms(), Target::AtMost(3000.0));
        report.alone(&format!("{what}, at every voter, max ms"), seen.voters.max_ms(), Target::None);
        report.alone(&format!("{what}, at an edge, max ms"), seen.edges.max_ms(), Target::None);
        let what = "end users' requests at the other nodes meanwhile, all answered";
        report.alone(what, f64::from(u32::try_from(seen.requests)?), Target::AtLeast(1.0));
        Ok(())
    }

    /// What an edge node weighs.
    ///
    /// # Errors
    /// When a deploy or a request fails.
    pub async fn memory(&self, report: &mut Report, programs: &Programs) -> Result<()> {
        let fleet = Fleet::start(programs, &[Role::Voter, Role::Edge]).await?;
        let weight = memory::measure(&fleet, 1, self.services, WARM.min(self.services)).await?;
        let what = format!("edge node, {} services, {WARM} of them warm", self.services);
        report.alone(&format!("{what}, RSS MB"), weight.resident_mb, Target::AtMost(150.0));
        report.alone(&format!("{what}, PSS MB"), weight.proportional_mb, Target::None);
        Ok(())
    }
}

fn show_live(report: &mut Report, place: &str, live: &Live, [p50, p99]: [Target; 2]) {
    let Live { acknowledged, observed, answered } = live;
    report.alone(&format!("commit to live on {place}, p50 ms"), acknowledged.p50_ms(), p50);
    report.alone(&format!("commit to live on {place}, p99 ms"), acknowledged.p99_ms(), p99);
    report.alone(&format!("deploy answered to seen on {place}, p50 ms"), observed.p50_ms(), Target::None);
    report.alone(&format!("deploy answered to seen on {place}, p99 ms"), observed.p99_ms(), Target::None);
    report.alone(&format!("deploy sent to answered, {place}, p50 ms"), answered.p50_ms(), Target::None);
}

fn show_writes(report: &mut Report, writers: &str, skerry: &Rate, etcd: &Rate, target: Target) {
    let mut add = |what: &str, of: fn(&Rate) -> f64, target| {
        report.beside(&format!("3 voters, {writers}, {what}"), of(skerry), "etcd", of(etcd), target);
    };
    add("writes/s", |rate| rate.writes_per_second, target);
    add("p50 ms", |rate| rate.times.p50_ms(), Target::None);
    add("p99 ms", |rate| rate.times.p99_ms(), Target::None);
    add("CPU us/write", |rate| rate.cpu_us, Target::None);
}

/// A number of a service's version, as the service answers it.
fn numbered(number: u64) -> crate::api::Worker {
    crate::api::Worker::module(&format!("export default {{ fetch() {{ return new Response('{number}') }} }}"))
}

/// What a service answers, as text.
fn text(visit: &crate::visitor::Visit) -> Result<&str> {
    anyhow::ensure!(visit.status == reqwest::StatusCode::OK, "an end user got {visit:?}");
    std::str::from_utf8(&visit.body).context("the answer is not text")
}
