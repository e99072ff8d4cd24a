//! What only nodes that may vote hold.
//!
//! **Owns** handing the key of the mesh's authorities to a node whose role has become voter. **Must not know** why it has.
//! **Enter at** [`ask`] and [`KeysService`].

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::mesh::{self as pb, refusal::Code};

use super::propose::Proposer;
use crate::{
    catalog::{Catalog, NodeRole},
    mesh::{Caller, FrameError, Incoming, Mesh, Service},
    seal::Sealer,
};

/// BOUND: how long a voter may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// BOUND: bytes of the question.
const REQUEST_BYTES_MAX: usize = 64;

/// Asks voters for the key until one gives it.
pub(super) async fn ask(mesh: &Mesh, proposer: &Proposer, catalog: &Catalog) -> Result<[u8; 32], String> {
    let mut refused = "no voter is known".to_owned();
    for voter in proposer.seat.ask_next(proposer.node, catalog) {
        match mesh.call(voter, &pb::VoterKeys {}, ANSWER_TIMEOUT).await {
            Ok(answer) => match answer.authority_key[..].try_into() {
                Ok(key) => return Ok(key),
                Err(_) => refused = format!("node {voter} gave no key"),
            },
            Err(error) => refused = error.to_string(),
        }
    }
    Err(refused)
}

/// Gives the key to members whose role is voter.
pub(crate) struct KeysService {
    pub(crate) proposer: Proposer,
    pub(crate) authority: Option<Sealer>,
}

#[async_trait]
impl Service for KeysService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a node got no voter's key");
        }
    }
}

impl KeysService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let _: pb::VoterKeys = call.request(REQUEST_BYTES_MAX).await?;
        let catalog = self.proposer.states.catalog();
        let may_vote = match from {
            Caller::Node(node) => catalog.node(node).is_some_and(|node| node.role == NodeRole::Voter),
            Caller::Stranger(_) => false,
        };
        match &self.authority {
            Some(authority) if may_vote => {
                tracing::info!(?from, "a node that may vote now gets the authority's key");
                call.answer(&pb::VoterKeysAnswer { authority_key: Bytes::copy_from_slice(&authority.key()) }).await
            }
            Some(_) => call.refuse(Code::Forbidden, "only nodes that may vote get this").await,
            None => call.refuse(Code::Unavailable, "this node has no authority's key").await,
        }
    }
}
