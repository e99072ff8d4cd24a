//! Free ports on the loopback interface.
//!
//! **Owns** which ports a new node gets. **Must not know** nodes. **Enter at** [`pick`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::settings::Ports;

/// Each node has a block of ten, so that an address can be guessed from another.
const BLOCK: u16 = 10;
/// BOUND: below the ports that Linux gives to outgoing connections (from 32768), which would take them between two runs.
const FIRST: u16 = 20_000;
const BLOCKS: u16 = 1_200;
/// BOUND: on a machine where so many blocks are taken, something else is wrong.
const ATTEMPTS: u16 = 200;

/// Ports for `count` more nodes, none of them among `taken`.
pub(super) fn pick(count: usize, taken: &[Ports]) -> io::Result<Vec<Ports>> {
    // Anywhere in the range, so that two clusters that are made at the same time seldom want the same ports.
    let random = uuid::Uuid::new_v4().as_u128() % u128::from(BLOCKS);
    let start = u16::try_from(random).unwrap_or_default();
    let blocks = (0..BLOCKS.min(ATTEMPTS)).map(|at| FIRST + (start + at) % BLOCKS * BLOCK).map(block);
    let is_free = |ports: &Ports| !taken.iter().any(|other| other.http.port() == ports.http.port()) && free(ports);
    let found: Vec<Ports> = blocks.filter(is_free).take(count).collect();
    if found.len() < count {
        return Err(io::Error::other(format!("127.0.0.1 has no free ports from {FIRST} on")));
    }
    Ok(found)
}

fn block(first: u16) -> Ports {
    let at = |offset| SocketAddr::from((Ipv4Addr::LOCALHOST, first + offset));
    Ports { http: at(0), https: at(1), api: at(2), metrics: at(3), mesh: at(4) }
}

fn free(ports: &Ports) -> bool {
    let Ports { http, https, api, metrics, mesh } = ports;
    [http, https, api, metrics].into_iter().all(|at| TcpListener::bind(at).is_ok()) && UdpSocket::bind(mesh).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_or_taken_from_others() {
        let first = pick(3, &[]).unwrap();
        // Whatever the start, a node's ports are not given again, though nobody listens there now.
        let second = pick(100, &first).unwrap();
        let all: BTreeSet<u16> = first.iter().chain(&second).map(|ports| ports.http.port()).collect();
        assert_eq!(all.len(), 103);
        let busy = TcpListener::bind(first[0].api).unwrap();
        assert!(!free(&first[0]));
        drop(busy);
    }
}
