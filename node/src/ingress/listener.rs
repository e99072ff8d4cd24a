//! Accepting connections.
//!
//! **Owns** sockets that listen and how many connections there are. **Must not know** what is said on a connection.
//! **Enter at** [`Sockets`] and [`Listener`].

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;

use super::{connection, front::Front, limits, peer::Connection};
use crate::task::Tasks;

/// The sockets of a process. They outlive the listeners, so that a node that starts anew in place refuses nobody: whoever
/// connects meanwhile waits in the backlog.
#[derive(Debug, Default)]
pub struct Sockets {
    kept: BTreeMap<&'static str, std::net::TcpListener>,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    room: Arc<Semaphore>,
}

/// The place of an end user's connection among those that there may be, counted as open while it lives.
#[derive(Debug)]
pub(super) struct Place {
    open: Gauge,
    _room: OwnedSemaphorePermit,
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

impl Sockets {
    /// Listens with the socket of this name, which is bound the first time; port 0 picks a free one. Listeners that are given
    /// the same `room` share its connections.
    pub fn listen(
        &mut self,
        name: &'static str,
        address: SocketAddr,
        room: Arc<Semaphore>,
    ) -> Result<Listener, BindError> {
        let wrong = |source| BindError { name, address, source };
        let kept = match self.kept.remove(name) {
            Some(kept) => kept,
            None => bind(address).and_then(TcpListener::into_std).map_err(wrong)?,
        };
        let socket = kept.try_clone().and_then(TcpListener::from_std).map_err(wrong)?;
        self.kept.insert(name, kept);
        let address = socket.local_addr().map_err(wrong)?;
        Ok(Listener { socket, address, room })
    }
}

impl Place {
    pub(super) fn new(open: Gauge, room: OwnedSemaphorePermit) -> Self {
        open.inc();
        Self { open, _room: room }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Listener {
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
        let place = front.place(room);
        let connection = Arc::new(Connection::new(peer, None, front.proxies(), tasks.clone(), place));
        let (front, stopping) = (Arc::clone(&front), stopping.clone());
        tasks.spawn("connection", connection::serve(stream, connection, front, stopping));
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
                    let (session, place) = (Some(stream.get_ref().1), front.place(room));
                    let connection = Arc::new(Connection::new(peer, session, front.proxies(), sockets, place));
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
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_connects_between_two_listeners_of_one_socket_is_accepted_by_the_second() {
        let (mut sockets, room) = (Sockets::default(), Arc::new(Semaphore::new(10)));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = sockets.listen("http", any, Arc::clone(&room)).unwrap();
        let address = first.address();
        drop(first);
        let client = TcpStream::connect(address).await.unwrap();
        let second = sockets.listen("http", any, room).unwrap();
        assert_eq!(second.address(), address);
        assert_eq!(second.accept().await.1, client.local_addr().unwrap());
        drop((second, sockets));
        assert!(TcpStream::connect(address).await.is_err(), "a socket that nobody keeps is closed");
    }
}
