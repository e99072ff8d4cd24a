//! Pure. A machine of the cluster.
//!
//! **Owns** what the cluster has agreed about a node. **Must not know** whether it is alive: that is gossip's. **Enter
//! at** [`Node`].
//!
//! ```text
//! (none) --admit--> Active --drain--> Draining
//!                     ^                  |
//!                     `-----undrain------'        Active, Draining --remove--> (none, its id is never used again)
//! ```
//! - admit: a founder into a cluster without nodes, or whoever holds a join token.  - drain: it takes no new work: it is
//!   not ready, and does not vote.  - undrain: it takes work again.  - remove: its certificate counts no more; refused for the last voter.

use std::{fmt, str::FromStr};

use skerry_proto::id::NodeId;

use super::TokenHash;

/// A machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The revision that admitted it; 1 for the founder.
    pub id: NodeId,
    /// What people call it; unique. 1 to 63 of letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Whether it votes.
    pub role: NodeRole,
    /// Where it stands; empty when not said.
    pub region: String,
    /// Which zone of the region; empty when not said.
    pub zone: String,
    /// Where other nodes reach its mesh: `host:port`.
    pub address: String,
    /// Where its API is reached: `host:port`; empty when nowhere.
    pub api: String,
    /// BLAKE3 of the public key of its certificate request; unique.
    pub public_key: [u8; 32],
    /// Whether it takes work.
    pub state: NodeState,
    /// The newest feature level that its build knows.
    pub feature_level: u32,
    /// Its build, for people: a version, perhaps with a commit.
    pub build: String,
    /// Milliseconds since the Unix epoch.
    pub joined_at_ms: i64,
    /// How often it has started; only grows.
    pub boot: u64,
    /// The token that admitted it, so that a node whose answer was lost can ask again; `None` for the founder.
    pub admitted_by: Option<TokenHash>,
}

/// A node that wants to be one. Its id is the revision that admits it: find it with
/// [`Catalog::node_by_key`](super::Catalog::node_by_key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Why it may.
    pub admission: Admission,
    /// As [`Node::name`].
    pub name: String,
    /// As [`Node::role`]; not more than the token allows.
    pub role: NodeRole,
    /// As [`Node::region`].
    pub region: String,
    /// As [`Node::zone`].
    pub zone: String,
    /// As [`Node::address`].
    pub address: String,
    /// As [`Node::api`].
    pub api: String,
    /// As [`Node::public_key`].
    pub public_key: [u8; 32],
    /// As [`Node::feature_level`]; not below the cluster's.
    pub feature_level: u32,
    /// As [`Node::build`].
    pub build: String,
    /// As [`Node::boot`].
    pub boot: u64,
}

/// Why a node may be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The cluster has no nodes yet; this is the one that made it. It gets id 1 and votes.
    Founder,
    /// It holds the join token of this hash.
    Token(TokenHash),
}

/// What a node says of itself after a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUpdate {
    /// Which.
    pub id: NodeId,
    /// As [`Node::region`].
    pub region: String,
    /// As [`Node::zone`].
    pub zone: String,
    /// As [`Node::address`].
    pub address: String,
    /// As [`Node::api`].
    pub api: String,
    /// As [`Node::feature_level`]; not below the cluster's.
    pub feature_level: u32,
    /// As [`Node::build`].
    pub build: String,
    /// As [`Node::boot`]; not below what the cluster has seen.
    pub boot: u64,
}

impl Node {
    /// The node as it was admitted.
    pub(super) fn admitted(id: NodeId, new: &NewNode, joined_at_ms: i64) -> Self {
        Self {
            id,
            name: new.name.clone(),
            role: new.role,
            region: new.region.clone(),
            zone: new.zone.clone(),
            address: new.address.clone(),
            api: new.api.clone(),
            public_key: new.public_key,
            state: NodeState::Active,
            feature_level: new.feature_level,
            build: new.build.clone(),
            joined_at_ms,
            boot: new.boot,
            admitted_by: match new.admission {
                Admission::Founder => None,
                Admission::Token(hash) => Some(hash),
            },
        }
    }

    /// The node as it is after an update. Equal to the node itself when the update says nothing new, and then need not be
    /// proposed.
    #[must_use]
    pub fn updated(&self, update: &NodeUpdate) -> Self {
        Self {
            region: update.region.clone(),
            zone: update.zone.clone(),
            address: update.address.clone(),
            api: update.api.clone(),
            feature_level: update.feature_level,
            build: update.build.clone(),
            boot: update.boot,
            ..self.clone()
        }
    }
}

/// Whether a node votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRole {
    /// It keeps raft's log and may be made a voter; it holds the mesh authority's key.
    Voter,
    /// It follows the feed.
    Edge,
}

impl NodeRole {
    /// Whether who may have this role may have the other: a voter does what an edge does.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self == Self::Voter || other == Self::Edge
    }

    /// `voter` or `edge`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Edge => "edge",
        }
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use voter or edge")]
pub struct RoleError;

impl FromStr for NodeRole {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        match text {
            "voter" => Ok(Self::Voter),
            "edge" => Ok(Self::Edge),
            _ => Err(RoleError),
        }
    }
}

/// Whether a node takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It does.
    Active,
    /// It takes no new work: its `/readyz` says 503, and it hands over the lead and its vote. It answers whoever still comes.
    Draining,
}

impl NodeState {
    /// `active` or `draining`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
