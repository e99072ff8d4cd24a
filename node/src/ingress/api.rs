//! The API's listener.
//!
//! **Owns** how the API is reached: in clear on loopback, over TLS elsewhere. **Must not know** its calls. **Enter at**
//! [`ApiListener`].

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use http::Version;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use skerry_control::api::ports::Peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    connection, limits,
    listener::Listener,
    paced::{Pace, Paced},
    streams::Streams,
    tls,
};
use crate::{task::Tasks, worker::BodyError};

/// The API, bound to its address.
pub struct ApiListener {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    router: Router,
}

/// The certificate that the API shows, whatever name it is called by.
#[derive(Debug)]
pub struct ApiTls(ArcSwap<CertifiedKey>);

impl ApiTls {
    /// Shows this one for now.
    #[must_use]
    pub fn new(key: Arc<CertifiedKey>) -> Self {
        Self(ArcSwap::new(key))
    }

    /// Shows another one to connections from now on.
    pub fn show(&self, key: Arc<CertifiedKey>) {
        self.0.store(key);
    }

    /// The one that is shown.
    #[must_use]
    pub fn shown(&self) -> Arc<CertifiedKey> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for ApiTls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }
}

impl ApiListener {
    /// The API behind a listener; with `certificate`, over TLS.
    #[must_use]
    pub fn new(listener: Listener, certificate: Option<Arc<ApiTls>>, router: Router) -> Self {
        Self { listener, tls: certificate.map(|certificate| tls::acceptor(certificate)), router }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }
}

/// Serves the API until told to stop.
pub(super) async fn serve(api: ApiListener, tasks: Tasks) {
    let stopping = tasks.stopping();
    loop {
        let (stream, address, room) = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = api.listener.accept() => accepted,
        };
        let peer = Peer { address, is_encrypted: api.tls.is_some() };
        let (tls, router, stopping) = (api.tls.clone(), api.router.clone(), stopping.clone());
        tasks.spawn("api connection", async move {
            match tls {
                None => converse(stream, peer, router, stopping).await,
                Some(tls) => match tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, peer, router, stopping).await,
                    Ok(Err(error)) => tracing::debug!(%error, %address, "TLS handshake with the API failed"),
                    Err(_) => tracing::debug!(%address, "TLS handshake with the API took too long"),
                },
            }
            drop(room);
        });
    }
}

async fn converse<S>(stream: S, peer: Peer, router: Router, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let streams = Arc::new(Streams::default());
    let watched = Arc::clone(&streams);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let is_h2 = request.version() == Version::HTTP_2;
        request.extensions_mut().insert(peer);
        let (answering, streams) = (router.clone().oneshot(request), Arc::clone(&streams));
        async move {
            let response = answering.await?;
            Ok::<_, Infallible>(if is_h2 { response.map(|body| paced(&streams, body)) } else { response })
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::API_STALL_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(limits::H2_STREAMS_MAX);
    let pace = Pace { opening: limits::HANDSHAKE_TIMEOUT, writing: limits::API_STALL_TIMEOUT };
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(Paced::new(stream, pace)), service);
    let watch = watched.watch(limits::API_STALL_TIMEOUT);
    if let Err(error) = connection::drive(serving, watch, stopping.cancelled()).await {
        tracing::debug!(address = %peer.address, %error, "a connection to the API ended");
    }
}

fn paced(streams: &Streams, body: Body) -> Body {
    Body::new(streams.watched(body.map_err(|error| BodyError::Aborted(error.to_string().into())).boxed_unsync()))
}
