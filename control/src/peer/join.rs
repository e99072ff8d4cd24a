//! How a machine becomes a node.
//!
//! **Owns** both sides of joining: what the joiner says, and what a voter gives it. **Must not know** what tokens allow; the
//! catalog does. **Enter at** [`join`] and [`JoinService`].
//!
//! The joiner checks the voter's certificate against the fingerprint in the token before it says anything. It may be
//! cut off at any moment and ask again with the same key: it gets the same identity, and the token is used once.

use std::{fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, refusal::Code},
};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use super::propose::Proposer;
use crate::{
    catalog::{Actor, Admission, Catalog, Change, Cluster, Command, NewNode, Node, NodeRole, TokenHash},
    clock,
    error::{BuildError, JoinFailure, ProposeError},
    limits::NODE_CERTIFICATE_LIFE,
    mesh::{
        Authority, Caller, FrameError, Incoming, JoinError, JoinToken, NodeIdentity, Service, certificate_request,
        new_key,
    },
    raft::Raft,
    seal::{KeyFile, Sealer},
    store::{Privacy, read_file, write_file},
};

/// Where the key waits until the machine is a node.
const KEY_FILE: &str = "join.key";
/// BOUND: bytes of a request to join: names, an address and a certificate request.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// BOUND: how long one attempt may take; an admission is one write.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// BOUND: attempts while nobody answers; a cluster that has just started needs some seconds to elect a leader.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// What a machine says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Joiner<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) at: &'a str,
    pub(crate) token: &'a str,
    pub(crate) name: &'a str,
    pub(crate) role: NodeRole,
    pub(crate) region: &'a str,
    pub(crate) zone: &'a str,
    /// Where other nodes reach its mesh.
    pub(crate) address: String,
    pub(crate) feature_level: u32,
    pub(crate) build: &'a str,
    /// Who this machine was, when its certificate has ended.
    pub(crate) before: Option<&'a NodeIdentity>,
}

/// Asks until a voter has made this machine a node, and keeps everything that it was given. The identity is written last:
/// what was cut off before is begun again, with the same key.
pub(crate) async fn join(joiner: &Joiner<'_>) -> Result<NodeIdentity, BuildError> {
    let token: JoinToken = joiner.token.parse().map_err(JoinFailure::Token)?;
    let key = match joiner.before {
        Some(before) => before.key.clone(),
        None => own_key(joiner.data_dir)?,
    };
    let request = pb::Join {
        token: joiner.token.trim().to_owned(),
        name: joiner.name.to_owned(),
        role: joiner.role.as_str().to_owned(),
        region: joiner.region.to_owned(),
        zone: joiner.zone.to_owned(),
        address: joiner.address.clone(),
        certificate_request: certificate_request(&key).map_err(JoinFailure::Key)?,
        feature_level: joiner.feature_level,
        build: joiner.build.to_owned(),
    };
    let attempts = if joiner.before.is_some() { 1 } else { ATTEMPTS_MAX };
    let joined = ask(joiner.at, token.authority, &request, attempts).await?;
    let identity = NodeIdentity {
        cluster: joined.cluster,
        node: NodeId(joined.node_id),
        key,
        chain: joined.chain,
        authorities: joined.authorities,
        members: joined.members,
        role: joiner.role.as_str().to_owned(),
        // Until its first catalog says more; a cluster above this node's level has not let it in.
        feature_level: Cluster::FIRST_FEATURE_LEVEL,
    };
    let unusable = |what| JoinFailure::Answer { at: joiner.at.to_owned(), what };
    let cluster_key = joined.cluster_key[..].try_into().ok().ok_or_else(|| unusable("the cluster's key"))?;
    Sealer::keep_key(joiner.data_dir, KeyFile::Cluster, cluster_key)?;
    if joiner.role == NodeRole::Voter {
        let authority_key = joined.authority_key[..].try_into().ok().ok_or_else(|| unusable("the authority's key"))?;
        Sealer::keep_key(joiner.data_dir, KeyFile::Authority, authority_key)?;
        // From here on a missing log means a lost one.
        Raft::create_log(joiner.data_dir).await?;
    }
    identity.save(joiner.data_dir).map_err(JoinFailure::Identity)?;
    if joiner.before.is_none() {
        remove_key(joiner.data_dir)?;
    }
    tracing::info!(node = %identity.node, cluster = %identity.cluster, "this machine is a node now");
    Ok(identity)
}

async fn ask(at: &str, authority: [u8; 32], request: &pb::Join, attempts: u32) -> Result<pb::Joined, JoinFailure> {
    let mut attempt = 1;
    loop {
        let error = match crate::mesh::join(at, authority, request, ATTEMPT_TIMEOUT).await {
            Ok(joined) => return Ok(joined),
            Err(error) => error,
        };
        let passes = match &error {
            JoinError::Unreachable { .. } | JoinError::Lost { .. } => true,
            JoinError::Refused { code, .. } => *code == Code::Unavailable,
            JoinError::Authority { .. } | JoinError::Time { .. } | JoinError::Malformed { .. } => false,
        };
        if !passes || attempt == attempts {
            return Err(JoinFailure::Asked(error));
        }
        tracing::warn!(%error, attempt, "not joined yet");
        attempt += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The key that this machine will have as a node, kept until it is one: whoever asks again is known by it.
pub(crate) fn own_key(data_dir: &Path) -> Result<Vec<u8>, BuildError> {
    let path = data_dir.join(KEY_FILE);
    if let Some(key) = read_file(&path).map_err(|source| BuildError::io(&path, source))? {
        return Ok(key);
    }
    let key = new_key().map_err(JoinFailure::Key)?;
    write_file(&path, &key, Privacy::Secret).map_err(|source| BuildError::io(&path, source))?;
    Ok(key)
}

pub(crate) fn remove_key(data_dir: &Path) -> Result<(), BuildError> {
    let path = data_dir.join(KEY_FILE);
    fs::remove_file(&path).map_err(|source| BuildError::io(&path, source))
}

/// Whether a join was cut off.
pub(crate) fn is_under_way(data_dir: &Path) -> bool {
    data_dir.join(KEY_FILE).exists() && !data_dir.join("admin.token").exists()
}

/// Makes nodes of machines that hold a join token. On nodes that may vote; edges say where those are.
pub(crate) struct JoinService {
    pub(crate) proposer: Proposer,
    pub(crate) sealer: Sealer,
    pub(crate) authority: Option<Sealer>,
}

#[async_trait]
impl Service for JoinService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a machine that wanted to join was not answered");
        }
    }
}

impl JoinService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::Join = call.request(REQUEST_BYTES_MAX).await?;
        let name: String = request.name.chars().take(80).collect();
        match self.admit(request).await {
            Ok(joined) => {
                tracing::info!(node = joined.node_id, name, ?from, "a machine became a node");
                call.answer(&joined).await
            }
            Err((code, message)) => {
                tracing::warn!(name, ?from, message, "a machine was not made a node");
                call.refuse(code, &message).await
            }
        }
    }

    async fn admit(&self, request: pb::Join) -> Result<pb::Joined, (Code, String)> {
        let invalid = |message: String| (Code::Invalid, message);
        let catalog = self.proposer.states.catalog();
        let Some(authority) = &self.authority else {
            return Err((Code::NotFound, format!("this node is an edge; join at a voter: {}", voters(&catalog))));
        };
        let public_key = request_key(&request.certificate_request).map_err(invalid)?;
        let node = NewNode {
            admission: Admission::Token(TokenHash::of(&request.token)),
            name: request.name,
            role: request.role.parse().map_err(|error| invalid(format!("role: {error}")))?,
            region: request.region,
            zone: request.zone,
            address: request.address,
            api: String::new(),
            public_key,
            feature_level: request.feature_level,
            build: request.build,
            boot: 0,
        };
        let actor = Actor::node(&node.name);
        let command = Command::new(actor, clock::unix_ms(), vec![Change::AdmitNode(node)]);
        self.proposer.propose(command).await.map_err(|error| match error {
            ProposeError::Rejected(_) | ProposeError::Refused { .. } => invalid(error.to_string()),
            error => (Code::Unavailable, error.to_string()),
        })?;
        let catalog = self.proposer.states.catalog();
        let node = catalog.node_by_key(&public_key).ok_or((Code::Unavailable, "it was removed again".to_owned()))?;
        self.welcome(authority, &catalog, node, &request.certificate_request)
            .map_err(|message| (Code::Unavailable, message))
    }

    fn welcome(
        &self,
        authority: &Sealer,
        catalog: &Catalog,
        node: &Node,
        certificate_request: &[u8],
    ) -> Result<pb::Joined, String> {
        let chain = issue(authority, catalog, node.id, certificate_request)?;
        let cluster = catalog.cluster().ok_or("the cluster is not made yet")?;
        let authority_key = match node.role {
            NodeRole::Voter => Bytes::copy_from_slice(&authority.key()),
            NodeRole::Edge => Bytes::new(),
        };
        Ok(pb::Joined {
            node_id: node.id.0,
            cluster: cluster.id.clone(),
            chain,
            authorities: authorities(catalog),
            cluster_key: Bytes::copy_from_slice(&self.sealer.key()),
            authority_key,
            members: members(catalog),
        })
    }
}

/// A certificate for a node, by the authority that signs.
pub(crate) fn issue(
    authority: &Sealer,
    catalog: &Catalog,
    node: NodeId,
    certificate_request: &[u8],
) -> Result<Vec<Bytes>, String> {
    let cluster = catalog.cluster().ok_or("the cluster is not made yet")?;
    let signs = cluster.mesh_authority().ok_or("the cluster has no mesh authority yet")?;
    let key = authority.open(&signs.key).map_err(|error| error.to_string())?;
    let signs = Authority { certificate: signs.certificate.clone(), key };
    let now_ms = clock::unix_ms();
    let issued = signs.issue(certificate_request, &cluster.id, node, now_ms, NODE_CERTIFICATE_LIFE);
    issued.map_err(|error| error.to_string())
}

/// The authorities that nodes trust, the one that signs first.
pub(crate) fn authorities(catalog: &Catalog) -> Vec<Bytes> {
    let authorities = catalog.cluster().map(|cluster| &cluster.mesh_authorities[..]).unwrap_or_default();
    authorities.iter().map(|authority| authority.certificate.clone()).collect()
}

/// Every node as a restart needs to remember it.
pub(crate) fn members(catalog: &Catalog) -> Vec<pb::Member> {
    let member = |node: &Arc<Node>| pb::Member {
        node_id: node.id.0,
        name: node.name.clone(),
        address: node.address.clone(),
        role: node.role.as_str().to_owned(),
    };
    catalog.nodes().map(member).collect()
}

fn voters(catalog: &Catalog) -> String {
    let voters = catalog.nodes().filter(|node| node.role == NodeRole::Voter);
    voters.map(|node| node.address.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the catalog knows a key by: the BLAKE3 hash of a request's public key.
pub(crate) fn request_key(request: &[u8]) -> Result<[u8; 32], String> {
    let (_, request) = X509CertificationRequest::from_der(request)
        .map_err(|error| format!("certificate_request: it is no PKCS#10 request: {error}"))?;
    Ok(*blake3::hash(request.certification_request_info.subject_pki.raw).as_bytes())
}
