//! Pure. The multipart upload of one version.
//!
//! **Owns** the `metadata` part and how modules become parts. **Must not know** how they are sent. **Enter at**
//! [`parts`].

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::client::Part;
use crate::project::{ModuleKind, Plan};

/// What an upload carries beside the plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extras {
    pub(crate) message: Option<String>,
    pub(crate) tag: Option<String>,
    /// Secrets to set with this version.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Whether secrets that were set before stay.
    pub(crate) keep_secrets: bool,
}

impl Default for Extras {
    fn default() -> Self {
        Self { message: None, tag: None, secrets: BTreeMap::new(), keep_secrets: true }
    }
}

/// The KV namespace of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// It exists.
    Id(String),
    /// None has this title yet. Only a dry run may name it so.
    Missing(String),
}

/// The parts of an upload, `metadata` first. `namespaces` holds one for every KV binding of the plan.
pub(crate) fn parts(
    plan: &Plan,
    bundle: &Bundle,
    namespaces: &BTreeMap<String, Namespace>,
    extras: &Extras,
) -> Vec<Part> {
    let metadata = metadata(plan, bundle, namespaces, extras);
    let first = Part {
        name: "metadata".to_owned(),
        file_name: None,
        content_type: "application/json".to_owned(),
        bytes: metadata.to_string().into_bytes(),
    };
    let modules = bundle.modules.iter().map(|module| Part {
        name: module.name.clone(),
        file_name: Some(module.name.clone()),
        content_type: module.kind.content_type().to_owned(),
        bytes: module.bytes.clone(),
    });
    std::iter::once(first).chain(modules).collect()
}

fn metadata(plan: &Plan, bundle: &Bundle, namespaces: &BTreeMap<String, Namespace>, extras: &Extras) -> Value {
    let mut metadata = json!({
        "bindings": bindings(plan, namespaces, extras),
        "compatibility_flags": plan.compatibility_flags,
        "keep_bindings": keep(plan, extras),
        "source": "cli",
    });
    // A script without exports is named differently: it has a body, not a main module.
    let main = if bundle.main_kind() == ModuleKind::Script { "body_part" } else { "main_module" };
    metadata[main] = json!(bundle.main);
    let mut annotations = json!({});
    let optional = [("workers/message", &extras.message), ("workers/tag", &extras.tag)];
    for (name, value) in optional.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        annotations[name] = json!(value);
    }
    metadata["annotations"] = annotations;
    if let Some(date) = &plan.compatibility_date {
        metadata["compatibility_date"] = json!(date);
    }
    let limits = [("cpu_ms", plan.limits.cpu_ms), ("subrequests", plan.limits.subrequests)];
    for (name, limit) in limits.into_iter().filter_map(|(name, limit)| Some((name, limit?))) {
        metadata["limits"][name] = json!(limit);
    }
    if let Some(removed) = &plan.removed {
        metadata["removed_bindings"] = json!(removed);
    }
    metadata
}

/// Bindings that stay although the upload does not mention them; the API keeps secrets when it gets no list at all.
fn keep(plan: &Plan, extras: &Extras) -> Vec<&'static str> {
    let mut kinds = if extras.keep_secrets { vec!["secret_text", "secret_key"] } else { Vec::new() };
    if plan.keep_vars {
        kinds.extend(["plain_text", "json"]);
    }
    kinds
}

fn bindings(plan: &Plan, namespaces: &BTreeMap<String, Namespace>, extras: &Extras) -> Vec<Value> {
    // A secret given with the upload takes the place of a variable of the same name (`.dev.vars`).
    let vars =
        plan.vars.iter().filter(|(name, _)| !extras.secrets.contains_key(*name)).map(|(name, value)| match value {
            Value::String(text) => json!({ "type": "plain_text", "name": name, "text": text }),
            other => json!({ "type": "json", "name": name, "json": other }),
        });
    let secrets =
        extras.secrets.iter().map(|(name, text)| json!({ "type": "secret_text", "name": name, "text": text }));
    let kv = plan.kv_namespaces.iter().map(|kv| {
        let (field, value) = match namespaces.get(&kv.binding) {
            Some(Namespace::Missing(title)) => ("title", Some(title)),
            Some(Namespace::Id(id)) => ("namespace_id", Some(id)),
            None => ("namespace_id", None),
        };
        json!({ "type": "kv_namespace", "name": kv.binding, field: value })
    });
    let services = plan.services.iter().map(|service| {
        let mut binding = json!({ "type": "service", "name": service.binding, "service": service.service.as_str() });
        let fields = [
            ("environment", service.environment.as_ref().map(|name| json!(name.as_str()))),
            ("entrypoint", service.entrypoint.as_ref().map(|name| json!(name))),
            ("props", service.props.clone()),
        ];
        for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            binding[name] = value;
        }
        binding
    });
    let metadata = plan.version_metadata.iter().map(|name| json!({ "type": "version_metadata", "name": name }));
    vars.chain(secrets).chain(kv).chain(services).chain(metadata).collect()
}
