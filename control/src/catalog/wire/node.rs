//! Pure. The cluster, its nodes and its join tokens as messages.
//!
//! **Owns** their translation. **Must not know** commands. **Enter at** the `From` and `TryFrom` here.

use skerry_proto::{catalog as pb, id::NodeId};

use super::{WireError, hash, id, list, need};
use crate::catalog::{Authority, Cluster, JoinToken, Node, NodeRole, NodeState, TokenHash};

impl From<&Cluster> for pb::Cluster {
    fn from(cluster: &Cluster) -> Self {
        Self {
            domain: cluster.domain.to_string(),
            ca_certificate: cluster.ca_certificate.clone(),
            ca_key: Some((&cluster.ca_key).into()),
            created_at_ms: cluster.created_at_ms,
            id: cluster.id.clone(),
            mesh_authorities: cluster.mesh_authorities.iter().map(Into::into).collect(),
            feature_level: cluster.feature_level,
        }
    }
}

impl TryFrom<pb::Cluster> for Cluster {
    type Error = WireError;

    fn try_from(cluster: pb::Cluster) -> Result<Self, WireError> {
        Ok(Self {
            id: cluster_id(cluster.id, &cluster.ca_certificate)?,
            domain: id("cluster.domain", &cluster.domain)?,
            ca_certificate: cluster.ca_certificate,
            ca_key: need("cluster.ca_key", cluster.ca_key)?.into(),
            created_at_ms: cluster.created_at_ms,
            mesh_authorities: list(cluster.mesh_authorities)?,
            feature_level: cluster.feature_level.max(Self::FIRST_FEATURE_LEVEL),
        })
    }
}

/// Clusters from before there were nodes have none stored.
fn cluster_id(stored: String, ca_certificate: &[u8]) -> Result<String, WireError> {
    if stored.is_empty() {
        return Ok(Cluster::id_of(ca_certificate));
    }
    match stored.len() == 32 && stored.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        true => Ok(stored),
        false => Err(WireError::field("cluster.id", "is not 32 lower-case hexadecimal digits")),
    }
}

impl From<&Authority> for pb::Authority {
    fn from(authority: &Authority) -> Self {
        Self {
            certificate: authority.certificate.clone(),
            key: Some((&authority.key).into()),
            created_at_ms: authority.created_at_ms,
        }
    }
}

impl TryFrom<pb::Authority> for Authority {
    type Error = WireError;

    fn try_from(authority: pb::Authority) -> Result<Self, WireError> {
        let key = need("authority.key", authority.key)?.into();
        Ok(Self { certificate: authority.certificate, key, created_at_ms: authority.created_at_ms })
    }
}

impl From<&Node> for pb::Node {
    fn from(node: &Node) -> Self {
        Self {
            id: node.id.0,
            name: node.name.clone(),
            role: pb::NodeRole::from(node.role).into(),
            region: node.region.clone(),
            zone: node.zone.clone(),
            address: node.address.clone(),
            api: node.api.clone(),
            public_key: node.public_key.to_vec().into(),
            state: pb::NodeState::from(node.state).into(),
            feature_level: node.feature_level,
            build: node.build.clone(),
            joined_at_ms: node.joined_at_ms,
            boot: node.boot,
            admitted_by: node.admitted_by.map(|hash| hash.0.to_vec().into()),
        }
    }
}

impl TryFrom<pb::Node> for Node {
    type Error = WireError;

    fn try_from(node: pb::Node) -> Result<Self, WireError> {
        Ok(Self {
            role: role("node.role", node.role())?,
            state: state("node.state", node.state())?,
            id: node_id("node.id", node.id)?,
            name: node.name,
            region: node.region,
            zone: node.zone,
            address: node.address,
            api: node.api,
            public_key: hash("node.public_key", &node.public_key)?,
            feature_level: node.feature_level,
            build: node.build,
            joined_at_ms: node.joined_at_ms,
            boot: node.boot,
            admitted_by: token_hash("node.admitted_by", node.admitted_by.as_deref())?,
        })
    }
}

impl From<&JoinToken> for pb::JoinToken {
    fn from(token: &JoinToken) -> Self {
        Self {
            id: token.id.to_string(),
            hash: token.hash.0.to_vec().into(),
            role: token.role.map_or(pb::NodeRole::Unspecified, Into::into).into(),
            uses_left: token.uses_left,
            expires_at_ms: token.expires_at_ms,
            created_at_ms: token.created_at_ms,
            name: token.name.clone(),
        }
    }
}

impl TryFrom<pb::JoinToken> for JoinToken {
    type Error = WireError;

    fn try_from(token: pb::JoinToken) -> Result<Self, WireError> {
        let role = match pb::NodeRole::try_from(token.role) {
            Ok(pb::NodeRole::Unspecified) => None,
            Ok(given) => Some(role("join_token.role", given)?),
            // Read as unspecified it would admit more than was meant.
            Err(_) => return Err(WireError::field("join_token.role", "is unknown")),
        };
        Ok(Self {
            id: id("join_token.id", &token.id)?,
            hash: TokenHash(hash("join_token.hash", &token.hash)?),
            role,
            uses_left: token.uses_left,
            expires_at_ms: token.expires_at_ms,
            created_at_ms: token.created_at_ms,
            name: token.name,
        })
    }
}

impl From<NodeRole> for pb::NodeRole {
    fn from(role: NodeRole) -> Self {
        match role {
            NodeRole::Voter => Self::Voter,
            NodeRole::Edge => Self::Edge,
        }
    }
}

impl From<NodeState> for pb::NodeState {
    fn from(state: NodeState) -> Self {
        match state {
            NodeState::Active => Self::Active,
            NodeState::Draining => Self::Draining,
        }
    }
}

pub(super) fn role(field: &'static str, role: pb::NodeRole) -> Result<NodeRole, WireError> {
    match role {
        pb::NodeRole::Voter => Ok(NodeRole::Voter),
        pb::NodeRole::Edge => Ok(NodeRole::Edge),
        pb::NodeRole::Unspecified => Err(WireError::field(field, "is unknown")),
    }
}

pub(super) fn state(field: &'static str, state: pb::NodeState) -> Result<NodeState, WireError> {
    match state {
        pb::NodeState::Active => Ok(NodeState::Active),
        pb::NodeState::Draining => Ok(NodeState::Draining),
        pb::NodeState::Unspecified => Err(WireError::field(field, "is unknown")),
    }
}

/// No node has id 0: raft's first entry is its own.
pub(super) fn node_id(field: &'static str, index: u64) -> Result<NodeId, WireError> {
    match index {
        0 => Err(WireError::field(field, "is missing")),
        _ => Ok(NodeId(index)),
    }
}

pub(super) fn token_hash(field: &'static str, bytes: Option<&[u8]>) -> Result<Option<TokenHash>, WireError> {
    bytes.map(|bytes| hash(field, bytes).map(TokenHash)).transpose()
}
