//! One connection of an end user.
//!
//! **Owns** HTTP framing and its limits. **Must not know** what a request leads to. **Enter at** [`serve`].

use std::{convert::Infallible, future::Future, sync::Arc};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{front::Front, limits, paced::Paced, peer::Connection};
use crate::config::IngressLimits;

/// How HTTP is spoken: 1.1, and 2 by ALPN or by prior knowledge.
pub(super) fn builder(config: &IngressLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(limits::HEADER_BYTES_MAX)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits::HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .max_local_error_reset_streams(limits::H2_RESETS_MAX)
        .max_pending_accept_reset_streams(limits::H2_RESETS_MAX)
        .keep_alive_interval(config.header_timeout)
        .keep_alive_timeout(config.header_timeout);
    builder
}

/// Drives a connection to its end, and beside it what watches its streams. Once `told` ends, it finishes what is in flight, then
/// closes.
pub(super) async fn drive<C: GracefulConnection>(
    serving: C,
    watch: impl Future<Output = Infallible>,
    told: impl Future<Output = ()>,
) -> Result<(), C::Error> {
    tokio::pin!(serving, watch, told);
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            result = &mut serving => return result,
            () = &mut told, if !is_told => {
                is_told = true;
                serving.as_mut().graceful_shutdown();
            }
            never = &mut watch => match never {},
        }
    }
}

/// Serves a connection to its end. When the node stops, or [`Connection::dismiss`] is called, it finishes what is in flight, then
/// closes.
pub(super) async fn serve<S>(stream: S, connection: Arc<Connection>, front: Arc<Front>, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = connection.peer;
    let builder = front.builder().clone();
    let pace = front.pace();
    let stream = Paced::new(stream, pace);
    let watched = Arc::clone(&connection);
    let service = service_fn(move |request| Arc::clone(&front).answer(Arc::clone(&connection), request));
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let told = async {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = watched.dismissed() => {}
        }
    };
    let result = drive(serving, watched.streams.watch(pace.writing), told).await;
    if let Err(error) = result {
        // The peer broke off, was too slow or spoke nonsense: its business, and frequent.
        tracing::debug!(%peer, %error, "connection ended");
    }
}
