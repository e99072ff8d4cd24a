//! Where traces go, as it is written.
//!
//! **Owns** the syntax of these settings. **Must not know** how spans are sent. **Enter at** [`otlp`].

use http::{HeaderName, HeaderValue, Uri};

use super::{ConfigError, Otlp, settings::value_error};

/// The path under which collectors take traces, when the URL names none (OTLP/HTTP).
const TRACES_PATH: &str = "v1/traces";

/// `None` without an endpoint.
pub(super) fn otlp(
    endpoint: Option<String>,
    headers: Option<Vec<String>>,
    ratio: Option<f64>,
) -> Result<Option<Otlp>, ConfigError> {
    let sample_ratio = ratio.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample_ratio) {
        return Err(value_error("otlp_sample_ratio", sample_ratio.to_string(), "use a number from 0 to 1"));
    }
    let headers = headers.unwrap_or_default().into_iter().map(header).collect::<Result<_, _>>()?;
    let Some(text) = endpoint.filter(|text| text != "off") else { return Ok(None) };
    match url(&text) {
        Some(url) => Ok(Some(Otlp { url, headers, sample_ratio })),
        None => {
            let rule = "write the URL of a collector, such as http://127.0.0.1:4318";
            Err(value_error("otlp_endpoint", text, rule))
        }
    }
}

/// The URL to post to: a base URL gets the path of traces, as with `OTEL_EXPORTER_OTLP_ENDPOINT`.
fn url(text: &str) -> Option<Uri> {
    let base: Uri = text.parse().ok()?;
    let is_http = matches!(base.scheme_str(), Some("http" | "https"));
    if !is_http || base.host().is_none_or(str::is_empty) || base.query().is_some() {
        return None;
    }
    let text = text.trim_end_matches('/');
    if text.ends_with(TRACES_PATH) { text.parse().ok() } else { format!("{text}/{TRACES_PATH}").parse().ok() }
}

/// `name=value`; the value is never shown, for it may be a key.
fn header(text: String) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let parsed = text.split_once('=').and_then(|(name, value)| {
        let (name, value) = (HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?);
        Some((name, value))
    });
    match parsed {
        Some((name, mut value)) => {
            value.set_sensitive(true);
            Ok((name, value))
        }
        None => Err(value_error("otlp_headers", "...".into(), "write NAME=VALUE, such as x-api-key=0123")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gets_the_path_of_traces() {
        for (text, url) in [
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/traces")),
            ("https://otlp.example/v1/traces", Some("https://otlp.example/v1/traces")),
            ("https://otlp.example/otlp/", Some("https://otlp.example/otlp/v1/traces")),
            ("127.0.0.1:4318", None),
            ("ftp://otlp.example", None),
            ("http:///v1/traces", None),
        ] {
            let found = otlp(Some(text.into()), None, None).ok().flatten().map(|otlp| otlp.url.to_string());
            assert_eq!(found.as_deref(), url, "{text}");
        }
    }

    #[test]
    fn what_may_be_a_key_is_not_shown() {
        let headers = Some(vec!["x-api-key=hush".to_owned()]);
        let shown = format!("{:?}", otlp(Some("http://a".into()), headers, Some(0.5)).unwrap().unwrap());
        assert!(shown.contains("x-api-key") && !shown.contains("hush"), "{shown}");
        let error = otlp(None, Some(vec!["hush".to_owned()]), None).unwrap_err().to_string();
        assert!(error.contains("otlp_headers") && !error.contains("hush"), "{error}");
        assert!(otlp(None, None, Some(1.5)).unwrap_err().to_string().contains("otlp_sample_ratio"));
    }
}
