//! A node's identity, kept up to date: its certificate, whom it trusts, and its role.
//!
//! **Owns** when a node asks for a new certificate, whom, and what a voter gives it; and what a node needs for another role.
//! **Must not know** TLS. **Enter at** [`run`] and [`RenewService`].
//!
//! A certificate is renewed when a third of its life is left, or when the authority that made it does not sign any more.
//! A voter makes its own, so it comes back however long it was away. An edge whose certificate has ended serves what it has,
//! and has to be told a new join token: what was stolen from a machine that is long gone lets nobody in.
//! The authorities that are trusted follow the catalog at once, so a rotation is: trust both, sign with the new one, wait
//! until every node has a certificate of it, forget the old one.
//!
//! A node whose role changes prepares for it, notes it in its identity, and has to start anew: raft takes the feed's place or
//! the other way round. It keeps its log for ever, since its votes are in it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, refusal::Code},
};
use tokio::sync::watch;

use super::{
    book::is_newer,
    join::{authorities, issue, members, request_key},
    keys,
    propose::Proposer,
    role,
};
use crate::{
    catalog::{Catalog, NodeRole},
    clock, handover,
    limits::CERTIFICATE_REQUEST_BYTES_MAX,
    mesh::{Caller, FrameError, Incoming, Mesh, NodeIdentity, Service, certificate_request},
    raft::Raft,
    seal::{KeyFile, Sealer},
};

/// How often the certificate is looked at besides every change of the catalog. Two days of its life are left when it is due; but
/// a machine that has slept for a week, or whose clock was mended, should not stay apart for long.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long the leader may be silent before this node asks whether the others have gone on without it; an election is over by then.
const LEADER_SILENCE_MAX: Duration = Duration::from_secs(10);
/// How soon it is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// BOUND: how long a voter may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps a node's identity up to date.
pub(crate) struct Renewal {
    pub(crate) data_dir: PathBuf,
    pub(crate) identity: NodeIdentity,
    pub(crate) mesh: Mesh,
    pub(crate) proposer: Proposer,
    /// On nodes that may vote: they make their own.
    pub(crate) authority: Option<Sealer>,
    /// Told once the node is ready for another role.
    pub(crate) restart: watch::Sender<bool>,
}

/// Looks at every change and now and then, for as long as it runs.
pub(crate) async fn run(mut renewal: Renewal) {
    let mut states = renewal.proposer.states.watch();
    loop {
        let catalog = Arc::clone(&states.borrow_and_update());
        let mut wait = LOOK_EVERY;
        if let Err(error) = renewal.look(&catalog).await {
            let ends_ms = renewal.identity.not_after_ms();
            tracing::warn!(error, ends_ms, "this node's identity is not up to date yet");
            // Nobody answers a node whose certificate has ended, however often it asks.
            wait = if ends_ms > clock::unix_ms() { RETRY_EVERY } else { LOOK_EVERY };
        }
        if let Ok(Err(_)) = tokio::time::timeout(wait, states.changed()).await {
            return;
        }
    }
}

impl Renewal {
    async fn look(&mut self, catalog: &Catalog) -> Result<(), String> {
        let mut next = self.identity.clone();
        let trusted = authorities(catalog);
        if !trusted.is_empty() {
            next.authorities = trusted;
        }
        // A node that has just joined again was told of newer members than its old catalog lists.
        let known = members(catalog);
        if !known.is_empty() && !is_newer(&next.members, catalog) {
            next.members = known;
        }
        next.feature_level = catalog.feature_level().max(next.feature_level);
        let signs = catalog.cluster().and_then(|cluster| cluster.mesh_authority());
        let is_outdated = signs.is_some_and(|signs| next.chain.get(1).is_some_and(|made| *made != signs.certificate));
        if is_outdated || next.renewal_due(clock::unix_ms()) {
            next.chain = self.ask(catalog).await?;
            if signs.is_some_and(|signs| next.chain.get(1).is_some_and(|made| *made != signs.certificate)) {
                return Err("the voter that was asked does not know yet which authority signs".to_owned());
            }
            tracing::info!(ends_ms = next.not_after_ms(), "this node has a new certificate");
        }
        self.follow_role(catalog, &mut next).await?;
        if next == self.identity {
            return Ok(());
        }
        if next.role != self.identity.role {
            // Before the role is taken: a kill between the two must not lose it.
            handover::keep(&self.data_dir, self.proposer.states.catalog().revision()).await;
        }
        let (data_dir, keep) = (self.data_dir.clone(), next.clone());
        let kept = tokio::task::spawn_blocking(move || keep.save(&data_dir)).await;
        kept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let shows_other = (&next.chain, &next.authorities) != (&self.identity.chain, &self.identity.authorities);
        let takes_other_role = next.role != self.identity.role;
        self.identity = next;
        if takes_other_role {
            tracing::info!(role = self.identity.role, "this node's role has changed; it starts anew");
            self.restart.send_replace(true);
        }
        if shows_other {
            self.mesh.replace_identity(self.identity.clone()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Prepares for the role that the catalog gives this node.
    async fn follow_role(&self, catalog: &Catalog, next: &mut NodeIdentity) -> Result<(), String> {
        let Some(role) = catalog.node(self.identity.node).map(|node| node.role) else { return Ok(()) };
        if role.as_str() == self.identity.role {
            if self.hears_of_no_leader() && role::ask(&self.mesh, &self.proposer, catalog).await == Some(NodeRole::Edge)
            {
                tracing::info!("this node has become an edge while it was away");
                next.role = NodeRole::Edge.as_str().to_owned();
            }
            return Ok(());
        }
        match role {
            NodeRole::Voter => {
                let key = keys::ask(&self.mesh, &self.proposer, catalog).await?;
                let kept = Sealer::keep_key(&self.data_dir, KeyFile::Authority, key);
                kept.map_err(|error| error.to_string())?;
                // From here on a missing log means a lost one.
                Raft::create_log(&self.data_dir).await.map_err(|error| error.to_string())?;
            }
            NodeRole::Edge => {
                let status = self.proposer.seat.raft().map(|raft| raft.status());
                if status.is_some_and(|status| status.voters.contains(&self.identity.node)) {
                    return Err("it waits until it does not vote any more".to_owned());
                }
            }
        }
        next.role = role.as_str().to_owned();
        Ok(())
    }

    /// Whether raft tells this node nothing although it takes part: the others may go on without it.
    fn hears_of_no_leader(&self) -> bool {
        self.proposer.seat.raft().is_some_and(|raft| raft.leader_age().is_none_or(|age| age > LEADER_SILENCE_MAX))
    }

    async fn ask(&self, catalog: &Catalog) -> Result<Vec<Bytes>, String> {
        let request = certificate_request(&self.identity.key).map_err(|error| error.to_string())?;
        if let Some(authority) = &self.authority {
            return issue(authority, catalog, self.identity.node, &request);
        }
        if let Some(ended) = self.identity.ended(clock::unix_ms()) {
            return Err(ended);
        }
        let mut refused = "no voter is known".to_owned();
        let renew = pb::Renew { certificate_request: request };
        for voter in self.proposer.seat.ask_next(self.identity.node, catalog) {
            match self.mesh.call(voter, &renew, ANSWER_TIMEOUT).await {
                Ok(renewed) if !renewed.chain.is_empty() => return Ok(renewed.chain),
                Ok(_) => refused = format!("node {voter} answered without a certificate"),
                Err(error) => refused = error.to_string(),
            }
        }
        Err(refused)
    }
}

/// Makes certificates for members, each for its own name and key.
pub(crate) struct RenewService {
    pub(crate) proposer: Proposer,
    pub(crate) authority: Option<Sealer>,
}

#[async_trait]
impl Service for RenewService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a node's certificate was not renewed");
        }
    }
}

impl RenewService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::Renew = call.request(2 * CERTIFICATE_REQUEST_BYTES_MAX).await?;
        match self.renew(from, &request.certificate_request) {
            Ok(renewed) => call.answer(&renewed).await,
            Err((code, message)) => call.refuse(code, &message).await,
        }
    }

    fn renew(&self, from: Caller, request: &[u8]) -> Result<pb::Renewed, (Code, String)> {
        let catalog = self.proposer.states.catalog();
        let (Some(authority), Some(node)) = (&self.authority, known(&catalog, from)) else {
            return Err((Code::Unavailable, "this node makes no certificates".to_owned()));
        };
        let key = request_key(request).map_err(|message| (Code::Invalid, message))?;
        if catalog.node(node).is_none_or(|node| node.public_key != key) {
            return Err((Code::Forbidden, "the key is not the one that the node joined with".to_owned()));
        }
        let chain = issue(authority, &catalog, node, request).map_err(|message| (Code::Unavailable, message))?;
        Ok(pb::Renewed { chain, authorities: authorities(&catalog) })
    }
}

fn known(catalog: &Catalog, from: Caller) -> Option<NodeId> {
    match from {
        Caller::Node(node) => catalog.node(node).map(|node| node.id),
        Caller::Stranger(_) => None,
    }
}
