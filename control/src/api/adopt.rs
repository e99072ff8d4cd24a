//! Moving what wrangler uploaded as `app-staging` into environment `staging` of service `app`.
//!
//! **Owns** when a script is an environment of another service, and the changes that make it one. **Must not know**
//! HTTP. **Enter at** [`plan`]. `docs/001-wrangler-surface.md` says why.
//!
//! Wrangler uploads first and sends the tags that say what the upload is afterwards, so for a moment the script is a
//! service of its own. It is moved with its identity, so its secrets stay readable and its version keeps its id.

use skerry_proto::id::{EnvironmentName, ServiceName};

use super::{Deps, certificates, error::ApiError, script_name, target::Target};
use crate::{
    catalog::{
        Base, Change, EnvironmentKey, Keep, NewDeployment, NewVersion, ServiceKey, Version, WhenBound,
        service_certificate_names,
    },
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
/// way: it is a service of its own with nothing but its production, and the other service has no such environment.
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
    (is_alone && is_free).then(|| changes(deps, target, &home, &environment))
}

fn changes(
    deps: &Deps,
    target: &Target,
    home: &ServiceKey,
    environment: &EnvironmentKey,
) -> Result<Adoption, ApiError> {
    let bound = WhenBound::Delete;
    let mut changes = vec![Change::DeleteService { service: target.service.key.clone(), bound }];
    if target.catalog.service(home).is_none() {
        let (id, production) = (mint::service_id(), mint::environment_id());
        changes.push(Change::CreateService { service: home.clone(), id, production });
        let names = service_certificate_names(&target.catalog, home);
        changes.extend(certificates::missing(deps, &target.catalog, &home.account, names)?);
    }
    changes.push(Change::CreateEnvironment {
        environment: environment.clone(),
        id: target.environment.id.clone(),
        parent: Some(EnvironmentName::production()),
        clone: None,
    });
    for version in target.environment.versions.values() {
        let version = copy(version);
        changes.push(Change::UploadVersion { environment: environment.clone(), version });
    }
    for deployment in target.environment.deployments.iter().rev() {
        let deployment = NewDeployment {
            id: deployment.id.clone(),
            shares: deployment.shares.clone(),
            annotations: deployment.annotations.clone(),
            source: deployment.source.clone(),
        };
        changes.push(Change::Deploy { environment: environment.clone(), deployment });
    }
    changes.push(Change::SetExposure {
        environment: environment.clone(),
        workers_dev: Some(target.environment.workers_dev),
        preview_urls: Some(target.environment.preview_urls),
    });
    Ok(Adoption { environment: environment.clone(), changes })
}

fn copy(version: &Version) -> NewVersion {
    NewVersion {
        id: version.id.clone(),
        code: version.code.clone(),
        bindings: version.config.bindings.clone(),
        removed: version.config.removed.clone(),
        limits: version.config.limits,
        keep: Keep::default(),
        base: Base::Live,
        annotations: version.annotations.clone(),
        source: version.source.clone(),
    }
}
