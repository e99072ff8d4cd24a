//! Pure. A TLS certificate with its sealed key.
//!
//! **Owns** which names a certificate covers. **Must not know** TLS or X.509. **Enter at** [`Certificate`].

use bytes::Bytes;
use skerry_proto::id::{AccountId, CertificateId};

use super::Sealed;

/// A certificate that ingress picks by SNI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its identity.
    pub id: CertificateId,
    /// The account whose names it covers; `None` for the cluster's own.
    pub account: Option<AccountId>,
    /// Lower-case hostnames; the first label may be `*`, which stands for exactly one label.
    pub names: Vec<String>,
    /// DER, the leaf first.
    pub chain: Vec<Bytes>,
    /// The private key, PKCS#8 DER, sealed under [`SealScope::certificate`](super::SealScope::certificate).
    pub key: Sealed,
    /// Milliseconds since the Unix epoch.
    pub not_before_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub not_after_ms: i64,
    /// Who signed it.
    pub issuer: CertificateIssuer,
}

/// Who signed a certificate, and so who renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateIssuer {
    /// The cluster's own CA; Skerry renews it.
    ClusterCa,
    /// The operator brought it; nobody renews it.
    Operator,
    /// ACME; Skerry renews it.
    Acme,
}

impl Certificate {
    /// Whether one of its names is `hostname`, or `*` in place of its first label is.
    #[must_use]
    pub fn covers(&self, hostname: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => hostname.split_once('.').is_some_and(|(_, rest)| rest == suffix),
            None => name == hostname,
        })
    }
}
