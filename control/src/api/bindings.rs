//! Bindings as the API shows them.
//!
//! **Owns** the JSON form of a binding, which never holds a secret's value. **Must not know** how bindings are served.
//! **Enter at** [`BindingView`].

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::catalog::{Binding, EffectiveBinding, Origin};

/// A binding in Cloudflare's form; which fields it has depends on `type`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct BindingView {
    /// Its name in `env`.
    pub name: String,
    /// `plain_text`, `json`, `secret_text`, `kv_namespace`, `service`, `version_metadata`, ...
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Of `plain_text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of `json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Of `kv_namespace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_id: Option<String>,
    /// Of `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Of `service`; absent: the caller's environment, else production.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Of `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// Of `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub props: Option<Value>,
    /// Of `durable_object_namespace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Of `durable_object_namespace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_name: Option<String>,
    /// `own` or `inherited`; only where the effective configuration is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<&'static str>,
    /// The environment that an inherited binding comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl BindingView {
    /// A binding without its origin.
    pub(crate) fn of(name: &str, binding: &Binding) -> Self {
        let mut view = Self { name: name.to_owned(), kind: binding.kind().api_type(), ..Self::default() };
        match binding {
            Binding::PlainText(text) => view.text = Some(text.clone()),
            Binding::Json(json) => view.json = Some(json_value(json)),
            Binding::Secret(_) | Binding::VersionMetadata => {}
            Binding::KvNamespace(id) => view.namespace_id = Some(id.to_string()),
            Binding::Service(target) => {
                view.service = Some(target.service.to_string());
                view.environment = target.environment.as_ref().map(ToString::to_string);
                view.entrypoint.clone_from(&target.entrypoint);
                view.props = target.props.as_deref().map(json_value);
            }
            Binding::DurableObjectNamespace(target) => {
                view.class_name = Some(target.class_name.clone());
                view.script_name = target.service.as_ref().map(ToString::to_string);
                view.environment = target.environment.as_ref().map(ToString::to_string);
            }
        }
        view
    }

    /// A binding with its origin.
    pub(crate) fn effective(name: &str, found: &EffectiveBinding) -> Self {
        let (origin, from) = match &found.origin {
            Origin::Own => ("own", None),
            Origin::Inherited(from) => ("inherited", Some(from.to_string())),
        };
        Self { origin: Some(origin), from, ..Self::of(name, &found.binding) }
    }
}

/// Text that was JSON when it came in.
fn json_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}
