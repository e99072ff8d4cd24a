//! What a node may do, asked of others.
//!
//! **Owns** the question of a node that was away while its role changed: raft no longer tells it, and the feed not yet. **Must not
//! know** what follows. **Enter at** [`ask`] and [`RoleService`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use skerry_proto::mesh::{self as pb, refusal::Code};

use super::propose::Proposer;
use crate::{
    catalog::{Catalog, NodeRole},
    mesh::{Caller, FrameError, Incoming, Mesh, Service},
    seat::Seat,
    state::States,
};

/// BOUND: how long one node may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// BOUND: bytes of the question.
const REQUEST_BYTES_MAX: usize = 64;

/// The role that a newer catalog than this node's gives it, and that raft goes on without it; `None` when nobody says so.
pub(super) async fn ask(mesh: &Mesh, proposer: &Proposer, catalog: &Catalog) -> Option<NodeRole> {
    // Not the leader alone that raft names: it may be long gone.
    let voters = catalog.nodes().filter(|node| node.role == NodeRole::Voter && node.id != proposer.node);
    for voter in voters.map(|node| node.id) {
        match mesh.call(voter, &pb::RoleAsk {}, ANSWER_TIMEOUT).await {
            Ok(told) if told.revision > catalog.revision().0 && !told.votes => {
                return told
                    .role
                    .parse()
                    .inspect_err(|error| tracing::warn!(%voter, %error, "a role is not known"))
                    .ok();
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%voter, %error, "a voter does not say what this node may do"),
        }
    }
    None
}

/// Tells members what they may do.
pub(crate) struct RoleService {
    pub(crate) seat: Seat,
    pub(crate) states: Arc<States>,
}

#[async_trait]
impl Service for RoleService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a node was not told its role");
        }
    }
}

impl RoleService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let _: pb::RoleAsk = call.request(REQUEST_BYTES_MAX).await?;
        let (catalog, status) = (self.states.catalog(), self.seat.raft().map(|raft| raft.status()));
        let asker = match from {
            Caller::Node(node) => catalog.node(node),
            Caller::Stranger(_) => None,
        };
        match (asker, status) {
            (Some(node), Some(status)) if status.leader.is_some() => {
                let (role, votes) = (node.role.as_str().to_owned(), status.voters.contains(&node.id));
                call.answer(&pb::RoleTold { revision: catalog.revision().0, role, votes }).await
            }
            (Some(_), _) => call.refuse(Code::Unavailable, "this node hears of no leader either").await,
            (None, _) => call.refuse(Code::Forbidden, "only members ask this").await,
        }
    }
}
