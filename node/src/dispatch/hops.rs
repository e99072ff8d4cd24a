//! Pure. The guard against requests that go round in circles through the Internet.
//!
//! **Owns** the header that counts hops. **Must not know** who sends or refuses. **Enter at** [`write()`] and [`read()`].
//!
//! Inside a cluster depth and invocations are counted in memory. A `fetch` that leaves the node carries its count in
//! `CF-EW-Via`, as on Cloudflare, and whoever receives it goes on from there.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header's name.
pub const VIA: &str = "cf-ew-via";
/// BOUND: hops of one request; Cloudflare's documented limit. A real chain of services is a few long, a circle has no end.
pub const HOPS_MAX: u32 = 16;

/// Marks a request that leaves this node after `hops` others.
pub fn write(headers: &mut HeaderMap, hops: u32) {
    headers.insert(HeaderName::from_static(VIA), HeaderValue::from(hops.saturating_add(1)));
}

/// What a line says; 0 for what is no number, which claims nothing.
#[must_use]
pub fn read(value: &HeaderValue) -> u32 {
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_adds_one_whatever_the_worker_wrote() {
        let mut headers = HeaderMap::new();
        headers.append(VIA, HeaderValue::from_static("0"));
        headers.append(VIA, HeaderValue::from_static("nonsense"));
        write(&mut headers, 4);
        let lines: Vec<_> = headers.get_all(VIA).iter().map(read).collect();
        assert_eq!(lines, [5]);
        assert_eq!(read(&HeaderValue::from_static("nonsense")), 0);
    }
}
