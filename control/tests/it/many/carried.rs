//! Requests that a node carries to the leader, and what it does when there is none.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::stream;

use super::*;

const PIECE: usize = 16 << 10;
const PIECES: usize = 200;

/// Sends pieces of a body to a node that does not lead; returns the answer, and how many pieces were taken.
async fn send(cluster: &Cluster, token: Option<&str>) -> (StatusCode, Value, usize) {
    let follower = cluster.nodes.iter().find(|node| !node.control.leads()).unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let pieces = (0..PIECES).map(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(&[b' '; PIECE]))
    });
    let path = format!("/client/v4/accounts/{}/storage/kv/namespaces", cluster.account);
    let request = Request::post(path).header("content-type", "application/json");
    let request = token.into_iter().fold(request, |request, token| request.header("authorization", token));
    let request = request.body(Body::from_stream(stream::iter(pieces))).unwrap();
    let response = follower.router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap(), taken.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_does_not_make_a_node_read_a_large_body() {
    let cluster = Cluster::start(3).await;
    let (status, answer, taken) = send(&cluster, None).await;
    assert_eq!((status, taken), (StatusCode::UNAUTHORIZED, 0), "{answer}");
    let (status, answer, taken) = send(&cluster, Some("Bearer made-up")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
    assert!(answer.to_string().contains("unknown or revoked"), "{answer}");
    assert!(taken < PIECES / 10, "{taken} pieces were read for a token that nobody knows");
    // With a token all of it goes to the leader, which says what is wrong with it.
    let token = format!("Bearer {}", cluster.token);
    let (status, answer, taken) = send(&cluster, Some(&token)).await;
    assert_eq!((status, taken), (StatusCode::PAYLOAD_TOO_LARGE, PIECES), "{answer}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_no_leader_is_named() {
    let mut cluster = Cluster::start(3).await;
    let (status, answer) = cluster.call(2, "GET", "/cluster", None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer["result"]["leader"].is_u64(), "{answer}");
    for gone in cluster.nodes.drain(..2) {
        gone.control.shutdown().await;
    }
    let left = cluster.nodes[0].control.clone();
    until("it hears of no leader", || left.status().unwrap().leader.is_none()).await;
    let (status, answer) = cluster.call(0, "GET", "/cluster", None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer["result"]["leader"].is_null(), "{answer}");
    let (status, answer) = cluster.write(0, "never").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(answer.to_string().contains("nothing was changed"), "{answer}");
    cluster.stop().await;
}
