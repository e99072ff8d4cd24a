//! What the control plane is told when it starts.
//!
//! **Owns** [`ControlConfig`]. **Must not know** flags and files; the node reads those. **Enter at** [`ControlConfig`].

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use skerry_proto::id::Hostname;

use crate::{
    catalog::{Cluster, NodeRole},
    limits::{BUNDLES_BYTES_MAX, LOGS_PER_SNAPSHOT, PROPOSE_TIMEOUT},
    trace::Tracer,
};

/// What the control plane is told when it starts.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// Where everything is kept: `raft.redb`, `raft.snapshot`, `bundles/`, `cluster.key`, `authority.key`, `node.identity`,
    /// `admin.token`, `ca.pem`. Made when it does not exist. One process at a time may use it.
    pub data_dir: PathBuf,
    /// This machine's name in logs and audit entries, unique in the cluster.
    pub node_name: String,
    /// Where it stands, for placement; empty when not said.
    pub region: String,
    /// Which failures it shares with others of its region; empty when not said.
    pub zone: String,
    /// Whether it votes. Counts when it joins; afterwards the catalog says so.
    pub role: NodeRole,
    /// The zone that the cluster serves. When a cluster of one node has another, the catalog is changed; in a larger one the
    /// catalog counts.
    pub domain: Hostname,
    /// Where the API of this node is reached, for other nodes' lists; empty when nowhere.
    pub api: String,
    /// The mesh; `None` for a node that stays alone.
    pub mesh: Option<MeshSettings>,
    /// What to do when the directory holds no node.
    pub bootstrap: Bootstrap,
    /// How long a proposal waits. Default 10 s. Too low makes slow disks look like failures, too high keeps callers
    /// waiting for a lost quorum.
    pub propose_timeout: Duration,
    /// The newest feature level that this node knows. Default what the build knows; tests make older nodes with it. A higher one
    /// than the build's lets in commands that it can not apply.
    pub feature_level: u32,
    /// Log entries between snapshots. Default 5000. Too low writes the whole catalog often, too high makes a restart slow.
    pub logs_per_snapshot: u64,
    /// Bytes of bundles on the disk of an edge. Default 10 GiB. What is deployed is kept all the same, and so is everything
    /// that a version names on a voter. Too low makes rollbacks and previews fetch their code first.
    pub bundle_bytes_max: u64,
    /// Where spans go. Default: nowhere.
    pub tracer: Tracer,
}

/// Where the mesh listens, and where others reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshSettings {
    /// Where to listen (UDP).
    pub listen: SocketAddr,
    /// `host` or `host:port` that other nodes dial, where it is not the address that this node listens on.
    pub advertise: Option<String>,
}

impl MeshSettings {
    /// With a port: when none was chosen, `before` if it is free, else any. The same port after every restart keeps a node
    /// findable.
    pub fn settled(mut self, before: Option<u16>) -> std::io::Result<Self> {
        if self.listen.port() == 0 {
            let with = |port| SocketAddr::new(self.listen.ip(), port);
            let again = before.and_then(|port| UdpSocket::bind(with(port)).ok());
            let socket = match again {
                Some(socket) => socket,
                None => UdpSocket::bind(self.listen)?,
            };
            self.listen = socket.local_addr()?;
        }
        Ok(self)
    }

    /// What other nodes dial.
    #[must_use]
    pub fn advertised(&self) -> String {
        let port = self.listen.port();
        match &self.advertise {
            Some(address) if has_port(address) => address.clone(),
            Some(host) => match host.parse::<IpAddr>() {
                Ok(ip) => SocketAddr::new(ip, port).to_string(),
                Err(_) => format!("{host}:{port}"),
            },
            None => self.listen.to_string(),
        }
    }
}

/// Whether a text ends with a port; the colons of a bare IPv6 address do not make one.
fn has_port(address: &str) -> bool {
    address.parse::<IpAddr>().is_err() && address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// What to do when the directory holds no node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bootstrap {
    /// Make a new cluster.
    IfEmpty,
    /// Become a node of a cluster. A member does so as well, as who it is, when its certificate has ended.
    Join {
        /// A node of it, `host:port` of its mesh.
        at: String,
        /// The join token.
        token: String,
    },
    /// Nothing: it is an error.
    Never,
}

impl ControlConfig {
    /// A node that stays alone, with the defaults.
    #[must_use]
    pub fn new(data_dir: PathBuf, node_name: String, domain: Hostname, bootstrap: Bootstrap) -> Self {
        Self {
            data_dir,
            node_name,
            region: String::new(),
            zone: String::new(),
            role: NodeRole::Voter,
            domain,
            api: String::new(),
            mesh: None,
            bootstrap,
            propose_timeout: PROPOSE_TIMEOUT,
            feature_level: Cluster::NEWEST_FEATURE_LEVEL,
            logs_per_snapshot: LOGS_PER_SNAPSHOT,
            bundle_bytes_max: BUNDLES_BYTES_MAX,
            tracer: Tracer::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertised(listen: &str, advertise: Option<&str>) -> String {
        MeshSettings { listen: listen.parse().unwrap(), advertise: advertise.map(str::to_owned) }.advertised()
    }

    #[test]
    fn what_is_dialled_has_a_port() {
        assert_eq!(advertised("10.0.0.1:8701", None), "10.0.0.1:8701");
        assert_eq!(advertised("0.0.0.0:8701", Some("node.example")), "node.example:8701");
        assert_eq!(advertised("0.0.0.0:8701", Some("node.example:9")), "node.example:9");
        assert_eq!(advertised("[::]:8701", Some("2001:db8::1")), "[2001:db8::1]:8701");
        assert_eq!(advertised("[::]:8701", Some("[2001:db8::1]:9")), "[2001:db8::1]:9");
    }

    #[test]
    fn a_port_that_was_picked_is_picked_again() {
        let any = MeshSettings { listen: "127.0.0.1:0".parse().unwrap(), advertise: None };
        let first = any.clone().settled(None).unwrap().listen.port();
        assert_ne!(first, 0);
        assert_eq!(any.settled(Some(first)).unwrap().listen.port(), first);
    }
}
