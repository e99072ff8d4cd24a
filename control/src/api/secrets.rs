//! Secrets: write-only values of an environment.
//!
//! **Owns** sealing secrets on their way into the catalog, listing their names, and that none takes the name of another
//! binding. **Must not know** the cluster's key. **Enter at** [`mount`].

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use skerry_proto::id::{AccountId, EnvironmentId};
use utoipa::ToSchema;

use super::{
    Deps,
    auth::{WORKERS_READ, WORKERS_WRITE},
    body::JsonBody,
    configure::{self, Configuration},
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    params::Params,
    paths,
    query::Query,
    target::{Place, Target},
    writer::Writer,
};
use crate::catalog::{Binding, Change, ConfigEdit, SealScope, Sealed, VersionConfig};

/// A secret as shown: its value never is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SecretView {
    /// Its name in `env`.
    pub name: String,
    /// Always `secret_text`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// A secret to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretBody {
    /// Its name in `env`.
    pub name: String,
    /// Its value.
    pub text: String,
    /// `secret_text` when given.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// Secrets to set and remove in one version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretsBulkBody {
    /// By name; `null` removes.
    #[schema(value_type = BTreeMap<String, Option<String>>)]
    pub secrets: BTreeMap<String, Option<SecretValue>>,
}

/// A value, plain or in the form of a single call.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum SecretValue {
    /// The value itself.
    Text(String),
    /// In the form of a single call.
    Body(SecretBody),
}

impl SecretView {
    fn of(name: &str) -> Self {
        Self { name: name.to_owned(), kind: "secret_text" }
    }

    fn list(config: &VersionConfig) -> Vec<Self> {
        let secrets = config.bindings.iter().filter(|(_, binding)| matches!(binding, Binding::Secret(_)));
        secrets.map(|(name, _)| Self::of(name)).collect()
    }
}

/// A value sealed to where it belongs.
pub(crate) fn seal(deps: &Deps, account: &AccountId, environment: &EnvironmentId, name: &str, text: &str) -> Sealed {
    deps.control.sealer().seal(SealScope::secret(account, environment, name), text.as_bytes())
}

/// A sealed value, sealed again for another environment.
pub(crate) fn seal_again(
    deps: &Deps,
    account: &AccountId,
    environment: &EnvironmentId,
    name: &str,
    sealed: &Sealed,
) -> Result<Sealed, ApiError> {
    let sealer = deps.control.sealer();
    let plain = sealer.open(sealed).map_err(|error| ApiError::internal(&error))?;
    let scope = SealScope::secret(account, environment, name);
    Ok(sealer.seal(scope, &plain))
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/secrets");
    let list = Endpoint::get(&script, "listSecrets", "The names of an environment's secrets").also(&service);
    endpoints.add(list.needs(WORKERS_READ).tag("secrets").lists::<SecretView>(), list_all);
    let set = Endpoint::put(&script, "putSecret", "Sets a secret: a new version, deployed where one is live");
    let set = set.also(&service).conditional().query("force", configure::FORCE);
    endpoints.add(set.needs(WORKERS_WRITE).tag("secrets").takes::<SecretBody>().answers::<SecretView>(), put_one);
    let [script, service] = paths::environment("/secrets/{secret}");
    let show = Endpoint::get(&script, "getSecret", "Whether there is a secret of this name").also(&service);
    endpoints.add(show.needs(WORKERS_READ).tag("secrets").answers::<SecretView>(), show_one);
    let summary = "Removes a secret: a new version, deployed where one is live";
    let remove = Endpoint::delete(&script, "deleteSecret", summary);
    let remove = remove.also(&service).query("url_encoded", "Accepted; the name is percent-decoded in any case.");
    let remove = remove.conditional().query("force", configure::FORCE);
    endpoints.add(remove.needs(WORKERS_WRITE).tag("secrets"), delete_one);
    let [script, service] = paths::environment("/secrets-bulk");
    let bulk = Endpoint::patch(&script, "patchSecrets", "Sets and removes secrets in one version").also(&service);
    let bulk = bulk.needs(WORKERS_WRITE).tag("secrets").conditional().query("force", configure::FORCE);
    endpoints.add(bulk.takes::<SecretsBulkBody>().lists::<SecretView>(), patch_all);
}

async fn list_all(target: Target) -> Reply<Vec<SecretView>> {
    Ok(Answer::ok(SecretView::list(target.environment.config())).with_etag(target.environment.revision))
}

async fn show_one(target: Target, params: Params) -> Reply<SecretView> {
    let name = params.text("secret")?;
    require(&target, name)?;
    Ok(Answer::ok(SecretView::of(name)))
}

async fn put_one(
    State(deps): State<Deps>,
    target: Target,
    writer: Writer,
    query: Query,
    JsonBody(body): JsonBody<SecretBody>,
) -> Reply<SecretView> {
    if body.kind.as_deref().is_some_and(|kind| kind != "secret_text") {
        return Err(ApiError::field("type", "use secret_text"));
    }
    if let Some(applied) = writer.replay(&target.key.service.account)? {
        return Ok(configure::answer(SecretView::of(&body.name), Some(&applied)));
    }
    let message = format!("Set secret {:?}", body.name);
    let shared = configure::when_shared(&query)?;
    let plan = |seen: &Target| -> Result<Vec<Change>, ApiError> {
        let edits = vec![set(&deps, seen, &body.name, &body.text)?];
        let configuration = Configuration { edits, triggered_by: "secret", message: &message, shared };
        Ok(vec![configuration.change(&writer, seen)])
    };
    let applied = configure::propose_as_seen(&writer, &target, plan).await?;
    Ok(configure::answer(SecretView::of(&body.name), applied.as_ref()))
}

async fn delete_one(place: Place, writer: Writer, query: Query, params: Params) -> Reply<()> {
    if let Some(applied) = writer.replay(&place.key.service.account)? {
        return Ok(Answer::ok(()).changed_at(applied.revision));
    }
    let target = place.existing()?;
    let name = params.text("secret")?;
    require(&target, name)?;
    let message = format!("Deleted secret {name:?}");
    let edits = vec![ConfigEdit::Unset { name: name.to_owned() }];
    let shared = configure::when_shared(&query)?;
    let configuration = Configuration { edits, triggered_by: "secret", message: &message, shared };
    let applied = configuration.propose(&writer, &target).await?;
    Ok(configure::answer((), Some(&applied)))
}

async fn patch_all(
    State(deps): State<Deps>,
    target: Target,
    writer: Writer,
    query: Query,
    JsonBody(body): JsonBody<SecretsBulkBody>,
) -> Reply<Vec<SecretView>> {
    if let Some(applied) = writer.replay(&target.key.service.account)? {
        return Ok(Answer::ok(SecretView::list(target.environment.config())).changed_at(applied.revision));
    }
    if body.secrets.is_empty() {
        return Err(ApiError::field("secrets", "is empty; name at least one secret"));
    }
    let message = format!("Bulk updated {} secrets", body.secrets.len());
    let shared = configure::when_shared(&query)?;
    let plan = |seen: &Target| -> Result<Vec<Change>, ApiError> {
        let edits = body.secrets.iter().map(|(name, value)| bulk_edit(&deps, seen, name, value.as_ref()));
        let edits = edits.collect::<Result<Vec<_>, ApiError>>()?;
        let configuration = Configuration { edits, triggered_by: "secret", message: &message, shared };
        Ok(vec![configuration.change(&writer, seen)])
    };
    let applied = configure::propose_as_seen(&writer, &target, plan).await?;
    let after = writer.again(target)?;
    Ok(configure::answer(SecretView::list(after.environment.config()), applied.as_ref()))
}

fn bulk_edit(deps: &Deps, seen: &Target, name: &str, value: Option<&SecretValue>) -> Result<ConfigEdit, ApiError> {
    match value {
        Some(SecretValue::Text(text) | SecretValue::Body(SecretBody { text, .. })) => set(deps, seen, name, text),
        None => {
            require(seen, name)?;
            Ok(ConfigEdit::Unset { name: name.to_owned() })
        }
    }
}

fn set(deps: &Deps, seen: &Target, name: &str, text: &str) -> Result<ConfigEdit, ApiError> {
    require_free(seen, name)?;
    let sealed = seal(deps, &seen.key.service.account, &seen.environment.id, name, text);
    Ok(ConfigEdit::Set { name: name.to_owned(), binding: Binding::Secret(sealed) })
}

/// Fails when the environment's own binding of this name is no secret: a secret would take its place, and go live with that,
/// without a word.
pub(crate) fn require_free(seen: &Target, name: &str) -> Result<(), ApiError> {
    match seen.environment.config().bindings.get(name) {
        None | Some(Binding::Secret(_)) => Ok(()),
        Some(_) => Err(name_taken(name)),
    }
}

/// The refusal of a name that stands for something else already, in Cloudflare's words.
pub(crate) fn name_taken(name: &str) -> ApiError {
    ApiError::NameTaken(name.chars().take(80).collect())
}

fn require(target: &Target, name: &str) -> Result<(), ApiError> {
    match target.environment.config().bindings.get(name) {
        Some(Binding::Secret(_)) => Ok(()),
        _ => Err(ApiError::not_found(Thing::Binding, format!("{name:.80}"))),
    }
}
