//! Services: the named containers of environments.
//!
//! **Owns** listing, showing and removing services, and who refers to one. **Must not know** uploads. **Enter at**
//! [`mount`] and [`ServiceView`].

use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    auth::{WORKERS_READ, WORKERS_WRITE},
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::ApiError,
    page::Page,
    params::Params,
    paths,
    query::Query,
    scripts::ScriptView,
    target::{self, Target},
    time::rfc3339,
    writer::Writer,
};
use crate::catalog::{Binding, Catalog, Change, Environment, EnvironmentKey, Service, ServiceKey, WhenBound, hostname};

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

/// Who refers to a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReferencesView {
    /// By service bindings.
    pub services: ServiceReferences,
    /// By Durable Object bindings.
    pub durable_objects: Vec<ReferenceView>,
    /// By outbound workers.
    pub dispatch_outbounds: Vec<ReferenceView>,
}

/// Who refers to a service by service bindings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceReferences {
    /// Who binds it.
    pub incoming: Vec<ReferenceView>,
    /// Whom it binds.
    pub outgoing: Vec<ReferenceView>,
    /// Always false.
    pub pages_function: bool,
}

/// One end of a service binding.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReferenceView {
    /// The binding's name.
    pub name: String,
    /// The service.
    pub service: String,
    /// The environment, where one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
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
        let params = Params::from_request_parts(parts, deps).await?;
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
    let script = "/accounts/{account}/workers/scripts/{script}";
    let remove = Endpoint::delete(paths::SERVICE, "deleteService", "Removes a service with its environments")
        .also(script)
        .needs(WORKERS_WRITE)
        .tag("services")
        .query("force", "Whether to go ahead although other services bind it.");
    endpoints.add(remove, delete_one);
    let references = Endpoint::get(&format!("{script}/references"), "getReferences", "Who refers to a service")
        .also(&format!("{}/references", paths::SERVICE))
        .needs(WORKERS_READ)
        .tag("services");
    endpoints.add(references.answers::<ReferencesView>(), show_references);
    let tails = "/accounts/{account}/workers/tails/by-consumer/{script}";
    let consumers = Endpoint::get(tails, "listTailProducers", "Services whose logs a service consumes; none");
    endpoints.add(consumers.needs(WORKERS_READ).tag("services").lists::<ReferenceView>(), list_producers);
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

async fn show_one(Spelled(target): Spelled) -> Reply<ServiceView> {
    let view = ServiceView::of(&target.catalog, &target.service, &target.environment);
    Ok(Answer::ok(view).with_etag(target.service.revision))
}

async fn delete_one(Spelled(target): Spelled, writer: Writer, query: Query) -> Reply<()> {
    let account = &target.key.service.account;
    let service = target.key.service.clone();
    let (expects, change) = if target.key.environment.is_production() {
        let bound = if query.flag("force")? { WhenBound::Delete } else { WhenBound::Refuse };
        (writer.expects_service(&service), Change::DeleteService { service, bound })
    } else {
        // The name was `app-staging`: only that environment goes.
        (writer.expects(&target.key), Change::DeleteEnvironment { environment: target.key.clone(), bound: WhenBound::Delete })
    };
    let applied = writer.propose(account, expects, vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}

async fn list_producers(Spelled(_): Spelled) -> Reply<Vec<ReferenceView>> {
    Ok(Answer::ok(Vec::new()))
}

async fn show_references(Spelled(target): Spelled) -> Reply<ReferencesView> {
    let own = &target.key.service;
    let mut incoming = Vec::new();
    for service in target.catalog.services(&own.account) {
        for (name, binding, from) in bound(service) {
            if binding.service == own.name && service.key != *own {
                incoming.push(reference(name, &service.key, Some(from)));
            }
        }
    }
    let outgoing = bound(&target.service)
        .map(|(name, binding, _)| ReferenceView {
            name: name.clone(),
            service: binding.service.to_string(),
            environment: binding.environment.as_ref().map(ToString::to_string),
        })
        .collect();
    let services = ServiceReferences { incoming, outgoing, pages_function: false };
    Ok(Answer::ok(ReferencesView { services, durable_objects: Vec::new(), dispatch_outbounds: Vec::new() }))
}

/// The service bindings of a service's live versions, with the environments that have them.
fn bound(service: &Service) -> impl Iterator<Item = (&String, &crate::catalog::ServiceBinding, &Environment)> {
    service.environments.values().flat_map(|environment| {
        let version = environment.live_version();
        version.into_iter().flat_map(move |version| {
            version.config.bindings.iter().filter_map(move |(name, binding)| match binding {
                Binding::Service(target) => Some((name, target, &**environment)),
                _ => None,
            })
        })
    })
}

fn reference(name: &str, service: &ServiceKey, from: Option<&Environment>) -> ReferenceView {
    ReferenceView {
        name: name.to_owned(),
        service: service.name.to_string(),
        environment: from.map(|environment| environment.name.to_string()),
    }
}
