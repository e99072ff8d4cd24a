//! What the API asks of the parts above it.
//!
//! **Owns** the traits that the data plane and the mesh implement for the API. **Must not know** isolates, wasmtime, gossip
//! or the log pipeline. **Enter at** [`Validator`], [`Tails`] and [`ClusterView`].

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use skerry_proto::{
    bundle::Bundle,
    id::{NodeId, Revision},
};

pub use crate::tails::Tails;
use crate::{
    catalog::{Effective, EnvironmentKey, Syntax},
    control::Control,
    gossip::Liveness,
};

/// Runs an upload's top-level scope where it can do no harm.
#[async_trait::async_trait]
pub trait Validator: Send + Sync {
    /// Loads the code in a throw-away isolate or instance under the start-up limits, and says what it handles.
    async fn validate(&self, input: ValidateInput<'_>) -> Result<Validated, ValidateError>;
}

/// What is to be validated.
#[derive(Debug)]
pub struct ValidateInput<'a> {
    /// Whose code it is, for the log.
    pub environment: &'a EnvironmentKey,
    /// The files.
    pub bundle: &'a Bundle,
    /// How the entry point is written.
    pub syntax: Syntax,
    /// What `env` will hold, so that a top-level read of it sees what it will see later.
    pub bindings: &'a Effective,
    /// `YYYY-MM-DD`, empty when not given.
    pub compatibility_date: &'a str,
    /// As uploaded.
    pub compatibility_flags: &'a [String],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// `fetch`, `scheduled`, ... in alphabetical order; empty when the code handles nothing.
    pub handlers: Vec<String>,
    /// How long the top-level scope took, in milliseconds of CPU time.
    pub startup_ms: u32,
}

/// Why code is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// It does not load, throws, or uses up its start-up limits. State: unchanged. Retry: no.
    #[error("{message}")]
    Code {
        /// What is wrong, as `name: message` for what JavaScript throws.
        message: String,
        /// The module.
        file: Option<String>,
        /// From 1.
        line: Option<u32>,
        /// From 1.
        column: Option<u32>,
    },
    /// The node can not validate now. State: unchanged. Retry: yes.
    #[error("code can not be validated now: {0}")]
    Unavailable(String),
}

/// What a running node knows of the others: gossip, raft and the feed together. Moments old, and never agreed on.
pub trait ClusterView: Send + Sync {
    /// Every node that anything is known about, this one among them. Cheap: it is asked for each call.
    fn nodes(&self) -> BTreeMap<NodeId, NodeView>;
}

/// What is known of one node; `None` for what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Whether it answers.
    pub alive: Option<bool>,
    /// The newest revision that it serves.
    pub revision: Option<Revision>,
    /// Its part in raft; `None` for a node that has none.
    pub raft: Option<RaftRole>,
    /// How long a message there and back takes.
    pub rtt: Option<Duration>,
    /// What it runs; what it said when it last started counts when absent.
    pub build: Option<String>,
    /// When the certificate that it shows in the mesh ends, milliseconds since the Unix epoch; as it says itself.
    pub certificate_expires_ms: Option<i64>,
    /// The revision that it does not serve, and why.
    pub refused: Option<(Revision, String)>,
}

/// A node's part in raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaftRole {
    /// It orders changes, and votes.
    Leader,
    /// It votes.
    Voter,
    /// It keeps the log and does not vote.
    Learner,
}

impl RaftRole {
    /// `leader`, `voter` or `learner`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Voter => "voter",
            Self::Learner => "learner",
        }
    }
}

/// What a node knows of the others: raft's members where it takes part, what gossip says, and whom it talks to.
#[derive(Debug, Clone)]
pub struct LiveView(pub Control);

impl ClusterView for LiveView {
    fn nodes(&self) -> BTreeMap<NodeId, NodeView> {
        let mut nodes: BTreeMap<NodeId, NodeView> = BTreeMap::new();
        self.raft(&mut nodes);
        self.gossip(&mut nodes);
        for (node, revision, reason) in self.0.refusals() {
            nodes.entry(node).or_default().refused = Some((revision, reason));
        }
        for peer in self.0.peers() {
            let view = nodes.entry(peer.node).or_default();
            view.rtt = [view.rtt, peer.rtt].into_iter().flatten().min();
        }
        let own = nodes.entry(self.0.node()).or_default();
        own.alive = Some(true);
        own.revision = Some(self.0.catalog().revision());
        own.certificate_expires_ms = self.0.certificate_expires_ms();
        nodes
    }
}

impl LiveView {
    fn raft(&self, nodes: &mut BTreeMap<NodeId, NodeView>) {
        let Some(status) = self.0.status() else { return };
        let raft = |role| NodeView { raft: Some(role), ..NodeView::default() };
        nodes.extend(status.learners.iter().map(|id| (*id, raft(RaftRole::Learner))));
        nodes.extend(status.voters.iter().map(|id| (*id, raft(RaftRole::Voter))));
        nodes.extend(status.leader.map(|id| (id, raft(RaftRole::Leader))));
    }

    fn gossip(&self, nodes: &mut BTreeMap<NodeId, NodeView>) {
        let Some(members) = self.0.members() else { return };
        for (node, state) in members.iter() {
            let view = nodes.entry(node).or_default();
            view.alive = Some(state.alive != Liveness::Down);
            if let Some(news) = &state.news {
                view.revision = Some(news.revision);
                view.build = Some(news.version.to_string());
                let ends_s = news.certificate_ends_s.and_then(|ends_s| i64::try_from(ends_s.get()).ok());
                view.certificate_expires_ms = ends_s.and_then(|ends_s| ends_s.checked_mul(1000));
            }
        }
    }
}

/// The wall clock, so that tests can set it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

/// Where a request came from. The listener puts it into the request's extensions; the API refuses a token that came in
/// clear from another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub is_encrypted: bool,
}

impl Peer {
    /// Whether a token may travel on this connection.
    #[must_use]
    pub fn may_carry_tokens(&self) -> bool {
        self.is_encrypted || self.address.ip().to_canonical().is_loopback()
    }
}
