//! Pure. What changes are made of, as messages: clones, bases, new versions and deployments, edits.
//!
//! **Owns** their translation. **Must not know** changes. **Enter at** the `From` and `TryFrom` here.

use std::collections::BTreeMap;

use skerry_proto::catalog as pb;

use super::{WireError, annotations, id, list, need, version::binding_kind};
use crate::catalog::{Base, Binding, CloneSource, ConfigEdit, Keep, NewDeployment, NewVersion, VersionConfig};

impl From<&CloneSource> for pb::CloneSource {
    fn from(source: &CloneSource) -> Self {
        Self {
            environment: source.environment.to_string(),
            version: source.version.to_string(),
            deployment: source.deployment.to_string(),
            replace: source.replace.iter().map(|(name, binding)| (name.clone(), binding.into())).collect(),
            annotations: source.annotations.entries.clone(),
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
            annotations: annotations(source.annotations),
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
