//! What a clone starts with.
//!
//! **Owns** sealing the source's secrets again, and cloning an environment whose code was never deployed. **Must not know**
//! HTTP. **Enter at** [`source`] and [`configure`].

use std::collections::BTreeMap;

use skerry_proto::id::{EnvironmentId, EnvironmentName};

use super::NewEnvironment;
use crate::{
    api::{
        Deps,
        error::{ApiError, Thing},
        secrets,
        writer::Writer,
    },
    catalog::{
        Annotations, Base, Binding, Change, CloneSource, ConfigEdit, EnvironmentKey, Expectation, Service,
        VersionConfig, WhenShared, effective_config,
    },
    mint,
};

/// The names of the source's secrets that the clone does not get.
pub(super) fn missing_secrets(service: &Service, clone: &CloneSource) -> Vec<String> {
    let source = service.environment(&clone.environment);
    let bindings = source.into_iter().flat_map(|source| &source.config().bindings);
    let secrets = bindings.filter(|(_, binding)| matches!(binding, Binding::Secret(_))).map(|(name, _)| name);
    secrets.filter(|name| !clone.replace.contains_key(*name)).cloned().collect()
}

/// What a clone starts with. Secrets are sealed to their environment, so those that go along are sealed again.
pub(super) fn source(
    deps: &Deps,
    service: &Service,
    source: &str,
    id: &EnvironmentId,
    body: &NewEnvironment,
) -> Result<CloneSource, ApiError> {
    let name = EnvironmentName::new(source)?;
    let Some(environment) = service.environment(&name) else {
        return Err(ApiError::not_found(Thing::Environment, service.key.environment(name)));
    };
    let mut replace = BTreeMap::new();
    for (name, binding) in environment.config().bindings.iter().filter(|_| body.include_secrets) {
        if let Binding::Secret(sealed) = binding {
            let again = secrets::seal_again(deps, &service.key.account, id, name, sealed)?;
            replace.insert(name.clone(), Binding::Secret(again));
        }
    }
    let message = body.message.as_deref().map(|message| Annotations::of(Annotations::MESSAGE, message));
    let (version, deployment) = (mint::version_id(), mint::deployment_id());
    Ok(CloneSource { environment: name, version, deployment, replace, annotations: message.unwrap_or_default() })
}

/// Adds to `changes`, which make the clone, what gives it the configuration of code that was uploaded to the source and
/// never deployed. The code stays where it is: nobody said that it shall be live. The catalog copies a live version or a
/// draft, and an upload took the draft over.
pub(super) fn configure(
    writer: &Writer,
    service: &Service,
    (from, clone): (&CloneSource, &EnvironmentKey),
    expects: &mut Vec<Expectation>,
    changes: &mut Vec<Change>,
) -> Result<(), ApiError> {
    let source = &from.environment;
    let Some(found) = service.environment(source) else { return Ok(()) };
    if !from.replace.is_empty() {
        // They were sealed again as they are in what is live now.
        let version = found.live_version().map(|live| live.id.clone());
        expects.push(Expectation::Live { environment: service.key.environment(source.clone()), version });
    }
    if found.live().is_some() {
        return Ok(());
    }
    let Some(latest) = found.latest_version() else { return Ok(()) };
    // The edits are good for exactly this state of the service.
    expects.push(Expectation::ServiceUnchanged { service: service.key.clone(), revision: service.revision });
    let (after, _) = writer.rehearse(&service.key.account, expects.clone(), changes.clone())?;
    let Some(made) = after.environment(clone) else { return Ok(()) };
    let inherited = effective_config(&after, clone, &VersionConfig::default());
    let whole = effective_config(&after, &service.key.environment(source.clone()), &latest.config);
    let mut wanted = whole.own_part(&inherited);
    // What goes along sealed again is in the draft already.
    for (name, binding) in made.draft.bindings.iter().filter(|(_, binding)| matches!(binding, Binding::Secret(_))) {
        wanted.removed.remove(name);
        wanted.bindings.insert(name.clone(), binding.clone());
    }
    let edits = edits(&made.draft, &wanted);
    if !edits.is_empty() {
        changes.push(Change::Configure {
            environment: clone.clone(),
            base: Base::Live,
            edits,
            version: mint::version_id(),
            deployment: None,
            shared: WhenShared::Refuse,
            annotations: Annotations::default(),
            source: writer.caller.source.to_owned(),
        });
    }
    Ok(())
}

/// What makes `wanted` of `old`.
fn edits(old: &VersionConfig, wanted: &VersionConfig) -> Vec<ConfigEdit> {
    let is_gone = |name: &&String| !wanted.bindings.contains_key(*name) && !wanted.removed.contains(*name);
    let gone = old.bindings.keys().chain(&old.removed).filter(is_gone);
    let gone = gone.map(|name| ConfigEdit::Unset { name: name.clone() });
    let bound = wanted.bindings.iter().filter(|(name, binding)| old.bindings.get(*name) != Some(*binding));
    let bound = bound.map(|(name, binding)| ConfigEdit::Set { name: name.clone(), binding: binding.clone() });
    let removed = wanted.removed.iter().filter(|name| !old.removed.contains(*name));
    let removed = removed.map(|name| ConfigEdit::Remove { name: name.clone() });
    let limits = (old.limits != wanted.limits).then_some(ConfigEdit::Limits(wanted.limits));
    gone.chain(bound).chain(removed).chain(limits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::LimitsConfig;

    fn config(bound: &[(&str, &str)], removed: &[&str], cpu_ms: Option<u32>) -> VersionConfig {
        let text = |(name, text): &(&str, &str)| ((*name).to_owned(), Binding::PlainText((*text).to_owned()));
        VersionConfig {
            bindings: bound.iter().map(text).collect(),
            removed: removed.iter().map(|name| (*name).to_owned()).collect(),
            limits: LimitsConfig { cpu_ms, subrequests: None },
        }
    }

    #[test]
    fn edits_lead_from_any_configuration_to_any_other() {
        let one = config(&[("KEPT", "1"), ("CHANGED", "1"), ("GONE", "1"), ("HIDDEN", "1")], &["SHOWN", "BOUND"], None);
        let two = config(&[("KEPT", "1"), ("CHANGED", "2"), ("BOUND", "2")], &["HIDDEN"], Some(7));
        let name = str::to_owned;
        let set = |name: &str| ConfigEdit::Set { name: name.to_owned(), binding: Binding::PlainText("2".to_owned()) };
        let expected = [
            ConfigEdit::Unset { name: name("GONE") },
            ConfigEdit::Unset { name: name("SHOWN") },
            set("BOUND"),
            set("CHANGED"),
            ConfigEdit::Remove { name: name("HIDDEN") },
            ConfigEdit::Limits(two.limits),
        ];
        assert_eq!(edits(&one, &two), expected);
        assert!(edits(&one, &one).is_empty());
    }
}
