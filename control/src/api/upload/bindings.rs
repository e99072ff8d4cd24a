//! From the bindings of an upload to those of a version.
//!
//! **Owns** which binding types we take and what each must hold. **Must not know** who serves a binding. **Enter at**
//! [`Bindings::read`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use skerry_proto::id::{EnvironmentId, EnvironmentName, NamespaceId, ServiceName};

use super::metadata::{Metadata, RawBinding, clip};
use crate::{
    api::{
        Deps,
        error::ApiError,
        script_name::{self, Meaning},
        secrets,
    },
    catalog::{Binding, BindingKind, Catalog, Change, EnvironmentKey, Keep, Namespace, ServiceBinding, ServiceKey},
    mint,
};

/// The field that names a KV namespace.
const ID: &str = "namespace_id";

/// The bindings of a version to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bindings {
    /// Those that were sent.
    pub set: BTreeMap<String, Binding>,
    /// Those that the version before gives.
    pub keep: Keep,
    /// Namespaces that a dry run makes for itself, because it was given titles of some that do not exist.
    pub namespaces: Vec<Change>,
}

/// Whether a KV namespace may be named by its title, whether or not it exists: only where nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Titles {
    /// In a dry run.
    Allowed,
    /// In earnest.
    Refused,
}

/// Where bindings are read for.
pub(crate) struct Scene<'a> {
    /// Seals secrets.
    pub deps: &'a Deps,
    /// Knows namespaces and services.
    pub catalog: &'a Catalog,
    /// The environment that gets the bindings.
    pub key: &'a EnvironmentKey,
    /// Its identity: secrets are sealed to it.
    pub environment: &'a EnvironmentId,
}

impl Bindings {
    /// Reads what was sent; every error names the binding.
    pub(crate) fn read(scene: &Scene<'_>, metadata: &Metadata, titles: Titles) -> Result<Self, ApiError> {
        let mut bindings = Self::default();
        let mut names = BTreeSet::new();
        for raw in &metadata.bindings {
            if !names.insert(raw.name.as_str()) {
                return Err(wrong(&raw.name, "is bound twice; names are unique"));
            }
            let may_be_titled = raw.kind == "kv_namespace" && titles == Titles::Allowed;
            let is_titled = may_be_titled && optional_text(raw, ID)?.is_none();
            if raw.kind == "inherit" {
                bindings.inherit(scene, &raw.name)?;
            } else if is_titled && let Some(title) = optional_text(raw, "title")? {
                let namespace = bindings.titled(scene, title);
                bindings.set.insert(raw.name.clone(), Binding::KvNamespace(namespace));
            } else {
                bindings.set.insert(raw.name.clone(), scene.binding(raw)?);
            }
        }
        bindings.keep.kinds = match &metadata.keep_bindings {
            // `secret_key` and others are types that we never have: keeping all of none is no error.
            Some(kinds) => kinds.iter().filter_map(|kind| BindingKind::from_api_type(kind)).collect(),
            None => [BindingKind::Secret].into(),
        };
        Ok(bindings)
    }

    /// The namespace of this title; one that does not exist is made, for the rehearsal only.
    fn titled(&mut self, scene: &Scene<'_>, title: &str) -> NamespaceId {
        let account = &scene.key.service.account;
        if let Some(found) = scene.catalog.namespaces(account).find(|namespace| namespace.title == title) {
            return found.id.clone();
        }
        let made = self.namespaces.iter().find_map(|change| match change {
            Change::CreateNamespace { id, title: made, .. } if made == title => Some(id.clone()),
            _ => None,
        });
        made.unwrap_or_else(|| {
            let id = mint::namespace_id();
            let (account, title) = (account.clone(), title.to_owned());
            // Nothing is kept, so any home that there is will do.
            let home = scene.catalog.nodes().next().map_or(Namespace::FIRST_HOME, |node| node.id);
            self.namespaces.push(Change::CreateNamespace { account, id: id.clone(), title, home });
            id
        })
    }

    /// Keeps a name of the version before. One that the parent gives needs nothing: it is inherited in any case.
    fn inherit(&mut self, scene: &Scene<'_>, name: &str) -> Result<(), ApiError> {
        let environment = scene.catalog.environment(scene.key);
        let own = environment.is_some_and(|environment| {
            let versions = environment.versions.values();
            environment.draft.bindings.contains_key(name)
                || versions.rev().any(|version| version.config.bindings.contains_key(name))
        });
        let inherited = || {
            let parent = environment.map_or_else(
                || Some(scene.key.service.production()),
                |environment| Some(scene.key.service.environment(environment.parent.clone()?)),
            );
            parent.filter(|parent| parent != scene.key).is_some_and(|parent| is_effective(scene.catalog, &parent, name))
        };
        if own {
            self.keep.names.insert(name.to_owned());
        } else if !inherited() {
            let problem = "no version before has a binding of this name".to_owned();
            return Err(ApiError::Inherit { name: clip(name), problem });
        }
        Ok(())
    }
}

/// Whether what is live in `environment` has a binding of this name that a child inherits.
fn is_effective(catalog: &Catalog, environment: &EnvironmentKey, name: &str) -> bool {
    let version = catalog.environment(environment).and_then(|environment| environment.live_version());
    version.is_some_and(|version| {
        let found = crate::catalog::effective(catalog, environment, version);
        found.bindings.get(name).is_some_and(|found| found.binding.kind().is_inherited())
    })
}

impl Scene<'_> {
    /// One binding, checked and with its secret sealed.
    pub(crate) fn binding(&self, raw: &RawBinding) -> Result<Binding, ApiError> {
        match raw.kind.as_str() {
            "plain_text" => Ok(Binding::PlainText(text(raw, "text")?.to_owned())),
            "json" => Ok(Binding::Json(json(raw)?)),
            "secret_text" => {
                let account = &self.key.service.account;
                let text = text(raw, "text")?;
                Ok(Binding::Secret(secrets::seal(self.deps, account, self.environment, &raw.name, text)))
            }
            "kv_namespace" => self.namespace(raw).map(Binding::KvNamespace),
            "service" => self.service(raw).map(Binding::Service),
            "version_metadata" => Ok(Binding::VersionMetadata),
            other => Err(ApiError::Unsupported(format!(
                "bindings.{}: the binding type {:?} (use plain_text, json, secret_text, kv_namespace, service, \
                 version_metadata or inherit)",
                clip(&raw.name),
                clip(other)
            ))),
        }
    }

    fn namespace(&self, raw: &RawBinding) -> Result<NamespaceId, ApiError> {
        if optional_text(raw, ID)?.is_none() && raw.fields.contains_key("title") {
            return Err(wrong(&raw.name, "namespace_id is missing; a title stands in its place only in a dry run"));
        }
        let id = text(raw, ID)?;
        let found = NamespaceId::new(id).ok().and_then(|id| self.catalog.namespace(&id));
        match found.filter(|found| found.account == self.key.service.account) {
            Some(found) => Ok(found.id.clone()),
            None => Err(ApiError::BindingTarget {
                name: clip(&raw.name),
                problem: format!("KV namespace {:?} does not exist; create it first", clip(id)),
            }),
        }
    }

    /// A service need not exist yet. What wrangler calls `auth-staging` is the environment `staging` of `auth` when that
    /// is what the name means.
    fn service(&self, raw: &RawBinding) -> Result<ServiceBinding, ApiError> {
        let name = text(raw, "service")?;
        let name = ServiceName::new(name).map_err(|error| wrong(&raw.name, format!("service: {error}")))?;
        let environment = match optional_text(raw, "environment")? {
            Some(text) => {
                Some(EnvironmentName::new(text).map_err(|error| wrong(&raw.name, format!("environment: {error}")))?)
            }
            None => None,
        };
        let account = &self.key.service.account;
        let exact = ServiceKey { account: account.clone(), name: name.clone() };
        let (service, environment) = match (environment, script_name::resolve(self.catalog, account, &name)) {
            (None, Meaning::Environment(key)) if key.service != exact => (key.service.name, Some(key.environment)),
            (environment, _) => (name, environment),
        };
        Ok(ServiceBinding {
            service,
            environment,
            entrypoint: optional_text(raw, "entrypoint")?.map(str::to_owned),
            props: raw.fields.get("props").filter(|props| !props.is_null()).map(ToString::to_string),
        })
    }
}

fn text<'a>(raw: &'a RawBinding, field: &str) -> Result<&'a str, ApiError> {
    optional_text(raw, field)?.ok_or_else(|| wrong(&raw.name, format!("{field} is missing")))
}

fn optional_text<'a>(raw: &'a RawBinding, field: &str) -> Result<Option<&'a str>, ApiError> {
    match raw.fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(&raw.name, format!("{field} is not text"))),
    }
}

fn json(raw: &RawBinding) -> Result<String, ApiError> {
    match raw.fields.get("json") {
        Some(value) => Ok(value.to_string()),
        None => Err(wrong(&raw.name, "json is missing")),
    }
}

fn wrong(name: &str, problem: impl Into<String>) -> ApiError {
    ApiError::upload(format!("bindings.{}", clip(name)), problem)
}
