//! Pure. The rules of a version's configuration.
//!
//! **Owns** what may be bound. **Must not know** versions and deployments. **Enter at** [`check_config`].

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use skerry_proto::id::{AccountId, EnvironmentId};

use super::limits::{
    ANNOTATION_BYTES_MAX, ANNOTATIONS_MAX, BINDING_NAME_BYTES_MAX, BINDINGS_MAX, COMPATIBILITY_FLAG_BYTES_MAX,
    COMPATIBILITY_FLAGS_MAX, CPU_MS_MAX, ENTRYPOINT_BYTES_MAX, SEAL_BYTES, SUBREQUESTS_MAX, TEXT_BYTES_MAX,
    VARIABLE_BYTES_MAX, VARIABLES_MAX,
};
use crate::catalog::{
    Annotations, Binding, BindingKind, Catalog, ConfigEdit, LimitsConfig, Noun, Rejection, SealScope, VersionConfig,
};

/// Whether an environment may be configured so.
pub(super) fn check_config(
    catalog: &Catalog,
    account: &AccountId,
    environment: &EnvironmentId,
    config: &VersionConfig,
) -> Result<(), Rejection> {
    let variables = |kind| matches!(kind, BindingKind::PlainText | BindingKind::Json | BindingKind::Secret);
    let count = config.bindings.values().filter(|binding| variables(binding.kind())).count();
    if count > VARIABLES_MAX {
        return Err(Rejection::invalid("bindings", format!("use at most {VARIABLES_MAX} variables and secrets")));
    }
    if config.bindings.len() > BINDINGS_MAX || config.removed.len() > BINDINGS_MAX {
        return Err(Rejection::invalid("bindings", format!("use at most {BINDINGS_MAX} bindings")));
    }
    for (name, binding) in &config.bindings {
        check_name(name)?;
        check_binding(catalog, account, environment, name, binding)?;
    }
    config.removed.iter().try_for_each(|name| check_name(name))?;
    if let Some(name) = config.removed.iter().find(|name| config.bindings.contains_key(*name)) {
        return Err(Rejection::invalid(&format!("removed.{name}"), "a name is bound or removed, not both"));
    }
    check_limits(&config.limits)
}

/// Whether everything that a configuration refers to still exists; what has gone would make a rollback run without it.
pub(super) fn check_references(
    catalog: &Catalog,
    account: &AccountId,
    config: &VersionConfig,
) -> Result<(), Rejection> {
    config.bindings.values().try_for_each(|binding| check_reference(catalog, account, binding))
}

fn check_reference(catalog: &Catalog, account: &AccountId, binding: &Binding) -> Result<(), Rejection> {
    match binding {
        Binding::KvNamespace(id) if catalog.namespace(id).is_none_or(|found| found.account != *account) => {
            Err(Rejection::not_found(Noun::Namespace, id))
        }
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), Rejection> {
    let fits = (1..=BINDING_NAME_BYTES_MAX).contains(&name.len());
    let plain = name.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '=' | '/' | '"' | '\\'));
    if fits && plain {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(Rejection::invalid(
        &format!("bindings.{shown}"),
        format!("a name has 1 to {BINDING_NAME_BYTES_MAX} bytes without spaces, '=', '/', '\"' and '\\'"),
    ))
}

fn check_binding(
    catalog: &Catalog,
    account: &AccountId,
    environment: &EnvironmentId,
    name: &str,
    binding: &Binding,
) -> Result<(), Rejection> {
    let field = format!("bindings.{name}");
    let too_long = || Rejection::invalid(&field, format!("a variable has at most {VARIABLE_BYTES_MAX} bytes"));
    match binding {
        Binding::PlainText(text) | Binding::Json(text) if text.len() > VARIABLE_BYTES_MAX => Err(too_long()),
        Binding::Json(text) => check_json(&field, text),
        Binding::Secret(sealed) if sealed.bytes.len() > VARIABLE_BYTES_MAX + SEAL_BYTES => Err(too_long()),
        Binding::Secret(sealed) if sealed.scope != SealScope::secret(account, environment, name) => {
            Err(Rejection::invalid(&field, "the secret was sealed for another environment or name; set it again"))
        }
        Binding::Service(target)
            if target.entrypoint.as_ref().is_some_and(|name| name.len() > ENTRYPOINT_BYTES_MAX) =>
        {
            Err(Rejection::invalid(&field, format!("an entrypoint has at most {ENTRYPOINT_BYTES_MAX} bytes")))
        }
        Binding::Service(target) => match &target.props {
            Some(props) if props.len() > VARIABLE_BYTES_MAX => Err(too_long()),
            Some(props) => check_json(&field, props),
            None => Ok(()),
        },
        Binding::DurableObjectNamespace(target) if target.class_name.is_empty() => {
            Err(Rejection::invalid(&field, "class_name is empty; name an exported class"))
        }
        other => check_reference(catalog, account, other),
    }
}

fn check_json(field: &str, text: &str) -> Result<(), Rejection> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Rejection::invalid(field, format!("not JSON: {error}"))),
    }
}

fn check_limits(own: &LimitsConfig) -> Result<(), Rejection> {
    if own.cpu_ms.is_some_and(|cpu| !(1..=CPU_MS_MAX).contains(&cpu)) {
        return Err(Rejection::invalid("limits.cpu_ms", format!("use 1 to {CPU_MS_MAX}")));
    }
    if own.subrequests.is_some_and(|calls| calls > SUBREQUESTS_MAX) {
        return Err(Rejection::invalid("limits.subrequests", format!("use 0 to {SUBREQUESTS_MAX}")));
    }
    Ok(())
}

/// Whether compatibility flags are few and short.
pub(super) fn check_flags(flags: &[String]) -> Result<(), Rejection> {
    let fits = |flag: &String| (1..=COMPATIBILITY_FLAG_BYTES_MAX).contains(&flag.len());
    if flags.len() <= COMPATIBILITY_FLAGS_MAX && flags.iter().all(fits) {
        return Ok(());
    }
    let rule = format!("use at most {COMPATIBILITY_FLAGS_MAX} flags of 1 to {COMPATIBILITY_FLAG_BYTES_MAX} bytes");
    Err(Rejection::invalid("compatibility_flags", rule))
}

/// Whether annotations are few and short.
pub(super) fn check_annotations(annotations: &Annotations) -> Result<(), Rejection> {
    if annotations.entries.len() > ANNOTATIONS_MAX {
        return Err(Rejection::invalid("annotations", format!("use at most {ANNOTATIONS_MAX}")));
    }
    let long = |text: &str| text.len() > ANNOTATION_BYTES_MAX;
    match annotations.entries.iter().find(|(name, value)| long(name) || long(value)) {
        Some((name, _)) => {
            let shown: String = name.chars().take(80).collect();
            Err(Rejection::invalid(
                &format!("annotations.{shown}"),
                format!("use at most {ANNOTATION_BYTES_MAX} bytes"),
            ))
        }
        None => Ok(()),
    }
}

/// Whether a text that people choose is neither empty nor long.
pub(super) fn check_text(field: &str, text: &str) -> Result<(), Rejection> {
    if (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Rejection::invalid(field, format!("use 1 to {TEXT_BYTES_MAX} bytes without control characters")))
}

/// The configuration after the edits, in order.
pub(super) fn edited(base: &VersionConfig, edits: &[ConfigEdit]) -> Result<VersionConfig, Rejection> {
    let mut config = base.clone();
    for edit in edits {
        match edit {
            ConfigEdit::Set { name, binding } => {
                config.removed.remove(name);
                config.bindings.insert(name.clone(), binding.clone());
            }
            ConfigEdit::Unset { name } => {
                let (bound, removed) = (config.bindings.remove(name), config.removed.remove(name));
                if bound.is_none() && !removed {
                    return Err(Rejection::not_found(Noun::Binding, name));
                }
            }
            ConfigEdit::Remove { name } => {
                config.bindings.remove(name);
                config.removed.insert(name.clone());
            }
            ConfigEdit::Limits(limits) => config.limits = *limits,
        }
    }
    Ok(config)
}

/// The audit log's name for an edit, and the name that is edited.
pub(super) fn describe<'a>(base: &VersionConfig, edit: &'a ConfigEdit) -> (&'static str, &'a str) {
    match edit {
        ConfigEdit::Set { name, binding: Binding::Secret(_) } => ("secret.put", name),
        ConfigEdit::Set { name, .. } => ("binding.set", name),
        ConfigEdit::Unset { name } if is_secret(&base.bindings, name) => ("secret.delete", name),
        ConfigEdit::Unset { name } => ("binding.delete", name),
        ConfigEdit::Remove { name } => ("binding.remove", name),
        ConfigEdit::Limits(_) => ("limits.set", ""),
    }
}

fn is_secret(bindings: &BTreeMap<String, Binding>, name: &str) -> bool {
    matches!(bindings.get(name), Some(Binding::Secret(_)))
}
