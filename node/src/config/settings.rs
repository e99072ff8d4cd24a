//! The settings as they are given, before they are checked.
//!
//! **Owns** the keys: each is a key of the file, a flag and a variable `SKERRY_<KEY>`. **Must not know** defaults of other
//! parts. **Enter at** [`Settings`].

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::Deserialize;
use skerry_control::limits::BUNDLES_BYTES_MAX;
use skerry_proto::id::Hostname;

use super::{Config, ConfigError, IngressLimits, Join, Listen, Mesh, otlp};
use crate::address::Cidr;

/// What the operator wrote; `None` where nothing was.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directory for everything lasting; one node each [default: ./skerry-data]
    #[arg(long, global = true, value_name = "DIR", env = "SKERRY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// What people call this node [default: the machine's host name]
    #[arg(long, global = true, value_name = "NAME", env = "SKERRY_NODE_NAME")]
    pub node_name: Option<String>,
    /// Where the node is, such as eu-west [default: empty]
    #[arg(long, global = true, value_name = "R", env = "SKERRY_REGION")]
    pub region: Option<String>,
    /// Which failures it shares with others, such as a rack [default: empty]
    #[arg(long, global = true, value_name = "Z", env = "SKERRY_ZONE")]
    pub zone: Option<String>,
    /// Whether the node votes in the control plane [default: voter]
    #[arg(long, global = true, value_name = "voter|edge", env = "SKERRY_ROLE")]
    pub role: Option<String>,
    /// The zone that the cluster serves; fixed at bootstrap [default: workers.localhost]
    #[arg(long, global = true, value_name = "DOMAIN", env = "SKERRY_DOMAIN")]
    pub domain: Option<String>,
    /// HTTP for end users [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDR|off", env = "SKERRY_HTTP")]
    pub http: Option<String>,
    /// HTTPS for end users [default: 127.0.0.1:8443]
    #[arg(long, global = true, value_name = "ADDR|off", env = "SKERRY_HTTPS")]
    pub https: Option<String>,
    /// The API: in clear on loopback, TLS elsewhere [default: 127.0.0.1:8700]
    #[arg(long, global = true, value_name = "ADDR|off", env = "SKERRY_API")]
    pub api: Option<String>,
    /// The mesh between nodes (UDP) [default: off]
    #[arg(long, global = true, value_name = "ADDR|off", env = "SKERRY_MESH")]
    pub mesh: Option<String>,
    /// Where other nodes reach the mesh, when it is not the address it listens on [default: that address]
    #[arg(long, global = true, value_name = "HOST[:PORT]", env = "SKERRY_MESH_ADVERTISE")]
    pub mesh_advertise: Option<String>,
    /// DNS for the cluster's zone [default: off]
    #[arg(long, global = true, value_name = "ADDR|off", env = "SKERRY_DNS")]
    pub dns: Option<String>,
    /// Metrics and health [default: 127.0.0.1:9090]
    #[arg(long, global = true, value_name = "ADDR|off", env = "SKERRY_METRICS")]
    pub metrics: Option<String>,
    /// Found a cluster when the data directory is empty
    #[arg(long, global = true, env = "SKERRY_BOOTSTRAP", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub bootstrap: Option<bool>,
    /// Join the cluster of this node: the address of its mesh
    #[arg(long, global = true, value_name = "ADDR", env = "SKERRY_JOIN")]
    pub join: Option<String>,
    /// File with the token that lets this node join
    #[arg(long, global = true, value_name = "FILE", env = "SKERRY_JOIN_TOKEN_FILE")]
    pub join_token_file: Option<PathBuf>,
    /// Changes that a voter keeps as a log until it writes the whole catalog down, 100 to 1 000 000 [default: 5000]
    #[arg(long, global = true, value_name = "N", env = "SKERRY_LOGS_PER_SNAPSHOT")]
    pub logs_per_snapshot: Option<u64>,
    /// How log lines are written [default: text]
    #[arg(long, global = true, value_name = "text|json", env = "SKERRY_LOG_FORMAT")]
    pub log_format: Option<String>,
    /// What is logged, as a filter such as info,skerry_node=debug [default: info,openraft=warn]
    #[arg(long, global = true, value_name = "FILTER", env = "SKERRY_LOG")]
    pub log: Option<String>,
    /// End users' connections at once, 1 to 1 000 000 [default: 20000]
    #[arg(long, global = true, value_name = "N", env = "SKERRY_CONNECTIONS_MAX")]
    pub connections_max: Option<usize>,
    /// Bytes of a request's body, 0 to 5 000 000 000; more is answered with 413 [default: 104857600]
    #[arg(long, global = true, value_name = "BYTES", env = "SKERRY_BODY_BYTES_MAX")]
    pub body_bytes_max: Option<u64>,
    /// Milliseconds for a request's headers, also of idling, 100 to 600 000 [default: 30000]
    #[arg(long, global = true, value_name = "MS", env = "SKERRY_HEADER_TIMEOUT_MS")]
    pub header_timeout_ms: Option<u64>,
    /// Milliseconds between two pieces of a request's body, or to take more of an answer, 100 to 600 000 [default: 30000]
    #[arg(long, global = true, value_name = "MS", env = "SKERRY_BODY_TIMEOUT_MS")]
    pub body_timeout_ms: Option<u64>,
    /// Inner address ranges that workers may reach all the same, such as 10.1.0.0/16 [default: none]
    #[arg(long, global = true, value_name = "CIDR", env = "SKERRY_EGRESS_ALLOW", value_delimiter = ',')]
    pub egress_allow: Option<Vec<String>>,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed [default: none]
    #[arg(long, global = true, value_name = "CIDR", env = "SKERRY_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<String>>,
    /// Bytes of hot KV entries kept in memory [default: 67108864]
    #[arg(long, global = true, value_name = "BYTES", env = "SKERRY_KV_CACHE_BYTES")]
    pub kv_cache_bytes: Option<usize>,
    /// Bytes of code on an edge's disk, 1 048 576 or more; what is deployed is kept all the same [default: 10737418240]
    #[arg(long, global = true, value_name = "BYTES", env = "SKERRY_BUNDLE_BYTES_MAX")]
    pub bundle_bytes_max: Option<u64>,
    /// Sends traces to this collector, OTLP over HTTP, such as http://127.0.0.1:4318 [default: off]
    #[arg(long, global = true, value_name = "URL|off", env = "SKERRY_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector, such as x-api-key=0123 [default: none]
    #[arg(
        long,
        global = true,
        value_name = "NAME=VALUE",
        env = "SKERRY_OTLP_HEADERS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub otlp_headers: Option<Vec<String>>,
    /// The share of traces that are kept, 0 to 1, unless the request says whether its trace is [default: 1]
    #[arg(long, global = true, value_name = "RATIO", env = "SKERRY_OTLP_SAMPLE_RATIO")]
    pub otlp_sample_ratio: Option<f64>,
    /// Directory for compiled engine and component images, made again when lost; nodes may share it [default: DIR/cache]
    #[arg(long, global = true, value_name = "DIR", env = "SKERRY_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Milliseconds that a stopping node goes on accepting after /readyz turns 503, 0 to 600 000 [default: 0]
    #[arg(long, global = true, value_name = "MS", env = "SKERRY_DRAIN_NOTICE_MS")]
    pub drain_notice_ms: Option<u64>,
    /// Milliseconds that a stopping node waits for requests in flight, 0 to 3 600 000 [default: 30000]
    #[arg(long, global = true, value_name = "MS", env = "SKERRY_DRAIN_TIMEOUT_MS")]
    pub drain_timeout_ms: Option<u64>,
}

/// Whether a node votes in the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It holds the raft log.
    Voter,
    /// It follows the feed.
    Edge,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Takes each field from the first that has it.
macro_rules! first_of {
    ($first:ident, $second:ident, $($field:ident),* $(,)?) => {
        Settings { $($field: $first.$field.or($second.$field)),* }
    };
}

impl Settings {
    /// Reads a configuration file. A key that does not exist is refused by name, with its line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        Self::parse(&text).map_err(|message| ConfigError::Parse { path: path.to_owned(), message })
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// These settings where given, else `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        first_of!(
            self,
            other,
            data_dir,
            node_name,
            region,
            zone,
            role,
            domain,
            http,
            https,
            api,
            mesh,
            mesh_advertise,
            dns,
            metrics,
            bootstrap,
            join,
            join_token_file,
            logs_per_snapshot,
            log_format,
            log,
            connections_max,
            body_bytes_max,
            header_timeout_ms,
            body_timeout_ms,
            egress_allow,
            trusted_proxies,
            kv_cache_bytes,
            bundle_bytes_max,
            otlp_endpoint,
            otlp_headers,
            otlp_sample_ratio,
            cache_dir,
            drain_notice_ms,
            drain_timeout_ms,
        )
    }

    /// Fills in defaults and checks every value.
    pub(super) fn check(self) -> Result<Config, ConfigError> {
        self.refuse_unsupported()?;
        let role = one_of("role", self.role.clone(), &[("voter", Role::Voter), ("edge", Role::Edge)])?;
        let (mesh, join) = (self.mesh()?, self.join()?);
        let bootstrap = self.bootstrap.unwrap_or(false);
        if bootstrap && join.is_some() {
            return Err(value_error(
                "bootstrap",
                "true".into(),
                "found a cluster or join one, not both: leave join off",
            ));
        }
        if bootstrap && role == Role::Edge {
            return Err(value_error("role", "edge".into(), "the first node of a cluster votes; use role = \"voter\""));
        }
        if join.is_some() && mesh.is_none() {
            let rule = "a node that joins needs an address that other nodes can reach, such as 10.0.0.1:8701";
            return Err(value_error("mesh", "off".into(), rule));
        }
        let data_dir = self.data_dir.unwrap_or_else(|| "skerry-data".into());
        Ok(Config {
            cache_dir: self.cache_dir.unwrap_or_else(|| data_dir.join("cache")),
            data_dir,
            node_name: node_name(self.node_name)?,
            region: self.region.unwrap_or_default(),
            zone: self.zone.unwrap_or_default(),
            role,
            domain: parsed::<Hostname>("domain", self.domain, "workers.localhost")?,
            http: parsed("http", self.http, "127.0.0.1:8080")?,
            https: parsed("https", self.https, "127.0.0.1:8443")?,
            api: parsed("api", self.api, "127.0.0.1:8700")?,
            metrics: parsed("metrics", self.metrics, "127.0.0.1:9090")?,
            mesh,
            bootstrap,
            join,
            logs_per_snapshot: within("logs_per_snapshot", self.logs_per_snapshot, 5000, 100..=1_000_000)?,
            log_format: one_of("log_format", self.log_format, &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            log: self.log.unwrap_or_else(|| "info,openraft=warn".into()),
            ingress: IngressLimits {
                connections_max: within("connections_max", self.connections_max, 20_000, 1..=1_000_000)?,
                body_bytes_max: within("body_bytes_max", self.body_bytes_max, 100 << 20, 0..=5_000_000_000)?,
                header_timeout: millis("header_timeout_ms", self.header_timeout_ms, 30_000, 100..=600_000)?,
                body_timeout: millis("body_timeout_ms", self.body_timeout_ms, 30_000, 100..=600_000)?,
            },
            egress_allow: ranges("egress_allow", self.egress_allow)?,
            trusted_proxies: ranges("trusted_proxies", self.trusted_proxies)?,
            kv_cache_bytes: within("kv_cache_bytes", self.kv_cache_bytes, 64 << 20, 0..=1 << 40)?,
            bundle_bytes_max: within("bundle_bytes_max", self.bundle_bytes_max, BUNDLES_BYTES_MAX, 1 << 20..=1 << 50)?,
            otlp: otlp::otlp(self.otlp_endpoint, self.otlp_headers, self.otlp_sample_ratio)?,
            drain_notice: millis("drain_notice_ms", self.drain_notice_ms, 0, 0..=600_000)?,
            drain_timeout: millis("drain_timeout_ms", self.drain_timeout_ms, 30_000, 0..=3_600_000)?,
        })
    }

    fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        let dns: Listen = parsed("dns", self.dns.clone(), "off")?;
        if dns != Listen::Off {
            return Err(unsupported("dns", "this build has no DNS server; leave it off"));
        }
        Ok(())
    }

    fn mesh(&self) -> Result<Option<Mesh>, ConfigError> {
        let listen: Listen = parsed("mesh", self.mesh.clone(), "off")?;
        let Some(listen) = listen.address() else { return Ok(None) };
        let advertise = self.mesh_advertise.clone();
        if advertise.is_none() && listen.ip().is_unspecified() {
            let rule = "other nodes can not dial that; also set mesh_advertise to this machine's name or address";
            return Err(value_error("mesh", listen.to_string(), rule));
        }
        Ok(Some(Mesh { listen, advertise }))
    }

    fn join(&self) -> Result<Option<Join>, ConfigError> {
        match (self.join.clone(), self.join_token_file.clone()) {
            (None, None) => Ok(None),
            (Some(at), Some(token_file))
                if at.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) =>
            {
                Ok(Some(Join { at, token_file }))
            }
            (Some(at), Some(_)) => {
                Err(value_error("join", at, "write HOST:PORT, the mesh address of a node of the cluster"))
            }
            (Some(at), None) => {
                Err(value_error("join", at, "also set join_token_file; `skerry cluster join-token` makes one"))
            }
            (None, Some(file)) => Err(value_error(
                "join_token_file",
                file.display().to_string(),
                "also set join to a node of the cluster",
            )),
        }
    }
}

fn unsupported(key: &'static str, reason: &'static str) -> ConfigError {
    ConfigError::Unsupported { key, reason }
}

fn node_name(given: Option<String>) -> Result<String, ConfigError> {
    let name = given.or_else(host_name).unwrap_or_else(|| "node".into());
    let fits = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if fits { Ok(name) } else { Err(value_error("node_name", name, "use 1 to 63 of a-z, A-Z, 0-9, '-', '_' and '.'")) }
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn parsed<T>(key: &'static str, given: Option<String>, default: &str) -> Result<T, ConfigError>
where
    T: FromStr<Err: ToString>,
{
    let text = given.unwrap_or_else(|| default.into());
    text.parse().map_err(|rule: T::Err| value_error(key, text, &rule.to_string()))
}

fn one_of<T: Copy>(key: &'static str, given: Option<String>, choices: &[(&str, T)]) -> Result<T, ConfigError> {
    let Some(text) = given else { return Ok(choices[0].1) };
    match choices.iter().find(|(name, _)| *name == text) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            Err(value_error(key, text, &format!("use {}", names.join(" or "))))
        }
    }
}

fn within<T>(
    key: &'static str,
    given: Option<T>,
    default: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, ConfigError>
where
    T: PartialOrd + std::fmt::Display,
{
    let value = given.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(value_error(key, value.to_string(), &format!("use {} to {}", range.start(), range.end())))
}

fn millis(
    key: &'static str,
    given: Option<u64>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Duration, ConfigError> {
    within(key, given, default, range).map(Duration::from_millis)
}

fn ranges(key: &'static str, given: Option<Vec<String>>) -> Result<Vec<Cidr>, ConfigError> {
    let texts = given.unwrap_or_default();
    texts
        .into_iter()
        .map(|text| text.parse::<Cidr>().map_err(|rule| value_error(key, text, &rule.to_string())))
        .collect()
}

pub(super) fn value_error(key: &'static str, value: String, rule: &str) -> ConfigError {
    ConfigError::Value { key, value, rule: rule.to_owned() }
}
