//! Environments of a service.
//!
//! **Owns** making, cloning, renaming and removing environments. **Must not know** uploads. **Enter at** [`mount`] and
//! [`EnvironmentView`].

use axum::extract::State;
use serde::{Deserialize, Serialize};
use skerry_proto::id::EnvironmentName;
use utoipa::ToSchema;

use super::{
    Deps,
    auth::{WORKERS_READ, WORKERS_WRITE},
    body::JsonBody,
    deployments::DeploymentView,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    paths,
    query::Query,
    scripts::ScriptView,
    services::hostnames,
    target::{Named, Place, Target},
    time::rfc3339,
    writer::Writer,
};
use crate::{
    catalog::{Catalog, Change, Environment, EnvironmentKey, Noun, Rejection, Service, WhenBound, environment_binder},
    mint,
};

mod clone;

/// An environment with what is live in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnvironmentView {
    /// Its name.
    pub environment: String,
    /// Its name.
    pub name: String,
    /// Its identity, kept when it is renamed.
    pub id: String,
    /// Its service.
    pub service: String,
    /// What it inherits from.
    pub parent: Option<String>,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub modified_on: String,
    /// Where it answers.
    pub hostnames: Vec<String>,
    /// Whether it answers on its own hostname.
    pub workers_dev: bool,
    /// Whether each version answers on a preview hostname.
    pub preview_urls: bool,
    /// When scheduled events fire.
    pub crons: Vec<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// What an `If-Match` is compared with.
    pub etag: String,
    /// What is live; `null` before the first version.
    pub script: Option<ScriptView>,
    /// Which versions are live; `null` before the first deployment.
    pub live: Option<DeploymentView>,
    /// How many versions there are.
    pub version_count: usize,
}

/// An environment to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEnvironment {
    /// A DNS label.
    pub name: String,
    /// What it inherits from; `production` when absent.
    #[serde(default)]
    pub parent: Option<String>,
    /// The environment whose live code and configuration it starts with; absent: it is empty.
    #[serde(default)]
    pub clone_from: Option<String>,
    /// Whether the clone gets the secrets too.
    #[serde(default)]
    pub include_secrets: bool,
    /// Why; on the clone's first version and deployment.
    #[serde(default)]
    pub message: Option<String>,
}

/// What to change about an environment.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentPatch {
    /// A new name; its hostnames follow.
    #[serde(default)]
    pub name: Option<String>,
    /// Another environment to inherit from.
    #[serde(default)]
    pub parent: Option<String>,
}

impl EnvironmentView {
    /// An environment as it is in `catalog`.
    pub(crate) fn of(catalog: &Catalog, service: &Service, environment: &Environment) -> Self {
        let key = service.key.environment(environment.name.clone());
        Self {
            environment: environment.name.to_string(),
            name: environment.name.to_string(),
            id: environment.id.to_string(),
            service: service.key.name.to_string(),
            parent: environment.parent.as_ref().map(ToString::to_string),
            created_on: rfc3339(environment.created_at_ms),
            modified_on: rfc3339(environment.modified_at_ms),
            hostnames: hostnames(catalog, &key, environment),
            workers_dev: environment.workers_dev.is_public(),
            preview_urls: environment.preview_urls.is_public(),
            crons: environment.crons.iter().map(ToString::to_string).collect(),
            tags: environment.tags.clone(),
            etag: environment.etag(),
            script: (!environment.versions.is_empty()).then(|| ScriptView::of(service, environment)),
            live: environment.live().map(|deployment| DeploymentView::of(environment, deployment)),
            version_count: environment.versions.len(),
        }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let all = format!("{}/environments", paths::SERVICE);
    let list = Endpoint::get(&all, "listEnvironments", "A service's environments").needs(WORKERS_READ);
    endpoints.add(list.tag("environments").paged().lists::<EnvironmentView>(), list_all);
    let make = Endpoint::post(&all, "createEnvironment", "Makes an environment, empty or cloned").needs(WORKERS_WRITE);
    endpoints.add(make.if_match().tag("environments").takes::<NewEnvironment>().answers::<EnvironmentView>(), create);
    let one = format!("{all}/{{environment}}");
    let show = Endpoint::get(&one, "getEnvironment", "One environment").needs(WORKERS_READ).tag("environments");
    endpoints.add(show.answers::<EnvironmentView>(), show_one);
    let change = Endpoint::patch(&one, "changeEnvironment", "Renames an environment or gives it another parent");
    let change = change.query("force", "Whether to rename it although service bindings lead to it.").conditional();
    let change = change.needs(WORKERS_WRITE).tag("environments");
    endpoints.add(change.takes::<EnvironmentPatch>().answers::<EnvironmentView>(), change_one);
    let remove =
        Endpoint::delete(&one, "deleteEnvironment", "Removes an environment; production goes with its service");
    let remove = remove.query("force", "Whether to go ahead although service bindings lead to it.").conditional();
    endpoints.add(remove.needs(WORKERS_WRITE).tag("environments"), delete_one);
}

async fn list_all(named: Named, page: Page) -> Reply<Vec<EnvironmentView>> {
    let environments = &named.service.environments;
    let (items, info) = page.cut(environments.values(), environments.len());
    let view = |environment| EnvironmentView::of(&named.catalog, &named.service, environment);
    let views = items.into_iter().map(|environment| view(environment)).collect();
    Ok(Answer::ok(views).with_info(info).with_etag(named.service.revision))
}

async fn show_one(target: Target) -> Reply<EnvironmentView> {
    let view = EnvironmentView::of(&target.catalog, &target.service, &target.environment);
    Ok(Answer::ok(view).with_etag(target.environment.revision))
}

async fn create(
    State(deps): State<Deps>,
    named: Named,
    writer: Writer,
    JsonBody(body): JsonBody<NewEnvironment>,
) -> Reply<EnvironmentView> {
    let key = named.service.key.environment(EnvironmentName::new(&body.name)?);
    let parent = match &body.parent {
        Some(parent) => EnvironmentName::new(parent)?,
        None => EnvironmentName::production(),
    };
    let id = mint::environment_id();
    let clone = match &body.clone_from {
        Some(source) => Some(clone::source(&deps, &named.service, source, &id, &body)?),
        None if body.include_secrets => {
            return Err(ApiError::field("include_secrets", "needs clone_from: there is nothing to take secrets from"));
        }
        None if body.message.is_some() => {
            return Err(ApiError::field(
                "message",
                "needs clone_from: an empty environment has no version to say it of",
            ));
        }
        None => None,
    };
    let missing = clone.as_ref().map(|clone| clone::missing_secrets(&named.service, clone)).unwrap_or_default();
    let mut expects = writer.expects_service(&named.service.key);
    let source = clone.clone();
    let mut changes = vec![Change::CreateEnvironment { environment: key.clone(), id, parent: Some(parent), clone }];
    if let Some(source) = source
        && writer.replay(&key.service.account)?.is_none()
    {
        clone::configure(&writer, &named.service, (&source, &key), &mut expects, &mut changes)?;
    }
    let applied = writer.propose(&key.service.account, expects, changes).await?;
    let answer = Answer::created(view_of(&deps, &key)?, true).changed_at(applied.revision);
    Ok(match missing.as_slice() {
        [] => answer,
        missing => answer.with_message(format!("{key} lacks secrets of its source: {}.", missing.join(", "))),
    })
}

async fn change_one(
    State(deps): State<Deps>,
    place: Place,
    writer: Writer,
    query: Query,
    JsonBody(body): JsonBody<EnvironmentPatch>,
) -> Reply<EnvironmentView> {
    let mut changes = Vec::new();
    let mut key = place.key.clone();
    if let Some(parent) = &body.parent {
        let parent = EnvironmentName::new(parent)?;
        changes.push(Change::SetParent { environment: key.clone(), parent });
    }
    if let Some(name) = &body.name {
        let to = EnvironmentName::new(name)?;
        changes.push(Change::RenameEnvironment { environment: key.clone(), to: to.clone() });
        key.environment = to;
    }
    if changes.is_empty() {
        return Err(ApiError::field("body", "changes nothing; give name or parent"));
    }
    let applied = match writer.replay(&key.service.account)? {
        Some(applied) => applied,
        None => {
            let target = place.existing()?;
            if body.name.is_some() && !query.flag("force")? {
                refuse_bound(&target)?;
            }
            writer.propose(&key.service.account, writer.expects(&target.key), changes).await?
        }
    };
    Ok(Answer::ok(view_of(&deps, &key)?).changed_at(applied.revision))
}

/// Bindings go by name, and those that lead here would lead elsewhere or nowhere. Asked here and not in `apply`, because
/// what a log says was renamed must come out renamed whichever build reads it.
fn refuse_bound(target: &Target) -> Result<(), ApiError> {
    let binder = environment_binder(&target.catalog, &target.key);
    // Production is not renamed at all, and the catalog says so.
    match binder.filter(|_| !target.key.environment.is_production()) {
        Some(by) => {
            let by = format!(
                "the binding of {by}, whose calls would fail or reach production; pass force to rename it all the same"
            );
            Err(Rejection::InUse { noun: Noun::Environment, name: target.key.to_string(), by }.into())
        }
        None => Ok(()),
    }
}

async fn delete_one(place: Place, writer: Writer, query: Query) -> Reply<()> {
    if let Some(applied) = writer.replay(&place.key.service.account)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let target = place.existing()?;
    let bound = if query.flag("force")? { WhenBound::Delete } else { WhenBound::Refuse };
    let change = Change::DeleteEnvironment { environment: target.key.clone(), bound };
    let expects = writer.expects(&target.key);
    let applied = writer.propose(&target.key.service.account, expects, vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}

/// An environment as it is after a write.
pub(crate) fn view_of(deps: &Deps, key: &EnvironmentKey) -> Result<EnvironmentView, ApiError> {
    let catalog = deps.control.catalog();
    let found = catalog.service(&key.service).and_then(|service| {
        let environment = service.environment(&key.environment)?;
        Some(EnvironmentView::of(&catalog, service, environment))
    });
    found.ok_or_else(|| ApiError::not_found(Thing::Environment, key))
}
