//! Pure. What the API's results hold, as far as the command line reads them.
//!
//! **Owns** the shapes. **Must not know** how they are fetched or shown. **Enter at** [`Environment`].
//!
//! A field that an older node does not send yet takes its default, so that a newer `skerry` can talk to it.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) domain: String,
    pub(crate) revision: u64,
    pub(crate) feature_level: u32,
    /// The step of replacing the mesh's authority, when that is under way.
    pub(crate) ca_rotation: Option<String>,
    pub(crate) leader: Option<u64>,
    /// Absent where the node that answers is an edge.
    pub(crate) term: Option<u64>,
    /// Who votes; empty where the node that answers is an edge.
    pub(crate) voters: Vec<u64>,
    /// How many nodes there are.
    pub(crate) nodes: usize,
    pub(crate) version: String,
    /// Where workers answer, when not at 80 and 443.
    pub(crate) http_port: Option<u16>,
    pub(crate) https_port: Option<u16>,
}

/// Who signs the certificates of nodes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mesh {
    pub(crate) rotation: Option<Rotation>,
}

/// How far the authority's rotation is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rotation {
    /// `trusting` or `renewing`.
    pub(crate) phase: String,
    /// Absent until the leader has asked the nodes.
    pub(crate) waiting: Option<Vec<WaitingNode>>,
}

/// A node that a rotation waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WaitingNode {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Whether the leader reaches it.
    pub(crate) answers: bool,
}

impl Rotation {
    /// Whom it waits for, for people.
    pub(crate) fn named(&self) -> String {
        let one = |node: &WaitingNode| match node.answers {
            true => format!("{} (node {})", node.name, node.id),
            false => format!("{} (node {}, does not answer)", node.name, node.id),
        };
        let waiting = self.waiting.iter().flatten().map(one).collect::<Vec<_>>();
        if waiting.is_empty() { "nobody".to_owned() } else { waiting.join(", ") }
    }
}

/// How far a deployment has come.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Propagation {
    pub(crate) total: u64,
    pub(crate) acknowledged: u64,
    /// Those that have not said yet.
    pub(crate) waiting: Vec<Listed>,
    pub(crate) refused: Vec<Listed>,
    /// From its commit until the last node served it; `None` while one does not.
    pub(crate) live_ms: Option<f64>,
}

/// A node in the answer to another question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Listed {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Why it refused.
    pub(crate) reason: String,
}

/// A machine of the cluster; what is absent is not known.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// What it may do: `voter` or `edge`.
    pub(crate) role: String,
    /// What it does: `leader`, `voter` or `learner`.
    pub(crate) raft: Option<String>,
    pub(crate) state: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) address: String,
    pub(crate) build: String,
    /// The newest that its build knows.
    pub(crate) feature_level: u32,
    pub(crate) alive: Option<bool>,
    pub(crate) lag: Option<u64>,
    pub(crate) rtt_ms: Option<f64>,
    /// When the certificate that it shows to other nodes ends.
    pub(crate) certificate_expires_on: Option<String>,
    pub(crate) refused: Option<Refused>,
    /// Absent from a build that only knew its own.
    pub(crate) view: Option<View>,
}

impl Node {
    /// Whether others wait for its vote.
    pub(crate) fn votes(&self) -> bool {
        matches!(self.raft.as_deref(), Some("leader" | "voter"))
    }

    /// The node that has said all this, where it is not the leader.
    pub(crate) fn seen_without_leader(&self) -> Option<u64> {
        self.view.as_ref().filter(|view| !view.leads).map(|view| view.node)
    }
}

/// Who says what is known of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    pub(crate) node: u64,
    pub(crate) leads: bool,
}

/// A revision that a node does not serve.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Refused {
    pub(crate) revision: u64,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JoinToken {
    pub(crate) token: String,
    pub(crate) expires_on: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    pub(crate) id: String,
    pub(crate) created_on: String,
    pub(crate) modified_on: String,
    pub(crate) environments: Vec<EnvironmentSummary>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EnvironmentSummary {
    pub(crate) environment: String,
    pub(crate) parent: Option<String>,
    pub(crate) modified_on: String,
    pub(crate) hostnames: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) parent: Option<String>,
    pub(crate) created_on: String,
    pub(crate) modified_on: String,
    pub(crate) hostnames: Vec<String>,
    pub(crate) workers_dev: bool,
    pub(crate) preview_urls: bool,
    pub(crate) crons: Vec<Value>,
    pub(crate) live: Option<Deployment>,
    pub(crate) version_count: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Deployed {
    pub(crate) version_id: String,
    pub(crate) version_number: u64,
    pub(crate) startup_time_ms: u64,
    pub(crate) hostnames: Vec<String>,
    pub(crate) config: Option<Effective>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Effective {
    pub(crate) parent: Option<String>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) removed: Vec<String>,
    pub(crate) shared_state: Vec<SharedState>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Binding {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) origin: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) json: Option<Value>,
    pub(crate) namespace_id: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) entrypoint: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SharedState {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) namespace_id: Option<String>,
    pub(crate) with: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) created_on: String,
    pub(crate) source: String,
    pub(crate) author_email: Option<String>,
    pub(crate) annotations: Annotations,
    pub(crate) versions: Vec<DeployedVersion>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeployedVersion {
    pub(crate) version_id: String,
    pub(crate) percentage: f64,
    pub(crate) number: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Annotations {
    #[serde(rename = "workers/message")]
    pub(crate) message: Option<String>,
    #[serde(rename = "workers/tag")]
    pub(crate) tag: Option<String>,
    #[serde(rename = "workers/triggered_by")]
    pub(crate) triggered_by: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) metadata: VersionMetadata,
    pub(crate) annotations: Annotations,
    pub(crate) resources: VersionResources,
    pub(crate) startup_time_ms: Option<u64>,
    pub(crate) urls: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VersionMetadata {
    pub(crate) created_on: String,
    pub(crate) author_email: Option<String>,
    pub(crate) source: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VersionResources {
    pub(crate) bindings: Vec<Binding>,
}

/// What differs between two environments.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Diff {
    pub(crate) code: Vec<Difference>,
    pub(crate) config: Vec<Difference>,
    pub(crate) triggers: Vec<Difference>,
    pub(crate) identical: bool,
}

/// One field with its value on each side; `None` where it is absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Difference {
    pub(crate) field: String,
    pub(crate) source: Option<Side>,
    pub(crate) target: Option<Side>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Side {
    pub(crate) value: String,
    pub(crate) inherited_from: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Promotions {
    pub(crate) promotions: Vec<Promotion>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Promotion {
    pub(crate) service: String,
    pub(crate) source: String,
    pub(crate) target: String,
    /// Source side: the target as it is; target side: as it becomes.
    pub(crate) changes: Vec<Difference>,
    /// The target's state that `changes` starts from.
    pub(crate) if_match: Option<String>,
    /// The version that moves; a dry run says it, so that no other moves afterwards.
    pub(crate) source_version_id: Option<String>,
    pub(crate) version_number: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Namespace {
    pub(crate) id: String,
    pub(crate) title: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) expiration: Option<u64>,
    pub(crate) metadata: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Route {
    pub(crate) id: String,
    pub(crate) pattern: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Domain {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) service: String,
    pub(crate) environment: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) issued_on: Option<String>,
    pub(crate) expires_on: Option<String>,
    /// Only in the answer that creates it.
    pub(crate) value: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditEntry {
    pub(crate) when: String,
    pub(crate) action: AuditAction,
    pub(crate) actor: AuditActor,
    pub(crate) resource: AuditResource,
    pub(crate) metadata: std::collections::BTreeMap<String, Value>,
    pub(crate) revision: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditAction {
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditActor {
    pub(crate) name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditResource {
    pub(crate) id: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tail {
    pub(crate) id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pipeline {
    pub(crate) stages: Vec<Stage>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stage {
    pub(crate) environment: String,
    pub(crate) requires: Option<Value>,
}
