//! A cluster under load, on which a scenario plays.
//!
//! **Owns** the way from a start to a judgement. **Must not know** which faults there are. **Enter at** [`Stage`].

use std::{fmt, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;

use crate::{
    clock,
    cluster::{AGREE_TIMEOUT, Cluster, Role, door::Door},
    coverage::Coverage,
    history::{Final, History, Outcome},
    invariant,
    programs::Programs,
    rng::Rng,
    workload::{Workload, service},
};

/// What a scenario plays with.
#[derive(Debug)]
pub struct Stage {
    /// Deployers and end users.
    pub workload: Workload,
    /// The nodes.
    pub cluster: Cluster,
    /// What has happened, and what must.
    pub coverage: Coverage,
    /// The source of every choice.
    pub rng: Rng,
    /// How long things took; figures, not promises.
    pub times: Vec<(String, Duration)>,
    lanes: usize,
}

/// What a run came to. Nothing was broken, or there would be an error instead.
#[derive(Debug, Clone)]
pub struct Report {
    coverage: Coverage,
    acknowledged: usize,
    refused: usize,
    unknown: usize,
    visits: usize,
    sightings: usize,
    standstill: Duration,
    times: Vec<(String, Duration)>,
}

impl Stage {
    /// A cluster whose lanes are deployed everywhere, with deployers and end users at work.
    ///
    /// # Errors
    /// When the cluster does not come up.
    pub async fn start(programs: &Programs, hosts: u8, roles: &[Role], lanes: usize, seed: u64) -> Result<Self> {
        let cluster = Cluster::start(programs, hosts, roles).await?;
        Self::with(cluster, lanes, seed).await
    }

    /// The same on a cluster that is up.
    ///
    /// # Errors
    /// When its nodes do not serve.
    pub async fn with(mut cluster: Cluster, lanes: usize, seed: u64) -> Result<Self> {
        match Workload::start(cluster.doors(), lanes, seed).await {
            Ok(workload) => Ok(Self {
                workload,
                cluster,
                coverage: Coverage::default(),
                rng: Rng::new(seed),
                times: Vec::new(),
                lanes,
            }),
            Err(error) => bail!("{error:#}; the nodes' logs are kept in {}", cluster.keep_logs().display()),
        }
    }

    /// One of these, as the seed has it.
    pub fn pick(&mut self, among: &[usize]) -> usize {
        among[usize::try_from(self.rng.below(among.len() as u64)).unwrap_or(0)]
    }

    /// Ends the deploys, waits until the nodes agree, and judges everything that has happened.
    ///
    /// # Errors
    /// When an invariant is broken, a node has ended by itself, or something that must happen did not.
    pub async fn judge(mut self) -> Result<Report> {
        let judged = self.settle().await;
        let history = self.workload.finish();
        match judged.and_then(|finals| judge(History { finals, ..history }, self.coverage)) {
            Ok(report) => Ok(Report { times: self.times, ..report }),
            Err(error) => bail!("{error:#}; the nodes' logs are kept in {}", self.cluster.keep_logs().display()),
        }
    }

    async fn settle(&mut self) -> Result<Vec<Final>> {
        self.workload.stop_deploys().await;
        let deadline = clock::now() + AGREE_TIMEOUT;
        loop {
            let mut finals = Vec::new();
            for door in self.cluster.doors() {
                finals.push(last(&door, self.lanes).await);
            }
            let ended = self.cluster.ended()?;
            ensure!(ended.is_empty(), "nodes have ended by themselves: {ended:?}");
            let so_far = History { finals, ..History::default() };
            if invariant::agree(&so_far) || clock::now() > deadline {
                return Ok(so_far.finals);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn judge(history: History, coverage: Coverage) -> Result<Report> {
    let broken = invariant::broken(&history);
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    let missing = coverage.missing();
    ensure!(missing.is_empty(), "nothing was broken, but what was to be tried did not happen: {}", missing.join("; "));
    let count = |wanted: fn(&Outcome) -> bool| history.deploys.iter().filter(|deploy| wanted(&deploy.outcome)).count();
    Ok(Report {
        coverage,
        acknowledged: history.acknowledged(),
        refused: count(|outcome| matches!(outcome, Outcome::Refused(_))),
        unknown: count(|outcome| *outcome == Outcome::Unknown),
        visits: history.visits.len(),
        sightings: history.sightings.len(),
        standstill: history.longest_standstill(),
        times: Vec::new(),
    })
}

/// What a node shows now.
async fn last(door: &Door, lanes: usize) -> Final {
    let revision = door.cluster().await.ok().and_then(|cluster| cluster["revision"].as_u64());
    let nodes = door.call(Method::GET, "/cluster/nodes", None).await.done().unwrap_or_default();
    let own = nodes.as_array().into_iter().flatten().find(|node| node["name"] == *door.name);
    let refused = own.map(|own| &own["refused"]).filter(|refused| !refused.is_null()).map(ToString::to_string);
    let (mut serves, mut deployed) = (Vec::new(), Vec::new());
    for lane in 0..lanes {
        let served = door.visit(&service(lane)).await;
        serves.push(served.and_then(|text| text.parse().context(text)).map_err(|error| format!("{error:#}")));
        deployed.push(door.deployed(&service(lane)).await.map_err(|error| format!("{error:#}")));
    }
    Final { node: door.name.clone(), revision, serves, deployed, refused }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { coverage, acknowledged, refused, unknown, visits, sightings, standstill, times } = self;
        write!(
            f,
            "{coverage}; {acknowledged} deploys acknowledged, {refused} refused, {unknown} unknown; {visits} visits, \
             {sightings} revisions seen; {standstill:.1?} without a deploy at most; nothing broken"
        )?;
        times.iter().try_for_each(|(what, took)| write!(f, "\n    {took:.1?} {what}"))
    }
}
