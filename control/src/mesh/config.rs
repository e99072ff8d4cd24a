//! What the mesh is told when it starts.
//!
//! **Owns** [`MeshConfig`]. **Must not know** flags and files. **Enter at** [`MeshConfig`].

use std::{net::SocketAddr, time::Duration};

use super::lifetime::Rules;

/// BOUND: how long a replaced connection stays after its last call, until what was said on it has arrived.
const LINGER: Duration = Duration::from_secs(5);

/// What the mesh is told when it starts. The defaults fit machines on every continent.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// Where to listen (UDP). Port 0 picks one.
    pub listen: SocketAddr,
    /// How often a connection that is not used says that it lives. Default 5 s. Too low costs packets, more than
    /// `idle_timeout` breaks every connection that is not used.
    pub keep_alive: Duration,
    /// How long a peer may be silent. Default 10 s. Too low breaks connections when packets are lost, too high keeps calls
    /// waiting for a peer that is gone.
    pub idle_timeout: Duration,
    /// How long one attempt to connect may take, and a handshake of a caller. Default 3 s. Too low never reaches far nodes,
    /// too high finds a node that comes back late.
    pub dial_timeout: Duration,
    /// How long a connection stays that nobody uses. Default 60 s. Too low makes handshakes, too high keeps a thousand
    /// connections alive.
    pub unused_after: Duration,
    /// How long before a certificate of a connection ends it is replaced. Default 10 minutes. Too low lets calls be cut
    /// off, too high makes handshakes.
    pub renew_before: Duration,
    /// How often members and certificates are looked at again. Default 1 s. Too low costs CPU, too high leaves a removed
    /// node what it is doing for longer; new calls of it are refused at once in any case.
    pub sweep_interval: Duration,
}

impl MeshConfig {
    /// With the defaults.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(3),
            unused_after: Duration::from_secs(60),
            renew_before: Duration::from_secs(600),
            sweep_interval: Duration::from_secs(1),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules { unused_after: self.unused_after, renew_before: self.renew_before, linger: LINGER }
    }
}
