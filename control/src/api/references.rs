//! Who refers to a service, and what goes with it.
//!
//! **Owns** finding service bindings by what they lead to. **Must not know** what is done about them. **Enter at**
//! [`mount`] and [`of_service`].

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    auth::WORKERS_READ,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    paths,
    services::Spelled,
    target::Target,
};
use crate::catalog::{Binding, Catalog, EnvironmentKey, Service, ServiceBinding, ServiceKey, resolve_service};

/// Who refers to a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReferencesView {
    /// By service bindings.
    pub services: ServiceReferences,
    /// By Durable Object bindings.
    pub durable_objects: Vec<ReferenceView>,
    /// By outbound workers.
    pub dispatch_outbounds: Vec<ReferenceView>,
    /// The environments besides production that go with the service when it is removed.
    pub environments: Vec<String>,
}

/// Who refers to a service by service bindings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceReferences {
    /// Who binds it, and its own environments besides production: wrangler asks before it removes what is listed here.
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

/// The environments of other services whose live versions bind this one.
pub(crate) fn of_service(catalog: &Catalog, service: &ServiceKey) -> Vec<EnvironmentKey> {
    let bindings = catalog.services(&service.account).flat_map(|other| bound(other));
    let mut found: Vec<EnvironmentKey> = bindings
        .filter(|(from, _, binding)| binding.service == service.name && from.service != *service)
        .map(|(from, _, _)| from)
        .collect();
    found.dedup();
    found
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let script = "/accounts/{account}/workers/scripts/{script}";
    let references = Endpoint::get(&format!("{script}/references"), "getReferences", "Who refers to a service")
        .also(&format!("{}/references", paths::SERVICE))
        .needs(WORKERS_READ)
        .tag("services");
    endpoints.add(references.answers::<ReferencesView>(), show_references);
    let tails = "/accounts/{account}/workers/tails/by-consumer/{script}";
    let consumers = Endpoint::get(tails, "listTailProducers", "Services whose logs a service consumes; none");
    endpoints.add(consumers.needs(WORKERS_READ).tag("services").lists::<ReferenceView>(), list_producers);
}

async fn list_producers(Spelled(_): Spelled) -> Reply<Vec<ReferenceView>> {
    Ok(Answer::ok(Vec::new()))
}

async fn show_references(Spelled(target): Spelled) -> Reply<ReferencesView> {
    let environments = goes_along(&target);
    let own = |name: &String| ReferenceView {
        name: "(environment)".to_owned(),
        service: target.key.service.to_string(),
        environment: Some(name.clone()),
    };
    let incoming = target
        .catalog
        .services(&target.key.service.account)
        .flat_map(|service| bound(service))
        .filter(|(from, _, binding)| leads_to(&target, from, binding))
        .map(|(from, name, _)| reference(name, &from))
        .chain(environments.iter().map(own))
        .collect();
    let outgoing = bound(&target.service).map(|(_, name, binding)| ReferenceView {
        name: name.clone(),
        service: binding.service.to_string(),
        environment: binding.environment.as_ref().map(ToString::to_string),
    });
    let services = ServiceReferences { incoming, outgoing: outgoing.collect(), pages_function: false };
    let (durable_objects, dispatch_outbounds) = (Vec::new(), Vec::new());
    Ok(Answer::ok(ReferencesView { services, durable_objects, dispatch_outbounds, environments }))
}

/// Whether a binding leads to what the name means: any environment of a service, or the one environment.
fn leads_to(target: &Target, from: &EnvironmentKey, binding: &ServiceBinding) -> bool {
    if target.key.environment.is_production() {
        return binding.service == target.key.service.name && from.service != target.key.service;
    }
    *from != target.key && resolve_service(&target.catalog, from, binding).as_ref() == Some(&target.key)
}

/// The environments that are removed along with what the name means.
fn goes_along(target: &Target) -> Vec<String> {
    if !target.key.environment.is_production() {
        return Vec::new();
    }
    let names = target.service.environments.keys().filter(|name| !name.is_production());
    names.map(ToString::to_string).collect()
}

/// The service bindings of a service's live versions, each once, with the environments that have them. The smaller share of a
/// gradual rollout calls too.
fn bound(service: &Service) -> impl Iterator<Item = (EnvironmentKey, &String, &ServiceBinding)> {
    service.environments.values().flat_map(move |environment| {
        let key = service.key.environment(environment.name.clone());
        let shares = environment.live().into_iter().flat_map(|live| &live.shares);
        let versions = shares.filter_map(|share| environment.version(&share.version));
        let mut found: Vec<(&String, &ServiceBinding)> = Vec::new();
        for (name, binding) in versions.flat_map(|version| &version.config.bindings) {
            if let Binding::Service(target) = binding
                && !found.contains(&(name, target))
            {
                found.push((name, target));
            }
        }
        found.into_iter().map(move |(name, target)| (key.clone(), name, target))
    })
}

fn reference(name: &str, from: &EnvironmentKey) -> ReferenceView {
    ReferenceView {
        name: name.to_owned(),
        service: from.service.to_string(),
        environment: Some(from.environment.to_string()),
    }
}
