//! A call from another node, on its way to the service that answers it.
//!
//! **Owns** that a call is answered or refused once. **Must not know** who serves it. **Enter at** [`Incoming`].

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use bytes::BytesMut;
use prost::Message;
use skerry_proto::{
    id::NodeId,
    mesh::{AnswerHead, Method, Refusal, refusal::Code},
};

use super::{
    code::StreamCode,
    frame,
    stream::{FrameError, FrameReceiver, Stream},
};
use crate::limits::{REFUSAL_BYTES_MAX, REQUEST_TIMEOUT};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A member, by its certificate.
    Node(NodeId),
    /// Somebody who wants to join, from this address.
    Stranger(SocketAddr),
}

/// Answers the calls of a method.
#[async_trait]
pub trait Service: Send + Sync {
    /// Answers one call. What is neither answered nor refused when this returns is cut off, and its caller does not know
    /// whether it was done.
    async fn serve(&self, from: Caller, call: Incoming);
}

/// Services by their methods.
pub type Services = std::collections::BTreeMap<Method, Arc<dyn Service>>;

/// A call that waits for its answer.
#[derive(Debug)]
pub struct Incoming {
    pub(super) method: Method,
    pub(super) traceparent: String,
    pub(super) stream: Stream,
}

impl Incoming {
    /// What is asked for.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The W3C traceparent of the span that asks. Not checked.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        Some(self.traceparent.as_str()).filter(|text| !text.is_empty())
    }

    /// The request. When it can not be read, its caller is told so; just return then.
    pub async fn request<M: Message + Default>(&mut self, max_bytes: usize) -> Result<M, FrameError> {
        let read = tokio::time::timeout(REQUEST_TIMEOUT, self.stream.receive.next(max_bytes)).await;
        match read {
            Ok(Ok(Some(request))) => Ok(request),
            Ok(Ok(None)) => Err(FrameError::Lost { reason: "the call has no request".to_owned() }),
            Ok(Err(error)) => {
                let code = match error {
                    FrameError::TooLarge { .. } => StreamCode::TooLarge,
                    FrameError::Malformed { .. } => StreamCode::Malformed,
                    _ => StreamCode::Abandoned,
                };
                self.stream.cut(code);
                Err(error)
            }
            Err(_) => Err(FrameError::Lost { reason: format!("no request within {} s", REQUEST_TIMEOUT.as_secs()) }),
        }
    }

    /// What follows the request. The call can still be refused when it was read.
    pub fn rest(&mut self) -> &mut FrameReceiver {
        &mut self.stream.receive
    }

    /// Answers. `Ok`: the answer is on its way.
    pub async fn answer<M: Message>(mut self, answer: &M) -> Result<(), FrameError> {
        let mut frames = BytesMut::new();
        frame::append(&mut frames, &AnswerHead::default())?;
        frame::append(&mut frames, answer)?;
        self.stream.send.write(&mut [frames.freeze()]).await?;
        self.stream.send.finish()
    }

    /// Says that nothing was done, and why. A long message is cut.
    pub async fn refuse(mut self, code: Code, message: &str) -> Result<(), FrameError> {
        let end = (0..=REFUSAL_BYTES_MAX.min(message.len())).rev().find(|at| message.is_char_boundary(*at));
        let message = message[..end.unwrap_or(0)].to_owned();
        let refusal = Some(Refusal { code: code.into(), message });
        self.stream.send.send(&AnswerHead { refusal }).await?;
        self.stream.send.finish()
    }

    /// Takes the call on and goes over to a flow of messages; what was read so far is not read again.
    pub async fn accept_flow(mut self) -> Result<Stream, FrameError> {
        self.stream.send.send(&AnswerHead::default()).await?;
        Ok(self.stream)
    }
}
