//! What a cluster stands on.
//!
//! **Owns** the choice of network, clocks and settings that all nodes share. **Must not know** how they are made. **Enter
//! at** [`Ground`].

/// What a cluster stands on.
#[derive(Debug, Clone, Default)]
pub struct Ground {
    /// Hosts of the network; a node each, and some for who has no business there.
    pub hosts: u8,
    /// How nodes reach each other.
    pub way: Way,
    /// What the wall clocks of the nodes show.
    pub clocks: Clocks,
    /// Bytes of the largest packet that the network carries, where it is not Ethernet's 1500. Only every second host is told.
    pub mtu: Option<u32>,
    /// Flags of every node.
    pub flags: Vec<String>,
}

/// How nodes reach each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// Over the bridge.
    #[default]
    Direct,
    /// Through a [`Relay`](super::relay::Relay), which can be slow and lose things.
    Relayed,
}

/// What the wall clocks of the nodes show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clocks {
    /// The machine's time.
    #[default]
    Real,
    /// What [`Cluster::set_clock`](super::Cluster::set_clock) says.
    Settable,
}

impl Ground {
    /// So many hosts, and nothing special.
    #[must_use]
    pub fn of(hosts: u8) -> Self {
        Self { hosts, ..Self::default() }
    }
}
