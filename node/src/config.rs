//! What the operator decides: the file, the flags and the environment variables.
//!
//! **Owns** every setting, its default and its range. **Must not know** what a setting does beyond its documentation.
//! **Enter at** [`Config::resolve`]. A flag wins over its variable, that over the file, that over the default.

mod listen;
mod otlp;
mod settings;
mod template;

use std::{path::PathBuf, time::Duration};

use skerry_proto::id::Hostname;

pub use self::{
    listen::Listen,
    settings::{LogFormat, Role, Settings},
    template::TEMPLATE,
};
use crate::address::Cidr;

/// Every setting, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything lasting is kept. One node each.
    pub data_dir: PathBuf,
    /// What people call the node; shown in logs, metrics and the API.
    pub node_name: String,
    /// Where the node is, for placement; free text.
    pub region: String,
    /// Which failures the node shares with others, for placement; free text.
    pub zone: String,
    /// Whether the node votes.
    pub role: Role,
    /// The zone that the cluster serves; fixed at bootstrap.
    pub domain: Hostname,
    /// HTTP for end users.
    pub http: Listen,
    /// HTTPS for end users.
    pub https: Listen,
    /// The API: clear on loopback, TLS elsewhere.
    pub api: Listen,
    /// Metrics and health.
    pub metrics: Listen,
    /// The mesh between nodes; `None` when off.
    pub mesh: Option<Mesh>,
    /// Whether to found a cluster when the data directory is empty.
    pub bootstrap: bool,
    /// Which cluster to join when the data directory is empty.
    pub join: Option<Join>,
    /// Log entries between two snapshots of a voter.
    pub logs_per_snapshot: u64,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged: a `tracing` filter.
    pub log: String,
    /// Limits of the listeners.
    pub ingress: IngressLimits,
    /// Ranges that workers may reach although they are not public.
    pub egress_allow: Vec<Cidr>,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Bytes of hot KV entries kept in memory.
    pub kv_cache_bytes: usize,
    /// Bytes of code on the disk of an edge.
    pub bundle_bytes_max: u64,
    /// Where traces go; `None` for nowhere.
    pub otlp: Option<Otlp>,
    /// Compiled engine and component images; made again when lost.
    pub cache_dir: PathBuf,
    /// How long a stopping node goes on accepting after `/readyz` says that it is not ready.
    pub drain_notice: Duration,
    /// How long a stopping node then waits for requests in flight.
    pub drain_timeout: Duration,
}

/// The mesh's addresses.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// Where it listens; port 0 picks a free one, and the same again after a restart.
    pub listen: std::net::SocketAddr,
    /// `host` or `host:port` that other nodes dial; where it listens when absent.
    pub advertise: Option<String>,
}

/// A cluster to join.
#[derive(Debug, Clone)]
pub struct Join {
    /// The mesh address of one of its nodes.
    pub at: String,
    /// The file with the join token. Not needed any more once the node has joined.
    pub token_file: PathBuf,
}

/// A collector of traces that speaks OTLP.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// Where requests are posted.
    pub url: http::Uri,
    /// Headers of each request. Their values are not shown.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The share of traces that are kept where they begin here, 0 to 1.
    pub sample_ratio: f64,
}

/// What a listener accepts.
#[derive(Debug, Clone)]
pub struct IngressLimits {
    /// Connections at once over all listeners for end users; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Bytes of a request's body; more is answered with 413.
    pub body_bytes_max: u64,
    /// From the first byte of a request, or an idle connection's last answer, to the end of its headers.
    pub header_timeout: Duration,
    /// Between two pieces of a request's body, and for an end user to take more of an answer.
    pub body_timeout: Duration,
}

/// Why the settings are refused. State: unchanged. Retry: no.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can not be read. State: unchanged. Retry: no.
    #[error("the configuration file {path} can not be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML or has a key that does not exist; the message has the line and the key. State: unchanged.
    /// Retry: no.
    #[error("the configuration file {path} is wrong: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column, key and what is known instead.
        message: String,
    },
    /// A value is outside its range. State: unchanged. Retry: no.
    #[error("{key} is {value:?}: {rule}")]
    Value {
        /// The key, as in the file.
        key: &'static str,
        /// The value given.
        value: String,
        /// What it should be.
        rule: String,
    },
    /// The part of Skerry that the setting asks for is not in this build. State: unchanged. Retry: no.
    #[error("{key}: {reason}")]
    Unsupported {
        /// The key, as in the file.
        key: &'static str,
        /// What to do instead.
        reason: &'static str,
    },
}

impl Config {
    /// Reads the file, lays flags and variables (`given`) over it, fills in defaults and checks everything.
    pub fn resolve(file: Option<&std::path::Path>, given: Settings) -> Result<Self, ConfigError> {
        let settings = match file {
            Some(path) => given.or(Settings::read(path)?),
            None => given,
        };
        settings.check()
    }
}

#[cfg(test)]
mod tests;
