//! Pure. Changes as messages.
//!
//! **Owns** their translation. **Must not know** what a change does. **Enter at** the `From` and `TryFrom` here.

use std::collections::BTreeMap;

use skerry_proto::catalog as pb;

use super::{WireError, annotations, environment::exposure, id, list, maybe_id, need, parse, version::binding_kind};
use crate::catalog::{
    Base, Binding, Change, CloneSource, ConfigEdit, EnvironmentKey, Exposure, Guard, Keep, NewDeployment, NewRoute,
    NewVersion, VersionConfig, WhenBound,
};

impl From<&Change> for pb::Change {
    fn from(change: &Change) -> Self {
        Self { kind: Some(kind(change)) }
    }
}

#[allow(clippy::too_many_lines, reason = "one arm for each change, each a single message")]
fn kind(change: &Change) -> pb::change::Kind {
    use pb::change::Kind;
    let exposed = |exposure: Option<Exposure>| exposure.map_or(0, |exposure| pb::Exposure::from(exposure) as i32);
    match change {
        Change::SetCluster(cluster) => Kind::SetCluster(cluster.into()),
        Change::CreateAccount(account) => Kind::CreateAccount(account.into()),
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
        Change::DeleteEnvironment { environment } => Kind::DeleteEnvironment(environment.into()),
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
        Change::UploadVersion { environment, version } => Kind::UploadVersion(pb::UploadVersion {
            environment: Some(environment.into()),
            version: Some(version.into()),
        }),
        Change::Deploy { environment, deployment } => {
            Kind::Deploy(pb::Deploy { environment: Some(environment.into()), deployment: Some(deployment.into()) })
        }
        Change::Configure { environment, base, edits, version, deployment, annotations, source } => {
            Kind::Configure(pb::Configure {
                environment: Some(environment.into()),
                base: Some(base.into()),
                edits: edits.iter().map(Into::into).collect(),
                version: version.to_string(),
                deployment: deployment.as_ref().map(ToString::to_string),
                annotations: annotations.entries.clone(),
                source: source.clone(),
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
        Change::CreateNamespace { account, id, title } => Kind::CreateNamespace(pb::PutNamespace {
            account: account.to_string(),
            id: id.to_string(),
            title: title.clone(),
        }),
        Change::RenameNamespace { account, id, title } => Kind::RenameNamespace(pb::PutNamespace {
            account: account.to_string(),
            id: id.to_string(),
            title: title.clone(),
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
    }
}

impl TryFrom<pb::Change> for Change {
    type Error = WireError;

    #[allow(clippy::too_many_lines, reason = "one arm for each change, each a single value")]
    fn try_from(change: pb::Change) -> Result<Self, WireError> {
        use pb::change::Kind;
        let key = |from: Option<pb::EnvironmentKey>| -> Result<EnvironmentKey, WireError> {
            need("change.environment", from)?.try_into()
        };
        let service = |from: Option<pb::ServiceKey>| need("change.service", from)?.try_into();
        Ok(match need("change.kind", change.kind)? {
            Kind::SetCluster(cluster) => Self::SetCluster(cluster.try_into()?),
            Kind::CreateAccount(account) => Self::CreateAccount(account.try_into()?),
            Kind::CreateService(from) => Self::CreateService {
                service: service(from.service)?,
                id: id("change.id", &from.id)?,
                production: id("change.production", &from.production)?,
            },
            Kind::RenameService(from) => {
                Self::RenameService { service: service(from.service)?, to: id("change.to", &from.to)? }
            }
            Kind::DeleteService(from) => Self::DeleteService {
                service: service(from.service)?,
                bound: if from.although_bound { WhenBound::Delete } else { WhenBound::Refuse },
            },
            Kind::SetPipeline(from) => Self::SetPipeline {
                service: service(from.service)?,
                pipeline: from.pipeline.map(TryInto::try_into).transpose()?,
            },
            Kind::CreateEnvironment(from) => Self::CreateEnvironment {
                environment: key(from.environment)?,
                id: id("change.id", &from.id)?,
                parent: maybe_id("change.parent", from.parent.as_ref())?,
                clone: from.clone.map(TryInto::try_into).transpose()?,
            },
            Kind::RenameEnvironment(from) => {
                Self::RenameEnvironment { environment: key(from.environment)?, to: id("change.to", &from.to)? }
            }
            Kind::DeleteEnvironment(environment) => Self::DeleteEnvironment { environment: environment.try_into()? },
            Kind::SetParent(from) => {
                Self::SetParent { environment: key(from.environment)?, parent: id("change.parent", &from.parent)? }
            }
            Kind::SetExposure(from) => Self::SetExposure {
                environment: key(from.environment)?,
                workers_dev: exposure("change.workers_dev", from.workers_dev)?,
                preview_urls: exposure("change.preview_urls", from.preview_urls)?,
            },
            Kind::SetCrons(from) => {
                let crons = from.crons.iter().map(|cron| parse("change.crons", cron));
                Self::SetCrons { environment: key(from.environment)?, crons: crons.collect::<Result<_, _>>()? }
            }
            Kind::SetTags(from) => Self::SetTags { environment: key(from.environment)?, tags: from.tags },
            Kind::UploadVersion(from) => Self::UploadVersion {
                environment: key(from.environment)?,
                version: need("change.version", from.version)?.try_into()?,
            },
            Kind::Deploy(from) => Self::Deploy {
                environment: key(from.environment)?,
                deployment: need("change.deployment", from.deployment)?.try_into()?,
            },
            Kind::Configure(from) => Self::Configure {
                environment: key(from.environment)?,
                base: need("change.base", from.base)?.try_into()?,
                edits: list(from.edits)?,
                version: id("change.version", &from.version)?,
                deployment: maybe_id("change.deployment", from.deployment.as_ref())?,
                annotations: annotations(from.annotations),
                source: from.source,
            },
            Kind::Promote(from) => Self::Promote {
                source: key(from.source)?,
                target: id("change.target", &from.target)?,
                version: maybe_id("change.version", from.version.as_ref())?,
                new_version: id("change.new_version", &from.new_version)?,
                deployment: id("change.deployment", &from.deployment)?,
                annotations: annotations(from.annotations),
                guard: if from.skip_pipeline { Guard::Skip } else { Guard::Enforce },
            },
            Kind::PutRoute(from) => Self::PutRoute(NewRoute {
                account: id("change.account", &from.account)?,
                id: id("change.id", &from.id)?,
                pattern: parse("change.pattern", &from.pattern)?,
                target: from.target.map(TryInto::try_into).transpose()?,
            }),
            Kind::DeleteRoute(from) => {
                Self::DeleteRoute { account: id("change.account", &from.account)?, id: id("change.id", &from.id)? }
            }
            Kind::ReplaceRoutes(from) => {
                let routes = from.routes.iter().map(|route| {
                    Ok::<_, WireError>((id("change.id", &route.id)?, parse("change.pattern", &route.pattern)?))
                });
                Self::ReplaceRoutes { environment: key(from.environment)?, routes: routes.collect::<Result<_, _>>()? }
            }
            Kind::PutDomain(from) => Self::PutDomain {
                id: id("change.id", &from.id)?,
                hostname: id("change.hostname", &from.hostname)?,
                environment: key(from.environment)?,
            },
            Kind::DeleteDomain(from) => Self::DeleteDomain {
                account: id("change.account", &from.account)?,
                hostname: id("change.hostname", &from.hostname)?,
            },
            Kind::CreateNamespace(from) => Self::CreateNamespace {
                account: id("change.account", &from.account)?,
                id: id("change.id", &from.id)?,
                title: from.title,
            },
            Kind::RenameNamespace(from) => Self::RenameNamespace {
                account: id("change.account", &from.account)?,
                id: id("change.id", &from.id)?,
                title: from.title,
            },
            Kind::DeleteNamespace(from) => {
                Self::DeleteNamespace { account: id("change.account", &from.account)?, id: id("change.id", &from.id)? }
            }
            Kind::CreateToken(token) => Self::CreateToken(token.try_into()?),
            Kind::RevokeToken(from) => Self::RevokeToken {
                account: maybe_id("change.account", from.account.as_ref())?,
                id: id("change.id", &from.id)?,
            },
            Kind::PutCertificate(certificate) => Self::PutCertificate(certificate.try_into()?),
            Kind::RemoveCertificate(certificate) => Self::RemoveCertificate { id: id("change.id", &certificate)? },
        })
    }
}

impl From<&CloneSource> for pb::CloneSource {
    fn from(source: &CloneSource) -> Self {
        Self {
            environment: source.environment.to_string(),
            version: source.version.to_string(),
            deployment: source.deployment.to_string(),
            replace: source.replace.iter().map(|(name, binding)| (name.clone(), binding.into())).collect(),
        }
    }
}

impl TryFrom<pb::CloneSource> for CloneSource {
    type Error = WireError;

    fn try_from(source: pb::CloneSource) -> Result<Self, WireError> {
        let replace = source.replace.into_iter().map(|(name, binding)| Ok((name, binding.try_into()?)));
        Ok(Self {
            environment: id("clone.environment", &source.environment)?,
            version: id("clone.version", &source.version)?,
            deployment: id("clone.deployment", &source.deployment)?,
            replace: replace.collect::<Result<BTreeMap<String, Binding>, WireError>>()?,
        })
    }
}

impl From<&Base> for pb::Base {
    fn from(base: &Base) -> Self {
        use pb::base::Kind;
        let kind = match base {
            Base::Live => Kind::Live(pb::Empty {}),
            Base::Latest => Kind::Latest(pb::Empty {}),
            Base::Version(id) => Kind::Version(id.to_string()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::Base> for Base {
    type Error = WireError;

    fn try_from(base: pb::Base) -> Result<Self, WireError> {
        use pb::base::Kind;
        Ok(match need("base.kind", base.kind)? {
            Kind::Live(pb::Empty {}) => Self::Live,
            Kind::Latest(pb::Empty {}) => Self::Latest,
            Kind::Version(version) => Self::Version(id("base.version", &version)?),
        })
    }
}

impl From<&NewVersion> for pb::NewVersion {
    fn from(version: &NewVersion) -> Self {
        let config = VersionConfig {
            bindings: version.bindings.clone(),
            removed: version.removed.clone(),
            limits: version.limits,
        };
        Self {
            id: version.id.to_string(),
            code: Some((&version.code).into()),
            config: Some((&config).into()),
            keep_kinds: version.keep.kinds.iter().map(|kind| pb::BindingKind::from(*kind).into()).collect(),
            keep_names: version.keep.names.iter().cloned().collect(),
            base: Some((&version.base).into()),
            annotations: version.annotations.entries.clone(),
            source: version.source.clone(),
        }
    }
}

impl TryFrom<pb::NewVersion> for NewVersion {
    type Error = WireError;

    fn try_from(version: pb::NewVersion) -> Result<Self, WireError> {
        let config: VersionConfig = version.config.unwrap_or_default().try_into()?;
        let kinds = version.keep_kinds.into_iter().map(binding_kind);
        Ok(Self {
            id: id("version.id", &version.id)?,
            code: need("version.code", version.code)?.try_into()?,
            bindings: config.bindings,
            removed: config.removed,
            limits: config.limits,
            keep: Keep { kinds: kinds.collect::<Result<_, _>>()?, names: version.keep_names.into_iter().collect() },
            base: need("version.base", version.base)?.try_into()?,
            annotations: annotations(version.annotations),
            source: version.source,
        })
    }
}

impl From<&NewDeployment> for pb::NewDeployment {
    fn from(deployment: &NewDeployment) -> Self {
        Self {
            id: deployment.id.to_string(),
            shares: deployment.shares.iter().map(Into::into).collect(),
            annotations: deployment.annotations.entries.clone(),
            source: deployment.source.clone(),
        }
    }
}

impl TryFrom<pb::NewDeployment> for NewDeployment {
    type Error = WireError;

    fn try_from(deployment: pb::NewDeployment) -> Result<Self, WireError> {
        Ok(Self {
            id: id("deployment.id", &deployment.id)?,
            shares: list(deployment.shares)?,
            annotations: annotations(deployment.annotations),
            source: deployment.source,
        })
    }
}

impl From<&ConfigEdit> for pb::ConfigEdit {
    fn from(edit: &ConfigEdit) -> Self {
        use pb::config_edit::Kind;
        let kind = match edit {
            ConfigEdit::Set { name, binding } => {
                Kind::Set(pb::SetBinding { name: name.clone(), binding: Some(binding.into()) })
            }
            ConfigEdit::Unset { name } => Kind::Unset(name.clone()),
            ConfigEdit::Remove { name } => Kind::Remove(name.clone()),
            ConfigEdit::Limits(limits) => Kind::Limits((*limits).into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::ConfigEdit> for ConfigEdit {
    type Error = WireError;

    fn try_from(edit: pb::ConfigEdit) -> Result<Self, WireError> {
        use pb::config_edit::Kind;
        Ok(match need("edit.kind", edit.kind)? {
            Kind::Set(set) => Self::Set { name: set.name, binding: need("edit.binding", set.binding)?.try_into()? },
            Kind::Unset(name) => Self::Unset { name },
            Kind::Remove(name) => Self::Remove { name },
            Kind::Limits(limits) => Self::Limits(limits.into()),
        })
    }
}
