//! Deployers and end users of a cluster, for as long as a scenario lasts.
//!
//! **Owns** what is asked of which node, and the record of it. **Must not know** which faults happen meanwhile. **Enter at**
//! [`Workload`].

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use crate::{
    api::{Answer, Worker},
    clock,
    cluster::{door::Door, until},
    history::{Deploy, Excused, History, Outcome, Sighting, Visit},
    rng::Rng,
};

/// How long a deployer waits after an answer that was none before it asks another node.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long an end user waits between two requests to a node: short enough to meet every moment in which a node fails.
const VISIT_PAUSE: Duration = Duration::from_millis(60);
/// BOUND: visits that are waited for at once; a node that is up answers ten each second.
const VISITS_AT_ONCE: u64 = 100;
/// Each so many visits the node is asked for its revision.
const SIGHTING_EVERY: u64 = 4;

/// Tasks that ask a cluster for things. Cut off when dropped.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    deployers: JoinSet<()>,
    visitors: JoinSet<()>,
    seed: u64,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    lanes: usize,
    doors: RwLock<Vec<Door>>,
    history: Mutex<History>,
    acknowledged: AtomicU64,
    in_flight: AtomicU64,
    /// A turn for each deployer.
    turns: Arc<Semaphore>,
    is_stopping: AtomicBool,
}

impl Workload {
    /// Deploys each lane once and waits until every node serves it; then deployers and end users go on by themselves.
    ///
    /// # Errors
    /// When a first deploy is not acknowledged or not served.
    pub async fn start(doors: Vec<Door>, lanes: usize, seed: u64) -> Result<Self> {
        let shared = Arc::new(Shared {
            start: clock::now(),
            lanes,
            doors: RwLock::new(doors.clone()),
            history: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            turns: Arc::new(Semaphore::new(lanes)),
            is_stopping: AtomicBool::new(false),
        });
        let mut workload = Self { shared, deployers: JoinSet::new(), visitors: JoinSet::new(), seed };
        for lane in 0..lanes {
            let outcome = workload.shared.deploy(&doors[0], lane, 1).await;
            ensure!(outcome == Outcome::Acknowledged, "the first deploy of lane {lane}: {outcome:?}");
        }
        for door in doors {
            workload.visit(door).await?;
        }
        for lane in 0..lanes {
            let mut rng = Rng::new(seed);
            let seed = (0..=lane).fold(0, |_, _| rng.next_u64());
            let shared = Arc::clone(&workload.shared);
            workload.deployers.spawn(async move { shared.deploy_for_ever(lane, Rng::new(seed)).await });
        }
        Ok(workload)
    }

    /// Deploys and visits go to this node, too, once it serves everything.
    ///
    /// # Errors
    /// When it does not.
    pub async fn admit(&mut self, door: Door) -> Result<()> {
        self.shared.doors.write().unwrap_or_else(PoisonError::into_inner).push(door.clone());
        self.visit(door).await
    }

    async fn visit(&mut self, door: Door) -> Result<()> {
        let (lanes, served) = (self.shared.lanes, &door);
        until(&format!("{} serves everything", door.name), async || {
            for lane in 0..lanes {
                served.visit(&service(lane)).await.ok()?;
            }
            Some(())
        })
        .await?;
        let shared = Arc::clone(&self.shared);
        self.visitors.spawn(async move { shared.visit_for_ever(door).await });
        Ok(())
    }

    /// No deploys or visits go to this node from now on.
    pub fn dismiss(&self, name: &str) {
        self.shared.doors.write().unwrap_or_else(PoisonError::into_inner).retain(|door| door.name != name);
    }

    /// How many deploys were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// How many deploys wait for their answers.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// How long ago this began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// Waits for so many more acknowledged deploys.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn progress(&self, deploys: u64) -> Result<()> {
        let (enough, what) = (self.acknowledged() + deploys, format!("{deploys} more deploys"));
        let done = until(&what, async || (self.acknowledged() >= enough).then_some(()));
        done.await.with_context(|| format!("the last answers: {}", self.shared.last_answers()))
    }

    /// How many visits to a node were answered so far.
    #[must_use]
    pub fn visits(&self, name: &str) -> u64 {
        let history = self.shared.history();
        history.visits.iter().filter(|visit| visit.node == name && visit.served.is_ok()).count() as u64
    }

    /// Waits for so many more answered visits to a node.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn visited(&self, name: &str, visits: u64) -> Result<()> {
        let (start, mut left) = (self.visits(name), visits);
        while left > 0 {
            left -= left.min(VISITS_AT_ONCE);
            let (enough, what) = (start + visits - left, format!("{VISITS_AT_ONCE} more visits to {name}"));
            until(&what, async || (self.visits(name) >= enough).then_some(())).await?;
        }
        Ok(())
    }

    /// How many attempts to deploy have ended so far, whatever came of them.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.shared.history().deploys.len() as u64
    }

    /// Waits until deployers have nothing in flight, and lets them begin nothing until the permit is dropped.
    ///
    /// # Errors
    /// Never; a semaphore that is not closed gives permits.
    pub async fn hold(&self) -> Result<OwnedSemaphorePermit> {
        let turns = Arc::clone(&self.shared.turns);
        Ok(turns.acquire_many_owned(u32::try_from(self.shared.lanes)?).await?)
    }

    /// Lets the deployers finish what they do; end users go on.
    pub async fn stop_deploys(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        while self.deployers.join_next().await.is_some() {}
    }

    /// Ends the visits, too, and returns what happened.
    #[must_use]
    pub fn finish(mut self) -> History {
        self.visitors.abort_all();
        std::mem::take(&mut *self.shared.history())
    }

    /// What happened so far of deploys.
    #[must_use]
    pub fn numbers(&self) -> Vec<(u64, u64)> {
        let history = self.shared.history();
        (0..self.shared.lanes).map(|lane| history.numbers(lane)).collect()
    }

    /// What chooses everything.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

/// A lane's service.
#[must_use]
pub fn service(lane: usize) -> String {
    format!("lane-{lane}")
}

impl Shared {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst) || self.history().is_full()
    }

    fn any_door(&self, rng: &mut Rng) -> Door {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        doors[usize::try_from(rng.below(doors.len() as u64)).unwrap_or(0)].clone()
    }

    async fn deploy_for_ever(&self, lane: usize, mut rng: Rng) {
        let mut number = 2;
        while !self.is_stopping() {
            let Ok(_turn) = self.turns.acquire().await else { return };
            let door = self.any_door(&mut rng);
            if self.deploy(&door, lane, number).await == Outcome::Acknowledged {
                number += 1;
            } else {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    async fn deploy(&self, door: &Door, lane: usize, number: u64) -> Outcome {
        let source = format!("export default {{ fetch() {{ return new Response('{number}') }} }}");
        let worker = Worker::module(&source).message(&number.to_string());
        let key = format!("chaos-{lane}-{number}");
        let sent = self.start.elapsed();
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let answer = door.deploy(&service(lane), worker, key).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let outcome = match answer {
            Answer::Done(_) => Outcome::Acknowledged,
            Answer::Refused(status, body) => Outcome::Refused(format!("{status}: {body}")),
            Answer::Unknown => Outcome::Unknown,
        };
        let (node, done) = (door.name.clone(), self.start.elapsed());
        self.history().deploys.push(Deploy { lane, number, node, sent, done, outcome: outcome.clone() });
        if outcome == Outcome::Acknowledged {
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        outcome
    }

    /// A node that was dismissed is not visited any more.
    async fn visit_for_ever(&self, door: Door) {
        let is_here = || {
            let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
            doors.iter().any(|other| other.name == door.name)
        };
        let mut count: u64 = 0;
        while is_here() && !self.history().is_full() {
            let lane = usize::try_from(count % self.lanes as u64).unwrap_or(0);
            let (before, sent) = (door.life().now(), self.start.elapsed());
            let served = door.visit(&service(lane)).await;
            let (after, done) = (door.life().now(), self.start.elapsed());
            let excused = if before == after && before % 2 == 0 { Excused::No } else { Excused::Yes };
            let served = served.and_then(|text| text.parse().context(text)).map_err(|error| format!("{error:#}"));
            self.history().visits.push(Visit { lane, node: door.name.clone(), sent, done, served, excused });
            if count.is_multiple_of(SIGHTING_EVERY)
                && let Ok(cluster) = door.cluster().await
                && let Some(revision) = cluster["revision"].as_u64()
            {
                let (node, at) = (door.name.clone(), self.start.elapsed());
                self.history().sightings.push(Sighting { node, at, revision });
            }
            count += 1;
            tokio::time::sleep(VISIT_PAUSE).await;
        }
    }

    fn last_answers(&self) -> String {
        let history = self.history();
        let last = &history.deploys[history.deploys.len().saturating_sub(4)..];
        last.iter().map(|deploy| format!("\n    {deploy:?}")).collect()
    }
}
