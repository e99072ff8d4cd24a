//! WebSockets of callers.

use bytes::Bytes;
use skerry_node::{
    bindings::outbound::SocketMessage,
    runtime::websocket::{Accepted, Ends},
};

use crate::stage::{Stage, request};

async fn open(stage: &Stage) -> Ends {
    let mut response = stage.send(request("socket", &[], Bytes::new())).await.unwrap();
    assert_eq!(response.status(), 101);
    response.extensions_mut().remove::<Accepted>().unwrap().take().unwrap()
}

async fn next(ends: &mut Ends) -> Option<SocketMessage> {
    tokio::time::timeout(std::time::Duration::from_secs(30), ends.incoming.recv()).await.expect("a message in time")
}

fn text(text: &str) -> SocketMessage {
    SocketMessage::Text(text.to_owned())
}

#[tokio::test]
async fn a_socket_carries_text_and_bytes_both_ways() {
    let stage = Stage::routes();
    let mut ends = open(&stage).await;
    assert_eq!(next(&mut ends).await, Some(text("welcome")));
    ends.outgoing.send(text("h\u{e9}")).await.unwrap();
    assert_eq!(next(&mut ends).await, Some(text("echo h\u{e9}")));
    let bytes = SocketMessage::Binary(Bytes::from_static(&[0, 255]));
    ends.outgoing.send(bytes.clone()).await.unwrap();
    assert_eq!(next(&mut ends).await, Some(bytes));
}

#[tokio::test]
async fn the_worker_can_close() {
    let stage = Stage::routes();
    let mut ends = open(&stage).await;
    next(&mut ends).await;
    ends.outgoing.send(text("bye")).await.unwrap();
    let close = SocketMessage::Close { code: 4000, reason: "as you wish".to_owned() };
    assert_eq!(next(&mut ends).await, Some(close.clone()));
    ends.outgoing.send(close).await.unwrap();
    stage.logs("closed 4000").await;
}

#[tokio::test]
async fn the_caller_can_close_and_is_answered() {
    let stage = Stage::routes();
    let mut ends = open(&stage).await;
    next(&mut ends).await;
    let close = SocketMessage::Close { code: 1001, reason: "away".to_owned() };
    ends.outgoing.send(close.clone()).await.unwrap();
    assert_eq!(next(&mut ends).await, Some(close));
    stage.logs("closed 1001").await;
}

#[tokio::test]
async fn a_caller_that_vanishes_closes_the_socket_abnormally() {
    let stage = Stage::routes();
    let mut ends = open(&stage).await;
    next(&mut ends).await;
    drop(ends);
    stage.logs("closed 1006").await;
}
