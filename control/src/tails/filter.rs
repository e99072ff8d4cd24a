//! Pure. Which events a live log session wants.
//!
//! **Owns** the filters of Cloudflare's tail. **Must not know** sockets. **Enter at** [`Filter`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// BOUND: filters of one session; wrangler sends at most seven.
const FILTERS_MAX: usize = 32;
/// BOUND: bytes of a session's filters; they go to every node.
pub(crate) const FILTER_BYTES_MAX: usize = 16 << 10;

/// All of these must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    rules: Vec<Rule>,
    /// As sent, for other nodes.
    text: String,
}

/// Filters that are none. State: unchanged. Retry: no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub(crate) struct FilterError {
    /// Where.
    pub(crate) field: String,
    /// What is wrong.
    pub(crate) problem: String,
}

impl FilterError {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

#[derive(Debug, Clone)]
enum Rule {
    SamplingRate(f64),
    Outcome(Vec<String>),
    Method(Vec<String>),
    Header { key: String, query: Option<String> },
    ClientIp(Vec<String>),
    Query(String),
    ScriptVersion(String),
}

/// One filter as sent: an object with one key.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sampling_rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<RawHeader>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_ip: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(default, rename = "scriptVersion", skip_serializing_if = "Option::is_none")]
    script_version: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
}

impl Filter {
    /// Reads what another node wrote with [`Filter::as_str`].
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        let raw = serde_json::from_str(text).map_err(|error| FilterError::new("filters", error.to_string()))?;
        Self::from_raw(raw)
    }

    /// As sent; [`Filter::parse`] reads it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks the filters as sent.
    pub(crate) fn from_raw(raw: Vec<RawFilter>) -> Result<Self, FilterError> {
        if raw.len() > FILTERS_MAX {
            return Err(FilterError::new("filters", format!("has more than {FILTERS_MAX} entries")));
        }
        let text = serde_json::to_string(&raw).map_err(|error| FilterError::new("filters", error.to_string()))?;
        if text.len() > FILTER_BYTES_MAX {
            return Err(FilterError::new("filters", format!("has more than {FILTER_BYTES_MAX} bytes")));
        }
        let mut rules = Vec::new();
        for (place, raw) in raw.into_iter().enumerate() {
            if let Some(rate) = raw.sampling_rate {
                if !(0.0..=1.0).contains(&rate) {
                    let field = format!("filters[{place}].sampling_rate");
                    return Err(FilterError::new(field, "use a number from 0 to 1"));
                }
                rules.push(Rule::SamplingRate(rate));
            }
            rules.extend(raw.outcome.map(Rule::Outcome));
            rules.extend(raw.method.map(Rule::Method));
            rules.extend(raw.header.map(|header| Rule::Header { key: header.key.to_lowercase(), query: header.query }));
            rules.extend(raw.client_ip.map(Rule::ClientIp));
            rules.extend(raw.query.map(Rule::Query));
            rules.extend(raw.script_version.map(Rule::ScriptVersion));
        }
        Ok(Self { rules, text })
    }

    /// Whether the event is wanted. `draw` is a random number from 0 to 1, drawn for this event.
    pub(crate) fn wants(&self, event: &Value, draw: f64) -> bool {
        self.rules.iter().all(|rule| rule.wants(event, draw))
    }
}

impl Rule {
    fn wants(&self, event: &Value, draw: f64) -> bool {
        let request = &event["event"]["request"];
        let header = |key: &str| request["headers"][key].as_str();
        match self {
            Self::SamplingRate(rate) => draw < *rate,
            Self::Outcome(wanted) => event["outcome"].as_str().is_some_and(|outcome| contains(wanted, outcome)),
            Self::Method(wanted) => request["method"].as_str().is_some_and(|method| contains(wanted, method)),
            Self::Header { key, query: None } => header(key).is_some(),
            Self::Header { key, query: Some(query) } => header(key).is_some_and(|value| value.contains(query.as_str())),
            // `self` means the caller's own address, which this node does not know behind a proxy: all are wanted.
            Self::ClientIp(wanted) => {
                contains(wanted, "self") || header("cf-connecting-ip").is_some_and(|address| contains(wanted, address))
            }
            Self::Query(text) => event["logs"]
                .as_array()
                .is_some_and(|logs| logs.iter().any(|log| log["message"].to_string().contains(text.as_str()))),
            Self::ScriptVersion(id) => event["scriptVersion"]["id"].as_str() == Some(id.as_str()),
        }
    }
}

fn contains(wanted: &[String], found: &str) -> bool {
    wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(raw: Value) -> Filter {
        Filter::from_raw(serde_json::from_value(raw).unwrap()).unwrap()
    }

    #[test]
    fn another_node_wants_the_same() {
        let sent = filter(json!([{ "outcome": ["ok"] }, { "header": { "key": "X-Kind", "query": "probe" } }]));
        let read = Filter::parse(sent.as_str()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        assert!(Filter::parse("[{\"sampling_rate\": 2}]").is_err());
        let long = "x".repeat(FILTER_BYTES_MAX);
        assert!(Filter::from_raw(serde_json::from_value(json!([{ "query": long }])).unwrap()).is_err());
    }

    #[test]
    fn every_filter_must_hold() {
        let event = json!({
            "outcome": "exception",
            "event": { "request": { "method": "GET", "headers": { "x-kind": "probe-1", "cf-connecting-ip": "::1" } } },
            "logs": [{ "level": "log", "message": ["hello"] }],
            "scriptVersion": { "id": "v1" },
        });
        assert!(filter(json!([])).wants(&event, 0.5));
        assert!(filter(json!([{ "outcome": ["exception"] }, { "method": ["get"] }])).wants(&event, 0.5));
        assert!(!filter(json!([{ "outcome": ["ok"] }, { "method": ["get"] }])).wants(&event, 0.5));
        assert!(filter(json!([{ "header": { "key": "X-Kind", "query": "probe" } }])).wants(&event, 0.5));
        assert!(!filter(json!([{ "header": { "key": "x-other" } }])).wants(&event, 0.5));
        assert!(filter(json!([{ "query": "hell" }])).wants(&event, 0.5));
        assert!(!filter(json!([{ "scriptVersion": "v2" }])).wants(&event, 0.5));
        assert!(!filter(json!([{ "sampling_rate": 0.1 }])).wants(&event, 0.5));
        assert!(filter(json!([{ "client_ip": ["::1"] }])).wants(&event, 0.5));
    }
}
