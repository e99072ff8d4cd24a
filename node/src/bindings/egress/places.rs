//! Connections that count.
//!
//! **Owns** that a connection has a place for as long as it is open. **Must not know** what runs on it. **Enter at**
//! [`Placed`].

use std::{
    error::Error,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

use super::share::{Place, Share};

/// BOUND: from wanting a connection to having one, its place, TCP and TLS together.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// BOUND: how long one waits for a place of these; who is not in use has been let go already.
const PLACE_TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// A connector whose connections take a place each.
#[derive(Debug, Clone)]
pub(super) struct Placed<S> {
    inner: S,
    places: Share,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Held<T> {
    stream: T,
    _place: Place,
}

/// Why there is no connection. State: unchanged. Retry: later.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("too many connections to the Internet are open")]
    Full,
    #[error("no connection was made within {} s", OPEN_TIMEOUT.as_secs())]
    TimedOut,
}

impl<S> Placed<S> {
    pub(super) fn new(inner: S, places: Share) -> Self {
        Self { inner, places }
    }
}

impl<S> Service<Uri> for Placed<S>
where
    S: Service<Uri> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    type Response = Held<S::Response>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let next = self.inner.clone();
        // The one that said it is ready is the one that is called.
        let mut inner = std::mem::replace(&mut self.inner, next);
        let places = self.places.clone();
        let open = async move {
            let place = tokio::time::timeout(PLACE_TIMEOUT, places.take()).await.map_err(|_elapsed| OpenError::Full)?;
            let stream = inner.call(uri).await.map_err(Into::into)?;
            Ok(Held { stream, _place: place })
        };
        // A handshake that stalls goes on even when its request has found another connection.
        Box::pin(async move { tokio::time::timeout(OPEN_TIMEOUT, open).await.map_err(|_elapsed| OpenError::TimedOut)? })
    }
}

impl<T: Connection> Connection for Held<T> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl<T: Read + Unpin> Read for Held<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<T: Write + Unpin> Write for Held<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_connection_has_its_place_until_it_is_closed() {
        let all = Arc::new(Semaphore::new(2));
        let connect = tower::service_fn(|_: Uri| async { Ok::<_, io::Error>(()) });
        let mut placed = Placed::new(connect, Share::of(&all, 2));
        let uri = Uri::from_static("http://a.example/");
        let first = placed.call(uri.clone()).await.unwrap();
        let _second = placed.call(uri.clone()).await.unwrap();
        assert!(placed.call(uri.clone()).now_or_never().is_none(), "it waits for a place");
        drop(first);
        placed.call(uri).await.unwrap();
    }
}
