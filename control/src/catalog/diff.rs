//! Pure. What differs between two environments, or between what is live and what would be.
//!
//! **Owns** comparison. **Must not know** how it is shown. **Enter at** [`diff`].

use std::collections::BTreeSet;

use skerry_proto::id::{EnvironmentName, VersionId};

use super::{
    Binding, Catalog, Code, Effective, Environment, EnvironmentKey, Noun, Origin, Rejection, Share, Version, effective,
};

/// What differs between two environments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentDiff {
    /// The live version of the left side.
    pub left: Option<VersionId>,
    /// The live version of the right side.
    pub right: Option<VersionId>,
    /// What a promotion from left to right would change.
    pub code: Vec<Difference>,
    /// Effective bindings and limits.
    pub config: Vec<Difference>,
    /// Crons, exposure, routes and domains.
    pub triggers: Vec<Difference>,
}

impl EnvironmentDiff {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.code.is_empty() && self.config.is_empty() && self.triggers.is_empty()
    }
}

/// One field with its two values; the value of a secret is never shown, only that there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field: `bundle`, `versions` (of a gradual rollout), `bindings.API_URL`, `limits.cpu_ms`, ...
    pub field: String,
    /// On the left; `None` when it has none.
    pub left: Option<Side>,
    /// On the right; `None` when it has none.
    pub right: Option<Side>,
}

/// A value as shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The value, with its kind before it where that matters: `secret_text`, `kv_namespace 0123...`.
    pub value: String,
    /// The ancestor it comes from; `None` when it is the environment's own.
    pub inherited_from: Option<EnvironmentName>,
}

/// What differs between the live versions of two environments, of one service or two. Secrets are compared by presence:
/// equal values have different ciphertexts.
pub fn diff(catalog: &Catalog, left: &EnvironmentKey, right: &EnvironmentKey) -> Result<EnvironmentDiff, Rejection> {
    diff_between((catalog, left), (catalog, right))
}

/// The same between two states of the catalog, such as before and after a command.
pub fn diff_between(
    (left_catalog, left): (&Catalog, &EnvironmentKey),
    (right_catalog, right): (&Catalog, &EnvironmentKey),
) -> Result<EnvironmentDiff, Rejection> {
    let find = |catalog: &Catalog, key: &EnvironmentKey| {
        catalog.environment(key).cloned().ok_or_else(|| Rejection::not_found(Noun::Environment, key))
    };
    let (left_env, right_env) = (find(left_catalog, left)?, find(right_catalog, right)?);
    let (left_version, right_version) = (left_env.live_version(), right_env.live_version());
    let config_of = |catalog, key, version: Option<&std::sync::Arc<Version>>| match version {
        Some(version) => effective(catalog, key, version),
        None => Effective::default(),
    };
    let mut out = EnvironmentDiff {
        left: left_version.map(|version| version.id.clone()),
        right: right_version.map(|version| version.id.clone()),
        ..EnvironmentDiff::default()
    };
    diff_code(left_version.map(|version| &version.code), right_version.map(|version| &version.code), &mut out.code);
    diff_shares(&left_env, &right_env, &mut out.code);
    let left_config = config_of(left_catalog, left, left_version);
    let right_config = config_of(right_catalog, right, right_version);
    diff_config(&left_config, &right_config, &mut out.config);
    diff_triggers(&triggers(left_catalog, left), &triggers(right_catalog, right), &mut out.triggers);
    Ok(out)
}

/// What differs between two versions' code.
fn diff_code(left: Option<&Code>, right: Option<&Code>, out: &mut Vec<Difference>) {
    let mut field = |name: &str, value: fn(&Code) -> String| {
        push(out, name, left.map(value).map(own), right.map(value).map(own));
    };
    field("bundle", |code| code.bundle.hash.to_string());
    field("main_module", |code| code.main_module.clone());
    field("compatibility_date", |code| code.compatibility_date.clone());
    field("compatibility_flags", |code| code.compatibility_flags.join(", "));
    field("handlers", |code| code.handlers.join(", "));
}

/// What is live on each side, where it is more than the one version that is compared: a promotion ends a gradual rollout.
fn diff_shares(left: &Environment, right: &Environment, out: &mut Vec<Difference>) {
    let live = |environment: &'_ Environment| environment.live().map(|live| live.shares.clone()).unwrap_or_default();
    let (left_shares, right_shares) = (live(left), live(right));
    if left_shares.len() < 2 && right_shares.len() < 2 {
        return;
    }
    let text = |environment: &Environment, shares: &[Share]| {
        let one = |share: &Share| {
            let version = environment.version(&share.version)?;
            let hash = version.code.bundle.hash.to_string();
            Some(format!("#{} ({:.12}) at {}", version.number, hash, share.percentage))
        };
        let all: Vec<String> = shares.iter().filter_map(one).collect();
        (!all.is_empty()).then(|| own(all.join(", ")))
    };
    push(out, "versions", text(left, &left_shares), text(right, &right_shares));
}

/// What differs between two effective configurations.
pub fn diff_config(left: &Effective, right: &Effective, out: &mut Vec<Difference>) {
    let names: BTreeSet<&String> = left.bindings.keys().chain(right.bindings.keys()).collect();
    for name in names {
        let side = |effective: &Effective| {
            let entry = effective.bindings.get(name)?;
            let inherited_from = match &entry.origin {
                Origin::Own => None,
                Origin::Inherited(from) => Some(from.clone()),
            };
            Some(Side { value: show(&entry.binding), inherited_from })
        };
        push(out, &format!("bindings.{name}"), side(left), side(right));
    }
    let limit = |value: Option<u32>| value.map(|value| own(value.to_string()));
    push(out, "limits.cpu_ms", limit(left.limits.cpu_ms), limit(right.limits.cpu_ms));
    push(out, "limits.subrequests", limit(left.limits.subrequests), limit(right.limits.subrequests));
}

fn diff_triggers(left: &BTreeSet<(String, String)>, right: &BTreeSet<(String, String)>, out: &mut Vec<Difference>) {
    for (field, value) in left.difference(right) {
        out.push(Difference { field: field.clone(), left: Some(own(value.clone())), right: None });
    }
    for (field, value) in right.difference(left) {
        out.push(Difference { field: field.clone(), left: None, right: Some(own(value.clone())) });
    }
}

fn triggers(catalog: &Catalog, key: &EnvironmentKey) -> BTreeSet<(String, String)> {
    let mut out = BTreeSet::new();
    if let Some(environment) = catalog.environment(key) {
        out.extend(environment.crons.iter().map(|cron| ("crons".to_owned(), cron.to_string())));
        out.insert(("workers_dev".to_owned(), environment.workers_dev.is_public().to_string()));
        out.insert(("preview_urls".to_owned(), environment.preview_urls.is_public().to_string()));
    }
    out.extend(catalog.routes_of(key).map(|route| ("routes".to_owned(), route.pattern.to_string())));
    out.extend(catalog.domains_of(key).map(|domain| ("domains".to_owned(), domain.hostname.to_string())));
    out
}

fn push(out: &mut Vec<Difference>, field: &str, left: Option<Side>, right: Option<Side>) {
    let same = left.as_ref().map(|side| &side.value) == right.as_ref().map(|side| &side.value);
    if !same {
        out.push(Difference { field: field.to_owned(), left, right });
    }
}

fn own(value: String) -> Side {
    Side { value, inherited_from: None }
}

fn show(binding: &Binding) -> String {
    let kind = binding.kind().api_type();
    match binding {
        Binding::PlainText(text) => format!("{kind} {text:?}"),
        Binding::Json(json) => format!("{kind} {json}"),
        Binding::Secret(_) | Binding::VersionMetadata => kind.to_owned(),
        Binding::KvNamespace(id) => format!("{kind} {id}"),
        Binding::Service(target) => {
            let mut text = format!("{kind} {}", target.service);
            for part in [target.environment.as_ref().map(ToString::to_string), target.entrypoint.clone()] {
                text.extend(part.map(|part| format!(" {part}")));
            }
            text.extend(target.props.as_ref().map(|props| format!(" props {props}")));
            text
        }
        Binding::DurableObjectNamespace(target) => format!("{kind} {}", target.class_name),
    }
}
