//! Who this node is.
//!
//! **Owns** `DIR/node.identity`. **Must not know** how the certificate came about. **Enter at** [`NodeIdentity`].

use std::{fmt, io, path::Path};

use bytes::Bytes;
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, Member},
    versioned::{self, DecodeError, Kind},
};

use super::{
    authority::{not_after, renewal_due},
    certificate::{Leaf, time_text},
    name::{NodeName, is_cluster},
};
use crate::store::{Privacy, read_file, write_file};

const FILE: &str = "node.identity";

/// A node's name, key and certificates, and what else it needs to be itself again after a restart.
#[derive(Clone, PartialEq)]
pub struct NodeIdentity {
    /// The cluster's id: 32 lower-case hexadecimal digits.
    pub cluster: String,
    /// This node.
    pub node: NodeId,
    /// Its private key, PKCS#8 DER.
    pub key: Vec<u8>,
    /// Its certificate, leaf first, DER.
    pub chain: Vec<Bytes>,
    /// The authorities whose nodes it believes, DER.
    pub authorities: Vec<Bytes>,
    /// Where members were last seen, so that a restart finds somebody before it knows the catalog.
    pub members: Vec<Member>,
    /// The role that it asked for: `voter` or `edge`.
    pub role: String,
    /// The feature level of the cluster as this node last saw it: an older build must not read the log behind it.
    pub feature_level: u32,
}

/// Without the key.
impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeIdentity({})", self.name())
    }
}

/// Why a node does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file can not be read or written. State: unchanged. Retry: after mending it.
    #[error("the node's identity {path} can not be used")]
    Io {
        /// The file.
        path: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The file is damaged or of another kind. State: unchanged. Retry: no; restore it, or join again.
    #[error("the node's identity {path} can not be read")]
    Decode {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
    /// A part of it is missing or does not belong to the rest. State: unchanged. Retry: no; restore it, or join again.
    #[error("the identity of node {node} can not be used: {reason}")]
    Invalid {
        /// Who it says it is.
        node: NodeId,
        /// What does not fit.
        reason: String,
    },
}

impl NodeIdentity {
    /// The identity in `DIR/node.identity`; `None` when there is none. Blocking.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = data_dir.join(FILE);
        let shown = || path.display().to_string();
        let found = read_file(&path).map_err(|source| IdentityError::Io { path: shown(), source })?;
        let Some(bytes) = found else { return Ok(None) };
        let stored: pb::Identity = versioned::decode(Kind::Identity, &bytes)
            .map_err(|source| IdentityError::Decode { path: shown(), source })?;
        let identity = Self {
            cluster: stored.cluster,
            node: NodeId(stored.node_id),
            key: stored.key.to_vec(),
            chain: stored.chain,
            authorities: stored.authorities,
            members: stored.members,
            role: stored.role,
            feature_level: stored.feature_level,
        };
        identity.check()?;
        Ok(Some(identity))
    }

    /// Keeps it in `DIR/node.identity` (mode 0600), durable when this returns. Blocking.
    pub fn save(&self, data_dir: &Path) -> Result<(), IdentityError> {
        self.check()?;
        let stored = pb::Identity {
            cluster: self.cluster.clone(),
            node_id: self.node.0,
            key: Bytes::copy_from_slice(&self.key),
            chain: self.chain.clone(),
            authorities: self.authorities.clone(),
            members: self.members.clone(),
            role: self.role.clone(),
            feature_level: self.feature_level,
        };
        let path = data_dir.join(FILE);
        write_file(&path, &versioned::encode(Kind::Identity, &stored), Privacy::Secret)
            .map_err(|source| IdentityError::Io { path: path.display().to_string(), source })
    }

    /// When its certificate ends, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn not_after_ms(&self) -> i64 {
        not_after(&self.chain)
    }

    /// Whether its certificate should be replaced: a third of its life is left, or it has not begun.
    #[must_use]
    pub fn renewal_due(&self, now_ms: i64) -> bool {
        renewal_due(&self.chain, now_ms)
    }

    /// Why no other node talks to this one any more: its certificate has ended, or this machine's clock is wrong.
    #[must_use]
    pub fn ended(&self, now_ms: i64) -> Option<String> {
        let (ends, now) = (time_text(self.not_after_ms()), time_text(now_ms));
        (self.not_after_ms() <= now_ms).then(|| {
            format!(
                "the certificate of node {} ended at {ends}, and this machine's clock says {now}: set the clock if it is \
                 wrong; else make a token with `skerry cluster join-token --role {}` and start this node with --join and \
                 --join-token-file",
                self.node, self.role,
            )
        })
    }

    pub(super) fn name(&self) -> NodeName {
        NodeName::new(self.node, &self.cluster)
    }

    /// That its parts are there and the certificate is this node's. Whether the key is its certificate's, and whether an
    /// authority signed it, is found when the mesh is built and called.
    pub(super) fn check(&self) -> Result<Leaf, IdentityError> {
        let invalid = |reason: String| IdentityError::Invalid { node: self.node, reason };
        if !is_cluster(&self.cluster) {
            return Err(invalid(format!("{:?} is not a cluster's id", self.cluster)));
        }
        if self.authorities.is_empty() {
            return Err(invalid("it names no authority".to_owned()));
        }
        let leaf = self.chain.first().ok_or_else(|| invalid("it has no certificate".to_owned()))?;
        let leaf = Leaf::read(leaf).map_err(|error| invalid(error.to_string()))?;
        if leaf.name != self.name() {
            return Err(invalid(format!("its certificate is for {}", leaf.name)));
        }
        Ok(leaf)
    }
}
