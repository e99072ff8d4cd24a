//! Pure. One value of `env`.
//!
//! **Owns** what can be bound and what is inherited. **Must not know** how a binding is served. **Enter at** [`Binding`].

use skerry_proto::id::{EnvironmentName, NamespaceId, ServiceName};

use super::Sealed;

/// One value of `env`, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// A variable. BOUND: 5 KiB, Cloudflare's limit.
    PlainText(String),
    /// A variable given as JSON text. BOUND: 5 KiB.
    Json(String),
    /// A secret, sealed to the environment. Write-only.
    Secret(Sealed),
    /// A KV namespace of the account.
    KvNamespace(NamespaceId),
    /// Another service of the account, which need not exist yet.
    Service(ServiceBinding),
    /// `{id, tag, timestamp}` of the version that runs.
    VersionMetadata,
    /// A class whose objects the environment stores.
    DurableObjectNamespace(DurableObjectBinding),
}

/// What a service binding points at, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceBinding {
    /// The service; always of the same account.
    pub service: ServiceName,
    /// The environment; `None` for the one of the caller's name, else production.
    pub environment: Option<EnvironmentName>,
    /// The named entry point; `None` for the default export.
    pub entrypoint: Option<String>,
    /// JSON text that the target sees as `ctx.props`.
    pub props: Option<String>,
}

/// What a Durable Object binding points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableObjectBinding {
    /// The exported class.
    pub class_name: String,
    /// The service that exports it; `None` for the own one.
    pub service: Option<ServiceName>,
    /// That service's environment; `None` for the one of the same name.
    pub environment: Option<EnvironmentName>,
}

/// What kind of value a binding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindingKind {
    /// [`Binding::PlainText`]
    PlainText,
    /// [`Binding::Json`]
    Json,
    /// [`Binding::Secret`]
    Secret,
    /// [`Binding::KvNamespace`]
    KvNamespace,
    /// [`Binding::Service`]
    Service,
    /// [`Binding::VersionMetadata`]
    VersionMetadata,
    /// [`Binding::DurableObjectNamespace`]
    DurableObjectNamespace,
}

impl BindingKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::PlainText,
        Self::Json,
        Self::Secret,
        Self::KvNamespace,
        Self::Service,
        Self::VersionMetadata,
        Self::DurableObjectNamespace,
    ];

    /// The `type` that Cloudflare's API calls it.
    #[must_use]
    pub fn api_type(self) -> &'static str {
        match self {
            Self::PlainText => "plain_text",
            Self::Json => "json",
            Self::Secret => "secret_text",
            Self::KvNamespace => "kv_namespace",
            Self::Service => "service",
            Self::VersionMetadata => "version_metadata",
            Self::DurableObjectNamespace => "durable_object_namespace",
        }
    }

    /// The kind that Cloudflare's API calls so.
    #[must_use]
    pub fn from_api_type(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.api_type() == text)
    }

    /// Whether an environment takes it from its parent: secrets and object storage it never does (DESIGN 4.11).
    #[must_use]
    pub fn is_inherited(self) -> bool {
        !matches!(self, Self::Secret | Self::DurableObjectNamespace)
    }
}

impl Binding {
    /// What kind of value it is.
    #[must_use]
    pub fn kind(&self) -> BindingKind {
        match self {
            Self::PlainText(_) => BindingKind::PlainText,
            Self::Json(_) => BindingKind::Json,
            Self::Secret(_) => BindingKind::Secret,
            Self::KvNamespace(_) => BindingKind::KvNamespace,
            Self::Service(_) => BindingKind::Service,
            Self::VersionMetadata => BindingKind::VersionMetadata,
            Self::DurableObjectNamespace(_) => BindingKind::DurableObjectNamespace,
        }
    }
}
