//! Whose entries are kept, and when they may go. Two nodes and real meshes are in `tests/it/many/kv.rs`.

use futures_util::FutureExt;
use skerry_proto::id::{AccountId, NodeId, Revision};

use super::{keeper::Keeper, *};
use crate::{
    catalog::{Account, Actor, Catalog, Change, Command},
    state::{Head, States},
};

fn namespace() -> NamespaceId {
    NamespaceId::new(&"a".repeat(32)).unwrap()
}

fn account() -> AccountId {
    AccountId::new(&"b".repeat(32)).unwrap()
}

/// A cluster without a mesh at this revision, with an account.
fn first(revision: u64) -> Catalog {
    let mut catalog = Catalog::default();
    let account = Account { id: account(), name: "default".to_owned(), label: None, created_at_ms: 1 };
    change(&mut catalog, revision, Change::CreateAccount(account));
    catalog
}

fn change(catalog: &mut Catalog, revision: u64, change: Change) {
    catalog.apply(Revision(revision), &Command::new(Actor::node("test"), 1, vec![change])).unwrap();
}

fn create() -> Change {
    Change::CreateNamespace { account: account(), id: namespace(), title: "cache".to_owned(), home: NodeId(1) }
}

fn head(catalog: &Catalog) -> Head {
    Head { catalog: Arc::new(catalog.clone()), ..Head::default() }
}

fn keeper(node: u64, catalog: &Catalog, folder: &tempfile::TempDir) -> (Keeper, Arc<States>) {
    let states = Arc::new(States::new(head(catalog)));
    (Keeper::new(NodeId(node), Arc::clone(&states), folder.path()), states)
}

fn reason(found: Result<impl Sized, KvError>) -> String {
    match found {
        Err(KvError::Undone { reason }) => reason,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was answered"),
    }
}

#[tokio::test]
async fn only_the_home_answers_and_only_for_namespaces_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = first(5);
    let (before, _states) = keeper(1, &catalog, &folder);
    let unknown = reason(before.entries(&namespace(), Access::Write).await);
    assert!(unknown.contains("does not exist, or this node has not heard of it yet"), "{unknown}");
    change(&mut catalog, 6, create());
    let (other, _states) = keeper(2, &catalog, &folder);
    assert_eq!(other.home(&namespace(), Access::Read).unwrap(), NodeId(1));
    for access in [Access::Read, Access::Write, Access::Clear] {
        let elsewhere = reason(other.entries(&namespace(), access).await);
        assert!(elsewhere.contains("node 1, not node 2, keeps"), "{elsewhere}");
    }
    let (home, _states) = keeper(1, &catalog, &folder);
    let early = reason(home.entries(&namespace(), Access::Read).await);
    assert!(early.contains("node 1 is starting or stopping"), "{early}");
}

#[tokio::test]
async fn a_deleted_namespace_is_cleared_at_its_last_home_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = first(5);
    change(&mut catalog, 6, create());
    change(&mut catalog, 7, Change::DeleteNamespace { account: account(), id: namespace() });
    let (other, _states) = keeper(2, &catalog, &folder);
    assert_eq!(other.home(&namespace(), Access::Clear).unwrap(), NodeId(1));
    assert!(other.is_lost(&namespace()), "the catalog lists no node 1");
    reason(other.home(&namespace(), Access::Write));
    let (home, _states) = keeper(1, &catalog, &folder);
    assert!(!home.is_lost(&namespace()), "a node keeps what it has, listed or not");
}

/// Without it, a node that starts with an old catalog would remove the entries of every namespace that is newer.
#[tokio::test]
async fn nothing_counts_as_deleted_before_the_catalog_is_as_new_as_the_entries() {
    let folder = tempfile::tempdir().unwrap();
    let old = first(5);
    let mut new = old.clone();
    change(&mut new, 9, create());
    let (home, _states) = keeper(1, &new, &folder);
    assert!(home.judge().await.is_none(), "entries of an older build wait for the next look");
    reason(home.entries(&namespace(), Access::Write).await);
    let (again, states) = keeper(1, &old, &folder);
    assert!(again.judge().now_or_never().is_none(), "it judges by a catalog that is older than its entries");
    states.replace(head(&new));
    assert_eq!(again.judge().await.unwrap().revision(), Revision(9));
}

#[tokio::test]
async fn a_damaged_mark_stops_the_sweep_and_no_write() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kv.mark"), b"?").unwrap();
    let mut catalog = first(5);
    change(&mut catalog, 6, create());
    let (home, _states) = keeper(1, &catalog, &folder);
    assert!(home.judge().await.is_none());
    let early = reason(home.entries(&namespace(), Access::Write).await);
    assert!(early.contains("starting or stopping"), "the mark is in nobody's way: {early}");
}
