//! The network between members, and its clock.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::RngExt;
use skerry_proto::id::{NodeId, Revision};

use crate::{
    clock,
    gossip::{
        GossipStatus,
        dice::{Dice, dice},
        identity::Identity,
        members::{Liveness, Members},
        roster::{Profile, Roster},
        swim::{Action, Input, Swim, SwimConfig},
        teller::Own,
    },
};

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How often conditions are looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Net {
    start: Instant,
    now: Instant,
    rng: Dice,
    machines: BTreeMap<u64, Machine>,
    roster: Roster,
    events: BinaryHeap<Reverse<(Instant, u64)>>,
    what: BTreeMap<u64, Event>,
    placed: u64,
    side: Option<fn(u64) -> u64>,
    lost_percent: u32,
    recording: Option<u64>,
    recorded: Vec<(u64, u64, Bytes)>,
    /// Datagrams by machine and second.
    sent: BTreeMap<(u64, u64), u64>,
}

struct Machine {
    node: u64,
    swim: Swim,
    view: Arc<Members>,
    own: Own,
    woken_at: Option<Instant>,
    kept_boot: Option<u64>,
    running: bool,
}

enum Event {
    Wake(u64),
    Arrive { to: u64, from: u64, bytes: Bytes },
}

/// The key of the machine that doubles another one's id.
const DOUBLE: u64 = 1 << 32;

impl Net {
    /// Nodes 1 to `nodes`, which start at once and list each other.
    pub(super) fn new(nodes: u64, seed: u64) -> Self {
        let start = clock::monotonic();
        let mut net = Self {
            start,
            now: start,
            rng: dice([seed as u8; 32]),
            machines: BTreeMap::new(),
            roster: Roster::new((1..=nodes).map(NodeId), Profile::Lan),
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            placed: 0,
            side: None,
            lost_percent: 1,
            recording: None,
            recorded: Vec::new(),
            sent: BTreeMap::new(),
        };
        for node in 1..=nodes {
            net.start(node, 1);
        }
        net
    }

    pub(super) fn start(&mut self, node: u64, boot: u64) {
        self.start_machine(node, node, boot);
    }

    /// Another machine with the same id; what is sent to the node reaches one or the other.
    pub(super) fn double(&mut self, node: u64, boot: u64) {
        self.start_machine(DOUBLE + node, node, boot);
    }

    /// A node that the others do not list; it lists them.
    pub(super) fn add(&mut self, node: u64) {
        self.start(node, 1);
        let own = Roster::new((1..=node).map(NodeId), Profile::Lan);
        self.list(node, own);
    }

    fn start_machine(&mut self, key: u64, node: u64, boot: u64) {
        let config = SwimConfig {
            identity: Identity::started(NodeId(node), boot),
            feature_level: 1,
            version: "0.1.0".into(),
            seed: self.rng.random(),
        };
        let machine = Machine {
            node,
            swim: Swim::new(self.now, config),
            view: Arc::default(),
            own: Own::default(),
            woken_at: None,
            kept_boot: None,
            running: true,
        };
        self.machines.insert(key, machine);
        self.handle(key, Input::Roster(self.roster.clone()));
    }

    pub(super) fn stop(&mut self, node: u64) {
        self.machine(node).running = false;
    }

    pub(super) fn leave(&mut self, node: u64) {
        self.handle(node, Input::Leave);
        self.stop(node);
    }

    pub(super) fn list(&mut self, node: u64, roster: Roster) {
        self.handle(node, Input::Roster(roster));
    }

    pub(super) fn serve(&mut self, node: u64, revision: Revision) {
        let own = Own { revision, ..self.machine(node).own };
        self.tell(node, own);
    }

    pub(super) fn load(&mut self, node: u64, load: u32) {
        let own = Own { load, ..self.machine(node).own };
        self.tell(node, own);
    }

    fn tell(&mut self, node: u64, own: Own) {
        self.machine(node).own = own;
        self.handle(node, Input::Own(own));
    }

    /// Nothing passes between nodes of different sides.
    pub(super) fn cut(&mut self, side: fn(u64) -> u64) {
        self.side = Some(side);
    }

    pub(super) fn mend(&mut self) {
        self.side = None;
    }

    pub(super) fn lose_percent(&mut self, percent: u32) {
        self.lost_percent = percent;
    }

    pub(super) fn record(&mut self, node: u64) {
        self.recording = Some(node);
    }

    /// Sends what was recorded once more; how much that is.
    pub(super) fn replay(&mut self) -> usize {
        self.recording = None;
        let recorded = std::mem::take(&mut self.recorded);
        let count = recorded.len();
        for (from, to, bytes) in recorded {
            self.carry(from, to, bytes);
        }
        count
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, place))) = self.events.peek().copied().filter(|event| event.0.0 <= end) {
            self.events.pop();
            self.now = at;
            match self.what.remove(&place).expect("every event is there") {
                Event::Wake(key) => {
                    let machine = self.machine(key);
                    let due = machine.swim.next_timeout().is_some_and(|due| due <= at);
                    machine.woken_at = None;
                    if due {
                        self.handle(key, Input::Timeout);
                    } else {
                        self.set_alarm(key);
                    }
                }
                Event::Arrive { to, from, bytes } => {
                    self.handle(to, Input::Datagram { from: NodeId(from), bytes });
                }
            }
        }
        self.now = end;
    }

    pub(super) fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&Self) -> bool) {
        let end = self.now + within;
        while !holds(self) {
            assert!(self.now < end, "not within {within:?}: {what}\n{}", self.picture());
            self.run(LOOK);
        }
    }

    pub(super) fn always(&mut self, what: &str, time: Duration, holds: impl Fn(&Self) -> bool) {
        let end = self.now + time;
        while self.now < end {
            assert!(holds(self), "no longer: {what}\n{}", self.picture());
            self.run(LOOK);
        }
    }

    fn picture(&self) -> String {
        let short = |alive| match alive {
            Liveness::Alive => 'a',
            Liveness::Suspect => 's',
            Liveness::Down => 'd',
        };
        let line = |view: &Members| -> String { view.iter().map(|(_, state)| short(state.alive)).collect() };
        let lines = self.running().map(|(key, machine)| format!("{key:4} {}", line(&machine.view)));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn handle(&mut self, key: u64, input: Input) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(&key).filter(|machine| machine.running) else { return };
        let (node, mut actions) = (machine.node, Vec::new());
        machine.swim.handle(now, input, &mut actions);
        for action in actions {
            match action {
                Action::Send { to, bytes } => {
                    *self.sent.entry((key, (now - self.start).as_secs())).or_default() += 1;
                    if self.recording == Some(node) {
                        self.recorded.push((node, to.0, bytes.clone()));
                    }
                    self.carry(node, to.0, bytes);
                }
                Action::Publish(members) => self.machine(key).view = members,
                Action::KeepBoot(boot) => self.machine(key).kept_boot = Some(boot),
            }
        }
        self.set_alarm(key);
    }

    fn set_alarm(&mut self, key: u64) {
        let now = self.now;
        let machine = self.machine(key);
        let Some(at) = machine.swim.next_timeout().map(|at| at.max(now)) else { return };
        if machine.woken_at.is_none_or(|set| at < set) {
            machine.woken_at = Some(at);
            self.place(at, Event::Wake(key));
        }
    }

    fn carry(&mut self, from: u64, to: u64, bytes: Bytes) {
        let apart = self.side.is_some_and(|side| side(from) != side(to));
        if apart || self.rng.random_range(0..100_u32) < self.lost_percent {
            return;
        }
        let doubled = self.machines.contains_key(&(DOUBLE + to)) && self.rng.random_range(0..2_u32) == 0;
        let to = if doubled { DOUBLE + to } else { to };
        let latency = Duration::from_micros(self.rng.random_range(200..20_000_u64));
        self.place(self.now + latency, Event::Arrive { to, from, bytes });
    }

    fn place(&mut self, at: Instant, event: Event) {
        self.events.push(Reverse((at, self.placed)));
        self.what.insert(self.placed, event);
        self.placed += 1;
    }

    fn machine(&mut self, key: u64) -> &mut Machine {
        self.machines.get_mut(&key).expect("the node was started")
    }

    fn running(&self) -> impl Iterator<Item = (u64, &Machine)> {
        self.machines.iter().filter(|(_, machine)| machine.running).map(|(key, machine)| (*key, machine))
    }

    pub(super) fn view(&self, node: u64) -> &Members {
        &self.machines[&node].view
    }

    pub(super) fn status(&self, node: u64) -> GossipStatus {
        self.machines[&node].swim.status()
    }

    /// The boot that the node itself believes to be in.
    pub(super) fn boot(&self, node: u64) -> u64 {
        self.view(node).state(NodeId(node)).expect("a node sees itself").boot
    }

    pub(super) fn kept_boot(&self, node: u64) -> Option<u64> {
        self.machines[&node].kept_boot
    }

    /// Which news of `of` the node has.
    pub(super) fn sequence(&self, node: u64, of: u64) -> u64 {
        self.view(node).state(NodeId(of)).and_then(|state| state.news.as_ref()).map_or(0, |news| news.sequence)
    }

    pub(super) fn all_views(&self, holds: impl Fn(&Members) -> bool) -> bool {
        self.running().all(|(_, machine)| holds(&machine.view))
    }

    /// Every node that runs sees every node that runs, in the life it is in.
    pub(super) fn all_alive(&self) -> bool {
        self.all_views(|view| {
            self.running().all(|(_, other)| {
                let node = NodeId(other.node);
                let own = other.view.state(node).map(|state| (state.boot, state.generation));
                let alive = view.state(node).filter(|state| state.alive == Liveness::Alive);
                own.is_some() && alive.map(|state| (state.boot, state.generation)) == own
            })
        })
    }

    /// Every other node sees the node so.
    pub(super) fn all_see(&self, node: u64, alive: Liveness) -> bool {
        let others = self.running().filter(|(key, _)| *key != node);
        others.map(|(_, machine)| machine.view.state(NodeId(node))).all(|state| state.is_some_and(|s| s.alive == alive))
    }

    pub(super) fn each_sees(&self, expected: impl Fn(u64, u64) -> Liveness) -> bool {
        self.running().all(|(own, machine)| {
            let mut states = machine.view.iter();
            states.all(|(other, state)| state.alive == expected(own, other.0))
        })
    }

    /// The most that a machine sent in ten seconds, for each of them.
    pub(super) fn sends_per_second_max(&self) -> u64 {
        let mut windows: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for ((key, second), count) in &self.sent {
            *windows.entry((*key, second / 10)).or_default() += count;
        }
        let most = windows.values().max().copied().unwrap_or(0) / 10;
        println!("a machine sent at most {most} datagrams a second");
        most
    }
}
