//! Pure. A value that only the cluster's key opens, and the place it belongs to.
//!
//! **Owns** how an encrypted value is carried. **Must not know** the key. **Enter at** [`Sealed`].

use std::fmt;

use bytes::Bytes;
use skerry_proto::id::{AccountId, CertificateId, EnvironmentId};

use super::Fingerprint;

/// An encrypted value. Its [`Debug`](fmt::Debug) shows the scope and the size, never the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Where the value belongs; authenticated, so a value that was moved elsewhere does not open.
    pub scope: SealScope,
    /// A 24-byte nonce, then the ciphertext with its 16-byte tag.
    pub bytes: Bytes,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.scope, self.bytes.len())
    }
}

/// The place that a sealed value belongs to. Made of identities that survive renaming.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealScope(String);

impl SealScope {
    /// A secret of an environment, under the name of its binding.
    #[must_use]
    pub fn secret(account: &AccountId, environment: &EnvironmentId, name: &str) -> Self {
        Self(format!("secret/{account}/{environment}/{name}"))
    }

    /// A certificate's private key.
    #[must_use]
    pub fn certificate(id: &CertificateId) -> Self {
        Self(format!("certificate/{id}"))
    }

    /// The private key of the cluster's own CA.
    #[must_use]
    pub fn cluster_ca() -> Self {
        Self("cluster-ca".to_owned())
    }

    /// The private key of a CA of the mesh.
    #[must_use]
    pub fn mesh_authority(fingerprint: Fingerprint) -> Self {
        Self(format!("mesh-authority/{fingerprint}"))
    }

    /// A scope as it was stored. Any text is one; it is compared, never parsed.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text that is authenticated.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SealScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
