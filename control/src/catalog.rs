//! Pure. What the cluster has agreed on: accounts, services, environments, versions and everything around them.
//!
//! **Owns** the model and every rule about it. **Must not know** raft, storage, HTTP, clocks. **Enter at** [`Catalog`]
//! and [`Command`].

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use skerry_proto::id::{
    AccountId, CertificateId, DomainId, EnvironmentName, Hostname, NamespaceId, NodeId, Revision, RouteId, ServiceName,
    TokenId,
};

mod account;
mod apply;
mod audit;
mod binding;
mod certificate;
mod change;
mod cluster;
mod cron;
mod cron_field;
mod deployment;
mod diff;
mod digest;
mod domain;
mod effective;
mod environment;
mod hostname;
mod join_token;
mod namespace;
mod node;
mod part;
mod pipeline;
mod rejection;
mod route;
mod sealed;
mod service;
#[cfg(test)]
pub(crate) mod testing;
mod token;
mod version;
pub mod wire;

pub use account::Account;
pub use apply::limits;
pub use audit::{Actor, AuditAction, AuditEntry};
pub use binding::{Binding, BindingKind, DurableObjectBinding, ServiceBinding};
pub use certificate::{Certificate, CertificateIssuer};
pub use change::{Change, Command, Expectation, Idempotency};
pub use cluster::{Authority, Cluster, Fingerprint};
pub use cron::{Cron, CronError};
pub use deployment::{Deployment, Percentage, Share};
pub use diff::{Difference, EnvironmentDiff, Side, diff, diff_between, diff_config};
pub use digest::Digest;
pub use domain::Domain;
pub(crate) use effective::environment_binder;
pub use effective::{Effective, EffectiveBinding, Origin, Shared, effective, effective_config, resolve_service};
pub use environment::{Environment, Exposure};
pub use hostname::{
    HostTarget, account_certificate_names, find_host, hostname, preview_hostname, service_certificate_names,
};
pub use join_token::JoinToken;
pub use namespace::Namespace;
pub use node::{Admission, NewNode, Node, NodeRole, NodeState, NodeUpdate, RoleError};
pub use part::{
    Base, CloneSource, ConfigEdit, Guard, Keep, NewDeployment, NewRoute, NewVersion, WhenBound, WhenShared, WhenVoter,
};
pub use pipeline::Pipeline;
pub use rejection::{Applied, CreatedDeployment, CreatedVersion, Noun, Rejection, Repeated};
pub use route::{HostPattern, PATTERN_BYTES_MAX, PatternError, Route, RoutePattern, RouteTable, Scheme};
pub use sealed::{SealScope, Sealed};
pub use service::{EnvironmentKey, Service, ServiceKey};
pub use token::{Access, Resource, Scope, ScopeError, Token, TokenHash};
pub use version::{Annotations, BundleRef, Code, LimitsConfig, Syntax, Version, VersionConfig};

/// One agreed state. Cloning it costs a few pointers; readers keep an `Arc` of the state they began with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    revision: Revision,
    cluster: Option<Arc<Cluster>>,
    accounts: OrdMap<AccountId, Arc<Account>>,
    services: OrdMap<ServiceKey, Arc<Service>>,
    namespaces: OrdMap<NamespaceId, Arc<Namespace>>,
    routes: OrdMap<RouteId, Arc<Route>>,
    domains: OrdMap<Hostname, Arc<Domain>>,
    certificates: OrdMap<CertificateId, Arc<Certificate>>,
    tokens: OrdMap<TokenId, Arc<Token>>,
    nodes: OrdMap<NodeId, Arc<Node>>,
    join_tokens: OrdMap<TokenId, Arc<JoinToken>>,
    audit: Vector<Arc<AuditEntry>>,
    /// By the revision that each made, so the oldest is the first.
    replays: OrdMap<Revision, Arc<apply::Replay>>,
    /// Derived: the replays by their key.
    replay_keys: OrdMap<String, Revision>,
    /// Derived: the tokens by their hash.
    token_hashes: OrdMap<TokenHash, TokenId>,
    /// Derived: the nodes by their public key.
    node_keys: OrdMap<[u8; 32], NodeId>,
    /// Derived: the routes by their pattern.
    route_patterns: OrdMap<String, RouteId>,
}

impl Catalog {
    /// The raft log index of the last entry it contains.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The cluster itself; `None` before bootstrap.
    #[must_use]
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// The account of that identity.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> Option<&Arc<Account>> {
        self.accounts.get(id)
    }

    /// All accounts, in the order of their identities.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// The account whose hostnames have no label of its own.
    #[must_use]
    pub fn first_account(&self) -> Option<&AccountId> {
        self.accounts.values().find(|account| account.label.is_none()).map(|account| &account.id)
    }

    /// The account whose hostnames carry this label.
    #[must_use]
    pub fn account_by_label(&self, label: &ServiceName) -> Option<&AccountId> {
        self.accounts.values().find(|account| account.label.as_ref() == Some(label)).map(|account| &account.id)
    }

    /// The service of that key.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// An account's services, by name.
    pub fn services(&self, account: &AccountId) -> impl Iterator<Item = &Arc<Service>> {
        // The least name there is: a single character that sorts before every other allowed one.
        let least = ServiceName::new("0").expect("a digit is a label");
        let from = ServiceKey { account: account.clone(), name: least };
        self.services
            .range(from..)
            .map(|(_, service)| service)
            .take_while(move |service| service.key.account == *account)
    }

    /// Every service of every account.
    pub fn all_services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// The code of every version of every environment; the same code may come more than once.
    pub fn bundles(&self) -> impl Iterator<Item = BundleRef> {
        let environments = self.services.values().flat_map(|service| service.environments.values());
        environments.flat_map(|environment| environment.versions.values()).map(|version| version.code.bundle)
    }

    /// The environment of that key.
    #[must_use]
    pub fn environment(&self, key: &EnvironmentKey) -> Option<&Arc<Environment>> {
        self.services.get(&key.service)?.environments.get(&key.environment)
    }

    /// The KV namespaces of all accounts.
    pub fn all_namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.values()
    }

    /// The KV namespace of that identity; compare its account before showing it.
    #[must_use]
    pub fn namespace(&self, id: &NamespaceId) -> Option<&Arc<Namespace>> {
        self.namespaces.get(id)
    }

    /// An account's KV namespaces, in the order of their identities.
    pub fn namespaces(&self, account: &AccountId) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.values().filter(move |namespace| namespace.account == *account)
    }

    /// The route of that identity; compare its account before showing it.
    #[must_use]
    pub fn route(&self, id: &RouteId) -> Option<&Arc<Route>> {
        self.routes.get(id)
    }

    /// Every route, for building a [`RouteTable`].
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// An account's routes, in the order of their identities.
    pub fn routes_in(&self, account: &AccountId) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values().filter(move |route| route.account == *account)
    }

    /// The routes that lead to an environment.
    pub fn routes_of(&self, environment: &EnvironmentKey) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values().filter(move |route| route.target.as_ref() == Some(environment))
    }

    /// The custom domain of that host.
    #[must_use]
    pub fn domain(&self, hostname: &Hostname) -> Option<&Arc<Domain>> {
        self.domains.get(hostname)
    }

    /// The custom domain of that identity.
    #[must_use]
    pub fn domain_by_id(&self, id: &DomainId) -> Option<&Arc<Domain>> {
        self.domains.values().find(|domain| domain.id == *id)
    }

    /// An account's custom domains, by host.
    pub fn domains_in(&self, account: &AccountId) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values().filter(move |domain| domain.environment.service.account == *account)
    }

    /// Every custom domain, by host.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values()
    }

    /// The custom domains that an environment answers on.
    pub fn domains_of(&self, environment: &EnvironmentKey) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values().filter(move |domain| domain.environment == *environment)
    }

    /// Every certificate.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.certificates.values()
    }

    /// The certificate of that identity.
    #[must_use]
    pub fn certificate(&self, id: &CertificateId) -> Option<&Arc<Certificate>> {
        self.certificates.get(id)
    }

    /// Every token.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    /// The token of that identity.
    #[must_use]
    pub fn token(&self, id: &TokenId) -> Option<&Arc<Token>> {
        self.tokens.get(id)
    }

    /// The token whose text has this hash. A hash is looked up, not compared byte by byte with a secret, so its timing
    /// says nothing about other tokens.
    #[must_use]
    pub fn token_by_hash(&self, hash: &TokenHash) -> Option<&Arc<Token>> {
        self.tokens.get(self.token_hashes.get(hash)?)
    }

    /// Every node, in the order of their identities.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// The node of that identity.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// The node of that name.
    #[must_use]
    pub fn node_by_name(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.values().find(|node| node.name == name)
    }

    /// The node of that [public key](Node::public_key).
    #[must_use]
    pub fn node_by_key(&self, public_key: &[u8; 32]) -> Option<&Arc<Node>> {
        self.nodes.get(self.node_keys.get(public_key)?)
    }

    /// Every join token, in the order of their identities; some may have expired.
    pub fn join_tokens(&self) -> impl Iterator<Item = &Arc<JoinToken>> {
        self.join_tokens.values()
    }

    /// The join token of that identity.
    #[must_use]
    pub fn join_token(&self, id: &TokenId) -> Option<&Arc<JoinToken>> {
        self.join_tokens.get(id)
    }

    /// The join token whose text has this hash.
    #[must_use]
    pub fn join_token_by_hash(&self, hash: &TokenHash) -> Option<&Arc<JoinToken>> {
        self.join_tokens.values().find(|token| token.hash == *hash)
    }

    /// The feature level that every node keeps to.
    #[must_use]
    pub fn feature_level(&self) -> u32 {
        self.cluster.as_ref().map_or(Cluster::FIRST_FEATURE_LEVEL, |cluster| cluster.feature_level)
    }

    /// The audit log, oldest first. BOUND: the newest [`limits::AUDIT_ENTRIES_MAX`].
    pub fn audit(&self) -> impl DoubleEndedIterator<Item = &Arc<AuditEntry>> {
        self.audit.iter()
    }

    /// Whether both hold the same services, by identity of memory: `true` means that nothing changed, `false` that
    /// something may have.
    #[must_use]
    pub fn same_services(&self, other: &Self) -> bool {
        self.services.ptr_eq(&other.services)
    }

    /// As [`Catalog::same_services`], for routes.
    #[must_use]
    pub fn same_routes(&self, other: &Self) -> bool {
        self.routes.ptr_eq(&other.routes)
    }

    /// As [`Catalog::same_services`], for custom domains.
    #[must_use]
    pub fn same_domains(&self, other: &Self) -> bool {
        self.domains.ptr_eq(&other.domains)
    }

    /// As [`Catalog::same_services`], for certificates.
    #[must_use]
    pub fn same_certificates(&self, other: &Self) -> bool {
        self.certificates.ptr_eq(&other.certificates)
    }

    /// As [`Catalog::same_services`], for nodes.
    #[must_use]
    pub fn same_nodes(&self, other: &Self) -> bool {
        self.nodes.ptr_eq(&other.nodes)
    }

    /// An environment of a service, for shortness.
    #[must_use]
    pub fn find(
        &self,
        account: &AccountId,
        service: &ServiceName,
        name: &EnvironmentName,
    ) -> Option<&Arc<Environment>> {
        let service = ServiceKey { account: account.clone(), name: service.clone() };
        self.environment(&service.environment(name.clone()))
    }
}
