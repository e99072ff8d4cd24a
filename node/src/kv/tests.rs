//! What the store promises, against a real database file.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn namespace(digit: char) -> NamespaceId {
    NamespaceId::new(&digit.to_string().repeat(32)).unwrap()
}

fn store(dir: &tempfile::TempDir) -> LocalKv {
    LocalKv::build(&KvConfig { path: dir.path().join("kv.redb"), cache_bytes: 1 << 20 }).unwrap()
}

fn put(value: &str) -> KvPut {
    KvPut { value: Bytes::copy_from_slice(value.as_bytes()), metadata: None, expiration: None }
}

#[tokio::test]
async fn a_write_is_read_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let large = "x".repeat(3 << 20);
    let kv = store(&dir);
    kv.put(&namespace('a'), "small", put("1")).await.unwrap();
    let with_metadata = KvPut { metadata: Some("{\"a\":1}".into()), ..put(&large) };
    kv.put(&namespace('a'), "large", with_metadata).await.unwrap();
    drop(kv);
    let kv = store(&dir);
    for _cold_then_cached in 0..2 {
        let entry = kv.get(&namespace('a'), "small").await.unwrap().unwrap();
        assert_eq!(entry.value, "1");
        let entry = kv.get(&namespace('a'), "large").await.unwrap().unwrap();
        assert_eq!((entry.value.len(), entry.metadata.as_deref()), (3 << 20, Some("{\"a\":1}")));
        assert_eq!(kv.get(&namespace('b'), "small").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_bulk_read_holds_no_more_than_one_value_may_have() {
    use crate::bindings::{kv::serve, outbound::KvCall};
    let dir = tempfile::tempdir().unwrap();
    let kv = store(&dir);
    let large = "x".repeat(13 << 20);
    for key in ["a", "b"] {
        kv.put(&namespace('a'), key, put(&large)).await.unwrap();
    }
    let get = async |keys: &[&str]| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        serve(&kv, &namespace('a'), KvCall::Get { keys, cache_ttl_seconds: None }).await
    };
    assert!(get(&["a", "absent"]).await.is_ok());
    assert!(matches!(get(&["a", "b"]).await, Err(KvError::Invalid { status: 413, .. })));
}

#[tokio::test]
async fn the_last_write_wins_whatever_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let kv = store(&dir);
    let large = "x".repeat(100_000);
    for value in ["a", &large, "b", &large] {
        kv.put(&namespace('a'), "k", put(value)).await.unwrap();
        assert_eq!(kv.get(&namespace('a'), "k").await.unwrap().unwrap().value, value);
    }
    kv.delete(&namespace('a'), "k").await.unwrap();
    assert_eq!(kv.get(&namespace('a'), "k").await.unwrap(), None);
    kv.delete(&namespace('a'), "k").await.unwrap();
}

#[tokio::test]
async fn an_expired_entry_is_invisible_and_then_removed() {
    let dir = tempfile::tempdir().unwrap();
    let kv = store(&dir);
    let past = clock::unix_seconds() - 1;
    for n in 0..10 {
        let expiration = Some(if n < 5 { past } else { past + 1000 });
        kv.put(&namespace('a'), &format!("k{n}"), KvPut { expiration, ..put("v") }).await.unwrap();
    }
    assert_eq!(kv.get(&namespace('a'), "k0").await.unwrap(), None);
    assert_eq!(kv.list(&namespace('a'), KvListOptions::default()).await.unwrap().keys.len(), 5);
    assert_eq!(kv.sweep(clock::unix_seconds()).await.unwrap(), 5);
    assert!(kv.get(&namespace('a'), "k5").await.unwrap().is_some());
}

#[tokio::test]
async fn an_overwrite_replaces_the_expiry() {
    let dir = tempfile::tempdir().unwrap();
    let kv = store(&dir);
    let expiration = Some(clock::unix_seconds() - 1);
    kv.put(&namespace('a'), "k", KvPut { expiration, ..put("old") }).await.unwrap();
    kv.put(&namespace('a'), "k", put("new")).await.unwrap();
    assert_eq!(kv.sweep(clock::unix_seconds()).await.unwrap(), 0);
    assert_eq!(kv.get(&namespace('a'), "k").await.unwrap().unwrap().value, "new");
}

#[tokio::test]
async fn a_bad_cursor_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let options = KvListOptions { cursor: Some("?".into()), ..KvListOptions::default() };
    let error = store(&dir).list(&namespace('a'), options).await.unwrap_err();
    assert!(error.to_string().contains("cursor"), "{error}");
}

#[tokio::test]
async fn deleting_a_namespace_leaves_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let kv = store(&dir);
    let entries: Vec<_> = (0..6000).map(|n| (format!("k{n}"), put("v"))).collect();
    kv.put_many(&namespace('a'), entries.clone()).await.unwrap();
    kv.put_many(&namespace('b'), entries[..10].to_vec()).await.unwrap();
    kv.delete_namespace(&namespace('a')).await.unwrap();
    assert_eq!(kv.get(&namespace('a'), "k1").await.unwrap(), None);
    assert_eq!(kv.list(&namespace('b'), KvListOptions::default()).await.unwrap().keys.len(), 10);
    assert_eq!(kv.delete_many(&namespace('b'), vec!["k1".into(), "none".into()]).await.unwrap(), 1);
}

#[tokio::test]
async fn every_namespace_that_has_entries_is_found_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let kv = store(&dir);
    assert_eq!(kv.namespaces().await.unwrap(), []);
    for digit in ['0', 'a', 'f'] {
        for n in 0..3 {
            // The byte after the namespace is the greatest there is.
            kv.put(&namespace(digit), &format!("\u{10ffff}{n}"), put("v")).await.unwrap();
        }
    }
    assert_eq!(kv.namespaces().await.unwrap(), ['0', 'a', 'f'].map(namespace));
    kv.delete_namespace(&namespace('a')).await.unwrap();
    assert_eq!(kv.namespaces().await.unwrap(), ['0', 'f'].map(namespace));
}

#[tokio::test]
async fn increments_from_many_tasks_are_all_counted() {
    let dir = tempfile::tempdir().unwrap();
    let kv = store(&dir);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let kv = kv.clone();
            crate::task::spawn("increment", async move { kv.increment(&namespace('a'), "n", 2).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(kv.get(&namespace('a'), "n").await.unwrap().unwrap().value, "100");
    kv.put(&namespace('a'), "n", put("many")).await.unwrap();
    let error = kv.increment(&namespace('a'), "n", 1).await.unwrap_err();
    assert!(matches!(error, KvError::Invalid { status: 400, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_join_to_all_keys_of_the_prefix_in_byte_order(
        keys in proptest::collection::btree_set("[a-cä€\u{1f600}]{1,4}", 1..40),
        limit in 1usize..7,
        prefix in "[a-c]{0,1}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let kv = store(&dir);
        let seen = runtime.block_on(async {
            let entries = keys.iter().map(|key| (key.clone(), put("v"))).collect();
            kv.put_many(&namespace('a'), entries).await.unwrap();
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let options = KvListOptions { prefix: prefix.clone(), limit: Some(limit), cursor };
                let page = kv.list(&namespace('a'), options).await.unwrap();
                seen.extend(page.keys.into_iter().map(|key| key.name));
                cursor = page.cursor;
                if cursor.is_none() {
                    return seen;
                }
            }
        });
        // A BTreeSet of strings is in the order of their UTF-8 bytes.
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(&prefix)).cloned().collect();
        prop_assert_eq!(seen, expected);
    }
}
