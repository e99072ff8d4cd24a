//! A connection that may not stall.
//!
//! **Owns** how long a peer may take to begin, to take what it asked for, and to go. **Must not know** HTTP beyond the length of
//! HTTP/2's preface. **Enter at** [`Paced`].
//!
//! hyper's own timers begin once it knows which HTTP is spoken, and none of them looks at writes: without this a peer that
//! says nothing, or one that reads nothing, holds its connection and its worker's event for ever. Nor does hyper read on after
//! an answer that it gave before the request was whole: the kernel would reset the connection, and the answer be lost.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    limits::{DRAINED_BYTES_MAX, LINGER},
    patience::Patience,
};

/// Bytes after which hyper knows what is spoken: the preface of RFC 9113 section 3.4. Every whole HTTP/1.1 request is longer.
const OPENING_BYTES: usize = 24;

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From the connection's beginning to its first 24 bytes.
    pub(super) opening: Duration,
    /// To make room for more of an answer.
    pub(super) writing: Duration,
}

/// A stream whose operations fail with `TimedOut` where its peer stalls.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    opening: Option<Opening>,
    writing: Patience,
    closing: Option<Closing>,
}

#[derive(Debug)]
struct Opening {
    patience: Patience,
    bytes: usize,
}

/// Nothing more is written; what the peer still sends is read and thrown away.
#[derive(Debug)]
struct Closing {
    patience: Patience,
    bytes: u64,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace) -> Self {
        let opening = Opening { patience: Patience::new(pace.opening), bytes: 0 };
        Self { stream, opening: Some(opening), writing: Patience::new(pace.writing), closing: None }
    }

    /// Passes a write's outcome on, unless it has waited for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.writing.renew();
                Poll::Ready(outcome)
            }
            Poll::Pending if self.writing.is_over(cx) => Poll::Ready(Err(stalled("the peer takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn stalled(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some(opening) = &mut this.opening else { return outcome };
        if outcome.is_pending() && opening.patience.is_over(cx) {
            return Poll::Ready(Err(stalled("the peer says nothing")));
        }
        opening.bytes += buffer.filled().len() - before;
        if opening.bytes >= OPENING_BYTES {
            this.opening = None;
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> Paced<S> {
    /// Ready once the peer has gone too, or has had its time.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let closing = self.closing.get_or_insert_with(|| Closing { patience: Patience::new(LINGER), bytes: 0 });
        let mut piece = [0; 4096];
        while closing.bytes <= DRAINED_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => closing.bytes += buffer.filled().len() as u64,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if closing.patience.is_over(cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            let outcome = Pin::new(&mut this.stream).poll_shutdown(cx);
            match this.written(cx, outcome) {
                Poll::Ready(Ok(())) => {}
                outcome => return outcome,
            }
        }
        this.linger(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_peer_that_says_too_little_is_cut_off() {
        let (mut peer, ours) = duplex(64);
        let mut paced = Paced::new(ours, Pace { opening: SHORT, writing: LONG });
        peer.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let error = paced.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_has_begun_may_idle() {
        let (mut peer, ours) = duplex(64);
        let mut paced = Paced::new(ours, Pace { opening: SHORT, writing: LONG });
        peer.write_all(&[b'x'; OPENING_BYTES]).await.unwrap();
        let mut read = [0; OPENING_BYTES];
        paced.read_exact(&mut read).await.unwrap();
        assert!(paced.opening.is_none(), "nothing is left that could end the connection");
    }

    #[tokio::test]
    async fn what_a_peer_still_sends_is_read_before_the_connection_goes() {
        let (mut peer, ours) = duplex(64);
        let mut paced = Paced::new(ours, Pace { opening: LONG, writing: LONG });
        let sends = async {
            peer.write_all(&[b'x'; 1000]).await.unwrap();
            peer.shutdown().await.unwrap();
        };
        let (closed, ()) = tokio::join!(paced.shutdown(), sends);
        closed.unwrap();
        assert_eq!(paced.closing.unwrap().bytes, 1000);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_go_is_left() {
        let (mut peer, ours) = duplex(64);
        let mut paced = Paced::new(ours, Pace { opening: LONG, writing: LONG });
        paced.shutdown().await.unwrap();
        let mut read = Vec::new();
        assert_eq!(peer.read_to_end(&mut read).await.unwrap(), 0, "it was told at once");
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_cut_off() {
        let (mut peer, ours) = duplex(64);
        let mut paced = Paced::new(ours, Pace { opening: LONG, writing: SHORT });
        let error = paced.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // It gets what had been written; what it reads later comes too late.
        let mut read = [0; 64];
        peer.read_exact(&mut read).await.unwrap();
    }
}
