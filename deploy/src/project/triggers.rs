//! Pure. What leads to an environment: routes, custom domains, crons.
//!
//! **Owns** what a project file says of them, and which mistakes are seen before anything is sent. **Must not know**
//! whether a pattern is free: the cluster does. **Enter at** [`read_routes`] and [`read_crons`].
//!
//! They are set only once the new version is live, so a mistake that the API would find then is found here. Where these
//! checks are looser than the API's, its refusal still comes, later.

use skerry_proto::id::Hostname;

use super::section::Section;
use super::tree::{Node, Value};

/// BOUND: the API's own, for a pattern and for a cron.
const PATTERN_BYTES_MAX: usize = 2048;
const CRON_BYTES_MAX: usize = 256;

/// A route, or with `custom_domain` a whole hostname.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteSetting {
    pub(crate) pattern: String,
    pub(crate) custom_domain: bool,
}

/// `route` and `routes`.
pub(super) fn read_routes(section: &mut Section<'_>) -> Option<Vec<RouteSetting>> {
    let line = section.line_of("route");
    if section.has("route") && section.has("routes") {
        section.refuse("route", line, "give either \"route\" or \"routes\"".to_owned());
    }
    let one = section.node("route");
    let many = section.nodes("routes");
    if one.is_none() && many.is_none() {
        return None;
    }
    let nodes = one.into_iter().map(|node| (node, "route".to_owned()));
    let nodes =
        nodes.chain(many.into_iter().flatten().enumerate().map(|(place, node)| (node, format!("routes[{place}]"))));
    Some(nodes.filter_map(|(node, path)| read_route(section, node, path)).collect())
}

fn read_route<'a>(section: &Section<'a>, node: &'a Node, path: String) -> Option<RouteSetting> {
    if let Value::Text(text) = &node.value {
        return match pattern(text) {
            Ok(pattern) => Some(RouteSetting { pattern, custom_domain: false }),
            Err(rule) => {
                section.refuse(&path, node.line, rule);
                None
            }
        };
    }
    let mut route = section.inner(node, path)?;
    let custom_domain = route.flag("custom_domain").unwrap_or(false);
    if !route.has("pattern") {
        route.required("pattern");
    }
    let pattern = route.parsed("pattern", if custom_domain { hostname } else { pattern });
    // Skerry finds the zone by the hostname; the keys are accepted because wrangler asks for one of them.
    for key in ["zone_id", "zone_name", "enabled", "previews_enabled"] {
        route.node(key);
    }
    route.finish();
    Some(RouteSetting { pattern: pattern?, custom_domain })
}

/// `[triggers] crons`
pub(super) fn read_crons(section: &mut Section<'_>) -> Option<Vec<String>> {
    let mut triggers = section.section("triggers")?;
    let nodes = triggers.nodes("crons");
    let mut crons: Vec<String> = Vec::new();
    for (place, node) in nodes.into_iter().flatten().enumerate() {
        let right = match &node.value {
            Value::Text(text) if crons.contains(text) => Err(format!("{text:?} is given twice")),
            Value::Text(text) => cron(text),
            other => Err(format!("must be a text, not {}", other.kind())),
        };
        match right {
            Ok(cron) => crons.push(cron),
            Err(rule) => triggers.refuse(&format!("crons[{place}]"), node.line, rule),
        }
    }
    triggers.finish();
    nodes.map(|_| crons)
}

/// `[scheme://]host[/path]`, `*` only at the start of the host and the end of the path.
fn pattern(text: &str) -> Result<String, String> {
    let fail = |rule: &str| Err(format!("route pattern {:?} is invalid: {rule}", cut(text)));
    if text.len() > PATTERN_BYTES_MAX {
        return fail("use at most 2048 bytes");
    }
    let rest = match text.split_once("://") {
        Some(("http" | "https" | "*", rest)) => rest,
        Some(_) => return fail("the scheme is http, https or absent"),
        None => text,
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.to_ascii_lowercase();
    let name = host.strip_prefix("*.").or_else(|| host.strip_prefix('*')).unwrap_or(&host);
    if host != "*" && Hostname::new(name).is_err() {
        return fail("the host is a DNS name without port; '*' may only stand at its start");
    }
    let path = path.strip_suffix('*').unwrap_or(path);
    if path.contains('*') {
        return fail("'*' may only stand at the start of the host and the end of the path");
    }
    if path.contains(['?', '#']) {
        return fail("a pattern has no query and no fragment; end the path with '*' to match any query");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return fail("the path is printable ASCII without spaces; percent-encode anything else");
    }
    Ok(text.to_owned())
}

/// A custom domain, in lower case.
fn hostname(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    match Hostname::new(&lower) {
        Ok(_) => Ok(lower),
        Err(error) => Err(format!("{error}; a custom domain has no scheme, path or '*'")),
    }
}

/// Five fields of the letters and signs that a field may have, plain numbers within its range.
fn cron(text: &str) -> Result<String, String> {
    let fail = |rule: String| Err(format!("cron {:?} is invalid: {rule}", cut(text)));
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if text.len() > CRON_BYTES_MAX || fields.len() != 5 {
        return fail("use five fields: minute hour day-of-month month day-of-week".to_owned());
    }
    let known = [("minute", 0, 59), ("hour", 0, 23), ("day-of-month", 1, 31), ("month", 1, 12), ("day-of-week", 1, 7)];
    for (field, (name, min, max)) in fields.into_iter().zip(known) {
        for part in field.split(',') {
            let signs = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*?/-#".contains(&byte));
            // A step is no value, so only what stands before it has to lie in the range.
            let values = part.split('/').next().unwrap_or_default().split(['-', '#']);
            let mut numbers = values.filter_map(|value| value.parse::<u64>().ok());
            if part.is_empty() || !signs || (!part.contains(['L', 'l']) && numbers.any(|n| !(min..=max).contains(&n))) {
                return fail(format!("{name} {part:?} is not a value, range or step within {min} to {max}"));
            }
        }
    }
    Ok(text.to_owned())
}

/// BOUND: a mistake is seen at the beginning of a text, or not at all.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_the_api_refuses_are_refused() {
        for right in ["example.com", "*.Example.com/a/*", "*example.com/*", "*/*", "https://a.b/c", "*://a.b/"] {
            assert_eq!(pattern(right), Ok(right.to_owned()));
        }
        for wrong in ["ftp://a", "a.b:80/", "a.*.b/", "a/*/b", "a/?x=1", "a/#b", "a/ b", "", "a_ b/", "/path"] {
            assert!(pattern(wrong).unwrap_err().starts_with("route pattern"), "{wrong}");
        }
        assert!(pattern(&"a/".repeat(2000)).is_err());
        assert_eq!(hostname("Shop.Example.com"), Ok("shop.example.com".to_owned()));
        assert!(hostname("*.example.com").is_err() && hostname("https://a.b").is_err());
    }

    #[test]
    fn crons_that_the_api_refuses_are_refused_and_no_others() {
        for right in [
            "*/5 * * * *",
            "0 0 L * *",
            "0 0 L-3 * *",
            "15 8-18/2 ? JAN-mar 2#3",
            "0 0 15W,LW * 6L",
            "59 23 31 12 SUN,7",
            "5/15 * * * *",
        ] {
            assert_eq!(cron(right), Ok(right.to_owned()));
        }
        for wrong in
            ["* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a;b * * * *", "1, * * * *"]
        {
            assert!(cron(wrong).unwrap_err().starts_with("cron"), "{wrong}");
        }
    }
}
