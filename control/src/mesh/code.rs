//! Pure. Why a stream or a connection was ended, as a number on the wire.
//!
//! **Owns** the numbers; none is used twice. **Must not know** QUIC. **Enter at** [`StreamCode`].

/// Why a stream was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamCode {
    /// The other side went away, panicked, or gave up: it may have done part of it.
    Abandoned,
    /// A frame was no message of the expected kind; what it asked for was not done.
    Malformed,
    /// A frame was larger than its receiver takes; what it asked for was not done.
    TooLarge,
    /// Too many calls are running, or the node is stopping; nothing was read.
    Busy,
    /// The caller is no member; nothing was read.
    Forbidden,
}

impl StreamCode {
    /// As on the wire.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Abandoned => 1,
            Self::Malformed => 2,
            Self::TooLarge => 3,
            Self::Busy => 4,
            Self::Forbidden => 5,
        }
    }

    /// From the wire; what this build does not know was abandoned.
    pub(super) fn from_number(number: u64) -> Self {
        match number {
            2 => Self::Malformed,
            3 => Self::TooLarge,
            4 => Self::Busy,
            5 => Self::Forbidden,
            _ => Self::Abandoned,
        }
    }

    /// For people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Abandoned => "the peer gave up",
            Self::Malformed => "the peer could not read the message",
            Self::TooLarge => "the message is larger than the peer takes",
            Self::Busy => "the peer is busy or stopping",
            Self::Forbidden => "the peer says that this node is no member",
        }
    }
}

/// Why a connection was closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseCode {
    /// Nobody used it, or a newer one took its place.
    Done,
    /// The node stops.
    Stopping,
    /// The other node is no member.
    NotMember,
    /// It showed no certificate of a node of this cluster.
    NoCertificate,
    /// One of the two certificates has ended.
    Expired,
    /// Too many connections.
    Busy,
    /// The authority of its certificate is trusted no more.
    Untrusted,
}

impl CloseCode {
    /// As on the wire.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Stopping => 1,
            Self::NotMember => 2,
            Self::NoCertificate => 3,
            Self::Expired => 4,
            Self::Busy => 5,
            Self::Untrusted => 6,
        }
    }

    /// What the other side is told.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Done => "not needed any more",
            Self::Stopping => "the node is stopping",
            Self::NotMember => "the caller is no member of the cluster, as far as this node knows",
            Self::NoCertificate => "the caller showed no certificate of a node of this cluster",
            Self::Expired => "a certificate of the connection has ended",
            Self::Busy => "too many connections",
            Self::Untrusted => "the authority of the caller's certificate is trusted no more",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_wire() {
        use StreamCode::{Abandoned, Busy, Forbidden, Malformed, TooLarge};
        for code in [Abandoned, Malformed, TooLarge, Busy, Forbidden] {
            assert_eq!(StreamCode::from_number(u64::from(code.number())), code);
        }
        assert_eq!(StreamCode::from_number(0), Abandoned);
        assert_eq!(StreamCode::from_number(u64::MAX), Abandoned);
    }
}
