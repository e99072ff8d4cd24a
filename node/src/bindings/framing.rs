//! Headers that belong to one connection, and the length of a body.
//!
//! **Owns** what a message loses on its way from one connection to the next. **Must not know** who sends it. **Enter at**
//! [`remove_hop_by_hop`] and [`drop_false_length`].

use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body as _;

use crate::worker::Body;

/// Whether a header concerns one connection only (RFC 9110 section 7.6.1). One comparison of lengths for nearly every name.
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Removes the headers that concern one connection only, and those that `Connection` names, in whichever of its lines.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, and looking each of them up would cost more than this one walk.
    let mut doomed: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    if doomed.is_empty() {
        return;
    }
    for value in headers.get_all(header::CONNECTION) {
        // Latin-1 and other nonsense names no header.
        let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
        doomed.extend(names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()));
    }
    for name in doomed {
        headers.remove(name);
    }
}

/// Removes a `Content-Length` that the body does not vouch for: framing by a worker's word would let it smuggle bytes into
/// a connection that others share. A body that knows its length says so itself when it is sent. One that does not, a stream,
/// may be announced: the connection then cuts what is too long and breaks over what is too short. `known` is what
/// [`known_length`] says of the body.
pub fn drop_false_length(headers: &mut HeaderMap, known: Option<u64>) {
    let announced = headers.keys().any(|name| name == header::CONTENT_LENGTH);
    if announced && (known.is_some() || single_length(headers).is_none()) {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Bytes that the body will have, when that is certain.
#[must_use]
pub fn known_length(body: &Body) -> Option<u64> {
    if body.is_end_stream() { Some(0) } else { body.size_hint().exact() }
}

/// The one well-formed `Content-Length`.
#[must_use]
pub fn single_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let (first, None) = (values.next()?, values.next()) else { return None };
    parse(first)
}

/// RFC 9110 section 8.6: digits, and nothing else.
fn parse(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full, StreamBody};

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn bytes(text: &'static str) -> Body {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
    }

    fn stream() -> Body {
        StreamBody::new(futures_util::stream::empty()).boxed_unsync()
    }

    fn empty() -> Body {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    }

    #[test]
    fn what_any_connection_line_names_is_removed() {
        let mut map = map(&[
            ("connection", "keep-alive, X-One"),
            ("connection", "x-two"),
            ("keep-alive", "timeout=5"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("x-three", "3")]));
    }

    #[test]
    fn a_length_is_believed_only_of_a_stream() {
        for (line, body, kept) in [
            ("5", bytes("hello"), false),
            ("7", bytes("hello"), false),
            ("5", empty(), false),
            ("5", stream(), true),
            ("+5", stream(), false),
            ("5, 5", stream(), false),
            ("99999999999999999999", stream(), false),
        ] {
            let mut map = map(&[("content-length", line)]);
            drop_false_length(&mut map, known_length(&body));
            assert_eq!(map.contains_key("content-length"), kept, "{line}");
        }
        let mut twice = map(&[("content-length", "5"), ("content-length", "6")]);
        drop_false_length(&mut twice, None);
        assert!(twice.is_empty());
    }
}
