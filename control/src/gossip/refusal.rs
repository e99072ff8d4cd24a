//! Pure. Why a datagram is refused.
//!
//! **Owns** the reasons. **Must not know** what becomes of them. **Enter at** [`Refusal`].

use super::{codec::CodecError, identity::Identity};

/// Why a datagram is refused. State: unchanged, but for what stood before the fault. Retry: no.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Not the header of a datagram.
    #[error("it does not parse")]
    Header(#[source] CodecError),
    /// Another node than the one that the mesh has proven.
    #[error("it claims to be from {0:?}")]
    Forged(Identity),
    /// The catalog does not list the sender any more.
    #[error("the node was removed")]
    Removed,
    /// So many starts there can not have been.
    #[error("it names {0:?}, a life of this node that can not have been")]
    Lead(Identity),
    /// foca can make nothing of it.
    #[error("it makes no sense")]
    Foca(#[from] foca::Error),
}
