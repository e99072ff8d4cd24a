//! Which certificate a TLS connection gets.
//!
//! **Owns** private keys in memory and the choice by SNI. **Must not know** who issues certificates. **Enter at**
//! [`Certificates`].
//!
//! A name gets the certificate that names it, else the one with a wildcard in place of its first label, else the cluster's
//! own. A key is unsealed once, when its certificate appears.

use std::{collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use skerry_control::{
    catalog::{Catalog, Certificate},
    seal::{OpenError, Sealer},
};
use skerry_proto::id::CertificateId;
use tokio_rustls::TlsAcceptor;

/// The certificates of this node's listeners.
pub struct Certificates {
    table: ArcSwap<Table>,
    sealer: Sealer,
}

/// Why a certificate can not be used. State: unchanged. Retry: no.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Its key does not open. State: unchanged. Retry: no.
    #[error("the private key can not be opened")]
    Open(#[from] OpenError),
    /// TLS can not use it. State: unchanged. Retry: no.
    #[error("the certificate can not be used for TLS")]
    Tls(#[from] rustls::Error),
}

#[derive(Default)]
struct Table {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    fallback: Option<Arc<CertifiedKey>>,
    known: HashMap<CertificateId, (Arc<Certificate>, Arc<CertifiedKey>)>,
}

impl Certificates {
    /// With no certificate: every handshake fails until [`Certificates::show`].
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self { table: ArcSwap::default(), sealer }
    }

    /// Uses the certificates of a new state of the catalog. One that can not be used is logged and left out.
    pub fn show(&self, catalog: &Catalog) {
        let old = self.table.load();
        let same = old.known.len() == catalog.certificates().count()
            && catalog.certificates().all(|certificate| {
                old.known.get(&certificate.id).is_some_and(|(known, _)| Arc::ptr_eq(known, certificate))
            });
        if same {
            return;
        }
        let mut next = Table::default();
        for certificate in catalog.certificates() {
            let known = old.known.get(&certificate.id).filter(|(known, _)| Arc::ptr_eq(known, certificate));
            let key = match known {
                Some((_, key)) => Ok(Arc::clone(key)),
                None => self.open(certificate).map(Arc::new),
            };
            match key {
                Ok(key) => next.add(certificate, &key),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(certificate = %certificate.id, names = ?certificate.names, error, "a certificate can not be used");
                }
            }
        }
        if let Some(cluster) = catalog.cluster() {
            let domain = cluster.domain.as_str();
            next.fallback = next.exact.get(domain).or_else(|| next.wildcard.get(domain)).map(Arc::clone);
        }
        self.table.store(Arc::new(next));
    }

    /// Accepts TLS for end users: HTTP/2 and HTTP/1.1 by ALPN, TLS 1.2 and 1.3.
    #[must_use]
    pub fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        acceptor(Arc::clone(self) as Arc<dyn ResolvesServerCert>)
    }

    /// A certificate with its key, ready for TLS.
    pub fn open(&self, certificate: &Certificate) -> Result<CertifiedKey, CertificateError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.sealer.open(&certificate.key)?));
        let key = ring::sign::any_supported_type(&key)?;
        let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        Ok(CertifiedKey::new(chain, key))
    }
}

/// Accepts TLS with the certificates that `resolver` gives.
pub(super) fn acceptor(resolver: Arc<dyn ResolvesServerCert>) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers the default protocol versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    match ring::Ticketer::new() {
        // Resumption without memory on this side.
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::warn!(%error, "TLS sessions are not resumed"),
    }
    TlsAcceptor::from(Arc::new(config))
}

impl Table {
    fn add(&mut self, certificate: &Arc<Certificate>, key: &Arc<CertifiedKey>) {
        for name in &certificate.names {
            let (names, name) = match name.strip_prefix("*.") {
                Some(suffix) => (&mut self.wildcard, suffix),
                None => (&mut self.exact, name.as_str()),
            };
            names.insert(name.to_owned(), Arc::clone(key));
        }
        self.known.insert(certificate.id.clone(), (Arc::clone(certificate), Arc::clone(key)));
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let wildcard = || name.split_once('.').and_then(|(_, suffix)| self.wildcard.get(suffix));
        self.exact.get(name).or_else(wildcard).or(self.fallback.as_ref()).map(Arc::clone)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        match hello.server_name() {
            Some(name) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => table.find(&name.to_ascii_lowercase()),
            Some(name) => table.find(name),
            None => table.fallback.as_ref().map(Arc::clone),
        }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("known", &self.table.load().known.len()).finish_non_exhaustive()
    }
}
