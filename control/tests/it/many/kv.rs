//! KV of several nodes: one keeps a namespace, all see the same.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::join_all;
use skerry_control::kv::{KvError, KvListOptions, KvPut, limits};
use skerry_proto::id::NamespaceId;

use super::*;

/// The node that keeps the namespace, and one that asks it.
const HOME: usize = 0;
const OTHER: usize = 1;

/// How long a call may take at most; a test that hangs fails instead.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

fn put(value: impl Into<Bytes>) -> KvPut {
    KvPut { value: value.into(), metadata: None, expiration: None }
}

impl Cluster {
    /// The founder and an edge.
    async fn pair() -> Self {
        let mut cluster = Self::start(1).await;
        let token = cluster.join_token(json!({ "role": "edge" })).await;
        cluster.join("edge", NodeRole::Edge, &token).await.unwrap();
        cluster
    }

    /// A namespace that every node knows; its home leads.
    async fn namespace(&self, title: &str) -> NamespaceId {
        let leader = self.leader().unwrap();
        let (status, answer) = self.write(leader, title).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["result"]["home"], self.nodes[leader].control.node().0);
        let id = NamespaceId::new(answer["result"]["id"].as_str().unwrap()).unwrap();
        until("every node knows the namespace", || {
            self.nodes.iter().all(|node| node.control.catalog().namespace(&id).is_some())
        })
        .await;
        id
    }

    async fn value(&self, node: usize, namespace: &NamespaceId, key: &str) -> Result<Option<Bytes>, KvError> {
        let reading = self.nodes[node].kv.get(namespace, key);
        let read = tokio::time::timeout(CALL_TIMEOUT, reading).await.expect("a call ends");
        read.map(|entry| entry.map(|entry| entry.value))
    }

    async fn put(&self, node: usize, namespace: &NamespaceId, key: &str, value: &str) -> Result<(), KvError> {
        let writing = self.nodes[node].kv.put(namespace, key, put(value.to_owned()));
        tokio::time::timeout(CALL_TIMEOUT, writing).await.expect("a call ends")
    }

    /// The status of a call about a namespace, or about something in it, at a node's API.
    async fn status(&self, node: usize, method: &str, namespace: &NamespaceId, rest: &str) -> (u16, Value) {
        let path = format!("/accounts/:a/storage/kv/namespaces/{namespace}{rest}");
        let body = (method == "PUT").then(|| json!("text"));
        let call = self.call(node, method, &path, body);
        let (status, answer) = tokio::time::timeout(CALL_TIMEOUT, call).await.expect("a call ends");
        (status.as_u16(), answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_reads_what_any_has_written() {
    let cluster = Cluster::pair().await;
    let namespace = cluster.namespace("cache").await;
    for (writer, reader) in [(OTHER, HOME), (HOME, OTHER), (OTHER, OTHER)] {
        let value = format!("from-{writer}-to-{reader}");
        cluster.put(writer, &namespace, "k", &value).await.unwrap();
        assert_eq!(cluster.value(reader, &namespace, "k").await.unwrap().unwrap(), value);
    }
    let (metadata, expiration) = (Some("{\"m\":1}".to_owned()), Some(4_000_000_000));
    let with = KvPut { metadata: metadata.clone(), expiration, ..put("") };
    cluster.nodes[OTHER].kv.put(&namespace, "empty", with).await.unwrap();
    let entry = cluster.nodes[OTHER].kv.get(&namespace, "empty").await.unwrap().unwrap();
    assert_eq!((entry.value.len(), entry.metadata, entry.expiration), (0, metadata, expiration));
    cluster.nodes[OTHER].kv.delete(&namespace, "k").await.unwrap();
    assert_eq!(cluster.value(HOME, &namespace, "k").await.unwrap(), None);
    assert_eq!(cluster.value(OTHER, &namespace, "k").await.unwrap(), None);
    assert_eq!(cluster.nodes[HOME].local.namespaces(), [namespace], "the home keeps it");
    assert!(cluster.nodes[OTHER].local.namespaces().is_empty(), "nobody else does");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_goes_page_by_page_through_another_nodes_keys() {
    let cluster = Cluster::pair().await;
    let namespace = cluster.namespace("cache").await;
    let (key, metadata) = (|n: usize| format!("key-{n:05}"), Some("{}".to_owned()));
    let pairs = (0..2500).map(|n| (key(n), KvPut { metadata: metadata.clone(), ..put("v") })).collect();
    cluster.nodes[OTHER].kv.put_many(&namespace, pairs).await.unwrap();
    cluster.put(OTHER, &namespace, "other", "v").await.unwrap();
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let options = KvListOptions { prefix: "key-".to_owned(), limit: Some(1000), cursor };
        let page = cluster.nodes[OTHER].kv.list(&namespace, options).await.unwrap();
        assert!(page.keys.iter().all(|key| key.metadata == metadata));
        seen.extend(page.keys.into_iter().map(|key| key.name));
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((pages, seen), (3, (0..2500).map(key).collect::<Vec<_>>()));
    let keys = vec![key(1), key(2), "none".to_owned()];
    assert_eq!(cluster.nodes[OTHER].kv.delete_many(&namespace, keys).await.unwrap(), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_values_travel_whole() {
    let cluster = Cluster::pair().await;
    let namespace = cluster.namespace("cache").await;
    let value = |seed: usize| -> Bytes {
        (0..limits::VALUE_BYTES_MAX).map(|at| u8::try_from((at / 7 + seed * at) % 251).unwrap()).collect()
    };
    let (one, two) = (value(1), value(2));
    cluster.nodes[OTHER].kv.put(&namespace, "one", put(one.clone())).await.unwrap();
    cluster.nodes[HOME].kv.put(&namespace, "two", put(two.clone())).await.unwrap();
    // More at once than there is room for: they wait for each other.
    let reads = join_all((0..16).map(|n| {
        let (key, expected) = if n % 2 == 0 { ("one", &one) } else { ("two", &two) };
        let (cluster, namespace) = (&cluster, &namespace);
        async move { cluster.value(OTHER, namespace, key).await.map(|found| found.as_ref() == Some(expected)) }
    }));
    assert!(reads.await.into_iter().all(|is_whole| is_whole.unwrap()));
    let bulk = vec![("a".to_owned(), put(one.clone())), ("b".to_owned(), put("small")), ("c".to_owned(), put(two))];
    cluster.nodes[OTHER].kv.put_many(&namespace, bulk).await.unwrap();
    assert_eq!(cluster.value(HOME, &namespace, "a").await.unwrap().unwrap(), one);
    assert_eq!(cluster.value(HOME, &namespace, "b").await.unwrap().unwrap(), "small");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_from_both_sides_at_once_are_all_counted() {
    let cluster = Cluster::pair().await;
    let namespace = cluster.namespace("cache").await;
    let adds = (0..200).map(|n| cluster.nodes[n % 2].kv.increment(&namespace, "n", 1 + i64::from(n % 4 == 0)));
    let mut sums: Vec<i64> = join_all(adds).await.into_iter().map(Result::unwrap).collect();
    sums.sort_unstable();
    assert_eq!(sums.last(), Some(&250));
    sums.dedup();
    assert_eq!(sums.len(), 200, "no two saw the same sum");
    assert_eq!(cluster.value(OTHER, &namespace, "n").await.unwrap().unwrap(), "250");
    assert_eq!(cluster.nodes[OTHER].kv.increment(&namespace, "n", -251).await.unwrap(), -1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_the_same_everywhere() {
    let cluster = Cluster::pair().await;
    let namespace = cluster.namespace("cache").await;
    cluster.put(HOME, &namespace, "text", "no number").await.unwrap();
    for node in [HOME, OTHER] {
        match cluster.nodes[node].kv.increment(&namespace, "text", 1).await {
            Err(KvError::Invalid { status: 400, message }) => {
                assert_eq!(message, "KV INCREMENT failed: 400 the stored value is not a whole number.");
            }
            other => panic!("{other:?}"),
        }
    }
    let nobodys = NamespaceId::new(&"0".repeat(32)).unwrap();
    for node in [HOME, OTHER] {
        assert!(matches!(cluster.put(node, &nobodys, "k", "v").await, Err(KvError::Undone { .. })));
    }
    cluster.nodes[HOME].local.is_down.store(true, Ordering::Relaxed);
    for node in [HOME, OTHER] {
        assert!(matches!(cluster.put(node, &namespace, "k", "v").await, Err(KvError::Unavailable { .. })));
        assert_eq!(cluster.status(node, "PUT", &namespace, "/values/k").await.0, 504, "it may have been done");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_is_down_is_an_error_and_not_a_wait() {
    let cluster = Cluster::pair().await;
    let namespace = cluster.namespace("cache").await;
    cluster.put(OTHER, &namespace, "k", "v").await.unwrap();
    cluster.nodes[HOME].control.shutdown().await;
    assert!(cluster.value(OTHER, &namespace, "k").await.is_err());
    // Once its connection is gone, nothing leaves this node, and it knows that nothing was done.
    assert!(matches!(cluster.put(OTHER, &namespace, "k", "w").await, Err(KvError::Undone { .. })));
    for (method, path) in [("GET", "/values/k"), ("GET", "/keys"), ("PUT", "/values/k"), ("DELETE", "/values/k")] {
        let (status, answer) = cluster.status(OTHER, method, &namespace, path).await;
        assert_eq!((status, &answer["errors"][0]["code"]), (503, &json!(10997)), "{method} {path}: {answer}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_unknown() {
    let cluster = Cluster::pair().await;
    let namespace = cluster.namespace("cache").await;
    let home = &cluster.nodes[HOME];
    home.local.is_stuck.store(true, Ordering::Relaxed);
    let stop = async {
        until("the home has both writes", || home.local.stuck.load(Ordering::Relaxed) == 2).await;
        home.control.shutdown().await;
    };
    let write = cluster.put(OTHER, &namespace, "k", "v");
    let call = cluster.status(OTHER, "PUT", &namespace, "/values/k");
    let (written, (status, answer), ()) = tokio::join!(write, call, stop);
    assert!(matches!(written, Err(KvError::Unavailable { .. })), "{written:?}");
    assert_eq!((status, &answer["errors"][0]["code"]), (504, &json!(10998)), "{answer}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_a_crash_has_left_go_and_the_others_stay() {
    let mut cluster = Cluster::start(1).await;
    let (gone, kept) = (cluster.namespace("gone").await, cluster.namespace("kept").await);
    for namespace in [&gone, &kept] {
        cluster.put(HOME, namespace, "k", "v").await.unwrap();
    }
    // The catalog forgets it, and the node ends before its store does.
    cluster.nodes[HOME].local.is_down.store(true, Ordering::Relaxed);
    assert_eq!(cluster.status(HOME, "DELETE", &gone, "").await.0, 504);
    assert_eq!(cluster.titles(HOME), ["kept"]);
    let node = cluster.nodes.remove(HOME);
    node.local.is_down.store(false, Ordering::Relaxed);
    assert_eq!(node.local.namespaces().len(), 2, "its entries are left over");
    cluster.nodes.push(node.restart().await);
    until("they are gone", || cluster.nodes[HOME].local.namespaces() == [kept.clone()]).await;
    assert_eq!(cluster.value(HOME, &kept, "k").await.unwrap().unwrap(), "v");
    cluster.stop().await;
}

/// A home that does not lead any more, with a namespace and an entry in it.
async fn deposed() -> (Cluster, NamespaceId) {
    let mut cluster = Cluster::start(3).await;
    let namespace = cluster.namespace("cache").await;
    let home = cluster.leader().unwrap();
    cluster.put(home, &namespace, "k", "v").await.unwrap();
    let gone = cluster.nodes.remove(home);
    gone.control.shutdown().await;
    until("another leads", || cluster.leader().is_some()).await;
    cluster.nodes.insert(HOME, gone);
    (cluster, namespace)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_namespace_reaches_a_home_that_does_not_lead() {
    let (mut cluster, namespace) = deposed().await;
    let home = cluster.nodes.remove(HOME).restart().await;
    cluster.nodes.insert(HOME, home);
    until("the home knows the leader", || {
        let leader = cluster.nodes[HOME].control.status().and_then(|status| status.leader);
        leader.is_some_and(|leader| leader != cluster.nodes[HOME].control.node())
    })
    .await;
    for node in 0..3 {
        assert_eq!(cluster.value(node, &namespace, "k").await.unwrap().unwrap(), "v", "node {node}");
    }
    let (status, answer) = cluster.status(2, "DELETE", &namespace, "").await;
    assert_eq!(status, 200, "{answer}");
    assert!(cluster.nodes[HOME].local.namespaces().is_empty(), "the answer comes after the entries have gone");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_is_removed_by_force_only_and_its_namespaces_can_be_deleted() {
    let (mut cluster, namespace) = deposed().await;
    let id = cluster.nodes.remove(HOME).control.node();
    let node = format!("/cluster/nodes/{id}");
    let (status, answer) = cluster.call(0, "PATCH", &node, Some(json!({ "role": "edge" }))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("raft does not count on it", || {
        let leader = cluster.leader().and_then(|leader| cluster.nodes[leader].control.status());
        leader.is_some_and(|status| !status.voters.contains(&id))
    })
    .await;
    let (status, answer) = cluster.call(0, "DELETE", &node, None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("it keeps the entries of \"cache\"; delete these namespaces, or use force"), "{message}");
    let (status, answer) = cluster.call(0, "DELETE", &format!("{node}?force=true"), None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("both know", || cluster.nodes.iter().all(|node| node.control.catalog().node(id).is_none())).await;
    for node in 0..2 {
        assert!(matches!(cluster.value(node, &namespace, "k").await, Err(KvError::Undone { .. })));
        assert_eq!(cluster.status(node, "PUT", &namespace, "/values/k").await.0, 503);
    }
    let (status, answer) = cluster.status(0, "DELETE", &namespace, "").await;
    assert_eq!(status, 200, "{answer}");
    cluster.stop().await;
}
