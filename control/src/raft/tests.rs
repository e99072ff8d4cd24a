//! Raft's promises.
//!
//! **Owns** what one voter and its store keep; `many` has several. **Must not know** the mesh. **Enter at** the tests.

use std::path::Path;

use openraft::{
    StorageError,
    storage::RaftLogReader as _,
    testing::log::{StoreBuilder, Suite},
};

use super::{machine::SnapshotFile, *};
use crate::{
    catalog::{Account, Actor, Change},
    mint,
    state::{Head, States},
};

mod many;

struct Stores;

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for Stores {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let (log, machine) = open(folder.path());
        Ok((folder, log, machine))
    }
}

fn open(folder: &Path) -> (LogStore, Machine) {
    let log = LogStore::open(&folder.join("raft.redb")).unwrap();
    (log, Machine::open(&folder.join("raft.snapshot"), states()).unwrap())
}

#[tokio::test]
async fn the_store_passes_openrafts_own_suite() {
    Suite::<TypeConfig, LogStore, Machine, Stores, tempfile::TempDir>::test_all(Stores).await.unwrap();
}

/// What a killed process leaves behind: everything it has written, nothing flushed on purpose.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    copy
}

fn states() -> Arc<States> {
    Arc::new(States::new(Head::default()))
}

fn config(folder: &Path, node: u64, logs_per_snapshot: u64) -> RaftConfig {
    RaftConfig {
        data_dir: folder.to_path_buf(),
        node: NodeId(node),
        propose_timeout: Duration::from_secs(10),
        logs_per_snapshot,
        heartbeat: Duration::from_millis(250),
    }
}

/// The only voter of a cluster, which is made when the folder is empty.
async fn alone(folder: &Path, logs_per_snapshot: u64) -> Raft {
    let raft = Raft::start(config(folder, 1, logs_per_snapshot), states(), Arc::new(NoTransport)).await.unwrap();
    raft.found().await.unwrap();
    assert!(raft.recover(Duration::ZERO).await.unwrap());
    raft
}

fn account(name: &str, label: Option<&str>) -> Command {
    let label = label.map(|label| skerry_proto::id::ServiceName::new(label).unwrap());
    let account = Account { id: mint::account_id(), name: name.to_owned(), label, created_at_ms: 1 };
    Command::new(Actor::node("test"), 1, vec![Change::CreateAccount(account)])
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let raft = alone(folder.path(), 1000).await;
    for at in 0..20 {
        let applied = raft.propose(account("tenant", Some(&format!("tenant-{at}")))).await.unwrap();
        assert!(raft.catalog().revision() >= applied.revision, "who is told sees the change");
    }
    let copy = killed(folder.path());
    let expected = raft.catalog();
    let again = alone(copy.path(), 1000).await;
    assert_eq!(again.catalog(), expected);
    again.propose(account("tenant", Some("one-more"))).await.unwrap();
    again.shutdown().await;
    raft.shutdown().await;
}

#[tokio::test]
async fn what_is_read_for_another_voter_fits_a_message_and_is_never_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let raft = alone(folder.path(), 1000).await;
    // Whether the catalog takes such names is another matter: the log has them.
    for kilobytes in [600, 600, 3000, 10] {
        let _refused = raft.propose(account(&"x".repeat(kilobytes << 10), None)).await;
    }
    let (mut log, last) = (raft.log.clone(), raft.status().last_log_index.unwrap());
    let mut read = async |from: u64| -> Vec<u64> {
        let entries = log.limited_get_log_entries(from, last + 1).await.unwrap();
        entries.iter().map(|entry| entry.log_id.index).collect()
    };
    let first = last - 3;
    assert_eq!(read(first).await, [first]);
    assert_eq!(read(first + 1).await, [first + 1]);
    assert_eq!(read(first + 2).await, [first + 2], "larger than a message should be, and alone");
    assert_eq!(read(last).await, [last]);
    assert_eq!(read(0).await.last(), Some(&first), "small ones share it");
    raft.shutdown().await;
}

#[tokio::test]
async fn an_older_snapshot_does_not_take_the_place_of_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raft.snapshot");
    let leader = openraft::impls::leader_id_adv::LeaderId { term: 1, node_id: 1 };
    let at = |index| Some(type_config::LogId::new(leader, index));
    let file = SnapshotFile::new(&path, at(3));
    file.save(at(7), "of the leader".into()).await.unwrap();
    file.clone().save(at(5), "built meanwhile".into()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"of the leader");
    file.save(at(8), "newer".into()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"newer");
}

#[tokio::test]
async fn snapshots_take_the_place_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let raft = alone(folder.path(), 10).await;
    for at in 0..50 {
        raft.propose(account("tenant", Some(&format!("tenant-{at}")))).await.unwrap();
    }
    let purged = |metrics: &openraft::RaftMetrics<TypeConfig>| metrics.purged.is_some();
    raft.raft.wait(Some(Duration::from_secs(20))).metrics(purged, "purged").await.unwrap();
    let (copy, expected) = (killed(folder.path()), raft.catalog());
    raft.shutdown().await;
    let again = alone(copy.path(), 10).await;
    assert_eq!(again.catalog(), expected);
    assert!(again.status().snapshot_index.is_some());
    again.shutdown().await;
}

#[tokio::test]
async fn a_refused_command_changes_nothing_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let raft = alone(folder.path(), 1000).await;
    raft.propose(account("first", None)).await.unwrap();
    let before = raft.catalog();
    let error = raft.propose(account("second", None)).await.unwrap_err();
    assert!(matches!(error, ProposeError::Rejected(_)), "{error}");
    assert_eq!(raft.catalog(), before);
    raft.propose(account("second", Some("second"))).await.unwrap();
    raft.shutdown().await;
}

#[tokio::test]
async fn many_proposers_each_get_their_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let raft = alone(folder.path(), 1000).await;
    let proposals = (0..64).map(|at| {
        let raft = raft.clone();
        async move { raft.propose(account("tenant", Some(&format!("tenant-{at}")))).await.unwrap().revision }
    });
    let mut revisions = futures_util::future::join_all(proposals).await;
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!((revisions.len(), raft.catalog().accounts().count()), (64, 64));
    raft.shutdown().await;
}

#[test]
fn a_damaged_log_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("raft.redb"), b"not a database").unwrap();
    assert!(LogStore::open(&folder.path().join("raft.redb")).is_err());
    std::fs::write(folder.path().join("raft.snapshot"), b"not a snapshot").unwrap();
    assert!(Machine::open(&folder.path().join("raft.snapshot"), states()).is_err());
}
