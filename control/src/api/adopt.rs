//! Moving what wrangler uploaded as `app-staging` into environment `staging` of service `app`.
//!
//! **Owns** when a script is an environment of another service, and the changes that make it one. **Must not know**
//! HTTP. **Enter at** [`plan`]. `docs/004-wrangler-surface.md` says why.
//!
//! Wrangler uploads first and sends the tags that say what the upload is afterwards, so for a moment the script is a
//! service of its own. It is moved as it is, so its secrets stay readable and its history its own.

use skerry_proto::id::ServiceName;

use super::{Deps, certificates, error::ApiError, references, script_name, target::Target};
use crate::{
    catalog::{Change, EnvironmentKey, ServiceKey, service_certificate_names},
    mint,
};

/// How a script becomes an environment.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// Where it is afterwards.
    pub environment: EnvironmentKey,
    /// One command's worth.
    pub changes: Vec<Change>,
}

/// The adoption of `target`, when the tags say that `script` is another service's environment and nothing stands in the
/// way: it is a service of its own with nothing but its production, the other service has no such environment, and nobody
/// counts on the service: it has no routes, custom domains or crons, and no other service binds it.
pub(crate) fn plan(
    deps: &Deps,
    target: &Target,
    script: &ServiceName,
    tags: &[String],
) -> Option<Result<Adoption, ApiError>> {
    let (service, environment) = script_name::from_tags(script, tags)?;
    let account = target.key.service.account.clone();
    let home = ServiceKey { account, name: service };
    let environment = home.environment(environment);
    let is_alone = target.key == target.service.key.production()
        && target.service.key.name == *script
        && target.service.environments.len() == 1;
    let is_free = target.catalog.environment(&environment).is_none() && !environment.environment.is_production();
    (is_alone && is_free && !is_relied_on(target)).then(|| changes(deps, target, &home, &environment))
}

fn is_relied_on(target: &Target) -> bool {
    target.catalog.routes_of(&target.key).next().is_some()
        || target.catalog.domains_of(&target.key).next().is_some()
        || !target.environment.crons.is_empty()
        || !references::of_service(&target.catalog, &target.key.service).is_empty()
}

fn changes(
    deps: &Deps,
    target: &Target,
    home: &ServiceKey,
    environment: &EnvironmentKey,
) -> Result<Adoption, ApiError> {
    let mut changes = Vec::new();
    if target.catalog.service(home).is_none() {
        let (id, production) = (mint::service_id(), mint::environment_id());
        changes.push(Change::CreateService { service: home.clone(), id, production });
        let names = service_certificate_names(&target.catalog, home);
        changes.extend(certificates::missing(deps, &target.catalog, &home.account, names)?);
    }
    changes.push(Change::MoveService { service: target.service.key.clone(), to: environment.clone() });
    Ok(Adoption { environment: environment.clone(), changes })
}
