//! An end user on one keep-alive connection.
//!
//! **Owns** sending requests and timing the answers. **Must not know** what serves them. **Enter at** [`Visitor`].

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::clock;

/// One connection.
#[derive(Debug)]
pub struct Visitor {
    connection: SendRequest<Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
    /// From sending the request to the head of the answer.
    pub first_byte: Duration,
}

impl Visitor {
    /// Connects over plain HTTP/1.1.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (connection, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        #[expect(clippy::disallowed_methods, reason = "ends with the connection that this visitor owns")]
        tokio::spawn(driver);
        Ok(Self { connection })
    }

    /// Asks for `path` of `host`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Visit> {
        self.send(Request::get(path).header("host", host).body(Full::default())?).await
    }

    /// Sends a request that names its `host`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Visit> {
        self.connection.ready().await?;
        let start = clock::now();
        let response = self.connection.send_request(request).await?;
        let first_byte = start.elapsed();
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Visit { status, body, first_byte })
    }
}
