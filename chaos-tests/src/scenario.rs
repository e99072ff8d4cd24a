//! The scenarios: each a cluster, its faults in order, and what must have happened in the end.
//!
//! **Owns** the list and how large each is. **Must not know** how faults are made or judged. **Enter at** [`Scenario::run`].

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{
    cluster::{
        Cluster, Role,
        ground::{Clocks, Ground, Way},
    },
    fault::{
        clock_step,
        cut::{self, Direction},
        full_disk, hostile, kill,
        outage::{self, Least, Return},
        pause, small_packets,
    },
    programs::Programs,
    stage::{Report, Stage},
};

mod membership;
mod network;
mod node;

/// What a cluster is put through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// kill -9 of each node in turn while deploys run.
    Kills,
    /// The leader in the minority, cut off both ways and then each way.
    Cuts,
    /// The leader stopped for longer than an election takes.
    Pauses,
    /// The control plane down while an edge starts and serves.
    Outage,
    /// The same, and one voter comes back before the others.
    Alone,
    /// One voter's disk full.
    FullDisk,
    /// Noise and strangers at the mesh's port.
    Hostile,
    /// Three voters, five, three again, under load.
    Membership,
    /// Half of the datagrams between voters lost.
    Loss,
    /// Nodes in three regions.
    Delay,
    /// One voter's wall clock ten minutes wrong.
    Clock,
    /// A network that carries small packets only.
    Mtu,
    /// Machines that must not join.
    Joins,
    /// A voter's disk wiped, its identity and an old copy of it started again.
    Wiped,
    /// Certificates that have ended on half of the nodes.
    Expired,
    /// Revisions that one node can not live with.
    Poison,
}

/// How long a scenario goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How often the faults are repeated.
    pub rounds: u64,
    /// Deploys that must be acknowledged in each phase of a fault.
    pub deploys: u64,
    /// Visits that must be answered during an outage; there are some ten each second.
    pub visits: u64,
    /// How long an edge serves without a control plane at least.
    pub outage: Duration,
    /// Datagrams thrown at each node.
    pub datagrams: u64,
}

impl Size {
    /// For `make test`: below a minute in a debug build.
    pub const SMALL: Self = Self { rounds: 1, deploys: 3, visits: 30, outage: Duration::from_secs(5), datagrams: 400 };
    /// For `make chaos`: 500 deploys and more around the kills, two minutes without a control plane.
    pub const LARGE: Self =
        Self { rounds: 4, deploys: 20, visits: 1500, outage: Duration::from_secs(120), datagrams: 20_000 };
}

/// Services that are deployed to at once.
const LANES: usize = 2;
const VOTERS: [usize; 3] = [0, 1, 2];
const EDGE: usize = 3;
/// BOUND: MiB of the disk that is filled; a voter of a test needs a few.
const DISK_MIB: u32 = 64;

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 16] = [
        Self::Kills,
        Self::Cuts,
        Self::Pauses,
        Self::Outage,
        Self::Alone,
        Self::FullDisk,
        Self::Hostile,
        Self::Membership,
        Self::Loss,
        Self::Delay,
        Self::Clock,
        Self::Mtu,
        Self::Joins,
        Self::Wiped,
        Self::Expired,
        Self::Poison,
    ];

    /// As it is called on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Cuts => "cuts",
            Self::Pauses => "pauses",
            Self::Outage => "outage",
            Self::Alone => "alone",
            Self::FullDisk => "full-disk",
            Self::Hostile => "hostile",
            Self::Membership => "membership",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Clock => "clock",
            Self::Mtu => "mtu",
            Self::Joins => "joins",
            Self::Wiped => "wiped",
            Self::Expired => "expired",
            Self::Poison => "poison",
        }
    }

    /// Plays it. The same seed makes the same choices; what they meet is the machine's affair.
    ///
    /// # Errors
    /// When something is broken, or the faults did not happen. Names the seed, and the folder with the nodes' logs.
    pub async fn run(self, programs: &Programs, seed: u64, size: Size) -> Result<Report> {
        let context = || format!("{} with seed {seed}", self.name());
        let mut stage = self.stage(programs, seed).await.with_context(context)?;
        match self.play(&mut stage, size).await {
            Ok(()) => stage.judge().await.with_context(context),
            Err(error) => {
                let logs = stage.cluster.keep_logs();
                bail!("{}: {error:#}; the nodes' logs are kept in {}", context(), logs.display())
            }
        }
    }

    async fn stage(self, programs: &Programs, seed: u64) -> Result<Stage> {
        use Role::{Edge, Voter};
        match self {
            Self::FullDisk => {
                let mut cluster = Cluster::start(programs, 3, &[Voter]).await?;
                cluster.join(Voter, None).await?;
                cluster.join(Voter, Some(DISK_MIB)).await?;
                cluster.wait_for_voters(3).await?;
                Stage::with(cluster, LANES, seed).await
            }
            // The last host is the stranger's.
            Self::Hostile => Stage::start(programs, 4, &[Voter, Voter, Voter], LANES, seed).await,
            _ => {
                let (ground, edges) = self.ground();
                let roles: Vec<Role> = [Voter; 3].into_iter().chain(std::iter::repeat_n(Edge, edges)).collect();
                let is_fooled = ground.clocks == Clocks::Settable;
                let cluster = Cluster::start_on(programs, ground, &roles).await?;
                if is_fooled {
                    clock_step::deploy(&cluster).await?;
                }
                Stage::with(cluster, LANES, seed).await
            }
        }
    }

    /// What the cluster stands on, and how many edges it has beside three voters.
    fn ground(self) -> (Ground, usize) {
        let plain = Ground::of(4);
        match self {
            Self::Membership => {
                let every = membership::LOGS_PER_SNAPSHOT.to_string();
                let flags = ["--logs-per-snapshot", &every, "--log", membership::LOG].map(str::to_owned).to_vec();
                (Ground { hosts: 5, flags, ..plain }, 0)
            }
            Self::Loss => (Ground { way: Way::Relayed, ..plain }, 1),
            Self::Delay => (Ground { hosts: 5, way: Way::Relayed, ..plain }, 2),
            Self::Clock | Self::Expired => (Ground { clocks: Clocks::Settable, ..plain }, 1),
            Self::Joins => (Ground { hosts: 6, clocks: Clocks::Settable, ..plain }, 1),
            Self::Mtu => (Ground { hosts: 5, mtu: Some(small_packets::MTU_BYTES), ..plain }, 1),
            Self::Wiped => (Ground { hosts: 6, ..plain }, 1),
            _ => (plain, 1),
        }
    }

    async fn play(self, stage: &mut Stage, size: Size) -> Result<()> {
        match self {
            Self::Kills => kills(stage, size).await,
            Self::Cuts => cuts(stage, size).await,
            Self::Pauses => pauses(stage, size).await,
            Self::Outage => outage(stage, size, Return::Together).await,
            Self::Alone => {
                stage.coverage.require(outage::ALONE, 1);
                outage(stage, size, Return::Alone).await
            }
            Self::FullDisk => {
                stage.coverage.require(full_disk::FILLED, 1);
                stage.coverage.require(full_disk::NOTICED, 1);
                stage.coverage.require(full_disk::MEANWHILE, size.deploys);
                full_disk::fill(stage, 2, size.deploys).await
            }
            Self::Hostile => {
                // A few datagrams may not leave the stranger's own socket.
                stage.coverage.require(hostile::GARBAGE, size.datagrams * 2);
                stage.coverage.require(hostile::REFUSED, 15);
                stage.coverage.require(hostile::FRAMES, 12);
                hostile::attack(stage, &VOTERS, size.datagrams).await?;
                stage.workload.progress(size.deploys).await
            }
            Self::Membership => membership::grow_and_shrink(stage, size).await,
            Self::Loss | Self::Delay | Self::Clock | Self::Mtu => network::play(self, stage, size).await,
            Self::Joins | Self::Wiped | Self::Expired | Self::Poison => node::play(self, stage, size).await,
        }
    }
}

/// Whoever leads at first is killed while it leads: the lead does not move before.
async fn kills(stage: &mut Stage, size: Size) -> Result<()> {
    stage.coverage.require(kill::KILLS, 4 * size.rounds);
    stage.coverage.require(kill::WITHOUT, 4 * size.rounds * size.deploys);
    for _ in 0..size.rounds {
        let mut left = vec![0, 1, 2, 3];
        while !left.is_empty() {
            let next = stage.pick(&left);
            left.retain(|at| *at != next);
            kill::kill(stage, next, size.deploys).await?;
        }
    }
    Ok(())
}

async fn cuts(stage: &mut Stage, size: Size) -> Result<()> {
    let ways = [Direction::Both, Direction::To, Direction::From];
    let count = size.rounds * ways.len() as u64;
    stage.coverage.require(cut::DROPPED, count);
    stage.coverage.require(cut::ELECTED, count);
    stage.coverage.require(cut::MEANWHILE, count * size.deploys);
    for _ in 0..size.rounds {
        for way in ways {
            cut::cut(stage, &VOTERS, way, size.deploys).await.with_context(|| format!("cut {way:?}"))?;
        }
    }
    Ok(())
}

async fn pauses(stage: &mut Stage, size: Size) -> Result<()> {
    stage.coverage.require(pause::PAUSES, size.rounds);
    for _ in 0..size.rounds {
        pause::pause(stage, &VOTERS, size.deploys).await?;
    }
    Ok(())
}

async fn outage(stage: &mut Stage, size: Size, back: Return) -> Result<()> {
    stage.coverage.require(outage::BOOTS, 1);
    stage.coverage.require(outage::SERVED, size.visits);
    stage.coverage.require(outage::LASTED, size.outage.as_secs());
    let least = Least { visits: size.visits, lasts: size.outage };
    outage::outage(stage, &VOTERS, EDGE, least, back).await?;
    stage.workload.progress(size.deploys).await
}
