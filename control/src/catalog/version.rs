//! Pure. Immutable code and configuration of one environment.
//!
//! **Owns** what a version is. **Must not know** whether it is live. **Enter at** [`Version`].

use std::collections::{BTreeMap, BTreeSet};

use skerry_proto::id::{BundleHash, VersionId, VersionNumber};

use super::Binding;

/// Immutable code and configuration of one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its identity across the cluster.
    pub id: VersionId,
    /// Its place in the environment's history, from 1. A change of a variable makes a version too.
    pub number: VersionNumber,
    /// The files and how to start them; what a promotion moves.
    pub code: Code,
    /// The environment's own configuration; what a promotion leaves alone.
    pub config: VersionConfig,
    /// What the author said about it.
    pub annotations: Annotations,
    /// Who made it, as shown to people.
    pub author: String,
    /// What made it: `wrangler`, `skerry`, `api`, `promote`, ...
    pub source: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// The files of a version and how to start them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Where the files are.
    pub bundle: BundleRef,
    /// How the entry point is written.
    pub syntax: Syntax,
    /// The entry module, one of the bundle's files.
    pub main_module: String,
    /// The handlers that validation found: `fetch`, `scheduled`, ... in order.
    pub handlers: Vec<String>,
    /// `YYYY-MM-DD`; empty when not given. Part of the code, because the code was written against it.
    pub compatibility_date: String,
    /// Flags as given.
    pub compatibility_flags: Vec<String>,
    /// Milliseconds that the top-level scope took at validation.
    pub startup_ms: u32,
}

/// A bundle's name and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleRef {
    /// BLAKE3 of its bytes.
    pub hash: BundleHash,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// How a version's entry point is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// An ES module with a default export.
    Modules,
    /// A script that calls `addEventListener`.
    ServiceWorker,
    /// A WASI component that exports `wasi:http/incoming-handler`.
    Component,
}

/// What an environment configures itself; see [`effective`](fn@super::effective) for what it inherits besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionConfig {
    /// Its own bindings, by the name in `env`.
    pub bindings: BTreeMap<String, Binding>,
    /// Names that it does not inherit though its parent has them.
    pub removed: BTreeSet<String>,
    /// Its own limits.
    pub limits: LimitsConfig,
}

/// Limits that a version sets; what is `None` is inherited, then the node's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    /// CPU time of one event, milliseconds, 1 to 30 000.
    pub cpu_ms: Option<u32>,
    /// Outgoing calls of one request, 0 to 10 000.
    pub subrequests: Option<u32>,
}

/// What the author said about a version or deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// By Cloudflare's names: `workers/message`, `workers/tag`, `workers/triggered_by`, `workers/commit_sha`, ...
    pub entries: BTreeMap<String, String>,
}

impl Annotations {
    /// What it is, in a sentence.
    pub const MESSAGE: &str = "workers/message";
    /// A name for it, such as a git commit.
    pub const TAG: &str = "workers/tag";
    /// What caused it: `upload`, `secret`, `rollback`, `promote`, ...
    pub const TRIGGERED_BY: &str = "workers/triggered_by";

    /// With one entry.
    #[must_use]
    pub fn of(name: &str, value: &str) -> Self {
        Self { entries: BTreeMap::from([(name.to_owned(), value.to_owned())]) }
    }

    /// The text under `name`, empty when there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.entries.get(name).map_or("", String::as_str)
    }
}
