//! A worker's `fetch` to the Internet.
//!
//! **Owns** outgoing connections and which addresses they may reach. **Must not know** workers or services of this
//! cluster. **Enter at** [`Egress::fetch`].
//!
//! The rule is applied to the address that is connected to, after resolving, for each connection: a name that resolves
//! elsewhere the second time gains nothing. Redirects are followed by the worker, so each comes here as a request.

mod pools;

mod places;

mod resolver;

mod share;

use std::{error::Error, fmt, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt;
use skerry_proto::id::AccountId;

pub use self::pools::CONNECTIONS_MAX;
use self::{
    pools::{Pool, Pools},
    resolver::ResolveError,
};
use super::{
    framing::{drop_false_length, known_length, remove_hop_by_hop},
    outbound::OutboundError,
};
use crate::{
    address::{Cidr, is_public},
    telemetry::chain,
    worker::{Body, BodyError},
};

/// BOUND: a server that does not accept a connection in this time will not; browsers wait as long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// BOUND: from sending a request to the answer's headers; Cloudflare's limit for origins.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(100);
/// BOUND: bytes of an answer's headers; Cloudflare's limit.
const HEADER_BYTES_MAX: usize = 128 << 10;

/// Connections to the Internet.
#[derive(Debug, Clone)]
pub struct Egress {
    pools: Arc<Pools>,
    rule: Arc<EgressRule>,
}

/// Which addresses workers may reach: what the operator allows, and public ones that are no machine's of the cluster, whose
/// firewall may let in more from there.
#[derive(Clone, Default)]
pub struct EgressRule {
    /// Ranges that the operator allows beside these.
    pub allow: Vec<Cidr>,
    /// The cluster's machines; `None`: nobody knows any.
    pub members: Option<Arc<dyn Members>>,
}

/// Who knows the cluster's machines.
pub trait Members: Send + Sync {
    /// Whether one of them has this address.
    fn have(&self, address: IpAddr) -> bool;
}

impl EgressRule {
    fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_member = || self.members.as_ref().is_some_and(|members| members.have(address));
        self.allow.iter().any(|range| range.contains(address)) || (is_public(address) && !is_member())
    }
}

impl fmt::Debug for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressRule").field("allow", &self.allow).finish_non_exhaustive()
    }
}

impl Egress {
    /// A client without connections yet.
    #[must_use]
    pub fn build(rule: EgressRule) -> Self {
        let rule = Arc::new(rule);
        Self { pools: Arc::new(Pools::new(Arc::clone(&rule))), rule }
    }

    /// Sends a request of an account's worker, with an absolute URI, and waits for the answer's headers.
    pub async fn fetch(
        &self,
        account: &AccountId,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        remove_hop_by_hop(request.headers_mut());
        self.send(&self.pools.of(account).client, request).await
    }

    /// Sends a WebSocket's handshake, whose headers the caller has written. When the answer is 101, its extensions hold what
    /// [`hyper::upgrade::on`] waits for.
    pub async fn handshake(
        &self,
        account: &AccountId,
        request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
        self.send(&self.pools.of(account).sockets, request).await
    }

    async fn send(&self, client: &Pool, mut request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        self.check_literal(request.uri())?;
        // The client writes the host of the URI; a worker can not claim to want another.
        request.headers_mut().remove(header::HOST);
        frame(&mut request);
        *request.version_mut() = http::Version::HTTP_11;
        let host = request.uri().host().unwrap_or_default().to_owned();
        match tokio::time::timeout(ANSWER_TIMEOUT, client.request(request)).await {
            Ok(Ok(mut response)) => {
                remove_hop_by_hop(response.headers_mut());
                Ok(response.map(|body| body.map_err(|error| BodyError::Aborted(chain(&error).into())).boxed_unsync()))
            }
            Ok(Err(error)) => Err(outbound_error(&host, &error)),
            Err(_) => {
                let seconds = ANSWER_TIMEOUT.as_secs();
                Err(OutboundError::Network(format!("{host} did not answer within {seconds} s")))
            }
        }
    }

    /// An address written into the URL never reaches the resolver.
    fn check_literal(&self, uri: &Uri) -> Result<(), OutboundError> {
        let Some(host) = uri.host() else {
            return Err(OutboundError::Refused("Fetch API cannot load: the URL has no host".into()));
        };
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.rule.permits(address) => Err(refused(host)),
            _ => Ok(()),
        }
    }
}

/// Says how long the body is, whatever the worker's headers claim: the connection is shared with other workers, and bytes
/// past the announced length would be read as another one's request.
fn frame(request: &mut Request<Body>) {
    let known = known_length(request.body());
    drop_false_length(request.headers_mut(), known);
    // RFC 9110 section 8.6: servers may insist on a length where the method expects a body.
    if known == Some(0) && matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

fn outbound_error(host: &str, error: &(dyn Error + 'static)) -> OutboundError {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(ResolveError::Refused) = current.downcast_ref() {
            return refused(host);
        }
        cause = current.source();
    }
    OutboundError::Network(format!("{host} can not be reached: {}", chain(error)))
}

fn refused(host: &str) -> OutboundError {
    OutboundError::Refused(format!(
        "{host} is not a public address, or one of this cluster's: the operator may allow it with egress_allow"
    ))
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    fn account() -> AccountId {
        AccountId::new(&"a".repeat(32)).unwrap()
    }

    fn get(url: &str) -> Request<Body> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Request::get(url).body(body).unwrap()
    }

    #[tokio::test]
    async fn inner_addresses_are_refused_however_they_are_written() {
        let egress = Egress::build(EgressRule::default());
        for url in [
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "https://10.0.0.1/",
            "http://localhost:1/",
            "http://[::ffff:127.0.0.1]:1/",
        ] {
            let error = egress.fetch(&account(), get(url)).await.unwrap_err();
            assert!(matches!(error, OutboundError::Refused(_)), "{url}: {error}");
        }
    }

    #[test]
    fn the_clusters_own_machines_are_refused_unless_the_operator_lists_them() {
        struct One(IpAddr);
        impl Members for One {
            fn have(&self, address: IpAddr) -> bool {
                address == self.0
            }
        }
        let (ours, other): (IpAddr, IpAddr) = ("9.9.9.9".parse().unwrap(), "8.8.8.8".parse().unwrap());
        let rule = |allow| EgressRule { allow, members: Some(Arc::new(One(ours))) };
        let closed = rule(Vec::new());
        assert_eq!([ours, other].map(|address| closed.permits(address)), [false, true]);
        let mapped: IpAddr = "::ffff:9.9.9.9".parse().unwrap();
        assert!(!closed.permits(mapped) && rule(vec!["9.9.9.9".parse().unwrap()]).permits(mapped));
    }

    #[tokio::test]
    async fn what_the_operator_allows_is_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = crate::task::spawn("server", async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: 5\r\n\r\nok").await.unwrap();
            String::from_utf8_lossy(&request[..length]).to_lowercase()
        });
        let egress = Egress::build(EgressRule { allow: vec!["127.0.0.0/8".parse().unwrap()], members: None });
        let mut request = get(&format!("http://localhost:{}/x?y", address.port()));
        request.headers_mut().insert(header::CONNECTION, "x-drop".parse().unwrap());
        request.headers_mut().insert("x-drop", "1".parse().unwrap());
        request.headers_mut().insert("x-keep", "1".parse().unwrap());
        let response = egress.fetch(&account(), request).await.unwrap();
        assert!(!response.headers().contains_key("keep-alive"));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        let seen = server.await.unwrap();
        assert!(seen.starts_with("get /x?y") && seen.contains("x-keep") && !seen.contains("x-drop"), "{seen}");
    }
}
