//! Why the mesh does not start, and why a datagram is not sent.
//!
//! **Owns** those errors; why a call fails is beside [`Call`](super::Call). **Must not know** QUIC. **Enter at**
//! [`MeshBuildError`].

use std::{io, net::SocketAddr};

use skerry_proto::id::NodeId;

use super::identity::IdentityError;

/// Why a mesh does not start, or does not take a new identity.
#[derive(Debug, thiserror::Error)]
pub enum MeshBuildError {
    /// The address can not be used. State: unchanged. Retry: with another address.
    #[error("the mesh can not listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The identity can not be used. State: unchanged. Retry: with another identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Key and certificate do not fit, or an authority is none. State: unchanged. Retry: with another identity.
    #[error("the node's key and certificates can not be used")]
    Tls(#[from] rustls::Error),
    /// The new identity is another node's. State: unchanged. Retry: no.
    #[error("this is {ours}, and the new certificate is for {theirs}")]
    OtherNode {
        /// This node.
        ours: String,
        /// Whose the identity is.
        theirs: String,
    },
}

/// Why a datagram was not sent. State: unchanged. Retry: no; gossip says things again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// There is no connection, or none yet.
    #[error("node {node} is not connected")]
    NotConnected {
        /// Whom it was for.
        node: NodeId,
    },
    /// It does not fit the path to that node. What has [`DATAGRAM_BYTES_MAX`](crate::limits::DATAGRAM_BYTES_MAX) bytes
    /// always does.
    #[error("the datagram is larger than the {max_bytes} bytes that fit the path")]
    TooLarge {
        /// What fits.
        max_bytes: usize,
    },
}
