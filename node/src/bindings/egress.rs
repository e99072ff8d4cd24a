//! A worker's `fetch` to the Internet.
//!
//! **Owns** outgoing connections and which addresses they may reach. **Must not know** workers or services of this
//! cluster. **Enter at** [`Egress::fetch`].
//!
//! The rule is applied to the address that is connected to, after resolving, for each connection: a name that resolves
//! elsewhere the second time gains nothing. Redirects are followed by the worker, so each comes here as a request.

use std::{
    error::Error,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Builder, Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tower::Service;

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
/// BOUND: unused connections kept for one host.
const IDLE_PER_HOST_MAX: usize = 32;
/// BOUND: how long an unused connection is kept; most servers close theirs after 60 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// BOUND: bytes of an answer's headers; Cloudflare's limit.
const HEADER_BYTES_MAX: usize = 128 << 10;

type Connector = HttpsConnector<HttpConnector<GuardedResolver>>;

/// Connections to the Internet, shared by all workers.
#[derive(Debug, Clone)]
pub struct Egress {
    client: Client<Connector, Body>,
    /// For WebSockets, which need HTTP/1.1 and keep their connection.
    sockets: Client<Connector, Body>,
    rule: Arc<EgressRule>,
}

/// Which addresses workers may reach.
#[derive(Debug, Clone, Default)]
pub struct EgressRule {
    /// Inner ranges that the operator allows beside all public addresses.
    pub allow: Vec<Cidr>,
}

impl EgressRule {
    fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allow.iter().any(|range| range.contains(address))
    }
}

impl Egress {
    /// A client without connections yet.
    #[must_use]
    pub fn build(rule: EgressRule) -> Self {
        let rule = Arc::new(rule);
        let tls = || {
            let provider = rustls::crypto::ring::default_provider();
            let builder = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
            builder.expect("ring offers the default protocol versions").https_or_http()
        };
        let client = builder().build(tls().enable_all_versions().wrap_connector(tcp(&rule)));
        let sockets = builder().build(tls().enable_http1().wrap_connector(tcp(&rule)));
        Self { client, sockets, rule }
    }

    /// Sends a request with an absolute URI and waits for the answer's headers.
    pub async fn fetch(&self, mut request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        remove_hop_by_hop(request.headers_mut());
        self.send(&self.client, request).await
    }

    /// Sends a WebSocket's handshake, whose headers the caller has written. When the answer is 101, its extensions hold what
    /// [`hyper::upgrade::on`] waits for.
    pub async fn handshake(&self, request: Request<Body>) -> Result<Response<Body>, OutboundError> {
        self.send(&self.sockets, request).await
    }

    async fn send(
        &self,
        client: &Client<Connector, Body>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, OutboundError> {
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

fn tcp(rule: &Arc<EgressRule>) -> HttpConnector<GuardedResolver> {
    let mut tcp = HttpConnector::new_with_resolver(GuardedResolver { rule: Arc::clone(rule) });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http1_max_buf_size(HEADER_BYTES_MAX)
        .http2_max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

/// Resolves names and drops the addresses that workers may not reach.
#[derive(Debug, Clone)]
struct GuardedResolver {
    rule: Arc<EgressRule>,
}

/// Why a name gave no address to connect to.
#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("the name can not be resolved")]
    Lookup(#[source] io::Error),
    #[error("every address of the name is refused")]
    Refused,
}

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let rule = Arc::clone(&self.rule);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveError::Lookup)?;
            let addresses: Vec<SocketAddr> = found.filter(|address| rule.permits(address.ip())).collect();
            if addresses.is_empty() { Err(ResolveError::Refused) } else { Ok(addresses.into_iter()) }
        })
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
    OutboundError::Refused(format!("{host} is not a public address: the operator may allow it with egress_allow"))
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

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
            let error = egress.fetch(get(url)).await.unwrap_err();
            assert!(matches!(error, OutboundError::Refused(_)), "{url}: {error}");
        }
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
        let egress = Egress::build(EgressRule { allow: vec!["127.0.0.0/8".parse().unwrap()] });
        let mut request = get(&format!("http://localhost:{}/x?y", address.port()));
        request.headers_mut().insert(header::CONNECTION, "x-drop".parse().unwrap());
        request.headers_mut().insert("x-drop", "1".parse().unwrap());
        request.headers_mut().insert("x-keep", "1".parse().unwrap());
        let response = egress.fetch(request).await.unwrap();
        assert!(!response.headers().contains_key("keep-alive"));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        let seen = server.await.unwrap();
        assert!(seen.starts_with("get /x?y") && seen.contains("x-keep") && !seen.contains("x-drop"), "{seen}");
    }
}
