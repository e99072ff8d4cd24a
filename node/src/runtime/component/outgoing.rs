//! A guest's requests to the world and to bound services.
//!
//! **Owns** telling the two apart by authority, and the guest's own timeouts. **Must not know** how either is carried out.
//! **Enter at** [`Outgoing`].

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time::{Sleep, sleep, timeout};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::door::Door;
use crate::{
    bindings::outbound::{LogLevel, OutboundError},
    worker::{Body, BodyError},
};

/// The authority `NAME.binding` stands for the service binding NAME.
const BINDING_SUFFIX: &str = ".binding";
/// BOUND: bytes that a guest may write to a body at once; two such writes may wait for the network.
const CHUNK_BYTES_MAX: usize = 256 << 10;

/// One call's outgoing requests.
#[derive(Debug)]
pub(super) struct Outgoing {
    door: Arc<Door>,
}

impl Outgoing {
    pub(super) fn new(door: Arc<Door>) -> Self {
        Self { door }
    }
}

type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Transfer,
    ) -> Sending {
        let door = self.door.clone();
        Box::new(async move {
            let response = send(door, request, options.unwrap_or_default()).await?;
            Ok((response, Box::new(async { Ok(()) }) as Transfer))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }
}

async fn send(
    door: Arc<Door>,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Error> {
    let request = request.map(|body| Body::new(Upload { body, door: door.clone() }));
    let sending = route(&door, request);
    // The layers below connect and send in one step, so the guest's two limits bound their sum.
    let limit = options.first_byte_timeout.map(|first_byte| first_byte + options.connect_timeout.unwrap_or_default());
    let response = match limit {
        Some(limit) => timeout(limit, sending).await.map_err(|_elapsed| Error::HttpResponseTimeout)??,
        None => sending.await?,
    };
    let between_bytes = options.between_bytes_timeout;
    Ok(response.map(|body| match between_bytes {
        Some(limit) => Patient { body, limit, left: Box::pin(sleep(limit)) }.boxed_unsync(),
        None => body.map_err(to_wasi).boxed_unsync(),
    }))
}

async fn route(door: &Door, request: Request<Body>) -> Result<Response<Body>, Error> {
    let Some(name) = binding_name(request.uri()) else {
        return door.fetch(request).await.map_err(|error| refuse(door, error));
    };
    match door.service_binding(name) {
        Some(target) => door.service(target, request).await.map_err(|error| refuse(door, error)),
        None => {
            door.log(LogLevel::Warn, format!("no service binding is called {name:?}"), None);
            Err(Error::DestinationNotFound)
        }
    }
}

/// `BACKEND` of `http://BACKEND.binding/path`.
fn binding_name(uri: &Uri) -> Option<&str> {
    let host = uri.host()?;
    let (name, suffix) = host.split_at_checked(host.len().checked_sub(BINDING_SUFFIX.len())?)?;
    (suffix.eq_ignore_ascii_case(BINDING_SUFFIX) && !name.is_empty()).then_some(name)
}

/// The error as the guest sees it; where WASI's code has no room for words, the words go to the log.
fn refuse(door: &Door, error: OutboundError) -> Error {
    match error {
        OutboundError::Refused(reason) => {
            door.log(LogLevel::Warn, reason, None);
            Error::HttpRequestDenied
        }
        OutboundError::TooDeep => Error::LoopDetected,
        OutboundError::Network(_) | OutboundError::TooManySubrequests | OutboundError::Worker(_) => {
            Error::InternalError(Some(error.to_string()))
        }
    }
}

fn to_wasi(error: BodyError) -> Error {
    Error::InternalError(Some(error.to_string()))
}

/// A request body that the guest writes. When the guest is stopped, its side is dropped, which looks like the body's end; the
/// other side must see that it was cut off.
struct Upload {
    body: WasiBody,
    door: Arc<Door>,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None if self.door.has_failed() => Some(Err(BodyError::Aborted("the worker was stopped".into()))),
            frame => frame.map(|frame| frame.map_err(|error| BodyError::Aborted(error.to_string().into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A response body that must not pause for longer than `limit`.
struct Patient {
    body: Body,
    limit: Duration,
    left: Pin<Box<Sleep>>,
}

impl http_body::Body for Patient {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.left = Box::pin(sleep(self.limit));
            return Poll::Ready(frame.map(|frame| frame.map_err(to_wasi)));
        }
        self.left.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_authority_decides_whether_a_request_is_for_a_binding() {
        let name = |uri: &'static str| binding_name(&Uri::from_static(uri)).map(str::to_owned);
        assert_eq!(name("http://BACKEND.binding/a").as_deref(), Some("BACKEND"));
        assert_eq!(name("http://backend.BINDING:80/").as_deref(), Some("backend"));
        assert_eq!(name("http://my.api.binding/").as_deref(), Some("my.api"));
        assert_eq!(name("http://.binding/"), None);
        assert_eq!(name("http://binding/"), None);
        assert_eq!(name("https://example.com/x.binding"), None);
    }
}
