//! Pure. What one walk over a request's headers tells.
//!
//! **Owns** the facts that every request is checked for. **Must not know** what follows from them. **Enter at**
//! [`Survey::of`]. Looking each name up instead would hash a dozen names that most requests do not have.

use http::{HeaderMap, header};

use crate::{
    bindings::framing::is_hop_by_hop,
    dispatch::{hops, traced},
};

/// Facts about a request's headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// As they lie on the wire: names, values and four bytes between and after.
    pub(super) bytes: usize,
    /// Lines named `Host`.
    pub(super) hosts: usize,
    /// Whether any concerns this connection only.
    pub(super) hop_by_hop: bool,
    /// Nodes and proxies that the request says it has come through, for the loop guard.
    pub(super) hops: u32,
    /// Lines named `traceparent`.
    pub(super) traceparents: usize,
}

impl Survey {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut survey = Self::default();
        for (name, value) in headers {
            survey.bytes += name.as_str().len() + value.len() + 4;
            survey.hosts += usize::from(*name == header::HOST);
            survey.hop_by_hop |= is_hop_by_hop(name);
            survey.traceparents += usize::from(name.as_str() == traced::PARENT);
            if name.as_str() == hops::VIA {
                survey.hops = survey.hops.max(hops::read(value));
            }
        }
        survey
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_line_counts() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("host", "a"), ("host", "b"), ("cf-ew-via", "3"), ("cf-ew-via", "12"), ("te", "x"), ("traceparent", "x")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        let survey = Survey::of(&headers);
        assert_eq!(survey, Survey { bytes: 70, hosts: 2, hop_by_hop: true, hops: 12, traceparents: 1 });
    }
}
