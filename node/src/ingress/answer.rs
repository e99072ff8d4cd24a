//! A worker's answer on its way out.
//!
//! **Owns** which of a worker's headers the wire gets, and that an answer has a body exactly where HTTP allows one. **Must not
//! know** requests beyond their method. **Enter at** [`finish`].

use std::convert::Infallible;

use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty};

use crate::{
    bindings::framing::{drop_false_length, known_length, remove_hop_by_hop, single_length},
    worker::Body,
};

/// Makes an answer fit for the connection that asked.
pub(super) fn finish(response: &mut Response<Body>, is_head: bool) {
    clean(response);
    let known = known_length(response.body());
    match response.status() {
        StatusCode::NO_CONTENT => strip(response, None),
        status if is_head || status == StatusCode::NOT_MODIFIED => {
            // The length is that of the answer to a GET: the body's that the worker made, else what the worker says.
            let length = known.filter(|bytes| *bytes > 0).or_else(|| single_length(response.headers()));
            strip(response, length);
        }
        _ => drop_false_length(response.headers_mut(), known),
    }
}

/// Removes what only concerns the worker's side of the connection.
pub(super) fn clean(response: &mut Response<Body>) {
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
}

/// Takes the body away. HTTP/1.1 would not send it anyway, HTTP/2 would, and break the stream.
fn strip(response: &mut Response<Body>, length: Option<u64>) {
    *response.body_mut() = empty();
    match length {
        Some(bytes) => response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes)),
        None => response.headers_mut().remove(header::CONTENT_LENGTH),
    };
}

/// A body of nothing.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::Body as _;
    use http_body_util::Full;

    use super::*;

    /// The length that is announced, and whether there is a body.
    fn finished(status: u16, claimed: Option<&str>, text: &'static str, is_head: bool) -> (Option<u64>, bool) {
        let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
        let mut builder = Response::builder().status(status);
        if let Some(claimed) = claimed {
            builder = builder.header(header::CONTENT_LENGTH, claimed);
        }
        let mut response = builder.body(body).unwrap();
        finish(&mut response, is_head);
        (single_length(response.headers()), !response.body().is_end_stream())
    }

    #[test]
    fn an_answer_has_a_body_and_a_length_where_http_allows_them() {
        for (status, claimed, text, is_head, expected) in [
            // The connection writes the length of a body that it has.
            (200, Some("9"), "hello", false, (None, true)),
            (200, Some("x"), "hello", false, (None, true)),
            (200, Some("5"), "", false, (None, false)),
            (200, None, "hello", true, (Some(5), false)),
            (200, Some("9"), "hello", true, (Some(5), false)),
            (200, Some("9"), "", true, (Some(9), false)),
            (200, Some("x"), "", true, (None, false)),
            (204, Some("5"), "hello", false, (None, false)),
            (304, Some("9"), "", false, (Some(9), false)),
        ] {
            assert_eq!(finished(status, claimed, text, is_head), expected, "{status} {claimed:?} {text:?} {is_head}");
        }
    }
}
