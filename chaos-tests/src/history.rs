//! Pure. What was asked of a cluster and what it answered.
//!
//! **Owns** the records that invariants judge. **Must not know** how they came about. **Enter at** [`History`].
//!
//! Each lane is one service. Its deploys are numbered 1, 2, ..., the worker of number `n` answers `n`, and number `n + 1` is
//! asked for only after `n` was acknowledged. So two numbers say which deploys a node knows.

use std::time::Duration;

/// BOUND: records of one kind; a run of an hour makes a tenth of that.
pub const RECORDS_MAX: usize = 1 << 20;

/// A run. Times count from its start.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Attempts to deploy, in the order in which they ended.
    pub deploys: Vec<Deploy>,
    /// Requests of end users, in the order in which they ended; those at one node to one lane follow each other.
    pub visits: Vec<Visit>,
    /// Revisions seen; those at one node follow each other.
    pub sightings: Vec<Sighting>,
    /// What each node shows once everything is whole again.
    pub finals: Vec<Final>,
}

/// One attempt to deploy. A repetition is another attempt at the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Which service.
    pub lane: usize,
    /// The deploy's number in its lane.
    pub number: u64,
    /// The node that was asked.
    pub node: String,
    /// When it was asked.
    pub sent: Duration,
    /// When it answered, or when the deployer gave up.
    pub done: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Acknowledged,
    /// It was not done.
    Refused(String),
    /// It was done, is going to be, or never will.
    Unknown,
}

/// One request of an end user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Which service.
    pub lane: usize,
    /// The node that was asked.
    pub node: String,
    /// When it was asked.
    pub sent: Duration,
    /// When it answered.
    pub done: Duration,
    /// The number of the deploy that answered, or why none did.
    pub served: Result<u64, String>,
    /// Whether a fault kept the node from answering at some moment of the visit.
    pub excused: Excused,
}

/// Whether a node has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excused {
    /// It has to.
    No,
    /// It was killed or stopped meanwhile.
    Yes,
}

/// The catalog's revision at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The node.
    pub node: String,
    /// When it said so.
    pub at: Duration,
    /// The revision.
    pub revision: u64,
}

/// What a node shows at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    /// The node.
    pub node: String,
    /// Its revision.
    pub revision: Option<u64>,
    /// For each lane the number that it serves, or why it serves none.
    pub serves: Vec<Result<u64, String>>,
    /// For each lane the numbers of the deploys that it lists, newest first, or why it lists none.
    pub deployed: Vec<Result<Vec<u64>, String>>,
    /// A revision that it does not serve, and why.
    pub refused: Option<String>,
}

impl History {
    /// How many deploys were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.deploys.iter().filter(|deploy| deploy.outcome == Outcome::Acknowledged).count()
    }

    /// The longest time in which no deploy was acknowledged, between two that were.
    #[must_use]
    pub fn longest_standstill(&self) -> Duration {
        let acknowledged = self.deploys.iter().filter(|deploy| deploy.outcome == Outcome::Acknowledged);
        let times: Vec<Duration> = acknowledged.map(|deploy| deploy.done).collect();
        times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
    }

    /// The highest number of a lane that was acknowledged, and the highest that was asked for; 0 for none.
    #[must_use]
    pub fn numbers(&self, lane: usize) -> (u64, u64) {
        let of_lane = self.deploys.iter().filter(|deploy| deploy.lane == lane);
        of_lane.fold((0, 0), |(acknowledged, asked), deploy| match deploy.outcome {
            Outcome::Acknowledged => (acknowledged.max(deploy.number), asked.max(deploy.number)),
            _ => (acknowledged, asked.max(deploy.number)),
        })
    }

    /// Whether there is room for more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        [self.deploys.len(), self.visits.len(), self.sightings.len()].iter().any(|len| *len >= RECORDS_MAX)
    }
}
