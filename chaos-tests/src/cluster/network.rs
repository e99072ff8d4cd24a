//! A network of namespaces, in which nothing else lives.
//!
//! **Owns** the namespaces, the bridge between them, what is dropped on the way, and that nothing of it stays. **Must not
//! know** what runs inside. **Enter at** [`Network`].
//!
//! The bridge lies in a namespace of its own, so the machine's network is as it was all the time. Only one network exists at
//! once: a lock on the machine makes other test programs wait.

use std::{fs::File, net::Ipv4Addr, os::unix::fs::MetadataExt, process::Command, sync::Arc};

use anyhow::{Context, Result, bail, ensure};

use super::namespace::Namespace;

/// What the names of the namespaces begin with; whatever else has such a name is a leftover of a killed run.
const PREFIX: &str = "skerry-chaos-";
const LOCK: &str = "/run/lock/skerry-chaos.lock";
/// BOUND: hosts of one network; a scenario has at most seven nodes, and one host for who has no business there.
const HOSTS_MAX: u8 = 16;
/// The last byte of the bridge's own address, which no host has.
const HUB: u8 = 254;

/// Whether this program may make namespaces. Without that a scenario is skipped, and says so. `.ci/faults` asks the same
/// before the tests begin, so that the runner counts theirs as skipped.
#[must_use]
pub fn is_allowed() -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    // Root of a container may not.
    let may = is_root && run("unshare", &["--net", "--mount", "true"]).is_ok();
    if !may {
        println!("SKIPPED: needs root, for network namespaces");
    }
    may
}

/// Hosts on one bridge. Removed when dropped.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<Arc<Namespace>>,
    // Taken when dropped.
    hub: Option<Namespace>,
    /// Held until the namespaces are gone.
    _lock: File,
}

impl Network {
    /// Makes a network of as many hosts; waits while another one exists.
    ///
    /// # Errors
    /// When `ip` or `nft` is missing or refuses.
    pub fn new(hosts: u8) -> Result<Self> {
        ensure!(hosts <= HOSTS_MAX, "a network has at most {HOSTS_MAX} hosts");
        let lock = File::create(LOCK).context(LOCK)?;
        lock.lock().context("wait for the network of another test")?;
        sweep()?;
        let mut network = Self { hosts: Vec::new(), hub: None, _lock: lock };
        let (hub, address) = (format!("{PREFIX}hub"), Ipv4Addr::new(10, 77, 0, HUB));
        run("ip", &["netns", "add", &hub])?;
        run("ip", &["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        run("ip", &["-n", &hub, "addr", "add", &format!("{address}/24"), "dev", "bridge"])?;
        run("ip", &["-n", &hub, "link", "set", "bridge", "up"])?;
        for number in 1..=hosts {
            let host = host(&hub, number).with_context(|| format!("make host {number}"))?;
            network.hosts.push(Arc::new(host));
        }
        network.hub = Some(Namespace::enter(hub, address)?);
        Ok(network)
    }

    /// The hosts, in order.
    #[must_use]
    pub fn hosts(&self) -> &[Arc<Namespace>] {
        &self.hosts
    }

    /// What lies between the hosts, and is none of them.
    #[must_use]
    pub fn hub(&self) -> &Namespace {
        self.hub.as_ref().expect("only taken when dropped")
    }

    /// From now on only packets of at most so many bytes are carried. Every second host knows; the others find out.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn limit_packets(&self, mtu_bytes: u32) -> Result<()> {
        let mtu = mtu_bytes.to_string();
        for (at, host) in self.hosts.iter().enumerate() {
            run("ip", &["-n", self.hub().name(), "link", "set", &port(at + 1), "mtu", &mtu])?;
            if at % 2 == 1 {
                run("ip", &["-n", host.name(), "link", "set", "eth0", "mtu", &mtu])?;
            }
        }
        Ok(())
    }

    /// How many packets were too large.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn too_large(&self) -> Result<u64> {
        let mut dropped = 0;
        for number in 1..=self.hosts.len() {
            let path = format!("/sys/class/net/{}/statistics/rx_dropped", port(number));
            let counted = inside(self.hub(), "cat", &[&path])?;
            dropped += counted.trim().parse::<u64>().with_context(|| format!("{path}: {counted}"))?;
        }
        Ok(dropped)
    }

    /// From now on nothing that `from` sends reaches `to`.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn cut(&self, from: usize, to: usize) -> Result<()> {
        let (from, to) = (&self.hosts[from], &self.hosts[to]);
        let address = from.address().to_string();
        let rule = ["add", "rule", "inet", "chaos", "input", "ip", "saddr", &address, "counter", "drop"];
        inside(to, "nft", &rule).map(drop)
    }

    /// Removes all cuts, and returns how many packets they have dropped.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn heal(&self) -> Result<u64> {
        let mut dropped = 0;
        for host in &self.hosts {
            dropped += packets(&inside(host, "nft", &["list", "chain", "inet", "chaos", "input"])?);
            inside(host, "nft", &["flush", "chain", "inet", "chaos", "input"])?;
        }
        Ok(dropped)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.hosts.clear();
        self.hub = None;
        if let Err(error) = sweep() {
            eprintln!("the network was not removed: {error:#}");
        }
    }
}

/// The bridge's end of a host's cable.
fn port(number: usize) -> String {
    format!("port{number}")
}

fn host(hub: &str, number: u8) -> Result<Namespace> {
    let (name, port) = (format!("{PREFIX}{number}"), port(usize::from(number)));
    let address = Ipv4Addr::new(10, 77, 0, number);
    run("ip", &["netns", "add", &name])?;
    run("ip", &["-n", hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
    run("ip", &["-n", hub, "link", "set", &port, "master", "bridge", "up"])?;
    run("ip", &["-n", &name, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
    run("ip", &["-n", &name, "link", "set", "eth0", "up"])?;
    run("ip", &["-n", &name, "link", "set", "lo", "up"])?;
    let host = Namespace::enter(name, address)?;
    inside(&host, "nft", &["add", "table", "inet", "chaos"])?;
    let chain = "{ type filter hook input priority 0; }";
    inside(&host, "nft", &["add", "chain", "inet", "chaos", "input", chain])?;
    Ok(host)
}

/// Removes the namespaces of this network, or of one whose program was killed, with whatever runs inside.
fn sweep() -> Result<()> {
    let listed = run("ip", &["netns", "list"])?;
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| name.starts_with(PREFIX)) {
        for process in run("ip", &["netns", "pids", name])?.split_whitespace() {
            // It may have ended meanwhile.
            let _ = run("kill", &["-KILL", process]);
        }
        run("ip", &["netns", "delete", name])?;
    }
    Ok(())
}

fn packets(listed: &str) -> u64 {
    let mut words = listed.split_whitespace();
    let mut sum = 0;
    while words.any(|word| word == "packets") {
        sum += words.next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
    }
    sum
}

fn inside(host: &Namespace, program: &str, arguments: &[&str]) -> Result<String> {
    let mut all = vec!["netns", "exec", host.name(), program];
    all.extend_from_slice(arguments);
    run("ip", &all)
}

/// Runs a program to its end and returns what it printed.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("run {program}, which .ci/setup installs"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_packets_are_added_up() {
        let listed = "table inet chaos {\n\tip saddr 10.77.0.1 counter packets 12 bytes 900 drop\n\
                      \tip saddr 10.77.0.2 counter packets 30 bytes 9 drop\n}";
        assert_eq!(packets(listed), 42);
        assert_eq!(packets("table inet chaos { }"), 0);
    }
}
