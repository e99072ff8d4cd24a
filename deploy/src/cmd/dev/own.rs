//! The node that `skerry dev` serves from.
//!
//! **Owns** its settings, its folder and what is read from there. **Must not know** what is deployed to it. **Enter at**
//! [`OwnNode::start`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::node::{LocalNode, NodeConfig};

/// BOUND: draining ends requests in flight; a developer does not wait longer than this.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A node that founded a cluster of its own, and stops when this is dropped.
#[derive(Debug)]
pub(super) struct OwnNode {
    pub(super) api: String,
    pub(super) token: String,
    pub(super) ca: PathBuf,
    /// `HOST:PORT` of plain HTTP.
    pub(super) http: String,
    node: LocalNode,
    // So that the folder lives as long as the node.
    _temporary: Option<tempfile::TempDir>,
}

impl OwnNode {
    /// Starts it and waits until it is ready. Its data is kept where `data_dir` says; port 0 picks a free one.
    pub(super) async fn start(data_dir: Option<PathBuf>, port: u16) -> anyhow::Result<Self> {
        let (dir, temporary) = match data_dir {
            Some(dir) => (dir, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("skerry-dev-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let http = format!("127.0.0.1:{port}");
        let mut flags: Vec<OsString> = vec!["--data-dir".into(), dir.clone().into(), "--bootstrap".into()];
        flags.extend(["--node-name", "dev", "--domain", "workers.localhost", "--http", &http].map(OsString::from));
        flags.extend(["--https", "127.0.0.1:0", "--api", "127.0.0.1:0"].map(OsString::from));
        flags.extend(["--metrics", "off", "--mesh", "off", "--dns", "off"].map(OsString::from));
        let log = dir.join("node.log");
        // What the run before logged is of no use any more.
        std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        std::fs::File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let node = LocalNode::start(NodeConfig { flags, log }).await?;
        let token = std::fs::read_to_string(dir.join("admin.token")).context("skerry-node wrote no admin.token")?;
        let named = |address: &Option<String>, what: &str| {
            address.clone().with_context(|| format!("skerry-node named no {what} address"))
        };
        Ok(Self {
            api: format!("http://{}", named(&node.addresses.api, "api")?),
            http: named(&node.addresses.http, "http")?,
            token: token.trim().to_owned(),
            ca: dir.join("ca.pem"),
            node,
            _temporary: temporary,
        })
    }

    /// Completes when the node has ended by itself.
    pub(super) async fn ended(&mut self) -> String {
        format!("skerry-node {}", self.node.ended().await)
    }

    /// Asks it to drain, and ends it if it does not.
    pub(super) async fn stop(self) {
        self.node.stop(STOP_DEADLINE).await;
    }
}
