//! Pure. Changes as messages.
//!
//! **Owns** their translation. **Must not know** what a change does. **Enter at** the `From` and `TryFrom` here.

use skerry_proto::catalog::{self as pb, change::Kind};

use super::{
    WireError, annotations, cluster,
    environment::exposure,
    id, list, maybe_id, need, parse,
    resource::{home, home_number},
};
use crate::catalog::{Change, EnvironmentKey, Exposure, Guard, NewRoute, ServiceKey, WhenBound, WhenShared};

impl From<&Change> for pb::Change {
    fn from(change: &Change) -> Self {
        Self { kind: Some(kind(change)) }
    }
}

/// Services and environments; the others are below.
fn kind(change: &Change) -> Kind {
    let exposed = |exposure: Option<Exposure>| exposure.map_or(0, |exposure| pb::Exposure::from(exposure) as i32);
    match change {
        Change::CreateService { service, id, production } => Kind::CreateService(pb::CreateService {
            service: Some(service.into()),
            id: id.to_string(),
            production: production.to_string(),
        }),
        Change::RenameService { service, to } => {
            Kind::RenameService(pb::RenameService { service: Some(service.into()), to: to.to_string() })
        }
        Change::DeleteService { service, bound } => Kind::DeleteService(pb::DeleteService {
            service: Some(service.into()),
            although_bound: *bound == WhenBound::Delete,
        }),
        Change::MoveService { service, to } => {
            Kind::MoveService(pb::MoveService { service: Some(service.into()), to: Some(to.into()) })
        }
        Change::SetPipeline { service, pipeline } => Kind::SetPipeline(pb::SetPipeline {
            service: Some(service.into()),
            pipeline: pipeline.as_ref().map(Into::into),
        }),
        Change::CreateEnvironment { environment, id, parent, clone } => {
            Kind::CreateEnvironment(pb::CreateEnvironment {
                environment: Some(environment.into()),
                id: id.to_string(),
                parent: parent.as_ref().map(ToString::to_string),
                clone: clone.as_ref().map(Into::into),
            })
        }
        Change::RenameEnvironment { environment, to } => {
            Kind::RenameEnvironment(pb::RenameEnvironment { environment: Some(environment.into()), to: to.to_string() })
        }
        Change::DeleteEnvironment { environment, bound: WhenBound::Delete } => {
            Kind::DeleteEnvironment(environment.into())
        }
        Change::DeleteEnvironment { environment, bound: WhenBound::Refuse } => {
            let environment = Some(environment.into());
            Kind::DeleteUnboundEnvironment(pb::DeleteUnboundEnvironment { environment })
        }
        Change::SetParent { environment, parent } => {
            Kind::SetParent(pb::SetParent { environment: Some(environment.into()), parent: parent.to_string() })
        }
        Change::SetExposure { environment, workers_dev, preview_urls } => Kind::SetExposure(pb::SetExposure {
            environment: Some(environment.into()),
            workers_dev: exposed(*workers_dev),
            preview_urls: exposed(*preview_urls),
        }),
        Change::SetCrons { environment, crons } => Kind::SetCrons(pb::SetCrons {
            environment: Some(environment.into()),
            crons: crons.iter().map(ToString::to_string).collect(),
        }),
        Change::SetTags { environment, tags } => {
            Kind::SetTags(pb::SetTags { environment: Some(environment.into()), tags: tags.clone() })
        }
        other => version_kind(other),
    }
}

/// Versions and deployments.
fn version_kind(change: &Change) -> Kind {
    match change {
        Change::UploadVersion { environment, version } => Kind::UploadVersion(pb::UploadVersion {
            environment: Some(environment.into()),
            version: Some(version.into()),
        }),
        Change::Deploy { environment, deployment } => {
            Kind::Deploy(pb::Deploy { environment: Some(environment.into()), deployment: Some(deployment.into()) })
        }
        Change::Configure { environment, base, edits, version, deployment, shared, annotations, source } => {
            Kind::Configure(pb::Configure {
                environment: Some(environment.into()),
                base: Some(base.into()),
                edits: edits.iter().map(Into::into).collect(),
                version: version.to_string(),
                deployment: deployment.as_ref().map(ToString::to_string),
                annotations: annotations.entries.clone(),
                source: source.clone(),
                refuse_when_shared: *shared == WhenShared::Refuse,
            })
        }
        Change::Promote { source, target, version, new_version, deployment, annotations, guard } => {
            Kind::Promote(pb::Promote {
                source: Some(source.into()),
                target: target.to_string(),
                version: version.as_ref().map(ToString::to_string),
                new_version: new_version.to_string(),
                deployment: deployment.to_string(),
                annotations: annotations.entries.clone(),
                skip_pipeline: *guard == Guard::Skip,
            })
        }
        other => resource_kind(other),
    }
}

/// What belongs to an account, and the cluster's certificates.
fn resource_kind(change: &Change) -> Kind {
    match change {
        Change::SetCluster(cluster) => Kind::SetCluster(cluster.into()),
        Change::CreateAccount(account) => Kind::CreateAccount(account.into()),
        Change::PutRoute(route) => Kind::PutRoute(pb::NewRoute {
            account: route.account.to_string(),
            id: route.id.to_string(),
            pattern: route.pattern.to_string(),
            target: route.target.as_ref().map(Into::into),
        }),
        Change::DeleteRoute { account, id } => {
            Kind::DeleteRoute(pb::DeleteRoute { account: account.to_string(), id: id.to_string() })
        }
        Change::ReplaceRoutes { environment, routes } => Kind::ReplaceRoutes(pb::ReplaceRoutes {
            environment: Some(environment.into()),
            routes: routes
                .iter()
                .map(|(id, pattern)| pb::EnvironmentRoute { id: id.to_string(), pattern: pattern.to_string() })
                .collect(),
        }),
        Change::PutDomain { id, hostname, environment } => Kind::PutDomain(pb::PutDomain {
            id: id.to_string(),
            hostname: hostname.to_string(),
            environment: Some(environment.into()),
        }),
        Change::DeleteDomain { account, hostname } => {
            Kind::DeleteDomain(pb::DeleteDomain { account: account.to_string(), hostname: hostname.to_string() })
        }
        Change::CreateNamespace { account, id, title, home } => Kind::CreateNamespace(pb::PutNamespace {
            account: account.to_string(),
            id: id.to_string(),
            title: title.clone(),
            home: home_number(*home),
        }),
        Change::RenameNamespace { account, id, title } => Kind::RenameNamespace(pb::PutNamespace {
            account: account.to_string(),
            id: id.to_string(),
            title: title.clone(),
            home: 0,
        }),
        Change::DeleteNamespace { account, id } => {
            Kind::DeleteNamespace(pb::DeleteNamespace { account: account.to_string(), id: id.to_string() })
        }
        Change::CreateToken(token) => Kind::CreateToken(token.into()),
        Change::RevokeToken { account, id } => Kind::RevokeToken(pb::RevokeToken {
            account: account.as_ref().map(ToString::to_string),
            id: id.to_string(),
        }),
        Change::PutCertificate(certificate) => Kind::PutCertificate(certificate.into()),
        Change::RemoveCertificate { id } => Kind::RemoveCertificate(id.to_string()),
        other => cluster::kind(other),
    }
}

impl TryFrom<pb::Change> for Change {
    type Error = WireError;

    fn try_from(change: pb::Change) -> Result<Self, WireError> {
        let newer = || WireError::field("change.kind", "is missing, or of a kind that only a newer build knows");
        from_kind(change.kind.ok_or_else(newer)?)
    }
}

fn key(from: Option<pb::EnvironmentKey>) -> Result<EnvironmentKey, WireError> {
    need("change.environment", from)?.try_into()
}

fn service(from: Option<pb::ServiceKey>) -> Result<ServiceKey, WireError> {
    need("change.service", from)?.try_into()
}

/// Services and environments; the others are below.
fn from_kind(kind: Kind) -> Result<Change, WireError> {
    Ok(match kind {
        Kind::CreateService(from) => Change::CreateService {
            service: service(from.service)?,
            id: id("change.id", &from.id)?,
            production: id("change.production", &from.production)?,
        },
        Kind::RenameService(from) => {
            Change::RenameService { service: service(from.service)?, to: id("change.to", &from.to)? }
        }
        Kind::DeleteService(from) => Change::DeleteService {
            service: service(from.service)?,
            bound: if from.although_bound { WhenBound::Delete } else { WhenBound::Refuse },
        },
        Kind::MoveService(from) => Change::MoveService { service: service(from.service)?, to: key(from.to)? },
        Kind::SetPipeline(from) => Change::SetPipeline {
            service: service(from.service)?,
            pipeline: from.pipeline.map(TryInto::try_into).transpose()?,
        },
        Kind::CreateEnvironment(from) => Change::CreateEnvironment {
            environment: key(from.environment)?,
            id: id("change.id", &from.id)?,
            parent: maybe_id("change.parent", from.parent.as_ref())?,
            clone: from.clone.map(TryInto::try_into).transpose()?,
        },
        Kind::RenameEnvironment(from) => {
            Change::RenameEnvironment { environment: key(from.environment)?, to: id("change.to", &from.to)? }
        }
        Kind::DeleteEnvironment(environment) => {
            Change::DeleteEnvironment { environment: environment.try_into()?, bound: WhenBound::Delete }
        }
        Kind::DeleteUnboundEnvironment(from) => {
            Change::DeleteEnvironment { environment: key(from.environment)?, bound: WhenBound::Refuse }
        }
        Kind::SetParent(from) => {
            Change::SetParent { environment: key(from.environment)?, parent: id("change.parent", &from.parent)? }
        }
        Kind::SetExposure(from) => Change::SetExposure {
            environment: key(from.environment)?,
            workers_dev: exposure("change.workers_dev", from.workers_dev)?,
            preview_urls: exposure("change.preview_urls", from.preview_urls)?,
        },
        Kind::SetCrons(from) => {
            let crons = from.crons.iter().map(|cron| parse("change.crons", cron));
            Change::SetCrons { environment: key(from.environment)?, crons: crons.collect::<Result<_, _>>()? }
        }
        Kind::SetTags(from) => Change::SetTags { environment: key(from.environment)?, tags: from.tags },
        other => return version_from_kind(other),
    })
}

/// Versions and deployments.
fn version_from_kind(kind: Kind) -> Result<Change, WireError> {
    Ok(match kind {
        Kind::UploadVersion(from) => Change::UploadVersion {
            environment: key(from.environment)?,
            version: need("change.version", from.version)?.try_into()?,
        },
        Kind::Deploy(from) => Change::Deploy {
            environment: key(from.environment)?,
            deployment: need("change.deployment", from.deployment)?.try_into()?,
        },
        Kind::Configure(from) => Change::Configure {
            environment: key(from.environment)?,
            base: need("change.base", from.base)?.try_into()?,
            edits: list(from.edits)?,
            version: id("change.version", &from.version)?,
            deployment: maybe_id("change.deployment", from.deployment.as_ref())?,
            shared: if from.refuse_when_shared { WhenShared::Refuse } else { WhenShared::Replace },
            annotations: annotations(from.annotations),
            source: from.source,
        },
        Kind::Promote(from) => Change::Promote {
            source: key(from.source)?,
            target: id("change.target", &from.target)?,
            version: maybe_id("change.version", from.version.as_ref())?,
            new_version: id("change.new_version", &from.new_version)?,
            deployment: id("change.deployment", &from.deployment)?,
            annotations: annotations(from.annotations),
            guard: if from.skip_pipeline { Guard::Skip } else { Guard::Enforce },
        },
        other => return resource_from_kind(other),
    })
}

/// What belongs to an account, and the cluster's certificates.
fn resource_from_kind(kind: Kind) -> Result<Change, WireError> {
    Ok(match kind {
        Kind::SetCluster(cluster) => Change::SetCluster(cluster.try_into()?),
        Kind::CreateAccount(account) => Change::CreateAccount(account.try_into()?),
        Kind::PutRoute(from) => Change::PutRoute(NewRoute {
            account: id("change.account", &from.account)?,
            id: id("change.id", &from.id)?,
            pattern: parse("change.pattern", &from.pattern)?,
            target: from.target.map(TryInto::try_into).transpose()?,
        }),
        Kind::DeleteRoute(from) => {
            Change::DeleteRoute { account: id("change.account", &from.account)?, id: id("change.id", &from.id)? }
        }
        Kind::ReplaceRoutes(from) => {
            let routes = from.routes.iter().map(|route| {
                Ok::<_, WireError>((id("change.id", &route.id)?, parse("change.pattern", &route.pattern)?))
            });
            Change::ReplaceRoutes { environment: key(from.environment)?, routes: routes.collect::<Result<_, _>>()? }
        }
        Kind::PutDomain(from) => Change::PutDomain {
            id: id("change.id", &from.id)?,
            hostname: id("change.hostname", &from.hostname)?,
            environment: key(from.environment)?,
        },
        Kind::DeleteDomain(from) => Change::DeleteDomain {
            account: id("change.account", &from.account)?,
            hostname: id("change.hostname", &from.hostname)?,
        },
        Kind::CreateNamespace(from) => Change::CreateNamespace {
            account: id("change.account", &from.account)?,
            id: id("change.id", &from.id)?,
            title: from.title,
            home: home(from.home),
        },
        Kind::RenameNamespace(from) => Change::RenameNamespace {
            account: id("change.account", &from.account)?,
            id: id("change.id", &from.id)?,
            title: from.title,
        },
        Kind::DeleteNamespace(from) => {
            Change::DeleteNamespace { account: id("change.account", &from.account)?, id: id("change.id", &from.id)? }
        }
        Kind::CreateToken(token) => Change::CreateToken(token.try_into()?),
        Kind::RevokeToken(from) => Change::RevokeToken {
            account: maybe_id("change.account", from.account.as_ref())?,
            id: id("change.id", &from.id)?,
        },
        Kind::PutCertificate(certificate) => Change::PutCertificate(certificate.try_into()?),
        Kind::RemoveCertificate(certificate) => Change::RemoveCertificate { id: id("change.id", &certificate)? },
        other => return cluster::from_kind(other),
    })
}
