//! Variables of an environment.
//!
//! **Owns** showing and changing plain and JSON variables. **Must not know** inheritance beyond what is shown. **Enter
//! at** [`mount`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    auth::{WORKERS_READ, WORKERS_WRITE},
    bindings::BindingView,
    body::JsonBody,
    config::ConfigView,
    configure::{self, Configuration},
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    paths,
    query::Query,
    target::Target,
    writer::Writer,
};
use crate::catalog::{Binding, Change, ConfigEdit};

/// Variables to set and remove in one version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VarsBody {
    /// By name: text, any other JSON value, or `null` to remove; an inherited one is hidden.
    pub vars: BTreeMap<String, Value>,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/vars");
    let list = Endpoint::get(&script, "listVars", "Variables, inherited ones too").also(&service);
    endpoints.add(list.needs(WORKERS_READ).tag("variables").lists::<BindingView>(), list_all);
    let summary = "Sets and removes variables: a new version, deployed where one is live";
    let change = Endpoint::patch(&script, "patchVars", summary);
    let change = change.also(&service).needs(WORKERS_WRITE).tag("variables");
    let change = change.conditional().query("force", configure::FORCE);
    endpoints.add(change.takes::<VarsBody>().lists::<BindingView>(), patch_all);
}

async fn list_all(target: Target) -> Reply<Vec<BindingView>> {
    Ok(Answer::ok(variables(&target)).with_etag(target.environment.revision))
}

fn variables(target: &Target) -> Vec<BindingView> {
    let version = target.environment.live_or_latest_version();
    let bindings = ConfigView::of(target, version.map(|version| &**version)).bindings;
    bindings.into_iter().filter(|binding| matches!(binding.kind, "plain_text" | "json")).collect()
}

async fn patch_all(
    target: Target,
    writer: Writer,
    query: Query,
    JsonBody(body): JsonBody<VarsBody>,
) -> Reply<Vec<BindingView>> {
    if let Some(applied) = writer.replay(&target.key.service.account)? {
        return Ok(Answer::ok(variables(&target)).changed_at(applied.revision));
    }
    if body.vars.is_empty() {
        return Err(ApiError::field("vars", "is empty; name at least one variable"));
    }
    let message = body.message.unwrap_or_else(|| format!("Changed {} variables", body.vars.len()));
    let shared = configure::when_shared(&query)?;
    let plan = |seen: &Target| -> Result<Vec<Change>, ApiError> {
        let shown = variables(seen);
        let edits = body.vars.iter().map(|(name, value)| edit(seen, &shown, name.clone(), value.clone()));
        let edits = edits.collect::<Result<Vec<_>, ApiError>>()?;
        let configuration = Configuration { edits, triggered_by: "variable", message: &message, shared };
        Ok(vec![configuration.change(&writer, seen)])
    };
    let applied = configure::propose_as_seen(&writer, &target, plan).await?;
    let after = writer.again(target)?;
    Ok(configure::answer(variables(&after), applied.as_ref()))
}

fn edit(target: &Target, shown: &[BindingView], name: String, value: Value) -> Result<ConfigEdit, ApiError> {
    let own = target.environment.config().bindings.get(&name);
    // A variable must not take the place of a secret or a namespace by accident.
    if let Some(other) = own.filter(|binding| !matches!(binding, Binding::PlainText(_) | Binding::Json(_))) {
        let problem = format!("is bound as {} already; remove that first", other.kind().api_type());
        return Err(ApiError::field(format!("vars.{name:.80}"), problem));
    }
    match value {
        Value::Null if own.is_some() => Ok(ConfigEdit::Unset { name }),
        Value::Null if shown.iter().any(|binding| binding.name == name) => Ok(ConfigEdit::Remove { name }),
        Value::Null => Err(ApiError::not_found(Thing::Binding, format!("{name:.80}"))),
        Value::String(text) => Ok(ConfigEdit::Set { name, binding: Binding::PlainText(text) }),
        json => Ok(ConfigEdit::Set { name, binding: Binding::Json(json.to_string()) }),
    }
}
