//! Pure. Which URL a request asks for.
//!
//! **Owns** what a valid host is and how it is written. **Must not know** who answers there. **Enter at** [`absolute`].

use http::{
    HeaderValue, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use skerry_control::catalog::Scheme;

use super::{limits, respond::Refusal};

/// The request's URL as the end user wrote it, in the form that URLs have. `Host` says the same afterwards: a worker that looks
/// at either must not be told of two (RFC 9112 section 3.2.2).
pub(super) fn absolute(parts: &mut Parts, scheme: Scheme) -> Result<Uri, Refusal> {
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if path.as_str().len() > limits::URL_BYTES_MAX {
        return Err(Refusal::UrlTooLong);
    }
    let path = if path.as_str().starts_with('/') { path } else { PathAndQuery::from_static("/") };
    let host = parts.headers.get(header::HOST);
    let authority = match (parts.uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).or(Err(Refusal::BadHost))?,
        (None, None) => return Err(Refusal::BadHost),
    };
    let authority = normal(authority, scheme)?;
    if host.is_some_and(|host| host.as_bytes() != authority.as_str().as_bytes()) {
        let host = HeaderValue::from_str(authority.as_str()).or(Err(Refusal::BadHost))?;
        parts.headers.insert(header::HOST, host);
    }
    let uri = Uri::builder().scheme(scheme.as_str()).authority(authority).path_and_query(path).build();
    uri.or(Err(Refusal::BadHost))
}

/// The authority as URLs show it: lower-case, without the dot that ends a whole DNS name and without the scheme's own port.
/// Most are so already.
fn normal(authority: Authority, scheme: Scheme) -> Result<Authority, Refusal> {
    let text = authority.as_str();
    let host = authority.host();
    let rest = text.strip_prefix(host).filter(|_| !text.contains('@')).ok_or(Refusal::BadHost)?;
    let port = port(rest)?.filter(|port| *port != default_port(scheme));
    let bare = host.strip_suffix('.').unwrap_or(host);
    if bare.is_empty() || bare.ends_with('.') {
        return Err(Refusal::BadHost);
    }
    let port_is_plain = if port.is_some() { !rest.starts_with(":0") } else { rest.is_empty() };
    if port_is_plain && bare.len() == host.len() && !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(authority);
    }
    let mut text = bare.to_ascii_lowercase();
    if let Some(port) = port {
        text.push_str(&format!(":{port}"));
    }
    Authority::try_from(text).or(Err(Refusal::BadHost))
}

/// What follows the host: nothing, or `:` and digits. A colon alone means the scheme's port (RFC 3986 section 3.2.3).
fn port(rest: &str) -> Result<Option<u16>, Refusal> {
    let digits = match rest.strip_prefix(':') {
        Some(digits) => digits,
        None if rest.is_empty() => return Ok(None),
        None => return Err(Refusal::BadHost),
    };
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::BadHost);
    }
    digits.parse().map(Some).or(Err(Refusal::BadHost))
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// The URL and the `Host` that the worker sees.
    fn seen(uri: &str, host: Option<&str>) -> Result<(String, Option<String>), Refusal> {
        let mut request = Request::get(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let url = absolute(&mut parts, Scheme::Https)?.to_string();
        Ok((url, parts.headers.get(header::HOST).map(|host| host.to_str().unwrap().to_owned())))
    }

    #[test]
    fn the_url_is_the_one_that_was_asked_for_and_the_host_agrees() {
        for (uri, host, url, agreed) in [
            ("/a?b", "app.test:8443", "https://app.test:8443/a?b", "app.test:8443"),
            ("http://proxy.test/a", "other.test", "https://proxy.test/a", "proxy.test"),
            ("*", "app.test", "https://app.test/", "app.test"),
            ("/A", "APP.test:443", "https://app.test/A", "app.test"),
            ("/", "app.test:80", "https://app.test:80/", "app.test:80"),
            ("/", "app.test:00080", "https://app.test:80/", "app.test:80"),
            ("/", "app.test:", "https://app.test/", "app.test"),
            ("/", "app.test.", "https://app.test/", "app.test"),
            ("/", "app.test.:8443", "https://app.test:8443/", "app.test:8443"),
            ("/", "[::1]:443", "https://[::1]/", "[::1]"),
        ] {
            assert_eq!(seen(uri, Some(host)).unwrap(), (url.to_owned(), Some(agreed.to_owned())), "{uri} {host}");
        }
        assert_eq!(seen("http://proxy.test/a", None).unwrap(), ("https://proxy.test/a".to_owned(), None));
    }

    #[test]
    fn a_bad_host_is_refused() {
        let bad = [
            "",
            ".",
            "a b",
            "user@app.test",
            "app.test/path",
            ":80",
            "app.test:abc",
            "app.test:+80",
            "app.test:65536",
            "app.test..",
            "app.test:80:80",
        ];
        for host in bad {
            assert!(matches!(seen("/", Some(host)), Err(Refusal::BadHost)), "{host:?}");
        }
        assert!(matches!(seen("/", None), Err(Refusal::BadHost)));
    }

    #[test]
    fn a_long_url_is_refused() {
        let long = format!("/{}", "a".repeat(limits::URL_BYTES_MAX));
        assert!(matches!(seen(&long, Some("app.test")), Err(Refusal::UrlTooLong)));
    }
}
