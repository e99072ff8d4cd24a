//! Pure. Which environment a wrangler script name means.
//!
//! **Owns** the rule of `docs/004-wrangler-surface.md`: a service's own name means its production; `SERVICE-ENVIRONMENT`
//! means that environment when exactly one existing environment is spelled so. **Must not know** HTTP. **Enter at**
//! [`resolve`].

use skerry_proto::id::{AccountId, EnvironmentName, ServiceName};

use crate::catalog::{Catalog, EnvironmentKey, ServiceKey};

/// What a script name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// This environment, which exists.
    Environment(EnvironmentKey),
    /// Nothing yet; an upload makes this service's production.
    NewService(ServiceKey),
    /// Several environments are spelled so; the older calls tell them apart.
    Ambiguous(Vec<EnvironmentKey>),
}

/// What `script` means in `account`. An exact service name always wins.
pub(crate) fn resolve(catalog: &Catalog, account: &AccountId, script: &ServiceName) -> Meaning {
    let exact = ServiceKey { account: account.clone(), name: script.clone() };
    if catalog.service(&exact).is_some() {
        return Meaning::Environment(exact.production());
    }
    let mut found: Vec<EnvironmentKey> = splits(script)
        .map(|(service, environment)| ServiceKey { account: account.clone(), name: service }.environment(environment))
        .filter(|key| catalog.environment(key).is_some())
        .collect();
    match found.len() {
        0 => Meaning::NewService(exact),
        1 => Meaning::Environment(found.remove(0)),
        _ => Meaning::Ambiguous(found),
    }
}

/// Every way to read a name as `SERVICE-ENVIRONMENT`.
fn splits(script: &ServiceName) -> impl Iterator<Item = (ServiceName, EnvironmentName)> {
    let text = script.as_str();
    text.match_indices('-').filter_map(move |(place, _)| {
        Some((ServiceName::new(&text[..place]).ok()?, EnvironmentName::new(&text[place + 1..]).ok()?))
    })
}

/// The environment that wrangler's tags say a script is, when they agree with its name.
pub(crate) fn from_tags(script: &ServiceName, tags: &[String]) -> Option<(ServiceName, EnvironmentName)> {
    let value = |prefix: &str| tags.iter().find_map(|tag| tag.strip_prefix(prefix));
    let (service, environment) = (value("cf:service=")?, value("cf:environment=")?);
    let spelled_so = format!("{service}-{environment}") == script.as_str();
    if !spelled_so {
        return None;
    }
    Some((ServiceName::new(service).ok()?, EnvironmentName::new(environment).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    #[test]
    fn every_dash_is_a_possible_split() {
        let found: Vec<_> = splits(&name("a-b-c")).map(|(s, e)| format!("{s}/{e}")).collect();
        assert_eq!(found, ["a/b-c", "a-b/c"]);
    }

    #[test]
    fn tags_that_disagree_with_the_name_mean_nothing() {
        let tags = vec!["cf:service=app".to_owned(), "cf:environment=staging".to_owned()];
        assert_eq!(
            from_tags(&name("app-staging"), &tags),
            Some((name("app"), EnvironmentName::new("staging").unwrap()))
        );
        assert_eq!(from_tags(&name("other-staging"), &tags), None);
        assert_eq!(from_tags(&name("app-staging"), &tags[..1]), None);
    }
}
