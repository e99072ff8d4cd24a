//! Pure. What a version runs with: its own configuration and what it inherits.
//!
//! **Owns** inheritance between environments (DESIGN 4.11), and where service bindings lead. **Must not know** how a binding
//! is served. **Enter at** [`effective`].
//!
//! An environment inherits from its parent's *live* version, at the moment of looking: variables, JSON variables, service
//! and KV bindings and limits that it does not set itself and has not removed. Secrets and object storage it never does.

use std::collections::{BTreeMap, BTreeSet};

use skerry_proto::id::{EnvironmentName, NamespaceId};

use super::{
    Binding, BindingKind, Catalog, EnvironmentKey, LimitsConfig, Service, ServiceBinding, Version, VersionConfig,
};

/// BOUND: parents of parents that are followed; a longer chain is refused when it is made.
pub(super) const ANCESTORS_MAX: usize = 16;

/// What a version runs with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// Every binding, by its name in `env`.
    pub bindings: BTreeMap<String, EffectiveBinding>,
    /// Its own names that hide one of the parent's, whether or not the parent has it now.
    pub removed: BTreeSet<String>,
    /// The limits; what is `None` is the node's default.
    pub limits: LimitsConfig,
    /// Stateful resources that another environment of the service uses too, by binding name.
    pub shared: BTreeMap<String, Shared>,
}

/// A binding with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveBinding {
    /// The value.
    pub binding: Binding,
    /// Who set it.
    pub origin: Origin,
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The version itself.
    Own,
    /// The live version of this ancestor.
    Inherited(EnvironmentName),
}

/// A stateful resource that several environments write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The KV namespace.
    pub namespace: NamespaceId,
    /// The other environments of the service that bind it, in order.
    pub with: Vec<EnvironmentName>,
}

/// What `version` of `environment` runs with, given what its ancestors have live. An environment that does not exist
/// inherits nothing.
#[must_use]
pub fn effective(catalog: &Catalog, environment: &EnvironmentKey, version: &Version) -> Effective {
    effective_config(catalog, environment, &version.config)
}

/// The same for a configuration that is not a version (yet).
#[must_use]
pub fn effective_config(catalog: &Catalog, environment: &EnvironmentKey, config: &VersionConfig) -> Effective {
    let Some(service) = catalog.service(&environment.service) else {
        return resolve(None, &environment.environment, config);
    };
    let mut effective = resolve(Some(service), &environment.environment, config);
    effective.shared = shared(service, &environment.environment, &effective);
    effective
}

/// What an environment of `service` runs with; what it shares with others is left out, which costs the most.
fn resolve(service: Option<&Service>, environment: &EnvironmentName, config: &VersionConfig) -> Effective {
    let mut out = Effective { limits: config.limits, removed: config.removed.clone(), ..Effective::default() };
    for (name, binding) in &config.bindings {
        out.bindings.insert(name.clone(), EffectiveBinding { binding: binding.clone(), origin: Origin::Own });
    }
    let mut hidden = config.removed.clone();
    for ancestor in ancestors(service, environment) {
        let Some(version) = ancestor.live_version() else { continue };
        inherit(&mut out, &hidden, &ancestor.name, &version.config);
        hidden.extend(version.config.removed.iter().cloned());
    }
    out
}

fn ancestors<'a>(
    service: Option<&'a Service>,
    environment: &EnvironmentName,
) -> impl Iterator<Item = &'a super::Environment> {
    let parent = move |name: &EnvironmentName| {
        let service = service?;
        let parent = service.environment(name)?.parent.as_ref()?;
        service.environment(parent).map(|found| &**found)
    };
    std::iter::successors(parent(environment), move |ancestor| parent(&ancestor.name)).take(ANCESTORS_MAX)
}

fn inherit(out: &mut Effective, hidden: &BTreeSet<String>, from: &EnvironmentName, config: &VersionConfig) {
    for (name, binding) in &config.bindings {
        if binding.kind().is_inherited() && !hidden.contains(name) && !out.bindings.contains_key(name) {
            let origin = Origin::Inherited(from.clone());
            out.bindings.insert(name.clone(), EffectiveBinding { binding: binding.clone(), origin });
        }
    }
    out.limits.cpu_ms = out.limits.cpu_ms.or(config.limits.cpu_ms);
    out.limits.subrequests = out.limits.subrequests.or(config.limits.subrequests);
}

fn shared(service: &Service, environment: &EnvironmentName, own: &Effective) -> BTreeMap<String, Shared> {
    let mut users: BTreeMap<&NamespaceId, Vec<EnvironmentName>> = BTreeMap::new();
    let others: Vec<(EnvironmentName, Effective)> = service
        .environments
        .iter()
        .filter(|(name, _)| *name != environment)
        .filter_map(|(name, other)| Some((name.clone(), resolve(Some(service), name, &other.live_version()?.config))))
        .collect();
    for (name, other) in &others {
        for namespace in other.namespaces() {
            let names = users.entry(namespace).or_default();
            if names.last() != Some(name) {
                names.push(name.clone());
            }
        }
    }
    own.bindings
        .iter()
        .filter_map(|(name, entry)| {
            let Binding::KvNamespace(namespace) = &entry.binding else { return None };
            let with = users.get(namespace)?.clone();
            Some((name.clone(), Shared { namespace: namespace.clone(), with }))
        })
        .collect()
}

impl Effective {
    /// The KV namespaces it binds, in the order of their binding names.
    pub fn namespaces(&self) -> impl Iterator<Item = &NamespaceId> {
        self.bindings.values().filter_map(|entry| match &entry.binding {
            Binding::KvNamespace(namespace) => Some(namespace),
            _ => None,
        })
    }

    /// What must be configured so that, on top of `inherited`, this comes out; without secrets.
    #[must_use]
    pub(crate) fn own_part(&self, inherited: &Self) -> VersionConfig {
        let mut config = VersionConfig { limits: self.limits, ..VersionConfig::default() };
        for (name, entry) in &self.bindings {
            let same = inherited.bindings.get(name).is_some_and(|other| other.binding == entry.binding);
            if !same && entry.binding.kind() != BindingKind::Secret {
                config.bindings.insert(name.clone(), entry.binding.clone());
            }
        }
        let hidden = inherited.bindings.keys().filter(|name| {
            // A secret of the source hides the parent's binding of the same name, in the clone too.
            self.bindings.get(*name).is_none_or(|entry| entry.binding.kind() == BindingKind::Secret)
        });
        config.removed.extend(hidden.cloned());
        config.removed.extend(self.removed.iter().filter(|name| !config.bindings.contains_key(*name)).cloned());
        config.removed.retain(|name| !config.bindings.contains_key(name));
        let limits = &mut config.limits;
        limits.cpu_ms = limits.cpu_ms.filter(|cpu| inherited.limits.cpu_ms != Some(*cpu));
        limits.subrequests = limits.subrequests.filter(|calls| inherited.limits.subrequests != Some(*calls));
        config
    }
}

/// Which environment serves a call through a service binding: the one that the binding names, else the one of the
/// caller's name, else production. `None` when the service, or the named environment, does not exist.
#[must_use]
pub fn resolve_service(catalog: &Catalog, caller: &EnvironmentKey, binding: &ServiceBinding) -> Option<EnvironmentKey> {
    let key = super::ServiceKey { account: caller.service.account.clone(), name: binding.service.clone() };
    let service = catalog.service(&key)?;
    let name = match &binding.environment {
        Some(name) => service.environments.contains_key(name).then(|| name.clone())?,
        None if service.environments.contains_key(&caller.environment) => caller.environment.clone(),
        None => service.default_environment.clone(),
    };
    Some(key.environment(name))
}

/// The first other environment of the account with a live service binding, its own or inherited, that leads to `key`.
#[must_use]
pub(crate) fn environment_binder(catalog: &Catalog, key: &EnvironmentKey) -> Option<EnvironmentKey> {
    let services = catalog.services(&key.service.account);
    let mut all = services.flat_map(|service| service.environments.values().map(move |found| (service, found)));
    all.find_map(|(service, found)| {
        let caller = service.key.environment(found.name.clone());
        let leads_here = |binding: &Binding| match binding {
            Binding::Service(target) => resolve_service(catalog, &caller, target).as_ref() == Some(key),
            _ => false,
        };
        let versions = found.live()?.shares.iter().filter_map(|share| found.version(&share.version));
        let mut bound = versions.map(|version| resolve(Some(service), &found.name, &version.config).bindings);
        let binds = caller != *key && bound.any(|all| all.values().any(|entry| leads_here(&entry.binding)));
        binds.then_some(caller)
    })
}
