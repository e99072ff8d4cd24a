//! Pure. The cluster itself.
//!
//! **Owns** what all nodes agree on about the cluster. **Must not know** its nodes, X.509 or how keys are used. **Enter
//! at** [`Cluster`].

use std::fmt;

use bytes::Bytes;
use skerry_proto::id::Hostname;

use super::Sealed;

/// What the cluster is, agreed once by all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its identity, 32 lower-case hexadecimal digits; never changes.
    pub id: String,
    /// The zone whose names the environments get.
    pub domain: Hostname,
    /// The certificate of the CA that end users trust, DER.
    pub ca_certificate: Bytes,
    /// Its private key, PKCS#8 DER, sealed under [`SealScope::cluster_ca`](super::SealScope::cluster_ca).
    pub ca_key: Sealed,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The CAs of the mesh: the first one signs, all are trusted. Empty in a cluster from before there were nodes. BOUND:
    /// [`limits::MESH_AUTHORITIES_MAX`](super::limits::MESH_AUTHORITIES_MAX).
    pub mesh_authorities: Vec<Authority>,
    /// What every node's build is known to understand, from 1. Commands that need a higher level are refused.
    pub feature_level: u32,
}

impl Cluster {
    /// The feature level of a new cluster.
    pub const FIRST_FEATURE_LEVEL: u32 = 1;
    /// The newest feature level whose commands this build applies.
    pub const NEWEST_FEATURE_LEVEL: u32 = 1;

    /// A new cluster, named after its CA, without a mesh.
    #[must_use]
    pub fn new(domain: Hostname, ca_certificate: Bytes, ca_key: Sealed, created_at_ms: i64) -> Self {
        Self {
            id: Self::id_of(&ca_certificate),
            domain,
            ca_certificate,
            ca_key,
            created_at_ms,
            mesh_authorities: Vec::new(),
            feature_level: Self::FIRST_FEATURE_LEVEL,
        }
    }

    /// The identity of a cluster that began with this CA, DER.
    #[must_use]
    pub fn id_of(ca_certificate: &[u8]) -> String {
        hex::encode(&blake3::hash(ca_certificate).as_bytes()[..16])
    }

    /// Whether a host (lower-case, without port) lies in the cluster's domain, whoever answers there.
    #[must_use]
    pub fn owns(&self, host: &str) -> bool {
        host.strip_suffix(self.domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The CA that signs the mesh's certificates.
    #[must_use]
    pub fn mesh_authority(&self) -> Option<&Authority> {
        self.mesh_authorities.first()
    }
}

/// A CA of the mesh. Apart from the CA that end users trust, so that it can be rotated without touching anybody's pinned
/// `ca.pem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate, DER.
    pub certificate: Bytes,
    /// Its private key, PKCS#8 DER, sealed under [`SealScope::mesh_authority`](super::SealScope::mesh_authority) with the key
    /// that only voters hold.
    pub key: Sealed,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

impl Authority {
    /// What names it: in join tokens, and as the scope of its key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }
}

/// BLAKE3 of an authority's certificate, DER; written as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate, DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(*blake3::hash(certificate).as_bytes())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
