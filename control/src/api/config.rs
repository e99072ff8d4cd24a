//! What an environment runs with: its own configuration and what it inherits.
//!
//! **Owns** the effective configuration as shown. **Must not know** how inheritance works. **Enter at** [`mount`] and
//! [`ConfigView`].

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    auth::WORKERS_READ,
    bindings::BindingView,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    paths,
    query::Query,
    target::Target,
    versions::{self, LimitsView},
};
use crate::catalog::{Effective, Version, effective, effective_config};

/// The effective configuration of a version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigView {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// What the environment inherits from.
    pub parent: Option<String>,
    /// The version; `null` before the first.
    pub version_id: Option<String>,
    /// Its number.
    pub version_number: Option<u64>,
    /// Every binding with where it comes from.
    pub bindings: Vec<BindingView>,
    /// Names that it does not inherit.
    pub removed: Vec<String>,
    /// The limits; what is absent is the node's default.
    pub limits: LimitsView,
    /// `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// Flags as given.
    pub compatibility_flags: Vec<String>,
    /// Stateful resources that other environments of the service use too.
    pub shared_state: Vec<SharedView>,
}

/// A stateful resource that several environments write to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SharedView {
    /// `kv_namespace`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The binding's name.
    pub name: String,
    /// The namespace.
    pub namespace_id: String,
    /// The other environments.
    pub with: Vec<String>,
}

impl ConfigView {
    /// The effective configuration of `version`, or of the draft when there is none.
    pub(crate) fn of(target: &Target, version: Option<&Version>) -> Self {
        let found: Effective = match version {
            Some(version) => effective(&target.catalog, &target.key, version),
            None => effective_config(&target.catalog, &target.key, &target.environment.draft),
        };
        let shared = found.shared.iter().map(|(name, shared)| SharedView {
            kind: "kv_namespace",
            name: name.clone(),
            namespace_id: shared.namespace.to_string(),
            with: shared.with.iter().map(ToString::to_string).collect(),
        });
        Self {
            service: target.key.service.to_string(),
            environment: target.key.environment.to_string(),
            parent: target.environment.parent.as_ref().map(ToString::to_string),
            version_id: version.map(|version| version.id.to_string()),
            version_number: version.map(|version| version.number.0),
            bindings: found.bindings.iter().map(|(name, binding)| BindingView::effective(name, binding)).collect(),
            removed: found.removed.iter().cloned().collect(),
            limits: LimitsView::of(found.limits),
            compatibility_date: version.map(|version| version.code.compatibility_date.clone()).unwrap_or_default(),
            compatibility_flags: version.map(|version| version.code.compatibility_flags.clone()).unwrap_or_default(),
            shared_state: shared.collect(),
        }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/config");
    let show = Endpoint::get(&script, "getConfig", "What an environment runs with, and where each part comes from");
    let show = show.also(&service).needs(WORKERS_READ).tag("environments");
    let show = show.query("version", "A version's id or number; the live one when absent.");
    endpoints.add(show.answers::<ConfigView>(), show_one);
    let [script, service] = paths::environment("/bindings");
    let list = Endpoint::get(&script, "listBindings", "Every binding, inherited ones too").also(&service);
    endpoints.add(list.needs(WORKERS_READ).tag("environments").lists::<BindingView>(), list_bindings);
}

async fn show_one(target: Target, query: Query) -> Reply<ConfigView> {
    let version = versions::asked_for(&target.environment, &query)?;
    Ok(Answer::ok(ConfigView::of(&target, version)).with_etag(target.environment.revision))
}

async fn list_bindings(target: Target, query: Query) -> Reply<Vec<BindingView>> {
    let version = versions::asked_for(&target.environment, &query)?;
    Ok(Answer::ok(ConfigView::of(&target, version).bindings).with_etag(target.environment.revision))
}
