//! Pure. Services and environments as messages.
//!
//! **Owns** their translation. **Must not know** commands. **Enter at** the `From` and `TryFrom` here.

use std::sync::Arc;

use imbl::OrdMap;
use skerry_proto::{catalog as pb, id::VersionNumber};

use super::{WireError, id, list, maybe_id, need, parse, revision};
use crate::catalog::{Deployment, Environment, EnvironmentKey, Exposure, Pipeline, Service, ServiceKey, Version};

impl From<&ServiceKey> for pb::ServiceKey {
    fn from(key: &ServiceKey) -> Self {
        Self { account: key.account.to_string(), name: key.name.to_string() }
    }
}

impl TryFrom<pb::ServiceKey> for ServiceKey {
    type Error = WireError;

    fn try_from(key: pb::ServiceKey) -> Result<Self, WireError> {
        Ok(Self { account: id("service.account", &key.account)?, name: id("service.name", &key.name)? })
    }
}

impl From<&EnvironmentKey> for pb::EnvironmentKey {
    fn from(key: &EnvironmentKey) -> Self {
        Self { service: Some((&key.service).into()), environment: key.environment.to_string() }
    }
}

impl TryFrom<pb::EnvironmentKey> for EnvironmentKey {
    type Error = WireError;

    fn try_from(key: pb::EnvironmentKey) -> Result<Self, WireError> {
        let service = need("environment.service", key.service)?.try_into()?;
        Ok(Self { service, environment: id("environment", &key.environment)? })
    }
}

impl From<Exposure> for pb::Exposure {
    fn from(exposure: Exposure) -> Self {
        match exposure {
            Exposure::Public => Self::Public,
            Exposure::Hidden => Self::Hidden,
        }
    }
}

/// The exposure behind its number on disk; `None` when it is unspecified.
pub(super) fn exposure(field: &'static str, number: i32) -> Result<Option<Exposure>, WireError> {
    match pb::Exposure::try_from(number) {
        Ok(pb::Exposure::Public) => Ok(Some(Exposure::Public)),
        Ok(pb::Exposure::Hidden) => Ok(Some(Exposure::Hidden)),
        Ok(pb::Exposure::Unspecified) => Ok(None),
        Err(_) => Err(WireError::field(field, format!("is {number}, which this build does not know"))),
    }
}

impl From<&Environment> for pb::Environment {
    fn from(environment: &Environment) -> Self {
        Self {
            id: environment.id.to_string(),
            name: environment.name.to_string(),
            parent: environment.parent.as_ref().map(ToString::to_string),
            versions: environment.versions.values().map(|version| version.as_ref().into()).collect(),
            next_number: environment.next_number.0,
            deployments: environment.deployments.iter().map(|deployment| deployment.as_ref().into()).collect(),
            draft: Some((&environment.draft).into()),
            workers_dev: pb::Exposure::from(environment.workers_dev).into(),
            preview_urls: pb::Exposure::from(environment.preview_urls).into(),
            crons: environment.crons.iter().map(ToString::to_string).collect(),
            tags: environment.tags.clone(),
            created_at_ms: environment.created_at_ms,
            modified_at_ms: environment.modified_at_ms,
            revision: environment.revision.0,
        }
    }
}

impl TryFrom<pb::Environment> for Environment {
    type Error = WireError;

    fn try_from(environment: pb::Environment) -> Result<Self, WireError> {
        let versions: Vec<Version> = list(environment.versions)?;
        let deployments: Vec<Deployment> = list(environment.deployments)?;
        let crons = environment.crons.iter().map(|cron| parse("environment.crons", cron));
        Ok(Self {
            id: id("environment.id", &environment.id)?,
            name: id("environment.name", &environment.name)?,
            parent: maybe_id("environment.parent", environment.parent.as_ref())?,
            version_numbers: versions.iter().map(|version| (version.id.clone(), version.number)).collect(),
            versions: versions.into_iter().map(|version| (version.number, Arc::new(version))).collect(),
            next_number: VersionNumber(environment.next_number),
            deployments: deployments.into_iter().map(Arc::new).collect(),
            draft: environment.draft.unwrap_or_default().try_into()?,
            workers_dev: exposure("environment.workers_dev", environment.workers_dev)?.unwrap_or_default(),
            preview_urls: exposure("environment.preview_urls", environment.preview_urls)?.unwrap_or_default(),
            crons: crons.collect::<Result<_, _>>()?,
            tags: environment.tags,
            created_at_ms: environment.created_at_ms,
            modified_at_ms: environment.modified_at_ms,
            revision: revision(environment.revision),
        })
    }
}

impl From<&Pipeline> for pb::Pipeline {
    fn from(pipeline: &Pipeline) -> Self {
        Self { stages: pipeline.stages.iter().map(ToString::to_string).collect() }
    }
}

impl TryFrom<pb::Pipeline> for Pipeline {
    type Error = WireError;

    fn try_from(pipeline: pb::Pipeline) -> Result<Self, WireError> {
        let stages = pipeline.stages.iter().map(|stage| id("pipeline.stages", stage));
        Ok(Self { stages: stages.collect::<Result<_, _>>()? })
    }
}

impl From<&Service> for pb::Service {
    fn from(service: &Service) -> Self {
        Self {
            key: Some((&service.key).into()),
            id: service.id.to_string(),
            created_at_ms: service.created_at_ms,
            modified_at_ms: service.modified_at_ms,
            revision: service.revision.0,
            environments: service.environments.values().map(|environment| environment.as_ref().into()).collect(),
            default_environment: service.default_environment.to_string(),
            pipeline: service.pipeline.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<pb::Service> for Service {
    type Error = WireError;

    fn try_from(service: pb::Service) -> Result<Self, WireError> {
        let environments: Vec<Environment> = list(service.environments)?;
        let environments: OrdMap<_, _> =
            environments.into_iter().map(|environment| (environment.name.clone(), Arc::new(environment))).collect();
        Ok(Self {
            key: need("service.key", service.key)?.try_into()?,
            id: id("service.id", &service.id)?,
            created_at_ms: service.created_at_ms,
            modified_at_ms: service.modified_at_ms,
            revision: revision(service.revision),
            environments,
            default_environment: id("service.default_environment", &service.default_environment)?,
            pipeline: service.pipeline.map(TryInto::try_into).transpose()?,
        })
    }
}
