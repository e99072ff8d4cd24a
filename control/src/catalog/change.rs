//! Pure. What can be done to the catalog.
//!
//! **Owns** the vocabulary of changes. **Must not know** how they are applied. **Enter at** [`Command`].
//!
//! Time, identities and certificates are fields, so applying a command twice gives the same catalog twice.

use skerry_proto::id::{
    AccountId, CertificateId, DeploymentId, DomainId, EnvironmentId, EnvironmentName, Hostname, NamespaceId, NodeId,
    Revision, RouteId, ServiceId, ServiceName, TokenId, VersionId,
};

use super::{
    Account, Actor, Annotations, Authority, Base, Certificate, CloneSource, Cluster, ConfigEdit, Cron, EnvironmentKey,
    Exposure, Fingerprint, Guard, JoinToken, NewDeployment, NewNode, NewRoute, NewVersion, NodeRole, NodeState,
    NodeUpdate, Pipeline, RoutePattern, ServiceKey, Token, WhenBound, WhenShared, WhenVoter,
};

/// One raft entry: all of its changes happen, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Who asks.
    pub actor: Actor,
    /// Milliseconds since the Unix epoch, on the clock of the leader that proposes.
    pub at_ms: i64,
    /// What must hold before anything changes; otherwise [`Rejection::Stale`](super::Rejection::Stale).
    pub expects: Vec<Expectation>,
    /// Makes a repeated command harmless.
    pub idempotency: Option<Idempotency>,
    /// In order; each sees what the ones before it did. All of one account. BOUND: 1000.
    pub changes: Vec<Change>,
}

impl Command {
    /// A command with no conditions.
    #[must_use]
    pub fn new(actor: Actor, at_ms: i64, changes: Vec<Change>) -> Self {
        Self { actor, at_ms, expects: Vec::new(), idempotency: None, changes }
    }

    /// The same, provided that `expectation` holds.
    #[must_use]
    pub fn expecting(mut self, expectation: Expectation) -> Self {
        self.expects.push(expectation);
        self
    }

    /// The feature level that a cluster must be at for this command.
    #[must_use]
    pub fn feature_level(&self) -> u32 {
        let changes = self.changes.iter().map(Change::feature_level);
        let expects = self.expects.iter().map(Expectation::feature_level);
        changes.chain(expects).max().unwrap_or(Cluster::FIRST_FEATURE_LEVEL)
    }
}

impl Change {
    /// The feature level that a cluster must be at for this change. A kind of change, or a field of one, that older builds
    /// would not understand names the level that brought it; everything so far came with the first. Every kind stands here,
    /// so that a new one does not compile before it has a level.
    #[must_use]
    pub fn feature_level(&self) -> u32 {
        match self {
            Self::SetCluster(..)
            | Self::CreateAccount(..)
            | Self::CreateService { .. }
            | Self::RenameService { .. }
            | Self::DeleteService { .. }
            | Self::MoveService { .. }
            | Self::SetPipeline { .. }
            | Self::CreateEnvironment { .. }
            | Self::RenameEnvironment { .. }
            | Self::DeleteEnvironment { .. }
            | Self::SetParent { .. }
            | Self::SetExposure { .. }
            | Self::SetCrons { .. }
            | Self::SetTags { .. }
            | Self::UploadVersion { .. }
            | Self::Deploy { .. }
            | Self::Configure { .. }
            | Self::Promote { .. }
            | Self::PutRoute(..)
            | Self::DeleteRoute { .. }
            | Self::ReplaceRoutes { .. }
            | Self::PutDomain { .. }
            | Self::DeleteDomain { .. }
            | Self::CreateNamespace { .. }
            | Self::RenameNamespace { .. }
            | Self::DeleteNamespace { .. }
            | Self::CreateToken(..)
            | Self::RevokeToken { .. }
            | Self::PutCertificate(..)
            | Self::RemoveCertificate { .. }
            | Self::AdmitNode(..)
            | Self::UpdateNode(..)
            | Self::SetNodeRole { .. }
            | Self::SetNodeState { .. }
            | Self::RemoveNode { .. }
            | Self::CreateJoinToken(..)
            | Self::RevokeJoinToken { .. }
            | Self::SetMeshAuthorities { .. }
            | Self::SetFeatureLevel { .. } => Cluster::FIRST_FEATURE_LEVEL,
        }
    }
}

impl Expectation {
    /// As [`Change::feature_level`].
    #[must_use]
    pub fn feature_level(&self) -> u32 {
        match self {
            Self::Unchanged { .. }
            | Self::ServiceUnchanged { .. }
            | Self::Live { .. }
            | Self::Absent { .. }
            | Self::Present { .. } => Cluster::FIRST_FEATURE_LEVEL,
        }
    }
}

/// A name for a command: while it is remembered (the last 10 000 are), a second command of the same name and fingerprint
/// gives the first one's answer and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Chosen by the caller; the API puts the account before it. BOUND: 200 bytes.
    pub key: String,
    /// A hash of the request, so that the same name for another request is an error.
    pub fingerprint: [u8; 32],
}

/// A state of an environment or service that the caller has seen and relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// The environment has not changed since this revision made it ([`Environment::etag`](super::Environment::etag)).
    Unchanged {
        /// The environment.
        environment: EnvironmentKey,
        /// Its revision as seen.
        revision: Revision,
    },
    /// The service and its environments have not changed since this revision made them.
    ServiceUnchanged {
        /// The service.
        service: ServiceKey,
        /// Its revision as seen.
        revision: Revision,
    },
    /// This version is live with the larger share; `None`: nothing is deployed.
    Live {
        /// The environment.
        environment: EnvironmentKey,
        /// The version as seen.
        version: Option<VersionId>,
    },
    /// The environment does not exist (`If-None-Match: *`).
    Absent {
        /// The environment.
        environment: EnvironmentKey,
    },
    /// The environment exists (`If-Match: *`).
    Present {
        /// The environment.
        environment: EnvironmentKey,
    },
}

/// One thing done to the catalog.
#[allow(
    clippy::large_enum_variant,
    reason = "uploads are the largest and among the commonest; few changes exist at once"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Says what the cluster is; at bootstrap, and when the operator changes the domain. A cluster that exists keeps its
    /// identity, its mesh authorities and its feature level, whatever stands here.
    SetCluster(Cluster),
    /// A new tenant.
    CreateAccount(Account),

    /// A new service with an empty `production`.
    CreateService {
        /// Its account and name.
        service: ServiceKey,
        /// Its identity.
        id: ServiceId,
        /// The identity of its production.
        production: EnvironmentId,
    },
    /// A new name; its hostnames follow. Bindings of other services go by name and are not rewritten.
    RenameService {
        /// Which.
        service: ServiceKey,
        /// The new name.
        to: ServiceName,
    },
    /// Removes a service with its environments, routes, domains and certificates.
    DeleteService {
        /// Which.
        service: ServiceKey,
        /// Whether it may go although other services bind it.
        bound: WhenBound,
    },
    /// Turns a service that has nothing but its production into an environment of another service, with its identity,
    /// versions, deployments, crons, routes and domains. Its hostname changes.
    MoveService {
        /// Which.
        service: ServiceKey,
        /// What it becomes; does not exist yet, in a service that does.
        to: EnvironmentKey,
    },
    /// The stages between its environments; `None` removes them.
    SetPipeline {
        /// Which.
        service: ServiceKey,
        /// The stages.
        pipeline: Option<Pipeline>,
    },

    /// A new environment, empty or cloned.
    CreateEnvironment {
        /// Its service and name.
        environment: EnvironmentKey,
        /// Its identity.
        id: EnvironmentId,
        /// What it inherits from; `None` for production.
        parent: Option<EnvironmentName>,
        /// What it starts with; `None` for nothing.
        clone: Option<CloneSource>,
    },
    /// A new name; its hostname and routes follow, and children keep their parent.
    RenameEnvironment {
        /// Which; not production.
        environment: EnvironmentKey,
        /// The new name.
        to: EnvironmentName,
    },
    /// Removes an environment with its routes, domains and crons. Not production, and not while it is a parent.
    DeleteEnvironment {
        /// Which.
        environment: EnvironmentKey,
        /// Whether it may go although service bindings lead to it.
        bound: WhenBound,
    },
    /// What it inherits from.
    SetParent {
        /// Which; not production.
        environment: EnvironmentKey,
        /// The new parent, not one of its own descendants.
        parent: EnvironmentName,
    },
    /// Where it can be reached; `None` leaves a flag as it is.
    SetExposure {
        /// Which.
        environment: EnvironmentKey,
        /// On its own hostname.
        workers_dev: Option<Exposure>,
        /// Each version on its preview hostname.
        preview_urls: Option<Exposure>,
    },
    /// Replaces its cron triggers.
    SetCrons {
        /// Which.
        environment: EnvironmentKey,
        /// All of them, each once. BOUND: 250, Cloudflare's limit for an account.
        crons: Vec<Cron>,
    },
    /// Replaces its tags.
    SetTags {
        /// Which.
        environment: EnvironmentKey,
        /// All of them. BOUND: 8 of at most 1024 bytes each.
        tags: Vec<String>,
    },

    /// A new version; nothing is deployed.
    UploadVersion {
        /// Where.
        environment: EnvironmentKey,
        /// The version.
        version: NewVersion,
    },
    /// Makes versions live. A rollback is this with an old version: it brings back that version's variables and secrets.
    Deploy {
        /// Where.
        environment: EnvironmentKey,
        /// The deployment.
        deployment: NewDeployment,
    },
    /// A new version with the code of another and an edited configuration; deployed at once when `deployment` is given.
    /// Before the first version it edits the draft instead.
    Configure {
        /// Where.
        environment: EnvironmentKey,
        /// Which version is edited.
        base: Base,
        /// What is different, in order.
        edits: Vec<ConfigEdit>,
        /// The identity of the new version.
        version: VersionId,
        /// The identity of its deployment; `None` leaves the live one alone.
        deployment: Option<DeploymentId>,
        /// Whether the deployment may end a gradual rollout.
        shared: WhenShared,
        /// What the author says about it.
        annotations: Annotations,
        /// What made it.
        source: String,
    },
    /// Moves code from one environment of a service to another, as a new version of the target, deployed at once. The
    /// target keeps its variables, secrets and bindings.
    Promote {
        /// Where from.
        source: EnvironmentKey,
        /// Where to; an environment of the same service.
        target: EnvironmentName,
        /// Which version's code; `None` for the live one.
        version: Option<VersionId>,
        /// The identity of the target's new version.
        new_version: VersionId,
        /// The identity of its deployment.
        deployment: DeploymentId,
        /// What the author says about it.
        annotations: Annotations,
        /// Whether the pipeline's order may be skipped.
        guard: Guard,
    },

    /// A new route, or another target for one.
    PutRoute(NewRoute),
    /// Removes a route.
    DeleteRoute {
        /// Its owner.
        account: AccountId,
        /// Which.
        id: RouteId,
    },
    /// All routes of an environment: others of it are removed, same patterns keep their identity.
    ReplaceRoutes {
        /// Which.
        environment: EnvironmentKey,
        /// Each with the identity it gets when it is new.
        routes: Vec<(RouteId, RoutePattern)>,
    },
    /// A new custom domain, or another environment for one.
    PutDomain {
        /// The identity it gets when it is new.
        id: DomainId,
        /// The host.
        hostname: Hostname,
        /// Who answers.
        environment: EnvironmentKey,
    },
    /// Removes a custom domain.
    DeleteDomain {
        /// Its owner.
        account: AccountId,
        /// The host.
        hostname: Hostname,
    },

    /// A new KV namespace.
    CreateNamespace {
        /// Its owner.
        account: AccountId,
        /// Its identity.
        id: NamespaceId,
        /// Its title, unique in the account.
        title: String,
        /// The node that keeps its entries.
        home: NodeId,
    },
    /// Another title.
    RenameNamespace {
        /// Its owner.
        account: AccountId,
        /// Which.
        id: NamespaceId,
        /// The new title.
        title: String,
    },
    /// Removes a namespace that no live version binds. The caller then removes its entries.
    DeleteNamespace {
        /// Its owner.
        account: AccountId,
        /// Which.
        id: NamespaceId,
    },

    /// A new token.
    CreateToken(Token),
    /// A token stops working at once.
    RevokeToken {
        /// The account it is for; must match.
        account: Option<AccountId>,
        /// Which.
        id: TokenId,
    },
    /// A new certificate, or a renewed one under the same identity.
    PutCertificate(Certificate),
    /// Removes a certificate.
    RemoveCertificate {
        /// Which.
        id: CertificateId,
    },

    /// A new node; its id is the revision of this command, so a command admits one. The same key, name and token again
    /// change nothing: the node whose answer was lost asks twice and is admitted once.
    AdmitNode(NewNode),
    /// What a node says of itself; what is the same already need not be proposed ([`Node::updated`](super::Node::updated)).
    UpdateNode(NodeUpdate),
    /// Whether a node votes. Not the last voter.
    SetNodeRole {
        /// Which.
        id: NodeId,
        /// The new role.
        role: NodeRole,
    },
    /// Whether a node takes work.
    SetNodeState {
        /// Which.
        id: NodeId,
        /// The new state.
        state: NodeState,
    },
    /// A machine is no node any more; its id is never used again. Not the last voter.
    RemoveNode {
        /// Which.
        id: NodeId,
        /// Whether it may go although it votes or keeps KV namespaces.
        voter: WhenVoter,
    },
    /// A new join token.
    CreateJoinToken(JoinToken),
    /// A join token admits nobody any more.
    RevokeJoinToken {
        /// Which.
        id: TokenId,
    },
    /// Replaces the CAs of the mesh; the first one signs.
    SetMeshAuthorities {
        /// All of them, each once.
        authorities: Vec<Authority>,
        /// Whose place they take, in order; refused when others are there. Empty: whoever is there.
        replaces: Vec<Fingerprint>,
    },
    /// What every node's build understands. Never lower than it is, never above what a node knows.
    SetFeatureLevel {
        /// The new level.
        level: u32,
    },
}
