//! Carries the mesh's datagrams between nodes, late and in part.
//!
//! **Owns** how long each is on its way and which are lost. **Must not know** what is in them. **Enter at** [`Relay`].
//!
//! Other nodes dial a node at its port of the relay. Who sends there gets a socket of its own, from which the node hears it
//! and to which it answers: so each side sees one peer that does not move, as behind any translating router. What is carried
//! keeps its order, as long as the weather does not change.
//!
//! ```text
//! node a  --(weather a to b)-->  port of b | socket for a  -->  node b
//! node a  <--                    port of b | socket for a  <--(weather b to a)--  node b
//! ```

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet, time::sleep_until};

use super::{MESH_PORT, namespace::Namespace};
use crate::{clock, rng::Rng};

/// The port of the first node; the others follow.
const FIRST_PORT: u16 = 9001;
/// BOUND: datagrams on their way from one node to another; a second of a fast link. More are lost, as in a router.
const QUEUE_MAX: usize = 16 << 10;
/// BOUND: who is talking to one node; each node does once, and again when it joins.
const SOURCES_MAX: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 1 << 16;

/// What becomes of datagrams from one node to another. By default they arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// How long one is on its way.
    pub delay: Duration,
    /// How many of a hundred are lost.
    pub loss_percent: u8,
}

/// What a relay has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Datagrams that arrived.
    pub arrived: u64,
    /// Those of them that were on their way for as long as a delay said.
    pub late: u64,
    /// Datagrams that were lost.
    pub lost: u64,
}

/// A relay for the nodes of a network. Ends when dropped.
#[derive(Debug)]
pub struct Relay {
    address: Ipv4Addr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    hosts: Vec<Ipv4Addr>,
    weather: RwLock<BTreeMap<(usize, usize), Weather>>,
    rng: Mutex<Rng>,
    arrived: AtomicU64,
    late: AtomicU64,
    lost: AtomicU64,
}

impl Relay {
    /// Carries for these hosts, from inside `place`. The seed chooses what is lost.
    ///
    /// # Errors
    /// When its ports are taken.
    pub async fn start(place: &Namespace, hosts: Vec<Ipv4Addr>, seed: u64) -> Result<Self> {
        let address = place.address();
        let shared = Arc::new(Shared {
            hosts,
            weather: RwLock::default(),
            rng: Mutex::new(Rng::new(seed)),
            arrived: AtomicU64::new(0),
            late: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        for to in 0..shared.hosts.len() {
            let at = SocketAddr::from((address, port(to)));
            let socket = place.inside().spawn(UdpSocket::bind(at)).await?.with_context(|| format!("listen on {at}"))?;
            tasks.spawn_on(listen(Arc::clone(&shared), to, Arc::new(socket)), place.inside());
        }
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Where other nodes dial the node of a host.
    #[must_use]
    pub fn address_of(&self, host: usize) -> SocketAddr {
        (self.address, port(host)).into()
    }

    /// From now on this is the weather from one host to another; what is on its way stays as it was.
    pub fn set(&self, from: usize, to: usize, weather: Weather) {
        self.shared.weather.write().unwrap_or_else(PoisonError::into_inner).insert((from, to), weather);
    }

    /// The same both ways, between all of these.
    pub fn set_among(&self, hosts: &[usize], weather: Weather) {
        for (from, to) in hosts.iter().flat_map(|from| hosts.iter().map(move |to| (*from, *to))) {
            self.set(from, to, weather);
        }
    }

    /// Hosts of one region reach each other at once, those of different ones after `delay`.
    pub fn set_regions(&self, regions: &[usize], delay: Duration) {
        for (from, own) in regions.iter().enumerate() {
            for (to, other) in regions.iter().enumerate() {
                let delay = if own == other { Duration::ZERO } else { delay };
                self.set(from, to, Weather { delay, loss_percent: 0 });
            }
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn carried(&self) -> Carried {
        let Shared { arrived, late, lost, .. } = &*self.shared;
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Carried { arrived: of(arrived), late: of(late), lost: of(lost) }
    }
}

fn port(host: usize) -> u16 {
    FIRST_PORT + u16::try_from(host).unwrap_or(0)
}

impl Shared {
    fn host(&self, address: SocketAddr) -> Option<usize> {
        self.hosts.iter().position(|host| IpAddr::V4(*host) == address.ip())
    }

    /// When a datagram that was sent now arrives; `None` when it is lost.
    fn arrives(&self, from: usize, to: usize) -> Option<Parcel> {
        let weather = self.weather.read().unwrap_or_else(PoisonError::into_inner).get(&(from, to)).copied();
        let Weather { delay, loss_percent } = weather.unwrap_or_default();
        let chance = self.rng.lock().unwrap_or_else(PoisonError::into_inner).below(100);
        if chance < u64::from(loss_percent) {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        Some(Parcel { at: clock::now() + delay, delay, bytes: Vec::new() })
    }
}

/// A datagram on its way.
#[derive(Debug)]
struct Parcel {
    at: Instant,
    delay: Duration,
    bytes: Vec<u8>,
}

/// The way from one socket to one address.
#[derive(Debug)]
struct Lane {
    shared: Arc<Shared>,
    from: usize,
    to: usize,
    parcels: mpsc::Sender<Parcel>,
}

impl Lane {
    fn start(
        shared: &Arc<Shared>,
        (from, to): (usize, usize),
        (socket, address): (&Arc<UdpSocket>, SocketAddr),
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (parcels, queue) = mpsc::channel(QUEUE_MAX);
        tasks.spawn(deliver(Arc::clone(shared), queue, Arc::clone(socket), address));
        Self { shared: Arc::clone(shared), from, to, parcels }
    }

    fn send(&self, bytes: &[u8]) {
        let Some(parcel) = self.shared.arrives(self.from, self.to) else { return };
        if self.parcels.try_send(Parcel { bytes: bytes.to_vec(), ..parcel }).is_err() {
            self.shared.lost.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn deliver(shared: Arc<Shared>, mut queue: mpsc::Receiver<Parcel>, socket: Arc<UdpSocket>, address: SocketAddr) {
    while let Some(Parcel { at, delay, bytes }) = queue.recv().await {
        sleep_until(at.into()).await;
        // A node that is not up takes nothing, as on any network.
        if socket.send_to(&bytes, address).await.is_ok() {
            shared.arrived.fetch_add(1, Ordering::SeqCst);
            shared.late.fetch_add(u64::from(!delay.is_zero()), Ordering::SeqCst);
        }
    }
}

/// Carries what others send to one host, and its answers.
async fn listen(shared: Arc<Shared>, to: usize, socket: Arc<UdpSocket>) {
    let (mut sources, mut tasks) = (BTreeMap::<SocketAddr, Lane>::new(), JoinSet::new());
    let node = SocketAddr::from((shared.hosts[to], MESH_PORT));
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((len, source)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(from) = shared.host(source) else { continue };
        if !sources.contains_key(&source) {
            let here = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let (Ok(own), true) = (UdpSocket::bind(here).await, sources.len() < SOURCES_MAX) else { continue };
            let own = Arc::new(own);
            let back = Lane::start(&shared, (to, from), (&socket, source), &mut tasks);
            tasks.spawn(answers(Arc::clone(&own), back));
            sources.insert(source, Lane::start(&shared, (from, to), (&own, node), &mut tasks));
        }
        sources[&source].send(&buffer[..len]);
    }
}

async fn answers(own: Arc<UdpSocket>, back: Lane) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        if let Ok((len, _)) = own.recv_from(&mut buffer).await {
            back.send(&buffer[..len]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(weather: Weather) -> Shared {
        Shared {
            hosts: vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)],
            weather: RwLock::new(BTreeMap::from([((0, 1), weather)])),
            rng: Mutex::new(Rng::new(1)),
            arrived: AtomicU64::new(0),
            late: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    #[test]
    fn half_of_the_datagrams_are_lost_one_way() {
        let relay = shared(Weather { loss_percent: 50, ..Weather::default() });
        let arrived = (0..10_000).filter(|_| relay.arrives(0, 1).is_some()).count();
        assert!((4500..5500).contains(&arrived), "{arrived} of 10000");
        assert_eq!(relay.lost.load(Ordering::SeqCst), 10_000 - arrived as u64);
        assert!((0..10_000).all(|_| relay.arrives(1, 0).is_some()), "the other way has good weather");
    }

    #[test]
    fn a_datagram_is_on_its_way_for_as_long_as_the_weather_says() {
        let delay = Duration::from_millis(80);
        let relay = shared(Weather { delay, loss_percent: 0 });
        let before = clock::now();
        let parcel = relay.arrives(0, 1).unwrap();
        assert!(parcel.at >= before + delay && parcel.delay == delay);
    }
}
