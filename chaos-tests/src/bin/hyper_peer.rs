//! A bare hyper server that answers the small JSON document: the floor under any server built on hyper.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("usage: hyper_peer ADDRESS")?;
    let address: SocketAddr = address.parse().with_context(|| format!("`{address}` is not an address"))?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true)?;
        #[expect(clippy::disallowed_methods, reason = "ends with its connection; the program has no other tasks")]
        tokio::spawn(async move {
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            // wrk leaves in the middle of its last requests.
            if let Some(error) = served.err().filter(|error| !error.is_incomplete_message()) {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = serde_json::json!({
        "hello": "world", "method": request.method().as_str(), "path": request.uri().path(), "items": [1, 2, 3],
    });
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}
