//! The log and the snapshot of a node that does not run.
//!
//! **Owns** reading a voter's state without taking part in anything, and making the files from which a cluster begins at a
//! given state. **Must not know** backups or roles. **Enter at** [`read`], [`agreed`] and [`found_at`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
};

use openraft::{BasicNode, RaftLogReader as _, impls::leader_id_adv::LeaderId, storage::RaftLogStorage as _};
use skerry_proto::id::{NodeId, Revision};

use super::{
    Raft,
    disk::{Disk, Write},
    log::LogStore,
    machine::Machine,
    type_config::{LogId, Membership, SnapshotMeta, StoredMembership, Vote},
    wire::encode_snapshot,
};
use crate::{
    catalog::Catalog,
    state::{Head, States},
    store::{Privacy, write_file},
};

/// The term in which a cluster that begins with a state has agreed on it; its first election makes the next one.
const FIRST_TERM: u64 = 1;

/// The state of a stopped voter: its snapshot, and all of its log. What the others may not have agreed on is part of it:
/// nobody was ever told that such a change failed, while one that was acknowledged must not be missing.
pub(crate) async fn read(data_dir: &Path) -> io::Result<Head> {
    let (log, snapshot) = (data_dir.join("raft.redb"), data_dir.join("raft.snapshot"));
    let opened = tokio::task::spawn_blocking(move || {
        let (disk, content) = Disk::open(&log)?;
        let machine = Machine::open(&snapshot, Arc::new(States::new(Head::default())))?;
        Ok::<_, io::Error>((disk, machine.replay(content.entries.into_values())))
    });
    let (disk, head) = opened.await.map_err(io::Error::from)??;
    disk.write(Write::Close).await?;
    Ok(head)
}

/// The state of a stopped voter as far as it knows that the others have agreed: what it may have shown.
pub(crate) async fn agreed(data_dir: &Path) -> io::Result<Head> {
    let (log, snapshot) = (data_dir.join("raft.redb"), data_dir.join("raft.snapshot"));
    let opened = tokio::task::spawn_blocking(move || {
        let log = LogStore::open(&log)?;
        let machine = Machine::open(&snapshot, Arc::new(States::new(Head::default())))?;
        Ok::<_, io::Error>((log, machine))
    });
    let (mut log, machine) = opened.await.map_err(io::Error::from)??;
    let end = log.read_committed().await?.map_or(0, |committed| committed.index + 1);
    let entries = log.try_get_log_entries(0..end).await?;
    log.close().await?;
    tokio::task::spawn_blocking(move || machine.replay(entries.into_iter())).await.map_err(io::Error::from)
}

impl Raft {
    /// Up to which revision this node knows that the voters have agreed.
    pub(crate) async fn agreed(&self) -> io::Result<Revision> {
        Ok(self.log.clone().read_committed().await?.map_or(Revision(0), |committed| Revision(committed.index)))
    }

    /// The state that was once shown as `revision`; `None` when the snapshot is newer, and what led to it is gone.
    pub(crate) async fn state_at(&self, data_dir: &Path, revision: Revision) -> io::Result<Option<Head>> {
        let snapshot = data_dir.join("raft.snapshot");
        let entries = self.log.clone().try_get_log_entries(0..=revision.0).await?;
        let replayed = tokio::task::spawn_blocking(move || {
            let machine = Machine::open(&snapshot, Arc::new(States::new(Head::default())))?;
            Ok::<_, io::Error>(machine.replay(entries.into_iter()))
        });
        let head = replayed.await.map_err(io::Error::from)??;
        Ok((head.catalog.revision() == revision).then_some(head))
    }
}

/// Makes the files of a cluster whose only voter is `voter` and whose first state is `catalog`. Log entries go on behind its
/// revision. The folder must have neither file.
pub(crate) async fn found_at(data_dir: &Path, voter: NodeId, catalog: &Catalog) -> io::Result<()> {
    let leader_id = LeaderId { term: FIRST_TERM, node_id: voter.0 };
    let last = LogId { leader_id, index: catalog.revision().0 };
    let members = Membership::new(vec![BTreeSet::from([voter.0])], BTreeMap::from([(voter.0, BasicNode::default())]));
    let members = members.map_err(io::Error::other)?;
    let meta = SnapshotMeta { last_log_id: Some(last), last_membership: StoredMembership::new(Some(last), members) };
    let (log, snapshot, bytes) =
        (data_dir.join("raft.redb"), data_dir.join("raft.snapshot"), encode_snapshot(&meta, catalog));
    let made = tokio::task::spawn_blocking(move || {
        write_file(&snapshot, &bytes, Privacy::Secret)?;
        Disk::open(&log)
    });
    let (disk, _) = made.await.map_err(io::Error::from)??;
    disk.write(Write::Purge(last)).await?;
    disk.write(Write::Vote(Vote { leader_id, committed: true })).await?;
    disk.write(Write::Close).await
}
