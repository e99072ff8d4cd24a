//! Pure. A tenant, and the cluster that it lives on.
//!
//! **Owns** what is known about accounts and the cluster. **Must not know** what an account contains. **Enter at**
//! [`Account`].

use bytes::Bytes;
use skerry_proto::id::{AccountId, Hostname, ServiceName};

use super::Sealed;

/// A tenant: the owner of services, namespaces and tokens. Nothing is shared between accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its identity.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// The label between service and cluster domain in its hostnames; `None` only for the first account. It shares one
    /// name space with the first account's services, so that no two hostnames meet.
    pub label: Option<ServiceName>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// What the cluster is, agreed once by all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The zone whose names the environments get.
    pub domain: Hostname,
    /// The certificate of the cluster's own CA, DER.
    pub ca_certificate: Bytes,
    /// Its private key, PKCS#8 DER, sealed under [`SealScope::cluster_ca`](super::SealScope::cluster_ca).
    pub ca_key: Sealed,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}
