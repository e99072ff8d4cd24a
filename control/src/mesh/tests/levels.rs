//! Nodes of two builds: what an older one makes of what only a newer one says.

use bytes::BytesMut;
use prost::Message as _;

use super::*;

/// A call's first frame, and a renewal, as a later build may write them.
#[derive(Clone, PartialEq, prost::Message)]
struct NewerHead {
    #[prost(int32, tag = "1")]
    method: i32,
    #[prost(string, tag = "2")]
    traceparent: String,
    #[prost(string, tag = "900")]
    since_later: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NewerRenew {
    #[prost(bytes = "bytes", tag = "1")]
    certificate_request: Bytes,
    #[prost(string, repeated, tag = "900")]
    since_later: Vec<String>,
}

const NEWER_METHOD: i32 = 9_000;

/// Asks node 2 over node 1's connection with frames that this build could not make; what comes back.
async fn ask(one: &Mesh, method: i32) -> (pb::AnswerHead, Option<pb::Renewed>) {
    let line = one.shared.links.line((NodeId(2), Class::Feed)).unwrap();
    let mut frames = BytesMut::new();
    let head = NewerHead { method, traceparent: String::new(), since_later: "later".to_owned() };
    frame::append(&mut frames, &head).unwrap();
    let since_later = vec!["later".to_owned(); 3];
    let renew = NewerRenew { certificate_request: Bytes::from_static(b"asked"), since_later };
    frame::append(&mut frames, &renew).unwrap();
    let (mut send, mut receive) = line.connection.open_bi().await.unwrap();
    send.write_all(&frames).await.unwrap();
    send.finish().unwrap();
    let answer = tokio::time::timeout(LONG, receive.read_to_end(10_000)).await.unwrap().unwrap();
    let mut decoder = frame::Decoder::default();
    decoder.push(&answer);
    let head = pb::AnswerHead::decode(decoder.next(1000).unwrap().unwrap()).unwrap();
    let body = decoder.next(1000).unwrap().map(|bytes| pb::Renewed::decode(bytes).unwrap());
    (head, body)
}

#[tokio::test]
async fn a_field_of_a_newer_build_is_ignored() {
    let world = World::new();
    let (one, _two) = (world.node(1), world.node(2));
    assert!(echo(&one, 2, "").await.is_ok());
    let (head, answer) = ask(&one, Method::Renew.into()).await;
    assert_eq!(head.refusal, None);
    assert_eq!(&answer.unwrap().chain[0][..], b"asked");
}

#[tokio::test]
async fn a_method_of_a_newer_build_is_refused_counted_and_forgotten() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    assert!(echo(&one, 2, "").await.is_ok());
    for _ in 0..3 {
        let (head, answer) = ask(&one, NEWER_METHOD).await;
        let refusal = head.refusal.unwrap();
        assert_eq!((refusal.code(), answer), (pb::refusal::Code::UnknownMethod, None));
        assert_eq!(refusal.message, "this node does not know the method");
    }
    let peer = two.peers().into_iter().find(|peer| (peer.node, peer.class) == (NodeId(1), Class::Feed)).unwrap();
    assert_eq!(peer.errors, BTreeMap::from([(Reason::Refused, 3)]));
    assert_eq!(echo(&one, 2, "alive").await.unwrap(), "alive");
}

#[tokio::test]
async fn a_reason_of_a_newer_build_is_a_refusal_all_the_same() {
    struct Newer;
    #[async_trait]
    impl Service for Newer {
        async fn serve(&self, _from: Caller, mut call: Incoming) {
            call.request::<pb::Renew>(100).await.unwrap();
            let refusal = Some(pb::Refusal { code: 900, message: "not in this phase of the moon".to_owned() });
            call.stream.send.send(&pb::AnswerHead { refusal }).await.unwrap();
            call.stream.send.finish().unwrap();
        }
    }
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    two.serve(Services::from([(Method::Renew, Arc::new(Newer) as Arc<dyn Service>)]));
    let refused = echo(&one, 2, "").await.unwrap_err();
    assert!(matches!(&refused, CallError::Refused { message, .. } if message.contains("moon")), "{refused:?}");
}
