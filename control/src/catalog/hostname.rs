//! Pure. Which names an environment answers to (DESIGN 4.12).
//!
//! **Owns** how hostnames are made and read. **Must not know** routes and custom domains. **Enter at** [`hostname`] and
//! [`find_host`].
//!
//! ```text
//! production    <service>[.<account>].<domain>
//! others        <environment>.<service>[.<account>].<domain>
//! a version     <first 8 digits of its id>-<the environment's hostname>
//! ```
//! No two environments share a name: an account's label shares one name space with the first account's services, and no
//! service or environment may be called like a preview (`0123abcd-...`).

use skerry_proto::id::{AccountId, EnvironmentName, Hostname, ServiceName, VersionId};

use super::{Catalog, EnvironmentKey, ServiceKey};

/// Digits of a version's id in a preview hostname.
pub(super) const PREVIEW_DIGITS: usize = 8;

/// Whom a hostname of the cluster's domain means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTarget {
    /// The environment.
    pub environment: EnvironmentKey,
    /// The version that a preview hostname names; `None` for what is deployed.
    pub preview: Option<VersionId>,
}

/// The hostname of an environment; `None` before the cluster has a domain, for an unknown account, or when the name would
/// exceed what DNS allows.
#[must_use]
pub fn hostname(catalog: &Catalog, environment: &EnvironmentKey) -> Option<Hostname> {
    Hostname::new(&host_text(catalog, environment, "")?).ok()
}

/// The hostname under which one version answers; `None` as for [`hostname`].
#[must_use]
pub fn preview_hostname(catalog: &Catalog, environment: &EnvironmentKey, version: &VersionId) -> Option<Hostname> {
    let prefix = format!("{}-", version.as_str().get(..PREVIEW_DIGITS)?);
    Hostname::new(&host_text(catalog, environment, &prefix)?).ok()
}

/// The names that one service's certificate covers: its production, its environments, and their previews. Previews of
/// production are covered by [`account_certificate_names`].
#[must_use]
pub fn service_certificate_names(catalog: &Catalog, service: &ServiceKey) -> Vec<String> {
    match host_text(catalog, &service.production(), "") {
        Some(host) => vec![host.clone(), format!("*.{host}")],
        None => Vec::new(),
    }
}

/// The names that an account's certificate covers: production of every service, and its previews.
#[must_use]
pub fn account_certificate_names(catalog: &Catalog, account: &AccountId) -> Vec<String> {
    match account_suffix(catalog, account) {
        Some(suffix) => vec![suffix.clone(), format!("*.{suffix}")],
        None => Vec::new(),
    }
}

/// Whom `host` (lower-case, without port) means, whether or not that environment answers there; `None` for a name outside
/// the cluster's domain and for one that nothing has.
#[must_use]
pub fn find_host(catalog: &Catalog, host: &str) -> Option<HostTarget> {
    let domain = &catalog.cluster()?.domain;
    let labels: Vec<&str> = host.strip_suffix(domain.as_str())?.strip_suffix('.')?.split('.').collect();
    // Read without and with an account label; at most one of the two exists, see the module's doc.
    let first = catalog.first_account().and_then(|account| find_labels(catalog, account, &labels));
    first.or_else(|| {
        let (label, labels) = labels.split_last()?;
        let account = catalog.account_by_label(&ServiceName::new(label).ok()?)?;
        find_labels(catalog, account, labels)
    })
}

fn find_labels(catalog: &Catalog, account: &AccountId, labels: &[&str]) -> Option<HostTarget> {
    let (service, environment) = match labels {
        [service] => (*service, None),
        [environment, service] => (*service, Some(*environment)),
        _ => return None,
    };
    let find = |service: &str, environment: &str| {
        let key = ServiceKey { account: account.clone(), name: ServiceName::new(service).ok()? };
        let environment = EnvironmentName::new(environment).ok()?;
        let found = catalog.service(&key)?.environment(&environment)?;
        Some((key.environment(environment), found))
    };
    let production = EnvironmentName::production();
    if environment == Some(production.as_str()) {
        // Production has one name, the short one.
        return None;
    }
    if let Some((environment, _)) = find(service, environment.unwrap_or(production.as_str())) {
        return Some(HostTarget { environment, preview: None });
    }
    let (prefix, rest) = split_preview(environment.unwrap_or(service))?;
    let (key, found) = match environment {
        Some(_) => find(service, rest)?,
        None => find(rest, production.as_str())?,
    };
    if environment.is_some() && key.environment.is_production() {
        return None;
    }
    let version = found.version_by_prefix(prefix)?;
    Some(HostTarget { environment: key, preview: Some(version.id.clone()) })
}

/// `0123abcd-name` as its two parts.
fn split_preview(label: &str) -> Option<(&str, &str)> {
    let (prefix, rest) = label.split_once('-')?;
    is_preview_prefix(prefix).then_some((prefix, rest))
}

fn is_preview_prefix(prefix: &str) -> bool {
    prefix.len() == PREVIEW_DIGITS && prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a service or environment of this name could be taken for a preview.
#[must_use]
pub(super) fn looks_like_preview(name: &str) -> bool {
    split_preview(name).is_some()
}

fn host_text(catalog: &Catalog, environment: &EnvironmentKey, prefix: &str) -> Option<String> {
    let suffix = account_suffix(catalog, &environment.service.account)?;
    let service = &environment.service.name;
    Some(if environment.environment.is_production() {
        format!("{prefix}{service}.{suffix}")
    } else {
        format!("{prefix}{}.{service}.{suffix}", environment.environment)
    })
}

fn account_suffix(catalog: &Catalog, account: &AccountId) -> Option<String> {
    let domain = &catalog.cluster()?.domain;
    Some(match &catalog.account(account)?.label {
        Some(label) => format!("{label}.{domain}"),
        None => domain.to_string(),
    })
}
