//! From a version in the catalog to what the runtime is given.
//!
//! **Owns** loading code, opening secrets and translating bindings. **Must not know** requests. **Enter at**
//! [`Specs::of`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use skerry_control::{
    bundles::{BundleError, Bundles},
    catalog::{Annotations, Binding, EnvironmentKey, LimitsConfig, ServiceBinding, Syntax as CatalogSyntax, Version},
    seal::{OpenError, Sealer},
};
use skerry_proto::{
    bundle::Bundle,
    id::{BundleHash, VersionId},
};

use super::site::Slot;
use crate::worker::{
    Code, Compatibility, EnvValue, Limits, Module, ModuleKind, PrepareError, ServiceTarget, Syntax, WorkerKey,
    WorkerSpec,
};

/// BOUND: entries of the code map before it is swept of those that nobody uses.
const CODES_SWEEP_AT: usize = 1024;

/// Makes specs; code that several of them share is in memory once.
#[derive(Debug)]
pub struct Specs {
    bundles: Bundles,
    sealer: Sealer,
    codes: Mutex<HashMap<(BundleHash, String), Weak<Code>>>,
}

/// Why a version can not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The code is not on this node. State: unchanged. Retry: yes.
    #[error("the code {hash} of version {version} is not on this node")]
    Missing {
        /// The version.
        version: VersionId,
        /// Its bundle.
        hash: BundleHash,
    },
    /// The code can not be stored or read, or does not fit its hash. State: unchanged. Retry: see the source.
    #[error("the code of version {version} can not be had")]
    Bundle {
        /// The version.
        version: VersionId,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// A secret does not open with this cluster's key. State: unchanged. Retry: no.
    #[error("the secret {name} of version {version} can not be opened")]
    Secret {
        /// The version.
        version: VersionId,
        /// The binding's name.
        name: String,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The code can not run here, or not now. State: unchanged. Retry: see the source.
    #[error("the code of version {version} can not be loaded")]
    Load {
        /// The version.
        version: VersionId,
        /// Why.
        #[source]
        source: PrepareError,
    },
    /// A secret is not text. State: unchanged. Retry: no.
    #[error("the secret {name} of version {version} is not UTF-8")]
    SecretText {
        /// The version.
        version: VersionId,
        /// The binding's name.
        name: String,
    },
}

impl Specs {
    /// With nothing loaded.
    #[must_use]
    pub fn new(bundles: Bundles, sealer: Sealer) -> Self {
        Self { bundles, sealer, codes: Mutex::default() }
    }

    /// The spec of a slot; made at the first call, shared by all later ones.
    pub async fn of(&self, environment: &EnvironmentKey, slot: &Slot) -> Result<Arc<WorkerSpec>, SpecError> {
        slot.spec.get_or_try_init(|| self.make(environment, slot)).await.map(Arc::clone)
    }

    /// Whether a slot's code is on this node's disk. Blocks for a look at it.
    #[must_use]
    pub fn has(&self, slot: &Slot) -> bool {
        self.bundles.has(&slot.version.code.bundle.hash)
    }

    /// Makes sure that a slot's code is on this node's disk.
    pub async fn stock(&self, slot: &Slot) -> Result<(), SpecError> {
        let (version, hash) = (slot.version.id.clone(), slot.version.code.bundle.hash);
        match self.bundles.stock(&hash).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SpecError::Missing { version, hash }),
            Err(source) => Err(SpecError::Bundle { version, source }),
        }
    }

    async fn make(&self, environment: &EnvironmentKey, slot: &Slot) -> Result<Arc<WorkerSpec>, SpecError> {
        let version = &slot.version;
        let code = self.code(version).await?;
        let mut env = Vec::with_capacity(slot.effective.bindings.len());
        for (name, entry) in &slot.effective.bindings {
            if let Some(value) = self.value(name, &entry.binding, version)? {
                env.push((name.clone(), value));
            }
        }
        Ok(Arc::new(WorkerSpec {
            key: WorkerKey {
                account: environment.service.account.clone(),
                service: environment.service.name.clone(),
                environment: environment.environment.clone(),
                version: version.id.clone(),
                config_revision: slot.revision,
            },
            code,
            env,
            limits: limits(&slot.effective.limits),
            compatibility: Compatibility {
                date: version.code.compatibility_date.clone(),
                flags: version.code.compatibility_flags.clone(),
            },
        }))
    }

    async fn code(&self, version: &Version) -> Result<Arc<Code>, SpecError> {
        let key = (version.code.bundle.hash, version.code.main_module.clone());
        let known = self.codes.lock().unwrap_or_else(PoisonError::into_inner).get(&key).and_then(Weak::upgrade);
        if let Some(code) = known {
            return Ok(code);
        }
        let hash = version.code.bundle.hash;
        let bundle = match self.bundles.load(&hash).await {
            Ok(Some(bundle)) => bundle,
            Ok(None) => return Err(SpecError::Missing { version: version.id.clone(), hash }),
            Err(source) => return Err(SpecError::Bundle { version: version.id.clone(), source }),
        };
        let code = Arc::new(code(&bundle, version.code.syntax, &version.code.main_module));
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.len() >= CODES_SWEEP_AT {
            codes.retain(|_, code| code.strong_count() > 0);
        }
        codes.insert(key, Arc::downgrade(&code));
        Ok(code)
    }

    fn value(&self, name: &str, binding: &Binding, version: &Version) -> Result<Option<EnvValue>, SpecError> {
        Ok(Some(match binding {
            Binding::PlainText(text) => EnvValue::Text(text.clone()),
            Binding::Json(json) => EnvValue::Json(json.clone()),
            Binding::Secret(sealed) => {
                let wrong = |source| SpecError::Secret { version: version.id.clone(), name: name.to_owned(), source };
                match String::from_utf8(self.sealer.open(sealed).map_err(wrong)?) {
                    Ok(text) => EnvValue::Secret(text),
                    Err(_) => return Err(SpecError::SecretText { version: version.id.clone(), name: name.to_owned() }),
                }
            }
            Binding::KvNamespace(namespace) => EnvValue::Kv(namespace.clone()),
            Binding::Service(target) => service(name, target),
            Binding::VersionMetadata => EnvValue::VersionMetadata {
                id: version.id.clone(),
                tag: version.annotations.text(Annotations::TAG).to_owned(),
                timestamp: timestamp(version.created_at_ms),
            },
            // The runtime has no objects yet; `env` simply lacks the name, and the upload said so.
            Binding::DurableObjectNamespace(_) => return Ok(None),
        }))
    }
}

/// A service binding, as the runtime is given it.
pub fn service(name: &str, target: &ServiceBinding) -> EnvValue {
    let ServiceBinding { service, environment, entrypoint, props } = target.clone();
    EnvValue::Service(Arc::new(ServiceTarget { binding: name.to_owned(), service, environment, entrypoint, props }))
}

/// A bundle as the runtime takes it.
#[must_use]
pub fn code(bundle: &Bundle, syntax: CatalogSyntax, main_module: &str) -> Code {
    let modules = bundle.modules.iter().map(|module| Module {
        name: module.name.clone(),
        kind: kind(&module.content_type, &module.name, main_module, syntax),
        bytes: module.content.clone(),
    });
    Code {
        syntax: match syntax {
            CatalogSyntax::Modules => Syntax::Modules,
            CatalogSyntax::ServiceWorker => Syntax::ServiceWorker,
            CatalogSyntax::Component => Syntax::Component,
        },
        main_module: main_module.to_owned(),
        modules: modules.collect(),
    }
}

/// What a file is, by the content type of its upload, as wrangler sends it; else by its name.
fn kind(content_type: &str, name: &str, main_module: &str, syntax: CatalogSyntax) -> ModuleKind {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    match (essence, name.rsplit_once('.').map(|(_, extension)| extension)) {
        ("application/wasm", _) if syntax == CatalogSyntax::Component && name == main_module => ModuleKind::Component,
        (
            "application/javascript+module" | "text/javascript+module" | "application/javascript" | "text/javascript",
            _,
        ) => ModuleKind::EsModule,
        ("text/plain", _) => ModuleKind::Text,
        ("application/json", _) => ModuleKind::Json,
        ("application/wasm", _) => ModuleKind::Wasm,
        ("application/source-map", _) => ModuleKind::SourceMap,
        ("application/octet-stream", Some("map")) => ModuleKind::SourceMap,
        ("application/octet-stream", _) => ModuleKind::Data,
        (_, Some("js" | "mjs")) => ModuleKind::EsModule,
        (_, Some("wasm")) if syntax == CatalogSyntax::Component => ModuleKind::Component,
        (_, Some("wasm")) => ModuleKind::Wasm,
        (_, Some("json")) => ModuleKind::Json,
        (_, Some("txt" | "html" | "md" | "sql")) => ModuleKind::Text,
        (_, Some("map")) => ModuleKind::SourceMap,
        _ => ModuleKind::Data,
    }
}

/// The limits that the effective configuration sets, over the node's defaults.
#[must_use]
pub fn limits(config: &LimitsConfig) -> Limits {
    let default = Limits::default();
    Limits {
        cpu: config.cpu_ms.map_or(default.cpu, |ms| Duration::from_millis(ms.into())),
        subrequests: config.subrequests.unwrap_or(default.subrequests),
        ..default
    }
}

fn timestamp(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map(|time| time.to_string()).unwrap_or_default()
}
