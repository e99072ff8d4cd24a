//! Replaces the mesh's authority while everything goes on.
//!
//! **Owns** asking the nodes and taking the next step, on the leader. **Must not know** when a step is safe; [`plan`] does.
//! **Enter at** [`run`] and [`Rotation`].
//!
//! Nodes need no orders: each follows the catalog's authorities by itself (`peer/renew.rs`). What a node believes and shows is
//! asked of the node itself over the mesh, so nobody can answer for another.

pub(crate) mod plan;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use skerry_proto::id::NodeId;
use tokio::sync::watch;

use self::plan::{Phase, Waiting, next, phase, waiting};
use crate::{
    catalog::{Actor, Authority, Catalog, Change, Command, Fingerprint, SealScope},
    clock,
    error::ProposeError,
    mesh::{self, Mesh, SignError},
    peer::trust::{self, Held},
    raft::Raft,
    seal::Sealer,
    seat::Seat,
};

/// How often nodes are asked while a rotation is under way; each step takes them about a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// BOUND: nodes that are asked at the same time.
const ASKED_AT_ONCE: usize = 32;

/// How far a rotation is, as the leader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// What is being done.
    pub(crate) phase: Phase,
    /// Whom it waits for; empty before anybody was asked.
    pub(crate) waiting: Vec<Waiting>,
}

/// Why no rotation begins. State: unchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotateError {
    /// The cluster has no mesh, or this node may not vote. Retry: no.
    #[error("this node has no mesh authority to replace: set `mesh` in its configuration and start it again")]
    NoAuthority,
    /// No authority could be made. Retry: no.
    #[error("a new mesh authority can not be made")]
    Make(#[from] SignError),
}

/// What the loop works with.
pub(crate) struct Rotator {
    pub(crate) seat: Seat,
    pub(crate) mesh: Mesh,
    pub(crate) name: String,
    pub(crate) progress: watch::Sender<Option<Rotation>>,
}

/// Carries on whatever rotation is under way whenever this node leads, for as long as it runs.
pub(crate) async fn run(rotator: Rotator) {
    let Some(mut states) = rotator.seat.raft().map(|raft| raft.watch()) else { return };
    loop {
        let catalog = Arc::clone(&states.borrow_and_update());
        let raft = rotator.seat.raft().filter(|raft| raft.leads());
        let under_way = phase(authorities(&catalog)).is_some();
        match raft {
            Some(raft) if under_way => rotator.look(&raft, &catalog).await,
            _ => drop(rotator.progress.send_replace(None)),
        }
        let changed = async {
            if under_way {
                tokio::time::sleep(LOOK_EVERY).await;
                return true;
            }
            states.changed().await.is_ok()
        };
        if !changed.await {
            return;
        }
    }
}

impl Rotator {
    async fn look(&self, raft: &Raft, catalog: &Catalog) {
        let authorities = authorities(catalog);
        let Some(phase) = phase(authorities) else { return };
        let held = self.ask_all(catalog).await;
        let waiting = waiting(phase, authorities, catalog.nodes().map(|node| node.id), &held);
        tracing::debug!(?phase, waiting = waiting.len(), "the mesh's authority is being replaced");
        let is_done = waiting.is_empty();
        self.progress.send_replace(Some(Rotation { phase, waiting }));
        if !is_done {
            return;
        }
        let command = Command::new(Actor::node(&self.name), clock::unix_ms(), vec![step(phase, authorities)]);
        match raft.propose(command).await {
            Ok(applied) => tracing::info!(?phase, revision = %applied.revision, "a step of the rotation is done"),
            Err(ProposeError::NotLeader { .. }) => {}
            Err(error) => tracing::warn!(%error, ?phase, "a step of the rotation is not done"),
        }
    }

    /// What each node says; absent for who does not answer.
    async fn ask_all(&self, catalog: &Catalog) -> BTreeMap<NodeId, Held> {
        let own = self.mesh.node();
        let others: Vec<NodeId> = catalog.nodes().map(|node| node.id).filter(|node| *node != own).collect();
        let asked = stream::iter(others).map(|node| async move { (node, trust::ask(&self.mesh, node).await) });
        let answers = asked.buffer_unordered(ASKED_AT_ONCE).collect::<Vec<_>>().await;
        let known = answers.into_iter().filter_map(|(node, held)| Some((node, held?)));
        known.chain([(own, trust::held(&self.mesh))]).collect()
    }
}

/// The authorities of a cluster.
pub(crate) fn authorities(catalog: &Catalog) -> &[Authority] {
    catalog.cluster().map(|cluster| &cluster.mesh_authorities[..]).unwrap_or_default()
}

/// The change that begins a rotation.
pub(crate) fn begin(sealer: Option<&Sealer>, catalog: &Catalog, now_ms: i64) -> Result<Change, RotateError> {
    let (Some(sealer), Some(cluster)) = (sealer, catalog.cluster()) else { return Err(RotateError::NoAuthority) };
    let Some(newest_ms) = cluster.mesh_authorities.iter().map(|one| one.created_at_ms).max() else {
        return Err(RotateError::NoAuthority);
    };
    let made = mesh::new_authority(&cluster.id, now_ms)?;
    let key = sealer.seal(SealScope::mesh_authority(Fingerprint::of(&made.certificate)), &made.key);
    // The newest is known by its time, so a clock that went back must not make it older.
    let created_at_ms = now_ms.max(newest_ms + 1);
    let new = Authority { certificate: made.certificate, key, created_at_ms };
    let authorities = cluster.mesh_authorities.iter().cloned().chain([new]).collect();
    Ok(Change::SetMeshAuthorities { authorities, replaces: fingerprints(&cluster.mesh_authorities) })
}

/// The change that does the next step.
pub(crate) fn step(phase: Phase, authorities: &[Authority]) -> Change {
    Change::SetMeshAuthorities { authorities: next(phase, authorities), replaces: fingerprints(authorities) }
}

fn fingerprints(authorities: &[Authority]) -> Vec<Fingerprint> {
    authorities.iter().map(Authority::fingerprint).collect()
}
