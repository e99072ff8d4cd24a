//! Accepting connections.
//!
//! **Owns** sockets that listen and how many connections there are. **Must not know** what is said on a connection.
//! **Enter at** [`Listener`].

use std::{io, net::SocketAddr, sync::Arc};

use skerry_control::catalog::Scheme;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;

use super::{connection, front::Front, limits, peer::Connection};
use crate::task::Tasks;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    room: Arc<Semaphore>,
}

/// Why a listener can not listen. State: unchanged. Retry: no.
#[derive(Debug, thiserror::Error)]
#[error("{name} can not listen on {address}")]
pub struct BindError {
    /// The listener's key in the configuration.
    pub name: &'static str,
    /// Where it should.
    pub address: SocketAddr,
    /// Why it can not.
    #[source]
    pub source: io::Error,
}

impl Listener {
    /// Binds the socket; port 0 picks a free one. Listeners that are given the same `room` share its connections.
    pub fn bind(name: &'static str, address: SocketAddr, room: Arc<Semaphore>) -> Result<Self, BindError> {
        let wrong = |source| BindError { name, address, source };
        let socket = bind(address).map_err(wrong)?;
        let address = socket.local_addr().map_err(wrong)?;
        Ok(Self { socket, address, room })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, once there is room for it. Never gives up: when the process is out of file descriptors it waits.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    // Answers are written whole; waiting for more to send only delays them.
                    let _best_effort = stream.set_nodelay(true);
                    return (stream, peer, room);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, listener = %self.address, "no connection can be accepted");
                    tokio::time::sleep(limits::ACCEPT_RETRY).await;
                }
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted node takes its port back although old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::BACKLOG)
}

/// The peer went away before it was accepted; the listener is fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Serves end users in clear until told to stop.
pub(super) async fn serve_http(listener: Listener, front: Arc<Front>, tasks: Tasks) {
    let stopping = tasks.stopping();
    loop {
        let (stream, peer, room) = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let connection = Arc::new(Connection::new(peer, Scheme::Http, None, front.proxies(), tasks.clone()));
        let (front, stopping) = (Arc::clone(&front), stopping.clone());
        tasks.spawn("connection", async move {
            connection::serve(stream, connection, front, stopping).await;
            drop(room);
        });
    }
}

/// Serves end users over TLS until told to stop. The handshake runs in the connection's own task.
pub(super) async fn serve_https(listener: Listener, acceptor: TlsAcceptor, front: Arc<Front>, tasks: Tasks) {
    let stopping = tasks.stopping();
    loop {
        let (stream, peer, room) = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (acceptor, front, stopping) = (acceptor.clone(), Arc::clone(&front), stopping.clone());
        let sockets = tasks.clone();
        tasks.spawn("connection", async move {
            match tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let session = Some(stream.get_ref().1);
                    let connection = Arc::new(Connection::new(peer, Scheme::Https, session, front.proxies(), sockets));
                    connection::serve(stream, connection, front, stopping).await;
                }
                Ok(Err(error)) => {
                    front.tls_failed();
                    tracing::debug!(%error, %peer, "TLS handshake failed");
                }
                Err(_) => {
                    front.tls_failed();
                    tracing::debug!(%peer, "TLS handshake took too long");
                }
            }
            drop(room);
        });
    }
}
