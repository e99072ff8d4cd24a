//! A stream of messages between two nodes.
//!
//! **Owns** writing and reading frames, and cutting a stream off when one is wrong. **Must not know** connections or what
//! is asked. **Enter at** [`Stream`].

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use prost::Message;
use quinn::{ReadError, VarInt, WriteError};
use skerry_proto::mesh::{AnswerHead, refusal::Code};

use super::{
    code::StreamCode,
    counters::{Counters, Reason},
    frame::{self, Decoder, TooLarge},
    links::Line,
};
use crate::limits::ANSWER_HEAD_BYTES_MAX;

/// BOUND: bytes taken from QUIC at once.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// Why a stream does not go on. Nothing more can be read or written after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The other side refused what this stream asks for. State: unchanged. Retry: as the code says.
    #[error("refused: {message}")]
    Refused {
        /// The kind of refusal.
        code: Code,
        /// For people.
        message: String,
    },
    /// The other side cut the stream off. State: unknown. Retry: as the protocol allows.
    #[error("the stream was cut off: {}", code.meaning())]
    Reset {
        /// Why.
        code: StreamCode,
    },
    /// A message can not be read; the stream was cut off. State: unknown. Retry: no.
    #[error("a message can not be read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// A message is larger than allowed; the stream was cut off. State: unknown. Retry: in parts.
    #[error("a message has {size_bytes} bytes, more than {max_bytes}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// What is allowed.
        max_bytes: usize,
    },
    /// The connection is gone, or the stream ended inside a message. State: unknown. Retry: as the protocol allows.
    #[error("the stream broke: {reason}")]
    Lost {
        /// Why.
        reason: String,
    },
}

impl From<TooLarge> for FrameError {
    fn from(TooLarge { size_bytes, max_bytes }: TooLarge) -> Self {
        Self::TooLarge { size_bytes, max_bytes }
    }
}

/// Both directions. They can be taken apart and used by two tasks.
#[derive(Debug)]
pub struct Stream {
    /// What this side says. Say [`FrameSender::finish`] at the end: what is only dropped counts as cut off.
    pub send: FrameSender,
    /// What the other side says.
    pub receive: FrameReceiver,
}

/// What both directions of a stream share.
pub(super) struct Shared {
    counters: Arc<Counters>,
    /// Why the stream was cut off here; 0 while it is not.
    fault: AtomicU32,
    /// Keeps the connection, which this node made, in use.
    _line: Option<Arc<Line>>,
}

impl Stream {
    /// Of a caller, whose call this node answers.
    pub(super) fn answering(streams: (quinn::SendStream, quinn::RecvStream), counters: Arc<Counters>) -> Self {
        Self::new(streams, counters, false, None)
    }

    /// Of this node, which gets an answer. It keeps the connection in use.
    pub(super) fn calling(
        streams: (quinn::SendStream, quinn::RecvStream),
        counters: Arc<Counters>,
        line: Option<Arc<Line>>,
    ) -> Self {
        Self::new(streams, counters, true, line)
    }

    fn new(
        (send, receive): (quinn::SendStream, quinn::RecvStream),
        counters: Arc<Counters>,
        awaits_head: bool,
        line: Option<Arc<Line>>,
    ) -> Self {
        let shared = Arc::new(Shared { counters, fault: AtomicU32::new(0), _line: line });
        let send = FrameSender { stream: send, state: SenderState::Between, shared: Arc::clone(&shared) };
        let receive = FrameReceiver { stream: receive, decoder: Decoder::default(), awaits_head, shared };
        Self { send, receive }
    }

    /// Cuts both directions off.
    pub(super) fn cut(&mut self, code: StreamCode) {
        self.send.shared.fault.store(code.number(), Ordering::Relaxed);
        self.send.cut();
        self.receive.stop(code);
    }
}

/// Sends messages.
pub struct FrameSender {
    stream: quinn::SendStream,
    state: SenderState,
    shared: Arc<Shared>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SenderState {
    /// Between two messages.
    Between,
    /// Inside a message: a caller that gives up here leaves half of it.
    Inside,
    /// Finished or cut off.
    Over,
}

impl FrameSender {
    /// Sends a message; waits while the other side reads too slowly. Whoever drops this future before its end has cut the
    /// stream off.
    pub async fn send<M: Message>(&mut self, message: &M) -> Result<(), FrameError> {
        let mut frame = BytesMut::new();
        frame::append(&mut frame, message)?;
        self.write(&mut [frame.freeze()]).await
    }

    /// Sends a message that is encoded already.
    pub async fn send_bytes(&mut self, message: Bytes) -> Result<(), FrameError> {
        let length = frame::length(message.len())?;
        self.write(&mut [Bytes::copy_from_slice(&length), message]).await
    }

    /// Says that nothing follows. The other side still gets everything.
    pub fn finish(&mut self) -> Result<(), FrameError> {
        if self.state != SenderState::Between {
            return Err(FrameError::Lost { reason: "the stream is over".to_owned() });
        }
        self.state = SenderState::Over;
        self.stream.finish().map_err(|error| FrameError::Lost { reason: error.to_string() })
    }

    /// Whole frames. `Ok`: all of it is on its way.
    pub(super) async fn write(&mut self, frames: &mut [Bytes]) -> Result<(), FrameError> {
        if self.state != SenderState::Between {
            return Err(FrameError::Lost { reason: "the stream is over".to_owned() });
        }
        self.state = SenderState::Inside;
        match self.stream.write_all_chunks(frames).await {
            Ok(()) => {
                self.state = SenderState::Between;
                Ok(())
            }
            Err(WriteError::Stopped(code)) => {
                Err(FrameError::Reset { code: StreamCode::from_number(code.into_inner()) })
            }
            Err(error) => Err(FrameError::Lost { reason: error.to_string() }),
        }
    }

    fn cut(&mut self) {
        if self.state != SenderState::Over {
            self.state = SenderState::Over;
            let code = match self.shared.fault.load(Ordering::Relaxed) {
                0 => StreamCode::Abandoned.number(),
                fault => fault,
            };
            // An error says that the stream is over already.
            let _ = self.stream.reset(VarInt::from_u32(code));
        }
    }
}

/// quinn would finish the stream, and half an answer would look like a whole one.
impl Drop for FrameSender {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Receives messages.
pub struct FrameReceiver {
    stream: quinn::RecvStream,
    decoder: Decoder,
    awaits_head: bool,
    shared: Arc<Shared>,
}

impl FrameReceiver {
    /// The next message; `None` at the end. A future that is dropped loses nothing.
    pub async fn next<M: Message + Default>(&mut self, max_bytes: usize) -> Result<Option<M>, FrameError> {
        let Some(bytes) = self.next_bytes(max_bytes).await? else { return Ok(None) };
        self.decode(bytes).map(Some)
    }

    /// The next message as it came; `None` at the end. A future that is dropped loses nothing.
    pub async fn next_bytes(&mut self, max_bytes: usize) -> Result<Option<Bytes>, FrameError> {
        self.accepted().await?;
        self.frame(max_bytes).await
    }

    /// Waits until the other side has taken the call on. [`FrameReceiver::next`] does so too.
    pub async fn accepted(&mut self) -> Result<(), FrameError> {
        if !self.awaits_head {
            return Ok(());
        }
        let Some(head) = self.frame(ANSWER_HEAD_BYTES_MAX).await? else {
            return Err(FrameError::Lost { reason: "it ended without an answer".to_owned() });
        };
        self.awaits_head = false;
        match self.decode::<AnswerHead>(head)?.refusal {
            None => Ok(()),
            Some(refusal) => {
                self.shared.counters.count(Reason::Refused);
                Err(FrameError::Refused { code: refusal.code(), message: refusal.message })
            }
        }
    }

    async fn frame(&mut self, max_bytes: usize) -> Result<Option<Bytes>, FrameError> {
        loop {
            match self.decoder.next(max_bytes) {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(error) => return Err(self.fault(StreamCode::TooLarge, error.into())),
            }
            match self.stream.read_chunk(PIECE_BYTES_MAX, true).await {
                Ok(Some(piece)) => self.decoder.push(&piece.bytes),
                Ok(None) if self.decoder.is_between_frames() => return Ok(None),
                Ok(None) => {
                    let error = FrameError::Malformed { reason: "it ends inside a message".to_owned() };
                    return Err(self.fault(StreamCode::Malformed, error));
                }
                Err(ReadError::Reset(code)) => {
                    return Err(FrameError::Reset { code: StreamCode::from_number(code.into_inner()) });
                }
                Err(error) => return Err(FrameError::Lost { reason: error.to_string() }),
            }
        }
    }

    fn decode<M: Message + Default>(&mut self, bytes: Bytes) -> Result<M, FrameError> {
        M::decode(bytes)
            .map_err(|error| self.fault(StreamCode::Malformed, FrameError::Malformed { reason: error.to_string() }))
    }

    /// What the other side sent is wrong: stop it, count it, and let the answer say why there is none.
    fn fault(&mut self, code: StreamCode, error: FrameError) -> FrameError {
        let reason = if code == StreamCode::TooLarge { Reason::TooLarge } else { Reason::Malformed };
        self.shared.counters.report(reason, &error);
        self.shared.fault.store(code.number(), Ordering::Relaxed);
        self.stop(code);
        error
    }

    fn stop(&mut self, code: StreamCode) {
        // An error says that the stream is over already.
        let _ = self.stream.stop(VarInt::from_u32(code.number()));
    }
}

impl fmt::Debug for FrameSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSender").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for FrameReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReceiver").field("awaits_head", &self.awaits_head).finish_non_exhaustive()
    }
}
