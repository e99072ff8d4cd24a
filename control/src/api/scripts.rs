//! Scripts: what today's wrangler calls an environment.
//!
//! **Owns** the summary of an environment's live code, and the list of scripts. **Must not know** uploads. **Enter at**
//! [`ScriptView`] and [`mount`].

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    account::Account,
    auth::WORKERS_READ,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    page::{self, Extent},
    time::rfc3339,
};
use crate::catalog::{Environment, Service};

/// What is live in an environment, in short.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct ScriptView {
    /// The name that wrangler uses: `app`, or `app-staging`.
    pub id: String,
    /// The environment's identity, kept when it is renamed.
    pub tag: String,
    /// Free words; wrangler keeps `cf:service=` and `cf:environment=` here.
    pub tags: Vec<String>,
    /// BLAKE3 of the bundle; empty before the first version.
    pub etag: String,
    /// `fetch`, `scheduled`, ...
    pub handlers: Vec<String>,
    /// `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compatibility_date: String,
    /// Flags as given.
    pub compatibility_flags: Vec<String>,
    /// Always `standard`.
    pub usage_model: &'static str,
    /// What deployed it: `wrangler`, `skerry`, `api`, ...
    pub last_deployed_from: String,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub modified_on: String,
    /// The live version's id, as Cloudflare has it; absent before the first deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// The same under its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The live version's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_number: Option<u64>,
    /// Whether the entry point is an ES module.
    pub has_modules: bool,
    /// Always false.
    pub has_assets: bool,
    /// Always false.
    pub logpush: bool,
}

/// What wrangler calls an environment.
pub(crate) fn script_id(service: &Service, environment: &Environment) -> String {
    if environment.name == service.default_environment {
        service.key.name.to_string()
    } else {
        format!("{}-{}", service.key.name, environment.name)
    }
}

impl ScriptView {
    /// What is live in an environment.
    pub(crate) fn of(service: &Service, environment: &Environment) -> Self {
        let view = Self {
            id: script_id(service, environment),
            tag: environment.id.to_string(),
            tags: environment.tags.clone(),
            usage_model: "standard",
            created_on: rfc3339(environment.created_at_ms),
            modified_on: rfc3339(environment.modified_at_ms),
            ..Self::default()
        };
        let Some(version) = environment.live_or_latest_version() else { return view };
        Self {
            etag: version.code.bundle.hash.to_string(),
            handlers: version.code.handlers.clone(),
            compatibility_date: version.code.compatibility_date.clone(),
            compatibility_flags: version.code.compatibility_flags.clone(),
            last_deployed_from: version.source.clone(),
            deployment_id: Some(version.id.to_string()),
            version_id: Some(version.id.to_string()),
            version_number: Some(version.number.0),
            has_modules: version.code.syntax == crate::catalog::Syntax::Modules,
            ..view
        }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let path = "/accounts/{account}/workers/scripts";
    let list = Endpoint::get(path, "listScripts", "Every environment that has a version, as a script");
    let list = list.query("page", page::PAGE_OF_WHOLE).query("per_page", page::PER_PAGE_OF_WHOLE);
    endpoints.add(list.needs(WORKERS_READ).tag("services").lists::<ScriptView>(), list_all);
}

// BOUND: without a page, the environments of one account: `limits::SERVICES_MAX` services of `limits::ENVIRONMENTS_MAX` each.
// All of them are in memory already, and what is said of one here is smaller than it.
async fn list_all(account: Account, extent: Extent) -> Reply<Vec<ScriptView>> {
    let mut all = Vec::new();
    for service in account.catalog.services(&account.id) {
        let deployed = service.environments.values().filter(|environment| !environment.versions.is_empty());
        all.extend(deployed.map(|environment| (service, environment)));
    }
    let total = all.len();
    let (items, info) = extent.cut(all, total);
    let scripts = items.into_iter().map(|(service, environment)| ScriptView::of(service, environment)).collect();
    Ok(Answer::ok(scripts).with_info(info))
}
