//! How two nodes convince each other who they are.
//!
//! **Owns** the TLS configurations. **Must not know** what is said over them, nor who is a member. **Enter at**
//! [`Credentials`].
//!
//! Both sides show a certificate of one of the cluster's authorities. rustls checks it and, when we dial, that it has the
//! name of the node that we mean; [`peer`] then reads the caller's name. Sessions are never resumed, because a resumed
//! session does not look at certificates again.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use super::{
    MeshBuildError, MeshConfig,
    certificate::{Leaf, time_text},
    class::Class,
    code::CloseCode,
    identity::NodeIdentity,
    transport,
};

/// What this node shows and whom it believes. Replaced as a whole when the certificate is renewed.
pub(super) struct Credentials {
    pub(super) identity: NodeIdentity,
    /// When this node's certificate ends.
    pub(super) ends_ms: i64,
    pub(super) server: quinn::ServerConfig,
    callers: Arc<SayWhen<dyn ClientCertVerifier>>,
    clients: [quinn::ClientConfig; Class::ALL.len()],
}

impl Credentials {
    pub(super) fn new(config: &MeshConfig, identity: NodeIdentity) -> Result<Self, MeshBuildError> {
        let leaf = identity.check()?;
        let roots = Arc::new(roots(&identity.authorities)?);
        let callers = callers(Arc::clone(&roots))?;
        let server = server(config, &identity, Arc::clone(&callers))?;
        let clients = Class::ALL.map(|class| client(config, &identity, Arc::clone(&roots), class));
        let [raft, objects, feed, bulk, join] = clients;
        let clients = [raft?, objects?, feed?, bulk?, join?];
        Ok(Self { identity, ends_ms: leaf.life.ends_ms, server, callers, clients })
    }

    /// Whether these believe the same certificates as others.
    pub(super) fn believes_as(&self, other: &Self) -> bool {
        self.identity.authorities == other.identity.authorities
    }

    /// Whether a caller with the certificate that was shown on this connection would be let in now.
    pub(super) fn believes(&self, connection: &quinn::Connection) -> bool {
        let Some(chain) = chain(connection) else { return false };
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        self.callers.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok()
    }

    /// For dialling in this class.
    pub(super) fn client(&self, class: Class) -> quinn::ClientConfig {
        self.clients[class.index()].clone()
    }
}

/// Who is at the other end of a connection, by its certificate.
pub(super) fn peer(connection: &quinn::Connection, cluster: &str) -> Result<Leaf, CloseCode> {
    let leaf = chain(connection).and_then(|chain| Leaf::read(chain.first()?).ok());
    leaf.filter(|leaf| leaf.name.cluster == cluster).ok_or(CloseCode::NoCertificate)
}

/// What the other end showed, its own certificate first.
fn chain(connection: &quinn::Connection) -> Option<Vec<CertificateDer<'static>>> {
    connection.peer_identity()?.downcast().ok().map(|chain| *chain)
}

/// What kind of connection the caller asked for.
pub(super) fn class(connection: &quinn::Connection) -> Option<Class> {
    let data = connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?;
    Class::from_alpn(data.protocol.as_deref()?)
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(authorities: &[Bytes]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from(authority.to_vec()))?;
    }
    Ok(roots)
}

fn shown(identity: &NodeIdentity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = identity.chain.iter().map(|certificate| CertificateDer::from(certificate.to_vec())).collect();
    (chain, PrivatePkcs8KeyDer::from(identity.key.clone()).into())
}

/// Looks at the certificates of callers.
fn callers(roots: Arc<RootCertStore>) -> Result<Arc<SayWhen<dyn ClientCertVerifier>>, Error> {
    // A node that joins has no certificate yet; `accept` refuses it everything but joining.
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated().build();
    Ok(Arc::new(SayWhen(verifier.map_err(|error| Error::General(error.to_string()))?)))
}

fn server(
    config: &MeshConfig,
    identity: &NodeIdentity,
    verifier: Arc<SayWhen<dyn ClientCertVerifier>>,
) -> Result<quinn::ServerConfig, MeshBuildError> {
    let (chain, key) = shown(identity);
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = Class::ALL.map(|class| class.alpn().to_vec()).to_vec();
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    let tls = QuicServerConfig::try_from(tls).map_err(|error| Error::General(error.to_string()))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server.transport_config(Arc::new(transport::for_callers(config)));
    // Nodes do not roam; an address that changes under a connection is somebody else's.
    server.migration(false);
    transport::limit_handshakes(&mut server);
    Ok(server)
}

fn client(
    config: &MeshConfig,
    identity: &NodeIdentity,
    roots: Arc<RootCertStore>,
    class: Class,
) -> Result<quinn::ClientConfig, MeshBuildError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    let verifier = Arc::new(SayWhen(verifier.map_err(|error| Error::General(error.to_string()))?));
    let (chain, key) = shown(identity);
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)?;
    quic_client(config, tls, class)
}

/// A QUIC client of a TLS client.
pub(super) fn quic_client(
    config: &MeshConfig,
    mut tls: rustls::ClientConfig,
    class: Class,
) -> Result<quinn::ClientConfig, MeshBuildError> {
    tls.alpn_protocols = vec![class.alpn().to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let tls = QuicClientConfig::try_from(tls).map_err(|error| Error::General(error.to_string()))?;
    let mut client = quinn::ClientConfig::new(Arc::new(tls));
    client.transport_config(Arc::new(transport::for_class(config, class)));
    Ok(client)
}

/// A verifier whose refusals say both times when a certificate has ended or not begun: nothing else tells a wrong clock.
#[derive(Debug)]
struct SayWhen<V: ?Sized>(Arc<V>);

/// A certificate is out of its time, or this machine's clock is.
#[derive(Debug, thiserror::Error)]
#[error("the certificate of {whose} {what} {bound}, and this machine's clock says {now}: {remedy}")]
struct OutOfTime {
    whose: String,
    what: &'static str,
    bound: String,
    now: String,
    remedy: &'static str,
}

/// Whether a certificate is refused because it has ended or not begun.
pub(super) fn is_untimely(error: &Error) -> bool {
    use CertificateError::{ExpiredContext, NotValidYetContext};
    matches!(error, Error::InvalidCertificate(ExpiredContext { .. } | NotValidYetContext { .. }))
}

/// The refusal in words.
pub(super) fn say_when(error: Error, leaf: &CertificateDer<'_>) -> Error {
    let seconds = |time: UnixTime| time_text(i64::try_from(time.as_secs()).unwrap_or(0).saturating_mul(1000));
    let (what, bound, now, remedy) = match &error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            ("ended at", seconds(*not_after), seconds(*time), "renew it, or set the clock")
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            ("begins at", seconds(*not_before), seconds(*time), "set the clocks of both machines")
        }
        _ => return error,
    };
    let whose = Leaf::read(leaf).map_or_else(|error| error.to_string(), |leaf| leaf.name.to_string());
    Error::Other(OtherError(Arc::new(OutOfTime { whose, what, bound, now, remedy })))
}

impl ServerCertVerifier for SayWhen<WebPkiServerVerifier> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(leaf, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| say_when(error, leaf))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl ClientCertVerifier for SayWhen<dyn ClientCertVerifier> {
    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify_client_cert(leaf, intermediates, now).map_err(|error| say_when(error, leaf))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.identity)
    }
}
