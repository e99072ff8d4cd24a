//! Pure. Changes of nodes and of the cluster as messages.
//!
//! **Owns** their translation. **Must not know** what a change does. **Enter at** [`kind`] and [`from_kind`].

use skerry_proto::catalog::{self as pb, change::Kind};

use super::{
    WireError, hash, id, list,
    node::{node_id, role, state, token_hash},
};
use crate::catalog::{Admission, Change, Fingerprint, NewNode, NodeUpdate, WhenVoter};

pub(super) fn kind(change: &Change) -> Kind {
    match change {
        Change::AdmitNode(node) => Kind::AdmitNode(node.into()),
        Change::UpdateNode(update) => Kind::UpdateNode(update.into()),
        Change::SetNodeRole { id, role } => {
            Kind::SetNodeRole(pb::SetNodeRole { id: id.0, role: pb::NodeRole::from(*role).into() })
        }
        Change::SetNodeState { id, state } => {
            Kind::SetNodeState(pb::SetNodeState { id: id.0, state: pb::NodeState::from(*state).into() })
        }
        Change::RemoveNode { id, voter } => {
            Kind::RemoveNode(pb::RemoveNode { id: id.0, although_voter: *voter == WhenVoter::Remove })
        }
        Change::CreateJoinToken(token) => Kind::CreateJoinToken(token.into()),
        Change::RevokeJoinToken { id } => Kind::RevokeJoinToken(id.to_string()),
        Change::SetMeshAuthorities { authorities, replaces } => {
            let authorities = authorities.iter().map(Into::into).collect();
            let replaces = replaces.iter().map(|one| one.0.to_vec().into()).collect();
            Kind::SetMeshAuthorities(pb::SetMeshAuthorities { authorities, replaces })
        }
        Change::SetFeatureLevel { level } => Kind::SetFeatureLevel(*level),
        other => unreachable!("{other:?} is about an account, and `change` has translated it"),
    }
}

pub(super) fn from_kind(kind: Kind) -> Result<Change, WireError> {
    Ok(match kind {
        Kind::AdmitNode(from) => Change::AdmitNode(from.try_into()?),
        Kind::UpdateNode(from) => Change::UpdateNode(from.try_into()?),
        Kind::SetNodeRole(from) => {
            Change::SetNodeRole { id: node_id("change.id", from.id)?, role: role("change.role", from.role())? }
        }
        Kind::SetNodeState(from) => {
            Change::SetNodeState { id: node_id("change.id", from.id)?, state: state("change.state", from.state())? }
        }
        Kind::RemoveNode(from) => Change::RemoveNode {
            id: node_id("change.id", from.id)?,
            voter: if from.although_voter { WhenVoter::Remove } else { WhenVoter::Refuse },
        },
        Kind::CreateJoinToken(token) => Change::CreateJoinToken(token.try_into()?),
        Kind::RevokeJoinToken(token) => Change::RevokeJoinToken { id: id("change.id", &token)? },
        Kind::SetMeshAuthorities(from) => {
            let replaces = from.replaces.iter().map(|one| hash("change.replaces", one).map(Fingerprint));
            let replaces = replaces.collect::<Result<_, _>>()?;
            Change::SetMeshAuthorities { authorities: list(from.authorities)?, replaces }
        }
        Kind::SetFeatureLevel(level) => Change::SetFeatureLevel { level },
        _ => return Err(WireError::field("change.kind", "is unknown")),
    })
}

impl From<&NewNode> for pb::AdmitNode {
    fn from(node: &NewNode) -> Self {
        Self {
            name: node.name.clone(),
            role: pb::NodeRole::from(node.role).into(),
            region: node.region.clone(),
            zone: node.zone.clone(),
            address: node.address.clone(),
            api: node.api.clone(),
            public_key: node.public_key.to_vec().into(),
            feature_level: node.feature_level,
            build: node.build.clone(),
            boot: node.boot,
            token: match node.admission {
                Admission::Founder => None,
                Admission::Token(hash) => Some(hash.0.to_vec().into()),
            },
        }
    }
}

impl TryFrom<pb::AdmitNode> for NewNode {
    type Error = WireError;

    fn try_from(node: pb::AdmitNode) -> Result<Self, WireError> {
        let token = token_hash("change.token", node.token.as_deref())?;
        Ok(Self {
            admission: token.map_or(Admission::Founder, Admission::Token),
            role: role("change.role", node.role())?,
            name: node.name,
            region: node.region,
            zone: node.zone,
            address: node.address,
            api: node.api,
            public_key: hash("change.public_key", &node.public_key)?,
            feature_level: node.feature_level,
            build: node.build,
            boot: node.boot,
        })
    }
}

impl From<&NodeUpdate> for pb::UpdateNode {
    fn from(update: &NodeUpdate) -> Self {
        Self {
            id: update.id.0,
            region: update.region.clone(),
            zone: update.zone.clone(),
            address: update.address.clone(),
            api: update.api.clone(),
            feature_level: update.feature_level,
            build: update.build.clone(),
            boot: update.boot,
        }
    }
}

impl TryFrom<pb::UpdateNode> for NodeUpdate {
    type Error = WireError;

    fn try_from(update: pb::UpdateNode) -> Result<Self, WireError> {
        Ok(Self {
            id: node_id("change.id", update.id)?,
            region: update.region,
            zone: update.zone,
            address: update.address,
            api: update.api,
            feature_level: update.feature_level,
            build: update.build,
            boot: update.boot,
        })
    }
}
