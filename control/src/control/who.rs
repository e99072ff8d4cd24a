//! Who a node is when it starts.
//!
//! **Owns** whether it is a member already, joins or founds a cluster, and who may not come back. **Must not know** what it does
//! then. **Enter at** [`who`].

use super::{introduce, start};
use crate::{
    catalog::NodeRole,
    clock,
    config::{Bootstrap, ControlConfig},
    error::BuildError,
    mesh::NodeIdentity,
    peer,
};

/// Who this node is: what it was before, or what the cluster makes of it now. `None` for a node that founds one, has done so
/// without a mesh, or was cut off in doing it.
pub(super) async fn who(
    config: &ControlConfig,
    before: Option<NodeIdentity>,
) -> Result<Option<NodeIdentity>, BuildError> {
    let log = config.data_dir.join("raft.redb");
    if let Some(identity) = before {
        // Before the log is read: it may hold commands that this build can not even decode.
        start::check_level(config, identity.feature_level)?;
        if identity.role == NodeRole::Voter.as_str() && !log.exists() {
            return Err(BuildError::LostLog { path: log.display().to_string(), node: identity.node });
        }
        return again(config, identity).await.map(Some);
    }
    match &config.bootstrap {
        _ if log.exists() && !peer::join::is_under_way(&config.data_dir) => Ok(None),
        Bootstrap::Join { at, token } => peer::join::join(&joiner(config, at, token)?).await.map(Some),
        Bootstrap::IfEmpty => Ok(None),
        Bootstrap::Never => Err(BuildError::NotBootstrapped { path: config.data_dir.display().to_string() }),
    }
}

/// A member that starts again. An edge whose certificate has ended joins again as who it was, when it was told how; else it
/// serves what it has. A voter makes its own certificate.
async fn again(config: &ControlConfig, identity: NodeIdentity) -> Result<NodeIdentity, BuildError> {
    let (Bootstrap::Join { at, token }, Some(ended)) = (&config.bootstrap, identity.ended(clock::unix_ms())) else {
        return Ok(identity);
    };
    if identity.role == NodeRole::Voter.as_str() {
        return Ok(identity);
    }
    let own = identity.members.iter().find(|member| member.node_id == identity.node.0);
    let name = own.map_or(&config.node_name, |member| &member.name);
    let joiner = joiner(config, at, token)?;
    let joiner = peer::join::Joiner { name, role: NodeRole::Edge, before: Some(&identity), ..joiner };
    match peer::join::join(&joiner).await {
        Ok(joined) if joined.node == identity.node => Ok(joined),
        Ok(joined) => Err(BuildError::Raft { reason: format!("node {} joined as {}", identity.node, joined.node) }),
        Err(error) => {
            tracing::warn!(ended, error = &error as &dyn std::error::Error, "this node has not joined again");
            Ok(identity)
        }
    }
}

/// The port on which others last reached this node.
pub(super) fn port_before(identity: &NodeIdentity) -> Option<u16> {
    let own = identity.members.iter().find(|member| member.node_id == identity.node.0)?;
    own.address.rsplit_once(':')?.1.parse().ok()
}

fn joiner<'a>(config: &'a ControlConfig, at: &'a str, token: &'a str) -> Result<peer::join::Joiner<'a>, BuildError> {
    let mesh = config.mesh.as_ref().ok_or(BuildError::NoMesh)?;
    Ok(peer::join::Joiner {
        data_dir: &config.data_dir,
        at,
        token,
        name: &config.node_name,
        role: config.role,
        region: &config.region,
        zone: &config.zone,
        address: mesh.advertised(),
        feature_level: config.feature_level,
        build: introduce::BUILD,
        before: None,
    })
}
