//! Who signs the certificates of nodes.
//!
//! **Owns** the mesh authority and what is in a node's certificate. **Must not know** who may have one. **Enter at**
//! [`Authority`].
//!
//! Of a request only its key is taken, after its signature has shown that the node holds it; the name is ours to give.

use std::{fmt, time::Duration};

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use skerry_proto::id::NodeId;

use super::{
    certificate::{Life, NotOurs},
    name::{NodeName, is_cluster},
};
use crate::{identity, limits::CERTIFICATE_REQUEST_BYTES_MAX};

/// BOUND: how long a mesh authority is valid; it is replaced by a rotation long before.
const AUTHORITY_DAYS: i64 = 3650;
/// An uncompressed point on P-256 (SEC 1 section 2.3.3).
const KEY_BYTES: usize = 65;

/// Why a node's certificate, or a request for one, could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request can not be used. State: unchanged. Retry: with another request.
    #[error("the certificate request can not be used: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// The cluster's id is not 32 hexadecimal digits. State: unchanged. Retry: no.
    #[error("{cluster:?} is not a cluster's id")]
    Cluster {
        /// What was given.
        cluster: String,
    },
    /// A key can not be used. State: unchanged. Retry: with the right key.
    #[error("the key can not be used")]
    Key(#[source] rcgen::Error),
    /// X.509 or the key generator failed. State: unchanged. Retry: no.
    #[error("the certificate can not be made")]
    Generate(#[from] rcgen::Error),
}

/// The mesh's certificate authority. Its key makes voters, so it is kept sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate, DER.
    pub certificate: Bytes,
    /// Its key, PKCS#8 DER.
    pub key: Vec<u8>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}, ..)", hex::encode(authority_fingerprint(&self.certificate)))
    }
}

/// A new authority for a cluster's mesh. It can sign nodes and no other authority.
pub fn new_authority(cluster: &str, now_ms: i64) -> Result<Authority, SignError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = identity::params(Vec::new(), now_ms, time::Duration::days(AUTHORITY_DAYS))?;
    // Two authorities of one cluster differ in their names, so that a chain says which one it means.
    let serial = hex::encode(crate::mint::random::<4>());
    params.distinguished_name = identity::name(&format!("Skerry mesh {cluster} {serial}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    Ok(Authority { certificate: Bytes::copy_from_slice(certificate.der()), key: key.serialize_der() })
}

/// What a join token names an authority by: BLAKE3 of its certificate.
#[must_use]
pub fn authority_fingerprint(certificate: &[u8]) -> [u8; 32] {
    *blake3::hash(certificate).as_bytes()
}

impl Authority {
    /// A certificate for the key of `request` (PKCS#10, DER) under the node's name and nothing else that the request
    /// asks for. The chain: leaf, then this authority. About a millisecond of CPU.
    pub fn issue(
        &self,
        request: &[u8],
        cluster: &str,
        node: NodeId,
        now_ms: i64,
        life: Duration,
    ) -> Result<Vec<Bytes>, SignError> {
        let public_key = requested_key(request)?;
        let params = leaf_params(cluster, node, now_ms, life)?;
        let key = PrivatePkcs8KeyDer::from(&self.key[..]);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).map_err(SignError::Key)?;
        let certificate = CertificateDer::from(&self.certificate[..]);
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        let leaf = params.signed_by(&public_key, &issuer)?;
        Ok(vec![Bytes::copy_from_slice(leaf.der()), self.certificate.clone()])
    }
}

fn leaf_params(cluster: &str, node: NodeId, now_ms: i64, life: Duration) -> Result<CertificateParams, SignError> {
    if !is_cluster(cluster) {
        return Err(SignError::Cluster { cluster: cluster.to_owned() });
    }
    let life = time::Duration::try_from(life).unwrap_or(time::Duration::ZERO);
    let mut params = identity::params(vec![NodeName::new(node, cluster).to_string()], now_ms, life)?;
    params.distinguished_name = identity::name(&format!("n{node}"));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// The key of a request whose signature shows that the asker holds it.
fn requested_key(request: &[u8]) -> Result<PublicKey, SignError> {
    let refused = |reason: String| SignError::Request { reason };
    if request.len() > CERTIFICATE_REQUEST_BYTES_MAX {
        return Err(refused(format!("it has {} bytes, more than {CERTIFICATE_REQUEST_BYTES_MAX}", request.len())));
    }
    let request = CertificateSigningRequestDer::from(request);
    let parsed = CertificateSigningRequestParams::from_der(&request).map_err(|error| refused(error.to_string()))?;
    let key = parsed.public_key;
    if key.algorithm() != &PKCS_ECDSA_P256_SHA256 || key.der_bytes().len() != KEY_BYTES {
        return Err(refused("its key is not on the curve P-256".to_owned()));
    }
    Ok(key)
}

/// A new private key for a node, PKCS#8 DER.
pub fn new_key() -> Result<Vec<u8>, SignError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_der())
}

/// A request for a certificate (PKCS#10, DER), signed with the node's key.
pub fn certificate_request(key: &[u8]) -> Result<Bytes, SignError> {
    let key = PrivatePkcs8KeyDer::from(key);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).map_err(SignError::Key)?;
    let request = CertificateParams::default().serialize_request(&key)?;
    Ok(Bytes::copy_from_slice(request.der()))
}

/// When the first certificate of a chain ends, in milliseconds since the Unix epoch; 0 when there is none that can be
/// read.
#[must_use]
pub fn not_after(chain: &[Bytes]) -> i64 {
    life(chain).map_or(0, |life| life.ends_ms)
}

/// Whether a chain should be replaced: a third of its life is left, it has not begun, or it can not be read.
#[must_use]
pub fn renewal_due(chain: &[Bytes], now_ms: i64) -> bool {
    life(chain).map_or(true, |life| life.is_renewal_due(now_ms))
}

fn life(chain: &[Bytes]) -> Result<Life, NotOurs> {
    Life::read(chain.first().map_or(&[], |leaf| &leaf[..]))
}
