//! Pure. A catalog to try things on, with identities that count up.
//!
//! **Owns** what the catalog's tests share. **Must not know** what they promise. **Enter at** [`Lab`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use skerry_proto::id::{
    AccountId, BundleHash, DeploymentId, EnvironmentId, EnvironmentName, Hostname, IdError, NamespaceId, NodeId,
    Revision, RouteId, ServiceName, TokenId, VersionId,
};

use super::*;

mod steps;

pub(super) use steps::steps;

/// A catalog with a cluster and an account, and a counter for identities.
#[derive(Debug, Clone)]
pub(crate) struct Lab {
    pub(crate) catalog: Catalog,
    pub(super) account: AccountId,
    next: u64,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let account = hex_id(AccountId::new, 0xacc);
        let mut lab = Self { catalog: Catalog::default(), account: account.clone(), next: 0 };
        let key = Sealed { scope: SealScope::cluster_ca(), bytes: Bytes::from_static(b"key") };
        let cluster = Cluster::new(Hostname::new("workers.test").unwrap(), Bytes::from_static(b"ca"), key, 1);
        let first = Account { id: account, name: "default".to_owned(), label: None, created_at_ms: 1 };
        lab.run(vec![Change::SetCluster(cluster), Change::CreateAccount(first)]).unwrap();
        lab
    }

    /// Counts.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn version_id(&mut self) -> VersionId {
        let number = self.number();
        uuid(VersionId::new, number)
    }

    pub(super) fn deployment_id(&mut self) -> DeploymentId {
        let number = self.number();
        uuid(DeploymentId::new, number)
    }

    pub(super) fn command(&mut self, changes: Vec<Change>) -> Command {
        let at_ms = self.now_ms();
        self.number();
        Command::new(Actor { name: "tester".to_owned(), ..Actor::default() }, at_ms, changes)
    }

    pub(super) fn apply(&mut self, command: &Command) -> Result<Applied, Rejection> {
        let revision = Revision(self.catalog.revision().0.max(self.next) + 1);
        self.catalog.apply(revision, command)
    }

    pub(crate) fn run(&mut self, changes: Vec<Change>) -> Result<Applied, Rejection> {
        let command = self.command(changes);
        self.apply(&command)
    }

    pub(super) fn service(&self, name: &str) -> ServiceKey {
        ServiceKey { account: self.account.clone(), name: ServiceName::new(name).unwrap() }
    }

    pub(crate) fn environment(&self, service: &str, name: &str) -> EnvironmentKey {
        self.service(service).environment(EnvironmentName::new(name).unwrap())
    }

    pub(super) fn found(&self, service: &str, name: &str) -> &Environment {
        self.catalog.environment(&self.environment(service, name)).unwrap()
    }

    pub(super) fn create_service(&mut self, name: &str) -> Change {
        let (id, production) = (self.number(), self.number());
        Change::CreateService {
            service: self.service(name),
            id: hex_id(skerry_proto::id::ServiceId::new, id),
            production: hex_id(EnvironmentId::new, production),
        }
    }

    pub(super) fn create_environment(&mut self, service: &str, name: &str, clone: Option<CloneSource>) -> Change {
        let id = hex_id(EnvironmentId::new, self.number());
        Change::CreateEnvironment { environment: self.environment(service, name), id, parent: None, clone }
    }

    pub(super) fn clone_of(&mut self, source: &str) -> CloneSource {
        CloneSource {
            environment: EnvironmentName::new(source).unwrap(),
            version: self.version_id(),
            deployment: self.deployment_id(),
            replace: BTreeMap::new(),
            annotations: Annotations::default(),
        }
    }

    /// A version with code of its own and these bindings.
    pub(super) fn new_version(&mut self, bindings: &[(&str, Binding)]) -> NewVersion {
        let id = self.version_id();
        NewVersion {
            code: code(self.next),
            id,
            bindings: bindings.iter().map(|(name, binding)| ((*name).to_owned(), binding.clone())).collect(),
            removed: BTreeSet::new(),
            limits: LimitsConfig::default(),
            keep: Keep::default(),
            base: Base::Live,
            annotations: Annotations::default(),
            source: "test".to_owned(),
        }
    }

    pub(super) fn deploy_change(&mut self, key: &EnvironmentKey, version: &VersionId) -> Change {
        let deployment = NewDeployment {
            id: self.deployment_id(),
            shares: vec![Share::all(version.clone())],
            annotations: Annotations::default(),
            source: "test".to_owned(),
        };
        Change::Deploy { environment: key.clone(), deployment }
    }

    /// Uploads and deploys a version with these bindings.
    pub(super) fn ship(&mut self, service: &str, environment: &str, bindings: &[(&str, Binding)]) -> VersionId {
        let key = self.environment(service, environment);
        let version = self.new_version(bindings);
        let id = version.id.clone();
        let deploy = self.deploy_change(&key, &id);
        self.run(vec![Change::UploadVersion { environment: key, version }, deploy]).unwrap();
        id
    }

    /// Edits the live configuration and deploys the result.
    pub(super) fn configure(&mut self, service: &str, environment: &str, edits: Vec<ConfigEdit>) -> Change {
        Change::Configure {
            environment: self.environment(service, environment),
            base: Base::Live,
            edits,
            version: self.version_id(),
            deployment: Some(self.deployment_id()),
            shared: WhenShared::Replace,
            annotations: Annotations::default(),
            source: "test".to_owned(),
        }
    }

    pub(super) fn promote(&mut self, service: &str, source: &str, target: &str) -> Change {
        Change::Promote {
            source: self.environment(service, source),
            target: EnvironmentName::new(target).unwrap(),
            version: None,
            new_version: self.version_id(),
            deployment: self.deployment_id(),
            annotations: Annotations::default(),
            guard: Guard::Enforce,
        }
    }

    /// A secret as it would be sealed for the environment.
    pub(super) fn secret(&self, service: &str, environment: &str, name: &str, text: &str) -> Binding {
        let scope = SealScope::secret(&self.account, &self.found(service, environment).id, name);
        Binding::Secret(Sealed { scope, bytes: Bytes::copy_from_slice(text.as_bytes()) })
    }

    pub(super) fn create_namespace(&mut self, title: &str) -> (NamespaceId, Change) {
        let id = hex_id(NamespaceId::new, self.number());
        let home = self.catalog.nodes().last().map_or(Namespace::FIRST_HOME, |node| node.id);
        let (account, title) = (self.account.clone(), title.to_owned());
        let change = Change::CreateNamespace { account, id: id.clone(), title, home };
        (id, change)
    }

    pub(super) fn put_route(&mut self, pattern: &str, target: Option<EnvironmentKey>) -> Change {
        let id = hex_id(RouteId::new, self.number());
        Change::PutRoute(NewRoute { account: self.account.clone(), id, pattern: pattern.parse().unwrap(), target })
    }

    /// A voter as it asks to be admitted; its key is made from its name.
    pub(crate) fn new_node(&self, name: &str, admission: Admission) -> Change {
        Change::AdmitNode(NewNode {
            admission,
            name: name.to_owned(),
            role: NodeRole::Voter,
            region: "eu".to_owned(),
            zone: "a".to_owned(),
            address: format!("{name}.example:7000"),
            api: String::new(),
            public_key: *blake3::hash(name.as_bytes()).as_bytes(),
            feature_level: 1,
            build: "0.1.0".to_owned(),
            boot: 1,
        })
    }

    /// A voter that was admitted: the founder, or one that joined with a token.
    pub(crate) fn voter(&mut self, name: &str) -> NodeId {
        let mut admission = Admission::Founder;
        if self.catalog.nodes().next().is_some() {
            let change = self.new_join_token(None, 1, 60_000);
            self.run(vec![change.clone()]).unwrap();
            let Change::CreateJoinToken(token) = change else { panic!("{change:?}") };
            admission = Admission::Token(token.hash);
        }
        let change = self.new_node(name, admission);
        self.run(vec![change]).unwrap();
        self.catalog.nodes().find(|node| node.name == name).unwrap().id
    }

    /// What a node says of itself after a start.
    pub(crate) fn node_update(&self, id: NodeId, boot: u64) -> NodeUpdate {
        NodeUpdate {
            id,
            region: "eu".to_owned(),
            zone: "b".to_owned(),
            address: "192.0.2.7:7000".to_owned(),
            api: "[2001:db8::7]:8700".to_owned(),
            feature_level: 1,
            build: "0.2.0".to_owned(),
            boot,
        }
    }

    /// A join token that is good for so many milliseconds from now on.
    pub(crate) fn new_join_token(&mut self, role: Option<NodeRole>, uses_left: u32, ttl_ms: i64) -> Change {
        let number = self.number();
        let created_at_ms = self.now_ms();
        Change::CreateJoinToken(JoinToken {
            id: hex_id(TokenId::new, number),
            hash: TokenHash::of(&number.to_string()),
            role,
            uses_left,
            expires_at_ms: created_at_ms + ttl_ms,
            created_at_ms,
            name: "rack 7".to_owned(),
        })
    }

    /// The time of the next command.
    pub(super) fn now_ms(&self) -> i64 {
        1_001 + i64::try_from(self.next).unwrap()
    }

    /// What the live version of an environment runs with.
    pub(super) fn effective(&self, service: &str, environment: &str) -> Effective {
        let version = self.found(service, environment).live_version().unwrap();
        effective(&self.catalog, &self.environment(service, environment), version)
    }
}

pub(super) fn text(text: &str) -> Binding {
    Binding::PlainText(text.to_owned())
}

pub(super) fn set(name: &str, binding: Binding) -> ConfigEdit {
    ConfigEdit::Set { name: name.to_owned(), binding }
}

/// The same admission with something else in it.
pub(super) fn edit_node(change: Change, edit: impl FnOnce(&mut NewNode)) -> Change {
    let Change::AdmitNode(mut node) = change else { panic!("{change:?} admits no node") };
    edit(&mut node);
    Change::AdmitNode(node)
}

/// An authority whose certificate is this text.
pub(super) fn authority(text: &str) -> Authority {
    let certificate = Bytes::copy_from_slice(text.as_bytes());
    let scope = SealScope::mesh_authority(Fingerprint::of(&certificate));
    Authority { certificate, key: Sealed { scope, bytes: Bytes::from_static(b"key") }, created_at_ms: 3 }
}

pub(super) fn code(number: u64) -> Code {
    Code {
        bundle: BundleRef { hash: BundleHash::of(&number.to_be_bytes()), size_bytes: 8 },
        syntax: Syntax::Modules,
        main_module: "index.js".to_owned(),
        handlers: vec!["fetch".to_owned()],
        compatibility_date: "2026-01-01".to_owned(),
        compatibility_flags: vec!["nodejs_compat".to_owned()],
        startup_ms: 1,
    }
}

pub(super) fn hex_id<T>(new: fn(&str) -> Result<T, IdError>, number: u64) -> T {
    new(&format!("{number:032x}")).unwrap()
}

pub(super) fn uuid<T>(new: fn(&str) -> Result<T, IdError>, number: u64) -> T {
    new(&format!("{number:08x}-0000-4000-8000-000000000000")).unwrap()
}
