//! The cluster's own certificate authority.
//!
//! **Owns** issuing X.509 certificates. **Must not know** where they are used. **Enter at** [`Issuer`].
//!
//! The CA's certificate and its sealed key lie in the catalog, so every voter can issue. Keys are P-256. `not_before`
//! lies an hour back, because clocks differ.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use skerry_proto::id::{AccountId, CertificateId};
use time::{Duration, OffsetDateTime};

use crate::{
    catalog::{Certificate, CertificateIssuer, Cluster, SealScope},
    mint::{self, random},
    seal::{OpenError, Sealer},
};

/// BOUND: how long a leaf is valid; it is renewed when a third is left. Public CAs go down to 47 days by 2029.
const LEAF_DAYS: i64 = 90;
/// BOUND: how long the CA is valid; it is replaced by a rotation long before.
const CA_DAYS: i64 = 3650;
/// BOUND: names in one certificate; rustls and browsers take more, nobody needs them.
const NAMES_MAX: usize = 100;

/// Why a certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// There is no CA yet: the node was not bootstrapped. State: unchanged. Retry: after bootstrap.
    #[error("the cluster has no certificate authority yet")]
    NoAuthority,
    /// The CA's key does not open. State: unchanged. Retry: no; restore `cluster.key`.
    #[error("the certificate authority's key can not be used")]
    Key(#[source] OpenError),
    /// No name, too many, or one that is no hostname. State: unchanged. Retry: no.
    #[error("a certificate needs 1 to {NAMES_MAX} hostnames, not {names:?}")]
    Names {
        /// What was asked for.
        names: Vec<String>,
    },
    /// X.509 or the key generator failed. State: unchanged. Retry: no.
    #[error("the certificate can not be made")]
    Generate(#[source] rcgen::Error),
}

impl From<rcgen::Error> for IssueError {
    fn from(error: rcgen::Error) -> Self {
        Self::Generate(error)
    }
}

/// Issues certificates under the cluster's CA. Clones share it.
#[derive(Clone)]
pub struct Issuer {
    cluster: Arc<Cluster>,
    sealer: Sealer,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("domain", &self.cluster.domain).finish_non_exhaustive()
    }
}

/// A new CA: its certificate (DER) and its private key (PKCS#8 DER).
pub(crate) struct NewAuthority {
    pub(crate) certificate: Bytes,
    pub(crate) key: Vec<u8>,
}

/// Makes a CA. `label` tells clusters apart in certificate viewers.
pub(crate) fn new_authority(label: &str, now_ms: i64) -> Result<NewAuthority, IssueError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = params(Vec::new(), now_ms, Duration::days(CA_DAYS))?;
    params.distinguished_name = name(&format!("Skerry CA {label}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    Ok(NewAuthority { certificate: Bytes::copy_from_slice(certificate.der()), key: key.serialize_der() })
}

impl Issuer {
    pub(crate) fn new(cluster: Arc<Cluster>, sealer: Sealer) -> Self {
        Self { cluster, sealer }
    }

    /// A certificate for lower-case hostnames, whose first label may be `*`, ready for a
    /// [`Change::PutCertificate`](crate::catalog::Change::PutCertificate). `account` is `None` for the cluster's own
    /// names; pass the identity of an old certificate as `id` to renew it. Takes about a millisecond of CPU.
    pub fn issue(
        &self,
        names: &[String],
        account: Option<AccountId>,
        id: Option<CertificateId>,
        now_ms: i64,
    ) -> Result<Certificate, IssueError> {
        if !(1..=NAMES_MAX).contains(&names.len()) {
            return Err(IssueError::Names { names: names.to_vec() });
        }
        let ca_key = self.sealer.open(&self.cluster.ca_key).map_err(IssueError::Key)?;
        let ca_key = PrivatePkcs8KeyDer::from(ca_key);
        let ca_key = KeyPair::from_pkcs8_der_and_sign_algo(&ca_key, &PKCS_ECDSA_P256_SHA256)?;
        let ca_certificate = CertificateDer::from(&self.cluster.ca_certificate[..]);
        let ca = rcgen::Issuer::from_ca_cert_der(&ca_certificate, ca_key)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(names.to_vec(), now_ms, Duration::days(LEAF_DAYS))?;
        // A common name has at most 64 bytes; the names that count are the alternative ones.
        params.distinguished_name = name("Skerry");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (not_before_ms, not_after_ms) = (unix_ms(params.not_before), unix_ms(params.not_after));
        let leaf = params.signed_by(&key, &ca)?;
        let id = id.unwrap_or_else(mint::certificate_id);
        Ok(Certificate {
            key: self.sealer.seal(SealScope::certificate(&id), &key.serialize_der()),
            id,
            account,
            names: names.to_vec(),
            chain: vec![Bytes::copy_from_slice(leaf.der())],
            not_before_ms,
            not_after_ms,
            issuer: CertificateIssuer::ClusterCa,
        })
    }
}

/// Whether a certificate should be replaced: a third of its life is left.
#[must_use]
pub fn is_due(certificate: &Certificate, now_ms: i64) -> bool {
    let life_ms = certificate.not_after_ms - certificate.not_before_ms;
    now_ms > certificate.not_after_ms - life_ms / 3
}

/// What every certificate has: names, a life that begins an hour ago, a random serial number.
pub(crate) fn params(names: Vec<String>, now_ms: i64, life: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let now = OffsetDateTime::from_unix_timestamp(now_ms / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - Duration::HOUR;
    params.not_after = now + life;
    let mut serial = random::<16>();
    // RFC 5280 section 4.1.2.2: a serial number is positive.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// A subject that certificate viewers show.
pub(crate) fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Skerry");
    name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    name
}

fn unix_ms(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() * 1000
}

/// A certificate as PEM (RFC 7468).
pub(crate) fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
