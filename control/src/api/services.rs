//! Services: the named containers of environments.
//!
//! **Owns** listing, showing, renaming and removing services. **Must not know** uploads. **Enter at** [`mount`] and
//! [`ServiceView`].

use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use skerry_proto::id::ServiceName;
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    auth::{WORKERS_READ, WORKERS_WRITE},
    body::JsonBody,
    certificates,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    params::Params,
    paths,
    query::Query,
    references,
    scripts::ScriptView,
    target::{self, Target},
    time::rfc3339,
    writer::Writer,
};
use crate::catalog::{
    Catalog, Change, Environment, EnvironmentKey, Noun, Rejection, Service, ServiceKey, WhenBound, hostname,
    service_certificate_names,
};

/// A service as Cloudflare showed it when services had environments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceView {
    /// Its name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its identity, kept when it is renamed.
    pub tag: String,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub modified_on: String,
    /// Always `standard`.
    pub usage_model: &'static str,
    /// The environment that calls without an environment mean.
    pub default_environment: DefaultEnvironment,
    /// All of them.
    pub environments: Vec<EnvironmentLine>,
}

/// The environment that calls without an environment mean.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefaultEnvironment {
    /// Its name.
    pub environment: String,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub modified_on: String,
    /// What is live there.
    pub script: ScriptView,
}

/// An environment in a line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnvironmentLine {
    /// Its name.
    pub environment: String,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub modified_on: String,
    /// What it inherits from.
    pub parent: Option<String>,
    /// Where it answers.
    pub hostnames: Vec<String>,
}

/// What to change about a service.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServicePatch {
    /// A new name; its hostnames follow.
    pub name: String,
}

impl ServiceView {
    fn of(catalog: &Catalog, service: &Service, shown: &Environment) -> Self {
        Self {
            id: service.key.name.to_string(),
            name: service.key.name.to_string(),
            tag: service.id.to_string(),
            created_on: rfc3339(service.created_at_ms),
            modified_on: rfc3339(service.modified_at_ms),
            usage_model: "standard",
            default_environment: DefaultEnvironment {
                environment: shown.name.to_string(),
                created_on: rfc3339(shown.created_at_ms),
                modified_on: rfc3339(shown.modified_at_ms),
                script: ScriptView::of(service, shown),
            },
            environments: service
                .environments
                .values()
                .map(|environment| EnvironmentLine {
                    environment: environment.name.to_string(),
                    created_on: rfc3339(environment.created_at_ms),
                    modified_on: rfc3339(environment.modified_at_ms),
                    parent: environment.parent.as_ref().map(ToString::to_string),
                    hostnames: hostnames(catalog, &service.key.environment(environment.name.clone()), environment),
                })
                .collect(),
        }
    }
}

/// Where an environment answers: its own hostname, then its custom domains.
pub(crate) fn hostnames(catalog: &Catalog, key: &EnvironmentKey, environment: &Environment) -> Vec<String> {
    let own = hostname(catalog, key).filter(|_| environment.workers_dev.is_public());
    let domains = catalog.domains_of(key).map(|domain| domain.hostname.to_string());
    own.map(|host| host.to_string()).into_iter().chain(domains).collect()
}

/// The environment that wrangler means by a service's name: `app-staging` is found too.
pub(crate) struct Spelled(pub(crate) Target);

impl FromRequestParts<Deps> for Spelled {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let account = Account::from_request_parts(parts, deps).await?;
        Self::find(account, &Params::from_request_parts(parts, deps).await?)
    }
}

impl Spelled {
    fn find(account: Account, params: &Params) -> Result<Self, ApiError> {
        let name = params.find("service").or(params.find("script")).unwrap_or_default();
        Ok(Self(target::by_name(account, name)?))
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let all = "/accounts/{account}/workers/services";
    let list = Endpoint::get(all, "listServices", "The account's services").needs(WORKERS_READ).tag("services");
    endpoints.add(list.paged().lists::<ServiceView>(), list_all);
    let show = Endpoint::get(paths::SERVICE, "getService", "One service").needs(WORKERS_READ).tag("services");
    endpoints.add(show.answers::<ServiceView>(), show_one);
    let rename = Endpoint::patch(paths::SERVICE, "renameService", "Gives a service another name").needs(WORKERS_WRITE);
    let rename =
        rename.tag("services").if_match().query("force", "Whether to go ahead although other services bind it.");
    endpoints.add(rename.takes::<ServicePatch>().answers::<ServiceView>(), rename_one);
    let script = "/accounts/{account}/workers/scripts/{script}";
    let remove = Endpoint::delete(paths::SERVICE, "deleteService", "Removes a service with its environments")
        .also(script)
        .needs(WORKERS_WRITE)
        .tag("services")
        .if_match()
        .query("force", "Whether to go ahead although other services bind it or it has more environments.");
    endpoints.add(remove, delete_one);
}

async fn list_all(State(_): State<Deps>, account: Account, page: Page) -> Reply<Vec<ServiceView>> {
    let catalog = &account.catalog;
    let total = catalog.services(&account.id).count();
    let (items, info) = page.cut(catalog.services(&account.id), total);
    let view = |service: &std::sync::Arc<Service>| {
        let shown = service.environment(&service.default_environment)?;
        Some(ServiceView::of(catalog, service, shown))
    };
    Ok(Answer::ok(items.into_iter().filter_map(view).collect()).with_info(info))
}

/// The ETag is that of what a removal under the same name removes: the service, or the environment it is spelled for.
async fn show_one(Spelled(target): Spelled) -> Reply<ServiceView> {
    let view = ServiceView::of(&target.catalog, &target.service, &target.environment);
    let is_whole = target.key.environment.is_production();
    Ok(Answer::ok(view).with_etag(if is_whole { target.service.revision } else { target.environment.revision }))
}

async fn delete_one(account: Account, params: Params, writer: Writer, query: Query) -> Reply<()> {
    if let Some(applied) = writer.replay(&account.id)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let Spelled(target) = Spelled::find(account, &params)?;
    let bound = if query.flag("force")? { WhenBound::Delete } else { WhenBound::Refuse };
    let service = target.key.service.clone();
    let (expects, change, what) = if target.key.environment.is_production() {
        if bound == WhenBound::Refuse {
            refuse_bound(&target.catalog, &service)?;
        }
        (
            writer.expects_service(&service),
            Change::DeleteService { service, bound },
            format!("service {}", target.key.service),
        )
    } else {
        // The name was `app-staging`: only that environment goes.
        let change = Change::DeleteEnvironment { environment: target.key.clone(), bound };
        (writer.expects(&target.key), change, format!("environment {}", target.key))
    };
    let applied = writer.propose(&target.key.service.account, expects, vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision).with_message(format!("Removed {what}.")))
}

/// `apply` looks only at the version with the larger share, and goes on so: what a log says was removed must come out removed
/// whichever build reads it.
fn refuse_bound(catalog: &Catalog, service: &ServiceKey) -> Result<(), ApiError> {
    match references::of_service(catalog, service).first() {
        Some(by) => {
            let by = format!("the binding of {by}; pass force to delete it all the same");
            Err(Rejection::InUse { noun: Noun::Service, name: service.to_string(), by }.into())
        }
        None => Ok(()),
    }
}

async fn rename_one(
    State(deps): State<Deps>,
    account: Account,
    params: Params,
    writer: Writer,
    query: Query,
    JsonBody(body): JsonBody<ServicePatch>,
) -> Reply<ServiceView> {
    let key = ServiceKey { account: account.id.clone(), name: params.id("service")? };
    let new = ServiceKey { account: account.id.clone(), name: ServiceName::new(&body.name)? };
    let applied = match writer.replay(&account.id)? {
        Some(applied) => applied,
        None => {
            if account.catalog.service(&key).is_none() {
                return Err(ApiError::not_found(Thing::Service, &key));
            }
            let is_forced = query.flag("force")?;
            if let Some(by) = references::of_service(&account.catalog, &key).first().filter(|_| !is_forced) {
                let problem =
                    format!("service {key} is bound by {by}, whose calls would fail; pass force to rename it");
                return Err(ApiError::Conflict(problem));
            }
            let mut changes = vec![Change::RenameService { service: key.clone(), to: new.name.clone() }];
            let names = service_certificate_names(&account.catalog, &new);
            changes.extend(certificates::missing(&deps, &account.catalog, &account.id, names)?);
            writer.propose(&account.id, writer.expects_service(&key), changes).await?
        }
    };
    let catalog = deps.control.catalog();
    let service = catalog.service(&new).ok_or_else(|| ApiError::not_found(Thing::Service, &new))?;
    let shown = service.environment(&service.default_environment);
    let shown = shown.ok_or_else(|| ApiError::not_found(Thing::Environment, new.production()))?;
    Ok(Answer::ok(ServiceView::of(&catalog, service, shown)).changed_at(applied.revision))
}
