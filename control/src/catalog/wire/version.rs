//! Pure. Bindings, versions and deployments as messages.
//!
//! **Owns** their translation. **Must not know** environments. **Enter at** the `From` and `TryFrom` here.

use skerry_proto::{
    catalog as pb,
    id::{Revision, VersionNumber},
};

use super::{WireError, annotations, hash, id, list, maybe_id, need};
use crate::catalog::{
    Binding, BindingKind, BundleRef, Code, Deployment, DurableObjectBinding, LimitsConfig, Percentage, SealScope,
    Sealed, ServiceBinding, Share, Syntax, Version, VersionConfig,
};

impl From<&Sealed> for pb::Sealed {
    fn from(sealed: &Sealed) -> Self {
        Self { scope: sealed.scope.as_str().to_owned(), bytes: sealed.bytes.clone() }
    }
}

impl From<pb::Sealed> for Sealed {
    fn from(sealed: pb::Sealed) -> Self {
        Self { scope: SealScope::stored(sealed.scope), bytes: sealed.bytes }
    }
}

impl From<&Binding> for pb::Binding {
    fn from(binding: &Binding) -> Self {
        use pb::binding::Value;
        let value = match binding {
            Binding::PlainText(text) => Value::PlainText(text.clone()),
            Binding::Json(json) => Value::Json(json.clone()),
            Binding::Secret(sealed) => Value::Secret(sealed.into()),
            Binding::KvNamespace(id) => Value::KvNamespace(id.to_string()),
            Binding::Service(target) => Value::Service(pb::ServiceBinding {
                service: target.service.to_string(),
                environment: target.environment.as_ref().map(ToString::to_string),
                entrypoint: target.entrypoint.clone(),
                props: target.props.clone(),
            }),
            Binding::VersionMetadata => Value::VersionMetadata(pb::Empty {}),
            Binding::DurableObjectNamespace(target) => Value::DurableObjectNamespace(pb::DurableObjectBinding {
                class_name: target.class_name.clone(),
                service: target.service.as_ref().map(ToString::to_string),
                environment: target.environment.as_ref().map(ToString::to_string),
            }),
        };
        Self { value: Some(value) }
    }
}

impl TryFrom<pb::Binding> for Binding {
    type Error = WireError;

    fn try_from(binding: pb::Binding) -> Result<Self, WireError> {
        use pb::binding::Value;
        Ok(match need("binding.value", binding.value)? {
            Value::PlainText(text) => Self::PlainText(text),
            Value::Json(json) => Self::Json(json),
            Value::Secret(sealed) => Self::Secret(sealed.into()),
            Value::KvNamespace(namespace) => Self::KvNamespace(id("binding.kv_namespace", &namespace)?),
            Value::Service(target) => Self::Service(ServiceBinding {
                service: id("binding.service", &target.service)?,
                environment: maybe_id("binding.environment", target.environment.as_ref())?,
                entrypoint: target.entrypoint,
                props: target.props,
            }),
            Value::VersionMetadata(pb::Empty {}) => Self::VersionMetadata,
            Value::DurableObjectNamespace(target) => Self::DurableObjectNamespace(DurableObjectBinding {
                class_name: target.class_name,
                service: maybe_id("binding.service", target.service.as_ref())?,
                environment: maybe_id("binding.environment", target.environment.as_ref())?,
            }),
        })
    }
}

impl From<BindingKind> for pb::BindingKind {
    fn from(kind: BindingKind) -> Self {
        match kind {
            BindingKind::PlainText => Self::PlainText,
            BindingKind::Json => Self::Json,
            BindingKind::Secret => Self::Secret,
            BindingKind::KvNamespace => Self::KvNamespace,
            BindingKind::Service => Self::Service,
            BindingKind::VersionMetadata => Self::VersionMetadata,
            BindingKind::DurableObjectNamespace => Self::DurableObjectNamespace,
        }
    }
}

/// The kind behind its number on disk.
pub(super) fn binding_kind(number: i32) -> Result<BindingKind, WireError> {
    let found = BindingKind::ALL.into_iter().find(|kind| pb::BindingKind::from(*kind) as i32 == number);
    found.ok_or_else(|| WireError::field("binding kind", format!("is {number}, which this build does not know")))
}

impl From<LimitsConfig> for pb::Limits {
    fn from(limits: LimitsConfig) -> Self {
        Self { cpu_ms: limits.cpu_ms, subrequests: limits.subrequests }
    }
}

impl From<pb::Limits> for LimitsConfig {
    fn from(limits: pb::Limits) -> Self {
        Self { cpu_ms: limits.cpu_ms, subrequests: limits.subrequests }
    }
}

impl From<&VersionConfig> for pb::VersionConfig {
    fn from(config: &VersionConfig) -> Self {
        Self {
            bindings: config.bindings.iter().map(|(name, binding)| (name.clone(), binding.into())).collect(),
            removed: config.removed.iter().cloned().collect(),
            limits: Some(config.limits.into()),
        }
    }
}

impl TryFrom<pb::VersionConfig> for VersionConfig {
    type Error = WireError;

    fn try_from(config: pb::VersionConfig) -> Result<Self, WireError> {
        let bindings = config.bindings.into_iter();
        Ok(Self {
            bindings: bindings
                .map(|(name, binding)| Ok((name, binding.try_into()?)))
                .collect::<Result<_, WireError>>()?,
            removed: config.removed.into_iter().collect(),
            limits: config.limits.unwrap_or_default().into(),
        })
    }
}

impl From<&Code> for pb::Code {
    fn from(code: &Code) -> Self {
        let syntax = match code.syntax {
            Syntax::Modules => pb::Syntax::Modules,
            Syntax::ServiceWorker => pb::Syntax::ServiceWorker,
            Syntax::Component => pb::Syntax::Component,
        };
        Self {
            bundle_hash: code.bundle.hash.0.to_vec().into(),
            bundle_size_bytes: code.bundle.size_bytes,
            syntax: syntax.into(),
            main_module: code.main_module.clone(),
            handlers: code.handlers.clone(),
            compatibility_date: code.compatibility_date.clone(),
            compatibility_flags: code.compatibility_flags.clone(),
            startup_ms: code.startup_ms,
        }
    }
}

impl TryFrom<pb::Code> for Code {
    type Error = WireError;

    fn try_from(code: pb::Code) -> Result<Self, WireError> {
        let syntax = match code.syntax() {
            pb::Syntax::Modules => Syntax::Modules,
            pb::Syntax::ServiceWorker => Syntax::ServiceWorker,
            pb::Syntax::Component => Syntax::Component,
            pb::Syntax::Unspecified => return Err(WireError::field("code.syntax", "is unknown")),
        };
        let hash = skerry_proto::id::BundleHash(hash("code.bundle_hash", &code.bundle_hash)?);
        Ok(Self {
            bundle: BundleRef { hash, size_bytes: code.bundle_size_bytes },
            syntax,
            main_module: code.main_module,
            handlers: code.handlers,
            compatibility_date: code.compatibility_date,
            compatibility_flags: code.compatibility_flags,
            startup_ms: code.startup_ms,
        })
    }
}

impl From<&Version> for pb::Version {
    fn from(version: &Version) -> Self {
        Self {
            id: version.id.to_string(),
            number: version.number.0,
            code: Some((&version.code).into()),
            config: Some((&version.config).into()),
            annotations: version.annotations.entries.clone(),
            author: version.author.clone(),
            source: version.source.clone(),
            created_at_ms: version.created_at_ms,
        }
    }
}

impl TryFrom<pb::Version> for Version {
    type Error = WireError;

    fn try_from(version: pb::Version) -> Result<Self, WireError> {
        Ok(Self {
            id: id("version.id", &version.id)?,
            number: VersionNumber(version.number),
            code: need("version.code", version.code)?.try_into()?,
            config: version.config.unwrap_or_default().try_into()?,
            annotations: annotations(version.annotations),
            author: version.author,
            source: version.source,
            created_at_ms: version.created_at_ms,
        })
    }
}

impl From<&Share> for pb::Share {
    fn from(share: &Share) -> Self {
        Self { version: share.version.to_string(), hundredths: share.percentage.hundredths() }
    }
}

impl TryFrom<pb::Share> for Share {
    type Error = WireError;

    fn try_from(share: pb::Share) -> Result<Self, WireError> {
        let percentage = Percentage::from_hundredths(share.hundredths);
        let percentage = percentage.ok_or_else(|| WireError::field("share.hundredths", "is above 10000"))?;
        Ok(Self { version: id("share.version", &share.version)?, percentage })
    }
}

impl From<&Deployment> for pb::Deployment {
    fn from(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.to_string(),
            shares: deployment.shares.iter().map(Into::into).collect(),
            annotations: deployment.annotations.entries.clone(),
            author: deployment.author.clone(),
            source: deployment.source.clone(),
            created_at_ms: deployment.created_at_ms,
            revision: deployment.revision.0,
        }
    }
}

impl TryFrom<pb::Deployment> for Deployment {
    type Error = WireError;

    fn try_from(deployment: pb::Deployment) -> Result<Self, WireError> {
        if deployment.shares.is_empty() {
            return Err(WireError::field("deployment.shares", "is empty"));
        }
        Ok(Self {
            id: id("deployment.id", &deployment.id)?,
            shares: list(deployment.shares)?,
            annotations: annotations(deployment.annotations),
            author: deployment.author,
            source: deployment.source,
            created_at_ms: deployment.created_at_ms,
            revision: Revision(deployment.revision),
        })
    }
}
