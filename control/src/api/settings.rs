//! Settings of an environment, as wrangler reads and patches them.
//!
//! **Owns** the `settings` and `script-settings` calls. **Must not know** how a configuration is inherited. **Enter at**
//! [`mount`].

use std::collections::BTreeSet;

use axum::extract::{FromRequestParts, Request, State};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skerry_proto::id::ServiceName;
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    adopt,
    auth::{WORKERS_READ, WORKERS_WRITE},
    bindings::BindingView,
    body::{BodyDigest, JsonBody, parse_json},
    configure::{self, Configuration},
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::ApiError,
    params::Params,
    paths,
    query::Query,
    secrets::{name_taken, require_free},
    target::Target,
    upload::{BindingScene, RawBinding, RawLimits, UploadForm, check_tags},
    versions::LimitsView,
    writer::Writer,
};
use crate::catalog::{Change, ConfigEdit, LimitsConfig, WhenShared};

/// What an environment is set to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsView {
    /// Its own bindings; `config` has the inherited ones.
    pub bindings: Vec<BindingView>,
    /// `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compatibility_date: String,
    /// Flags as given.
    pub compatibility_flags: Vec<String>,
    /// Its own limits.
    pub limits: LimitsView,
    /// Free words.
    pub tags: Vec<String>,
    /// Always `standard`.
    pub usage_model: &'static str,
    /// Always false.
    pub logpush: bool,
    /// Always empty.
    pub placement: Map<String, Value>,
    /// Always empty.
    pub tail_consumers: Vec<Value>,
}

/// What to change: a new version, deployed where one is live. What comes with code is accepted as it is and else refused.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SettingsBody {
    /// All bindings, each name once; one without a value keeps its value, one that is not named is removed. A secret takes the
    /// place of no other binding.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub bindings: Option<Vec<RawBinding>>,
    /// Its own limits.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub limits: Option<RawLimits>,
    /// Free words.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// `YYYY-MM-DD`; the one that is set.
    #[serde(default)]
    pub compatibility_date: Option<String>,
    /// Flags; those that are set, in any order.
    #[serde(default)]
    pub compatibility_flags: Option<Vec<String>>,
    /// Durable Object migrations; must be empty.
    #[serde(default)]
    pub migrations: Option<Value>,
    /// Workers that receive the logs; must be empty.
    #[serde(default)]
    pub tail_consumers: Option<Vec<Value>>,
}

/// Settings that no version holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScriptSettingsView {
    /// Free words.
    pub tags: Vec<String>,
    /// Always false.
    pub logpush: bool,
    /// Always empty.
    pub tail_consumers: Vec<Value>,
    /// Logs are always kept.
    pub observability: ObservabilityView,
}

/// Whether logs are kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObservabilityView {
    /// Always true.
    pub enabled: bool,
}

/// What to change of the settings that no version holds. `logpush`, `observability` and others are accepted: logs are
/// always kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ScriptSettingsBody {
    /// Free words; wrangler's `cf:service=` and `cf:environment=` place a script into its service.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Workers that receive the logs; must be empty.
    #[serde(default)]
    pub tail_consumers: Option<Vec<Value>>,
}

/// How calls are counted; there is only one way.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct UsageModel {
    /// `standard`.
    pub usage_model: String,
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/settings");
    let show = Endpoint::get(&script, "getSettings", "What an environment is set to").also(&service);
    endpoints.add(show.needs(WORKERS_READ).tag("environments").answers::<SettingsView>(), show_settings);
    let change = Endpoint::patch(&script, "patchSettings", "Changes settings; JSON, or a form with a `settings` part");
    let change = change.also(&service).needs(WORKERS_WRITE).tag("environments");
    let change = change.conditional().query("force", configure::FORCE);
    endpoints.add(change.takes::<SettingsBody>().answers::<SettingsView>(), patch_settings);
    let [script, service] = paths::environment("/script-settings");
    let show = Endpoint::get(&script, "getScriptSettings", "Settings that no version holds").also(&service);
    endpoints.add(show.needs(WORKERS_READ).tag("environments").answers::<ScriptSettingsView>(), show_script_settings);
    let change = Endpoint::patch(&script, "patchScriptSettings", "Changes settings that no version holds");
    let change = change.also(&service).needs(WORKERS_WRITE).tag("environments").conditional();
    endpoints.add(change.takes::<ScriptSettingsBody>().answers::<ScriptSettingsView>(), patch_script_settings);
    let [script, service] = paths::environment("/usage-model");
    let show = Endpoint::get(&script, "getUsageModel", "How calls are counted; one way").also(&service);
    endpoints.add(show.needs(WORKERS_READ).tag("environments").answers::<UsageModel>(), show_usage_model);
    let set = Endpoint::put(&script, "putUsageModel", "Accepts `standard`").also(&service);
    let set = set.needs(WORKERS_WRITE).tag("environments");
    endpoints.add(set.takes::<UsageModel>().answers::<UsageModel>(), put_usage_model);
}

fn settings(target: &Target) -> SettingsView {
    let version = target.environment.live_or_latest_version();
    let config = target.environment.config();
    SettingsView {
        bindings: config.bindings.iter().map(|(name, binding)| BindingView::of(name, binding)).collect(),
        compatibility_date: version.map(|version| version.code.compatibility_date.clone()).unwrap_or_default(),
        compatibility_flags: version.map(|version| version.code.compatibility_flags.clone()).unwrap_or_default(),
        limits: LimitsView::of(config.limits),
        tags: target.environment.tags.clone(),
        usage_model: "standard",
        logpush: false,
        placement: Map::new(),
        tail_consumers: Vec::new(),
    }
}

async fn show_settings(target: Target) -> Reply<SettingsView> {
    Ok(Answer::ok(settings(&target)).with_etag(target.environment.revision))
}

async fn patch_settings(
    State(deps): State<Deps>,
    target: Target,
    writer: Writer,
    query: Query,
    request: Request,
) -> Reply<SettingsView> {
    let body = read_settings(request).await?;
    if let Some(applied) = writer.replay(&target.key.service.account)? {
        return Ok(Answer::ok(settings(&target)).changed_at(applied.revision));
    }
    let known = target.environment.config().bindings.keys().cloned().collect();
    let patch = Patch { deps: &deps, writer: &writer, body: &body, shared: configure::when_shared(&query)?, known };
    let applied = configure::propose_as_seen(&writer, &target, |seen| patch.changes(seen)).await?;
    let after = writer.again(target)?;
    let answer = configure::answer(settings(&after), applied.as_ref());
    Ok(if applied.is_some() { answer } else { answer.with_etag(after.environment.revision) })
}

async fn read_settings(request: Request) -> Result<SettingsBody, ApiError> {
    let digest = request.extensions().get::<BodyDigest>().cloned().unwrap_or_default();
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    let is_form = content_type.is_some_and(|value| value.as_bytes().starts_with(b"multipart/form-data"));
    if !is_form {
        return super::body::optional_json(request).await;
    }
    let form = UploadForm::from_request(request).await?;
    let json = form.metadata.ok_or_else(|| ApiError::field("settings", "the part is missing from the form"))?;
    digest.set(&json);
    parse_json("settings", &json)
}

/// Fails when it asks for something else of what comes with code than there is: to answer that it was done would be wrong.
fn refuse_what_comes_with_code(target: &Target, body: &SettingsBody) -> Result<(), ApiError> {
    let code = target.environment.live_or_latest_version().map(|version| &version.code);
    let set = code.map(|code| (code.compatibility_date.as_str(), code.compatibility_flags.as_slice()));
    let (date, flags) = set.unwrap_or_default();
    let unordered = |flags: &[String]| flags.iter().cloned().collect::<BTreeSet<String>>();
    let refused = |field: &str| {
        ApiError::Unsupported(format!("{field}: it comes with the code, so deploy to change it; changing it here"))
    };
    if body.compatibility_date.as_deref().is_some_and(|wanted| wanted != date) {
        return Err(refused("compatibility_date"));
    }
    if body.compatibility_flags.as_deref().is_some_and(|wanted| unordered(wanted) != unordered(flags)) {
        return Err(refused("compatibility_flags"));
    }
    // As an upload says it, which does not take them either.
    if body.migrations.as_ref().is_some_and(|migrations| !holds_nothing(migrations)) {
        return Err(ApiError::Unsupported("migrations: Durable Objects".into()));
    }
    if body.tail_consumers.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::Unsupported("tail_consumers".into()));
    }
    Ok(())
}

fn holds_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A change of settings as it was asked for.
struct Patch<'a> {
    deps: &'a Deps,
    writer: &'a Writer,
    body: &'a SettingsBody,
    shared: WhenShared,
    /// The environment's own names when it was asked for: what it does not mention of these is to go, and nothing else.
    known: BTreeSet<String>,
}

impl Patch<'_> {
    /// What it changes of the environment as it is seen; nothing where all is so already.
    fn changes(&self, seen: &Target) -> Result<Vec<Change>, ApiError> {
        refuse_what_comes_with_code(seen, self.body)?;
        let edits = self.edits(seen)?;
        let mut changes = Vec::new();
        if !edits.is_empty() {
            let (triggered_by, message) = ("secret", "Changed settings");
            let configuration = Configuration { edits, triggered_by, message, shared: self.shared };
            changes.push(configuration.change(self.writer, seen));
        }
        if let Some(tags) = &self.body.tags {
            check_tags("tags", tags)?;
            changes.push(Change::SetTags { environment: seen.key.clone(), tags: tags.clone() });
        }
        Ok(changes)
    }

    /// The differences between what is set and what shall be.
    fn edits(&self, seen: &Target) -> Result<Vec<ConfigEdit>, ApiError> {
        let mut edits = match &self.body.bindings {
            Some(wanted) => self.binding_edits(seen, wanted)?,
            None => Vec::new(),
        };
        if let Some(limits) = self.body.limits {
            edits.push(ConfigEdit::Limits(LimitsConfig { cpu_ms: limits.cpu_ms, subrequests: limits.subrequests }));
        }
        Ok(edits)
    }

    fn binding_edits(&self, seen: &Target, wanted: &[RawBinding]) -> Result<Vec<ConfigEdit>, ApiError> {
        let own = &seen.environment.config().bindings;
        let (mut edits, mut names) = (Vec::new(), BTreeSet::new());
        let scene =
            BindingScene { deps: self.deps, catalog: &seen.catalog, key: &seen.key, environment: &seen.environment.id };
        for raw in wanted {
            // `wrangler secret bulk` names everything there is, and beside it each secret that it sets.
            if !names.insert(raw.name.as_str()) {
                return Err(name_taken(&raw.name));
            }
            if raw.kind == "secret_text" {
                require_free(seen, &raw.name)?;
            }
            // `version_metadata` has no value; everything else without one is kept as it is.
            let keeps = raw.kind == "inherit" || raw.fields.values().all(Value::is_null);
            let is_kept = own.contains_key(&raw.name);
            match (keeps, is_kept) {
                (true, true) => {}
                (true, false) if raw.kind != "version_metadata" => {
                    let problem = "the environment has no binding of this name".to_owned();
                    return Err(ApiError::Inherit { name: raw.name.chars().take(80).collect(), problem });
                }
                _ => edits.push(ConfigEdit::Set { name: raw.name.clone(), binding: scene.binding(raw)? }),
            }
        }
        let gone = own.keys().filter(|name| self.known.contains(*name) && !names.contains(name.as_str()));
        edits.extend(gone.map(|name| ConfigEdit::Unset { name: name.clone() }));
        Ok(edits)
    }
}

fn script_settings(tags: &[String]) -> ScriptSettingsView {
    ScriptSettingsView {
        tags: tags.to_vec(),
        logpush: false,
        tail_consumers: Vec::new(),
        observability: ObservabilityView { enabled: true },
    }
}

async fn show_script_settings(target: Target) -> Reply<ScriptSettingsView> {
    let environment = &target.environment;
    Ok(Answer::ok(script_settings(&environment.tags)).with_etag(environment.revision))
}

/// The script's name as the path has it; absent in the older spelling, which needs no guessing.
struct ScriptName(Option<ServiceName>);

impl FromRequestParts<Deps> for ScriptName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, deps).await?;
        Ok(Self(params.find("script").and_then(|name| ServiceName::new(name).ok())))
    }
}

async fn patch_script_settings(
    State(deps): State<Deps>,
    account: Account,
    target: Target,
    ScriptName(script): ScriptName,
    writer: Writer,
    JsonBody(body): JsonBody<ScriptSettingsBody>,
) -> Reply<ScriptSettingsView> {
    if body.tail_consumers.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::Unsupported("tail_consumers".into()));
    }
    let Some(tags) = body.tags else {
        return Ok(Answer::ok(script_settings(&target.environment.tags)));
    };
    check_tags("tags", &tags)?;
    let expects = writer.expects(&target.key);
    let set = |environment| Change::SetTags { environment, tags: tags.clone() };
    let changes = match script.and_then(|script| adopt::plan(&deps, &target, &script, &tags)) {
        Some(adoption) => {
            let adoption = adoption?;
            let mut changes = adoption.changes;
            changes.push(set(adoption.environment));
            changes
        }
        None => vec![set(target.key.clone())],
    };
    let applied = writer.propose(&account.id, expects, changes).await?;
    Ok(Answer::ok(script_settings(&tags)).changed_at(applied.revision))
}

async fn show_usage_model(_: Target) -> Reply<UsageModel> {
    Ok(Answer::ok(UsageModel { usage_model: "standard".into() }))
}

async fn put_usage_model(_: Target, JsonBody(body): JsonBody<UsageModel>) -> Reply<UsageModel> {
    if body.usage_model != "standard" {
        return Err(ApiError::field("usage_model", "use standard; there is no other"));
    }
    Ok(Answer::ok(body))
}
