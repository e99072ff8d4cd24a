//! Who is at the other end.
//!
//! **Owns** what is believed about a connection's peer and what workers are told about it. **Must not know** requests beyond
//! their headers. **Enter at** [`Connection`].

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use rustls::ServerConnection;
use skerry_control::catalog::Scheme;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::{listener::Place, streams::Streams};
use crate::{
    address::Cidr,
    dispatch::client::{self, FORWARDED_FOR, FORWARDED_PROTO},
    task::Tasks,
    worker::RequestCf,
};

/// Proxies in front of the node, whose word about the end user counts.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Their addresses.
    pub ranges: Arc<[Cidr]>,
}

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }
}

/// One connection of an end user or of a proxy, with everything about it that requests share. A WebSocket that takes it over keeps
/// it, and with it the connection's place.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) scheme: Scheme,
    address: HeaderValue,
    is_proxy: bool,
    /// Where tasks that outlive the connection, such as WebSockets, are counted.
    pub(super) tasks: Tasks,
    /// Answers on their way out over HTTP/2.
    pub(super) streams: Streams,
    dismissed: CancellationToken,
    h1: RequestCf,
    h2: RequestCf,
    _place: Place,
}

impl Connection {
    /// `session` is that of TLS, where it is spoken.
    pub(super) fn new(
        peer: SocketAddr,
        session: Option<&ServerConnection>,
        proxies: &Proxies,
        tasks: Tasks,
        place: Place,
    ) -> Self {
        let scheme = if session.is_some() { Scheme::Https } else { Scheme::Http };
        let ip = peer.ip().to_canonical();
        let address = HeaderValue::from_str(&ip.to_string()).expect("an address is printable ASCII");
        let (h1, h2) = (cf("HTTP/1.1", session), cf("HTTP/2", session));
        let (streams, dismissed) = (Streams::default(), CancellationToken::new());
        let is_proxy = proxies.trusts(ip);
        Self { peer, scheme, address, is_proxy, tasks, streams, dismissed, h1, h2, _place: place }
    }

    /// `request.cf`.
    pub(super) fn cf(&self, version: Version) -> RequestCf {
        if version == Version::HTTP_2 { self.h2.clone() } else { self.h1.clone() }
    }

    /// Lets nothing follow an answer and those that are under way: HTTP/1.1 says so in the answer, HTTP/2 with GOAWAY. A
    /// connection that asks nothing is left alone, since its next request may be on the way already.
    pub(super) fn dismiss<B>(&self, version: Version, response: &mut Response<B>) {
        if version == Version::HTTP_2 {
            self.dismissed.cancel();
        } else if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Ends once an HTTP/2 connection is to begin no more streams.
    pub(super) fn dismissed(&self) -> WaitForCancellationFuture<'_> {
        self.dismissed.cancelled()
    }

    /// Tells the worker who asks, in the headers that Cloudflare uses, and returns how the end user's request came. What the
    /// peer itself claims in these headers counts only when it is a trusted proxy.
    pub(super) fn stamp(&self, headers: &mut HeaderMap) -> Scheme {
        if self.is_proxy
            && let Some((scheme, address)) = forwarded(headers)
        {
            let scheme = scheme.unwrap_or(self.scheme);
            client::stamp_forwarded(headers, address, scheme);
            return scheme;
        }
        client::stamp(headers, self.address.clone(), self.scheme);
        self.scheme
    }
}

/// What a trusted proxy says: the scheme, and the address that it saw, the last of the list. `None` when it names nobody.
fn forwarded(headers: &HeaderMap) -> Option<(Option<Scheme>, HeaderValue)> {
    let list = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    let client: IpAddr = list.rsplit(',').next()?.trim().parse().ok()?;
    let scheme = headers.get(FORWARDED_PROTO).and_then(|value| match value.as_bytes() {
        b"http" => Some(Scheme::Http),
        b"https" => Some(Scheme::Https),
        _ => None,
    });
    Some((scheme, HeaderValue::from_str(&client.to_string()).ok()?))
}

/// `request.cf` as JSON. Where the node is and who routed the request are unknown to a node that stands alone.
fn cf(protocol: &str, session: Option<&ServerConnection>) -> RequestCf {
    let mut cf = serde_json::json!({ "httpProtocol": protocol, "colo": "SKR" });
    if let Some(session) = session {
        let version = session.protocol_version().and_then(|version| match version {
            rustls::ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            rustls::ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        });
        let cipher = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        cf["tlsVersion"] = version.into();
        // `TLS13_AES_256_GCM_SHA384` is how rustls, `AEAD-AES256-GCM-SHA384` how OpenSSL says it; users compare neither.
        cf["tlsCipher"] = cipher.into();
    }
    RequestCf(cf.to_string().into())
}

/// Whether a request asks for a WebSocket (RFC 6455 section 4.2.1).
pub(super) fn wants_socket(headers: &HeaderMap) -> bool {
    lists(headers, &header::UPGRADE, b"websocket") && lists(headers, &header::CONNECTION, b"upgrade")
}

fn lists(headers: &HeaderMap, name: &HeaderName, word: &[u8]) -> bool {
    let mut words = headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    words.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::dispatch::client::CONNECTING_IP;

    fn connection(peer: &str, trusted: &str) -> Connection {
        let proxies = Proxies { ranges: [trusted.parse().unwrap()].into() };
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Connection::new(peer.parse().unwrap(), None, &proxies, Tasks::new(), Place::new(Gauge::default(), room))
    }

    fn claimed() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "6.6.6.6, 198.51.100.7".parse().unwrap());
        headers.insert(FORWARDED_PROTO, "https".parse().unwrap());
        headers.insert(CONNECTING_IP, "6.6.6.6".parse().unwrap());
        headers
    }

    #[test]
    fn a_stranger_can_not_claim_an_address() {
        let mut headers = claimed();
        let scheme = connection("192.0.2.1:5", "10.0.0.0/8").stamp(&mut headers);
        assert_eq!(scheme, Scheme::Http);
        for name in [CONNECTING_IP, FORWARDED_FOR] {
            assert_eq!(headers.get_all(&name).iter().collect::<Vec<_>>(), ["192.0.2.1"], "{name}");
        }
        assert_eq!(headers[FORWARDED_PROTO], "http");
    }

    #[test]
    fn a_trusted_proxy_names_the_client_it_saw() {
        let mut headers = claimed();
        let scheme = connection("10.1.1.1:5", "10.0.0.0/8").stamp(&mut headers);
        assert_eq!(scheme, Scheme::Https);
        assert_eq!(headers[CONNECTING_IP], "198.51.100.7");
        assert_eq!(headers[FORWARDED_PROTO], "https");
    }

    #[test]
    fn a_handshake_names_the_upgrade_in_both_headers() {
        for (upgrade, connection, expected) in [
            ("websocket", "Upgrade", true),
            ("WebSocket", "keep-alive, upgrade", true),
            ("h2c, websocket", "Upgrade, HTTP2-Settings", true),
            ("websocket", "keep-alive", false),
            ("h2c", "Upgrade", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::UPGRADE, HeaderValue::from_static(upgrade));
            assert!(!wants_socket(&headers), "{upgrade}");
            headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
            assert_eq!(wants_socket(&headers), expected, "{upgrade}; {connection}");
        }
    }

    #[test]
    fn a_proxy_that_names_nobody_is_the_client() {
        let mut headers = HeaderMap::new();
        connection("10.1.1.1:5", "10.0.0.0/8").stamp(&mut headers);
        assert_eq!(headers[CONNECTING_IP], "10.1.1.1");
    }
}
