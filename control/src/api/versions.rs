//! Versions of an environment.
//!
//! **Owns** how versions are listed and shown. **Must not know** uploads. **Enter at** [`mount`] and [`VersionView`].

use std::collections::BTreeMap;

use serde::Serialize;
use skerry_proto::id::{VersionId, VersionNumber};
use utoipa::ToSchema;

use super::{
    auth::WORKERS_READ,
    bindings::BindingView,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    params::Params,
    paths,
    query::Query,
    target::Target,
    time::rfc3339,
};
use crate::catalog::{Environment, LimitsConfig, Version, preview_hostname};

/// A version as Cloudflare shows it, with its number.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// A UUID.
    pub id: String,
    /// Its place in the environment's history, from 1.
    pub number: u64,
    /// Who made it, when, with what.
    pub metadata: VersionMetadataView,
    /// `workers/message`, `workers/tag`, ...
    pub annotations: BTreeMap<String, String>,
    /// What it is made of.
    pub resources: ResourcesView,
    /// Milliseconds of its top-level scope at validation.
    pub startup_time_ms: u32,
    /// Where this version alone answers.
    pub urls: Vec<String>,
}

/// Who made a version, when, with what.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct VersionMetadataView {
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339; a version never changes.
    pub modified_on: String,
    /// Who made it.
    pub author_id: String,
    /// Who made it.
    pub author_email: String,
    /// `wrangler`, `skerry`, `api`, ...
    pub source: String,
    /// Whether it answers on a hostname of its own.
    pub has_preview: bool,
    /// The same in the spelling of older clients.
    #[serde(rename = "hasPreview")]
    pub has_preview_old: bool,
}

/// What a version is made of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ResourcesView {
    /// The code.
    pub script: ScriptResource,
    /// How it runs.
    pub script_runtime: RuntimeView,
    /// Its own bindings; see `config` for the inherited ones.
    pub bindings: Vec<BindingView>,
}

/// The code of a version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ScriptResource {
    /// BLAKE3 of the bundle: the same code has the same etag.
    pub etag: String,
    /// `fetch`, `scheduled`, ...
    pub handlers: Vec<String>,
    /// What uploaded it.
    pub last_deployed_from: String,
    /// The size of the bundle.
    pub size_bytes: u64,
}

/// How a version runs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RuntimeView {
    /// `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compatibility_date: String,
    /// Flags as given.
    pub compatibility_flags: Vec<String>,
    /// Always `standard`.
    pub usage_model: &'static str,
    /// Its own limits.
    pub limits: LimitsView,
}

/// Limits; what is absent is inherited, then the node's default.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct LimitsView {
    /// CPU time of one event in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u32>,
    /// Outgoing calls of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subrequests: Option<u32>,
}

impl LimitsView {
    /// The limits that are set.
    pub(crate) fn of(limits: LimitsConfig) -> Self {
        Self { cpu_ms: limits.cpu_ms, subrequests: limits.subrequests }
    }
}

/// Versions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionList {
    /// One page of them.
    pub items: Vec<VersionView>,
}

impl VersionView {
    /// A version of this environment.
    pub(crate) fn of(target: &Target, version: &Version) -> Self {
        let host = preview_hostname(&target.catalog, &target.key, &version.id)
            .filter(|_| target.environment.preview_urls.is_public());
        let created_on = rfc3339(version.created_at_ms);
        Self {
            id: version.id.to_string(),
            number: version.number.0,
            metadata: VersionMetadataView {
                created_on: created_on.clone(),
                modified_on: created_on,
                author_id: version.author.clone(),
                author_email: version.author.clone(),
                source: version.source.clone(),
                has_preview: host.is_some(),
                has_preview_old: host.is_some(),
            },
            annotations: version.annotations.entries.clone(),
            resources: ResourcesView {
                script: ScriptResource {
                    etag: version.code.bundle.hash.to_string(),
                    handlers: version.code.handlers.clone(),
                    last_deployed_from: version.source.clone(),
                    size_bytes: version.code.bundle.size_bytes,
                },
                script_runtime: RuntimeView {
                    compatibility_date: version.code.compatibility_date.clone(),
                    compatibility_flags: version.code.compatibility_flags.clone(),
                    usage_model: "standard",
                    limits: LimitsView::of(version.config.limits),
                },
                bindings: version.config.bindings.iter().map(|(name, value)| BindingView::of(name, value)).collect(),
            },
            startup_time_ms: version.code.startup_ms,
            urls: host.map(|host| format!("https://{host}")).into_iter().collect(),
        }
    }
}

/// The version that a text names: its id, its number, or the first 8 or more digits of its id.
pub(crate) fn find<'a>(environment: &'a Environment, text: &str) -> Result<&'a Version, ApiError> {
    let by_id = VersionId::new(text).ok().and_then(|id| environment.version(&id));
    let by_number = || text.parse().ok().and_then(|number| environment.versions.get(&VersionNumber(number)));
    let found = by_id.or_else(by_number).or_else(|| environment.version_by_prefix(text));
    found.map(|version| &**version).ok_or_else(|| ApiError::not_found(Thing::Version, format!("{:.80}", text)))
}

/// The version that `?version=` names, else the live one, else the latest.
pub(crate) fn asked_for<'a>(environment: &'a Environment, query: &Query) -> Result<Option<&'a Version>, ApiError> {
    match query.text("version") {
        Some(text) => find(environment, text).map(Some),
        None => Ok(environment.live_or_latest_version().map(|version| &**version)),
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/versions");
    let list = Endpoint::get(&script, "listVersions", "Versions of an environment, newest first").also(&service);
    let list = list.needs(WORKERS_READ).tag("versions").paged().query("deployable", "Every version is.");
    endpoints.add(list.answers::<VersionList>(), list_all);
    let [script, service] = paths::environment("/versions/{version}");
    let show = Endpoint::get(&script, "getVersion", "One version, by id or number").also(&service);
    endpoints.add(show.needs(WORKERS_READ).tag("versions").answers::<VersionView>(), show_one);
}

async fn list_all(target: Target, page: Page) -> Reply<VersionList> {
    let versions = &target.environment.versions;
    let (items, info) = page.cut(versions.values().rev(), versions.len());
    let items = items.into_iter().map(|version| VersionView::of(&target, version)).collect();
    Ok(Answer::ok(VersionList { items }).with_info(info).with_etag(target.environment.revision))
}

async fn show_one(target: Target, params: Params) -> Reply<VersionView> {
    let version = find(&target.environment, params.text("version")?)?;
    Ok(Answer::ok(VersionView::of(&target, version)))
}
