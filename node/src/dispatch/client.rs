//! Pure. The headers that tell a worker who asks.
//!
//! **Owns** their names, and what they say of a request that a worker makes to one of another account. **Must not know** how
//! an end user's address is found out. **Enter at** [`stamp`] and [`name_worker`].
//!
//! Workers believe these headers, so nobody outside of their account writes them: neither end users nor other tenants.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use skerry_control::catalog::Scheme;

/// The client's address.
pub const CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
/// The client's address, behind those that proxies saw.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How the client's request came.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client's address where the client is a worker of another account: the one that Cloudflare uses for that, so that workers
/// find an address in every request, and those that came from Cloudflare know what it means.
const WORKER_ADDRESS: &str = "2a06:98c0:3600::103";

/// Names the client. Whatever the request says of it so far is forgotten.
pub fn stamp(headers: &mut HeaderMap, address: HeaderValue, scheme: Scheme) {
    headers.insert(FORWARDED_FOR, address.clone());
    stamp_forwarded(headers, address, scheme);
}

/// Names the client that a proxy saw, and leaves the proxy's list of addresses as it is.
pub fn stamp_forwarded(headers: &mut HeaderMap, address: HeaderValue, scheme: Scheme) {
    // Hardly any request has one, and this walk costs less than looking each of them up.
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
    headers.insert(CONNECTING_IP, address);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
}

/// Names a worker of another account as the client, in a request whose URL has this scheme. `Host` goes too: whoever runs the
/// target writes the URL's, as ingress does for end users.
pub fn name_worker(headers: &mut HeaderMap, scheme: Scheme) {
    stamp(headers, HeaderValue::from_static(WORKER_ADDRESS), scheme);
    headers.remove(header::HOST);
}

/// Whether a header says of the client what this node does not know and so does not send: nobody else is to claim it.
/// `CF-Worker` names the worker that asks.
fn is_claim(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "x-real-ip"
            | "true-client-ip"
            | "cf-connecting-ipv6"
            | "cf-pseudo-ipv4"
            | "cf-ipcountry"
            | "cf-visitor"
            | "cf-worker"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_of_what_a_worker_of_another_account_claims() {
        let mut headers = HeaderMap::new();
        let told = ["cf-connecting-ip", "x-forwarded-for", "x-forwarded-proto", "host"];
        let addresses = ["x-real-ip", "true-client-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4"];
        let others = ["cf-ipcountry", "cf-visitor", "cf-worker"];
        for name in told.into_iter().chain(addresses).chain(others) {
            headers.append(name, HeaderValue::from_static("10.0.0.1"));
            headers.append(name, HeaderValue::from_static("10.0.0.2"));
        }
        headers.insert("x-own", HeaderValue::from_static("kept"));
        name_worker(&mut headers, Scheme::Http);
        let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        let expected = [
            ("cf-connecting-ip", "2a06:98c0:3600::103"),
            ("x-forwarded-for", "2a06:98c0:3600::103"),
            ("x-forwarded-proto", "http"),
            ("x-own", "kept"),
        ];
        assert_eq!(left, expected);
    }
}
