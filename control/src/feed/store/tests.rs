use std::time::Duration;

use super::{super::rules::CatalogRules, *};
use crate::{
    feed::{message::Position, rules::position, tests::lab::History},
    store::create_folder,
};

fn open(folder: &Path) -> Loaded {
    load(folder, Limit::Newest, &CatalogRules).unwrap()
}

fn found(folder: &Path) -> Position {
    position(&open(folder).head)
}

async fn persisted(store: &Store, revision: Revision) {
    let mut progress = store.progress();
    let reached = progress.wait_for(|progress| progress.persisted >= revision || progress.failures > 0);
    let reached = tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap().unwrap();
    assert_eq!(reached.failures, 0, "{}", reached.failure);
}

/// A folder with a snapshot of the first state of `history`, and the entries from there to `to` behind it.
async fn written(history: &History, to: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path(), &open(folder.path())).unwrap();
    store.state(history.position(1), encode(history, 1)).unwrap();
    for entry in &history.entries[1..to] {
        store.append(Arc::clone(entry)).unwrap();
    }
    persisted(&store, history.position(to).revision).await;
    store.close().await;
    folder
}

fn encode(history: &History, at: usize) -> Bytes {
    crate::catalog::wire::encode_catalog(&history.heads[at].catalog).into()
}

fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_kill_at_any_byte_loses_nothing_that_was_persisted_before() {
    let history = History::of(8);
    let folder = written(&history, 8).await;
    let (_, log) = files(folder.path(), LOG).unwrap().pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    let mut ends = vec![0];
    let mut rest = bytes.as_slice();
    while let Some((_, behind)) = record::decode_entry(rest) {
        rest = behind;
        ends.push(bytes.len() - rest.len());
    }
    assert_eq!(ends.len(), 8);
    for length in 0..=bytes.len() {
        let copy = copy(folder.path());
        fs::write(copy.path().join(log.file_name().unwrap()), &bytes[..length]).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(newest(copy.path()).unwrap(), history.position(whole).revision);
        let loaded = open(copy.path());
        assert_eq!((position(&loaded.head), loaded.entries.len()), (history.position(whole), whole - 1), "at {length}");
        if length % 64 == 0 && whole < 8 {
            let store = Store::start(copy.path(), &loaded).unwrap();
            store.append(Arc::clone(&history.entries[whole])).unwrap();
            persisted(&store, history.position(whole + 1).revision).await;
            store.close().await;
            assert_eq!(found(copy.path()), history.position(whole + 1), "it goes on after a tear at {length}");
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_and_what_lies_before_it_is_kept() {
    let history = History::of(5);
    let folder = written(&history, 5).await;
    let (_, log) = files(folder.path(), LOG).unwrap().pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let copy = copy(folder.path());
        let mut broken = bytes.clone();
        broken[at] ^= 4;
        fs::write(copy.path().join(log.file_name().unwrap()), &broken).unwrap();
        let found = found(copy.path());
        assert!(history.heads[1..5].iter().any(|head| position(head) == found), "at {at}");
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over_for_an_older_one_and_the_log_behind_it() {
    let history = History::of(12);
    let folder = written(&history, 4).await;
    for (snapshot, to) in [(4, 7), (7, 10), (10, 12)] {
        write_snapshot(folder.path(), history.position(snapshot), encode(&history, snapshot)).unwrap();
        let store = Store::start(folder.path(), &open(folder.path())).unwrap();
        store.snapshotted().unwrap();
        history.entries[snapshot..to].iter().for_each(|entry| store.append(Arc::clone(entry)).unwrap());
        persisted(&store, history.position(to).revision).await;
        store.close().await;
    }
    let snapshots = files(folder.path(), SNAPSHOT).unwrap();
    assert_eq!(snapshots.len(), SNAPSHOTS_KEPT, "the first one is gone");
    assert!(files(folder.path(), LOG).unwrap().len() <= SNAPSHOTS_KEPT + 1, "and so is the log before it");
    for (_, path) in snapshots[1..].iter().rev() {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
        assert_eq!(found(folder.path()), history.position(12));
    }
}

#[tokio::test]
async fn a_snapshot_from_elsewhere_ends_the_history_before_it() {
    let history = History::of(12);
    let folder = written(&history, 4).await;
    let store = Store::start(folder.path(), &open(folder.path())).unwrap();
    store.state(history.position(9), encode(&history, 9)).unwrap();
    store.append(Arc::clone(&history.entries[9])).unwrap();
    persisted(&store, history.position(10).revision).await;
    store.close().await;
    assert_eq!(found(folder.path()), history.position(10));
    let (_, newest) = files(folder.path(), SNAPSHOT).unwrap().pop().unwrap();
    fs::write(newest, b"damaged").unwrap();
    assert_eq!(found(folder.path()), history.position(4), "what does not follow the older one is not believed");
    let store = Store::start(folder.path(), &open(folder.path())).unwrap();
    store.append(Arc::clone(&history.entries[4])).unwrap();
    persisted(&store, history.position(5).revision).await;
    store.close().await;
    assert_eq!(found(folder.path()), history.position(5));
}

#[tokio::test]
async fn damage_that_a_snapshot_has_made_harmless_costs_nothing() {
    let history = History::of(8);
    let folder = written(&history, 3).await;
    let (_, old) = files(folder.path(), LOG).unwrap().pop().unwrap();
    // Half a record, as a full disk leaves it; then there is room again, and a state comes from elsewhere.
    let mut bytes = fs::read(&old).unwrap();
    bytes.extend_from_slice(&record::encode_entry(&history.entries[3])[..10]);
    let loaded = open(folder.path());
    fs::write(&old, &bytes).unwrap();
    let store = Store::start(folder.path(), &loaded).unwrap();
    store.state(history.position(5), encode(&history, 5)).unwrap();
    history.entries[5..].iter().for_each(|entry| store.append(Arc::clone(entry)).unwrap());
    persisted(&store, history.position(8).revision).await;
    store.close().await;
    assert_ne!(fs::read(&old).unwrap(), bytes, "it is cut off before the next segment begins");
    assert_eq!(found(copy(folder.path()).path()), history.position(8));
    fs::write(&old, &bytes).unwrap();
    assert_eq!(found(folder.path()), history.position(8), "and would not matter");
}

#[tokio::test]
async fn what_does_not_follow_is_never_written_and_what_is_there_already_is_fine() {
    let history = History::of(8);
    let folder = written(&history, 4).await;
    let store = Store::start(folder.path(), &open(folder.path())).unwrap();
    let mut progress = store.progress();
    store.append(Arc::clone(&history.entries[6])).unwrap();
    let failed = progress.wait_for(|progress| progress.failures == 1);
    tokio::time::timeout(Duration::from_secs(20), failed).await.unwrap().unwrap();
    progress.mark_unchanged();
    store.append(Arc::clone(&history.entries[3])).unwrap();
    tokio::time::timeout(Duration::from_secs(20), progress.changed()).await.unwrap().unwrap();
    assert_eq!(progress.borrow().persisted, history.position(4).revision, "it says so again");
    store.append(Arc::clone(&history.entries[4])).unwrap();
    let went_on = progress.wait_for(|progress| progress.persisted == history.position(5).revision);
    tokio::time::timeout(Duration::from_secs(20), went_on).await.unwrap().unwrap();
    store.close().await;
    assert_eq!(found(folder.path()), history.position(5));
}

#[tokio::test]
async fn a_start_that_goes_back_leaves_the_newer_records_alone() {
    let history = History::of(8);
    let folder = written(&history, 8).await;
    let back = load(folder.path(), Limit::UpTo(history.position(5).revision), &CatalogRules).unwrap();
    assert_eq!(position(&back.head), history.position(5));
    assert_eq!(found(folder.path()), history.position(8));
}

#[test]
fn a_log_grows_until_a_snapshot_is_due() {
    let folder = tempfile::tempdir().unwrap();
    create_folder(folder.path()).unwrap();
    let mut loaded = open(folder.path());
    assert_eq!(position(&loaded.head), Position::default());
    loaded.records = super::super::limits::RECORDS_PER_SNAPSHOT;
    let (sender, receiver) = watch::channel(Progress::default());
    let (jobs, queue) = mpsc::channel(8);
    let history = History::of(1);
    jobs.try_send(Job::Append(Arc::clone(&history.entries[0]))).unwrap();
    drop(jobs);
    Writer::new(folder.path().to_path_buf(), &loaded, sender).run(queue);
    assert!(receiver.borrow().snapshot_due);
}

#[test]
fn a_damaged_journal_does_not_keep_a_node_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read_boots(folder.path()).is_empty());
    write_boots(folder.path(), &[Boot { number: 3, ..Boot::default() }]).unwrap();
    assert_eq!(read_boots(folder.path())[0].number, 3);
    fs::write(folder.path().join(BOOTS), b"?").unwrap();
    assert!(read_boots(folder.path()).is_empty());
}
