//! Asking to become a member.
//!
//! **Owns** the client's side of a join: whom it believes before it says its secret. **Must not know** what a member is.
//! **Enter at** [`join`].
//!
//! The joining node has no certificate and knows one thing: the fingerprint of the mesh authority, from its token. The
//! other side sends its authority with its certificate; the fingerprint must fit, and that authority must have signed.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use quinn::{Endpoint, VarInt};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, CallHead, Method, refusal::Code},
};

use super::{
    MeshConfig,
    authority::authority_fingerprint,
    call::CallError,
    certificate::Leaf,
    class::Class,
    code::CloseCode,
    counters::Counters,
    frame,
    name::NodeName,
    outgoing::Dialling,
    stream::{FrameError, Stream},
    tls,
};
use crate::limits::FRAME_BYTES_MAX;

/// Why a node did not become a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Nobody was asked: no connection, or not in time. State: unchanged. Retry: yes, later or elsewhere.
    #[error("{address} was not asked: {reason}; check --join, and that UDP packets reach that port")]
    Unreachable {
        /// Who should have been asked.
        address: String,
        /// Why.
        reason: String,
    },
    /// The node there belongs to another cluster than the token: its authority has another fingerprint. The token was not
    /// sent. State: unchanged. Retry: with the right address, or a new token.
    #[error(
        "{address} belongs to another cluster than the join token, or its authority was replaced: {reason}; check --join, or \
         make a token there with `skerry cluster join-token`"
    )]
    Authority {
        /// Who answered.
        address: String,
        /// What was found.
        reason: String,
    },
    /// The certificate there has ended or not begun, by this machine's clock. The token was not sent. State: unchanged.
    /// Retry: with the right time.
    #[error("{address} can not be believed: {reason}")]
    Time {
        /// Who answered.
        address: String,
        /// Both times, and what to do.
        reason: String,
    },
    /// The cluster said no. State: unchanged. Retry: as the code says.
    #[error("{address} refused: {message}")]
    Refused {
        /// Who was asked.
        address: String,
        /// The kind of refusal.
        code: Code,
        /// For people.
        message: String,
    },
    /// The token was sent and no answer came: the node may be a member under a name that nobody uses. State: unknown.
    /// Retry: yes; the operator can remove what is left over.
    #[error("the answer of {address} was lost: {reason}")]
    Lost {
        /// Who was asked.
        address: String,
        /// Why.
        reason: String,
    },
    /// The answer does not fit. State: unknown. Retry: no.
    #[error("the answer of {address} can not be used: {reason}")]
    Malformed {
        /// Who was asked.
        address: String,
        /// What is wrong.
        reason: String,
    },
}

/// Asks the node at `address` (`host:port`) to make this one a member. Nothing is sent before the other side has shown
/// that an authority with this fingerprint made it a node.
pub async fn join(
    address: &str,
    authority: [u8; 32],
    request: &pb::Join,
    within: Duration,
) -> Result<pb::Joined, JoinError> {
    let unreachable = |reason: String| JoinError::Unreachable { address: address.to_owned(), reason };
    let mut frames = BytesMut::new();
    let head = CallHead { method: Method::Join.into(), traceparent: String::new() };
    frame::append(&mut frames, &head).map_err(|error| unreachable(error.to_string()))?;
    frame::append(&mut frames, request).map_err(|error| unreachable(error.to_string()))?;
    let endpoint = endpoint().map_err(|error| unreachable(error.to_string()))?;
    let joining = Joining::new(address, authority);
    let joined = joining.ask(&endpoint, frames, within).await;
    endpoint.close(VarInt::from_u32(CloseCode::Done.number()), CloseCode::Done.text().as_bytes());
    // So that the other side hears it; it is not our loss when it does not.
    let _ = tokio::time::timeout(Duration::from_millis(200), endpoint.wait_idle()).await;
    joined
}

/// An endpoint for one call: both families where the machine has both.
fn endpoint() -> std::io::Result<Endpoint> {
    let any = |address: std::net::IpAddr| SocketAddr::new(address, 0);
    Endpoint::client(any(Ipv6Addr::UNSPECIFIED.into())).or_else(|_| Endpoint::client(any(Ipv4Addr::UNSPECIFIED.into())))
}

pub(super) struct Joining<'a> {
    address: &'a str,
    authority: [u8; 32],
    found: Arc<Found>,
}

/// Who answered at the addresses of one name, which are tried one after the other.
#[derive(Debug, Default)]
struct Found {
    verdicts: Mutex<Verdicts>,
}

#[derive(Debug, Default)]
struct Verdicts {
    /// Who was believed last: an address is only left for the next one when nothing was said to it.
    believed: Option<NodeName>,
    /// Why the first one that was not believed was not.
    doubt: Option<Doubt>,
}

impl Found {
    fn note(&self, verdict: Result<NodeName, Doubt>) {
        let mut verdicts = self.verdicts();
        match verdict {
            Ok(name) => verdicts.believed = Some(name),
            Err(doubt) => drop(verdicts.doubt.get_or_insert(doubt)),
        }
    }

    /// Why nobody was believed; `None` where somebody was, or nobody answered.
    fn doubt(&self) -> Option<Doubt> {
        let verdicts = self.verdicts();
        verdicts.doubt.clone().filter(|_| verdicts.believed.is_none())
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Joining<'a> {
    pub(super) fn new(address: &'a str, authority: [u8; 32]) -> Self {
        Self { address, authority, found: Arc::default() }
    }

    /// Whether who was believed is a node of this cluster.
    pub(super) fn is_of(&self, cluster: &str) -> bool {
        self.found.verdicts().believed.as_ref().is_some_and(|name| name.cluster == cluster)
    }

    async fn ask(&self, endpoint: &Endpoint, frames: BytesMut, within: Duration) -> Result<pb::Joined, JoinError> {
        let address = || self.address.to_owned();
        let late = |what: &str| format!("{what} within {} ms", within.as_millis());
        let asked_at = crate::clock::monotonic();
        let sent = match tokio::time::timeout(within, self.send(endpoint, frames)).await {
            Ok(sent) => sent?,
            Err(_) => return Err(JoinError::Unreachable { address: address(), reason: late("not connected") }),
        };
        let left = within.saturating_sub(crate::clock::monotonic().saturating_duration_since(asked_at));
        let mut stream = sent;
        let answer = match tokio::time::timeout(left, stream.receive.next::<pb::Joined>(FRAME_BYTES_MAX)).await {
            Ok(answer) => answer.map_err(|error| self.unanswered(error))?,
            Err(_) => return Err(JoinError::Lost { address: address(), reason: late("no answer") }),
        };
        let Some(joined) = answer else {
            return Err(JoinError::Lost { address: address(), reason: "it ended without an answer".to_owned() });
        };
        match self.is_of(&joined.cluster) {
            true => Ok(joined),
            false => Err(JoinError::Malformed { address: address(), reason: "it names another cluster".to_owned() }),
        }
    }

    /// Connects and sends the request, whole.
    async fn send(&self, endpoint: &Endpoint, frames: BytesMut) -> Result<Stream, JoinError> {
        let unreachable = |reason: String| JoinError::Unreachable { address: self.address.to_owned(), reason };
        let config = MeshConfig::new(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        let client = self.client(&config).map_err(|error| unreachable(error.to_string()))?;
        // The name is not looked at: whoever the authority made a node may answer.
        let name = "join.skerry-mesh".to_owned();
        let dialling = Dialling { endpoint, client, name, within: config.dial_timeout };
        let connection = dialling.any_of(self.address).await.map_err(|error| match self.found.doubt() {
            Some(Doubt::Authority(reason)) => JoinError::Authority { address: self.address.to_owned(), reason },
            Some(Doubt::Time(reason)) => JoinError::Time { address: self.address.to_owned(), reason },
            None => unreachable(error.to_string()),
        })?;
        let streams = connection.open_bi().await.map_err(|error| unreachable(error.to_string()))?;
        let mut stream = Stream::calling(streams, Arc::new(Counters::new(self.address.to_owned())), None);
        match stream.send.write(&mut [frames.freeze()]).await {
            Ok(()) => stream.send.finish().map_err(|error| unreachable(error.to_string()))?,
            // The answer says why.
            Err(FrameError::Reset { .. }) => {}
            Err(error) => return Err(unreachable(error.to_string())),
        }
        Ok(stream)
    }

    pub(super) fn client(&self, config: &MeshConfig) -> Result<quinn::ClientConfig, super::MeshBuildError> {
        let provider = tls::provider();
        let verifier = FingerprintVerifier {
            authority: self.authority,
            provider: Arc::clone(&provider),
            found: Arc::clone(&self.found),
        };
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        tls::quic_client(config, tls, Class::Join)
    }

    fn unanswered(&self, error: FrameError) -> JoinError {
        let address = self.address.to_owned();
        match CallError::unanswered(NodeId(0), error) {
            CallError::Refused { code, message, .. } => JoinError::Refused { address, code, message },
            CallError::Malformed { reason, .. } => JoinError::Malformed { address, reason },
            CallError::Unsent { reason, .. } | CallError::Lost { reason, .. } => JoinError::Lost { address, reason },
        }
    }
}

/// Believes every node of the one authority that has the fingerprint.
#[derive(Debug)]
struct FingerprintVerifier {
    authority: [u8; 32],
    provider: Arc<CryptoProvider>,
    found: Arc<Found>,
}

/// Why the other side is not believed.
#[derive(Debug, Clone)]
enum Doubt {
    /// It is not who the token means.
    Authority(String),
    /// Its certificate or this machine's clock is out of time.
    Time(String),
}

impl FingerprintVerifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<NodeName, Error> {
        let fits = |shown: &&CertificateDer<'_>| authority_fingerprint(shown) == self.authority;
        let Some(authority) = intermediates.iter().find(fits) else {
            let shown: Vec<_> = intermediates.iter().map(|shown| hex::encode(authority_fingerprint(shown))).collect();
            let wanted = hex::encode(self.authority);
            let text = format!("the token's authority is {wanted}, it shows {}", shown.join(" and "));
            return Err(Error::Other(OtherError(Arc::new(Refused(text)))));
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, algorithms)?;
        let leaf = Leaf::read(leaf);
        leaf.map(|leaf| leaf.name).map_err(|error| Error::Other(OtherError(Arc::new(Refused(error.to_string())))))
    }
}

/// Why a certificate was not believed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl ServerCertVerifier for FingerprintVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verify(leaf, intermediates, now);
        let is_untimely = verified.as_ref().is_err_and(tls::is_untimely);
        let verified = verified.map_err(|error| tls::say_when(error, leaf));
        let found = verified.clone().map_err(|error| match error {
            Error::Other(OtherError(reason)) if is_untimely => Doubt::Time(reason.to_string()),
            Error::Other(OtherError(reason)) => Doubt::Authority(reason.to_string()),
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                Doubt::Authority("its certificate was not signed by the authority that it shows".to_owned())
            }
            error => Doubt::Authority(error.to_string()),
        });
        self.found.note(found);
        verified.map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
