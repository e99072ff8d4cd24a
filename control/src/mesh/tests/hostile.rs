//! Garbage, from members and from strangers.

use super::*;

fn errors(mesh: &Mesh, class: Class) -> BTreeMap<Reason, u64> {
    let peer = mesh.peers().into_iter().find(|peer| peer.class == class);
    peer.map(|peer| peer.errors).unwrap_or_default()
}

#[tokio::test]
async fn a_wrong_frame_ends_its_stream_and_nothing_else() {
    struct Small;
    #[async_trait]
    impl Service for Small {
        async fn serve(&self, _from: Caller, mut call: Incoming) {
            let wanted = call.request::<pb::BundleGet>(100).await;
            if wanted.is_ok() {
                call.answer(&pb::BundleSize { size_bytes: 7 }).await.unwrap();
            }
        }
    }
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    two.serve(Services::from([(Method::BundleGet, Arc::new(Small) as Arc<dyn Service>)]));
    let ask = async |request: Vec<u8>| {
        let mut stream = one.open(NodeId(2), Method::BundleGet, LONG).await.unwrap();
        let _ = stream.send.send_bytes(request.into()).await;
        stream.receive.next::<pb::BundleSize>(100).await
    };
    assert_eq!(ask(vec![]).await, Ok(Some(pb::BundleSize { size_bytes: 7 })));
    let connection = two.shared.guests.newest(NodeId(1), Class::Bulk).unwrap();
    assert_eq!(ask(vec![0xff; 20]).await, Err(FrameError::Reset { code: StreamCode::Malformed }));
    assert_eq!(ask(vec![0; 1000]).await, Err(FrameError::Reset { code: StreamCode::TooLarge }));
    assert_eq!(errors(&two, Class::Bulk), BTreeMap::from([(Reason::Malformed, 1), (Reason::TooLarge, 1)]));
    assert_eq!(ask(vec![]).await, Ok(Some(pb::BundleSize { size_bytes: 7 })));
    assert_eq!(connection.close_reason(), None);
    let too_large: Result<pb::BundleSize, _> =
        one.ask(NodeId(2), Method::BundleGet, &pb::BundleGet { hash: vec![0; 1000].into() }, LONG).await;
    let invalid = pb::refusal::Code::Invalid;
    assert!(matches!(too_large, Err(CallError::Refused { code, .. }) if code == invalid), "{too_large:?}");
}

#[tokio::test]
async fn an_answer_that_can_not_be_read_is_malformed_and_one_cut_short_is_lost() {
    struct Wrong(bool);
    #[async_trait]
    impl Service for Wrong {
        async fn serve(&self, _from: Caller, call: Incoming) {
            let mut stream = call.accept_flow().await.unwrap();
            if self.0 {
                stream.send.send_bytes(vec![0xff; 20].into()).await.unwrap();
                stream.send.finish().unwrap();
            }
        }
    }
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    two.serve(Services::from([(Method::Renew, Arc::new(Wrong(true)) as Arc<dyn Service>)]));
    assert!(matches!(echo(&one, 2, "").await, Err(CallError::Malformed { .. })));
    two.serve(Services::from([(Method::Renew, Arc::new(Wrong(false)) as Arc<dyn Service>)]));
    assert!(matches!(echo(&one, 2, "").await, Err(CallError::Lost { .. })));
    assert_eq!(errors(&one, Class::Feed), BTreeMap::from([(Reason::Malformed, 1), (Reason::Lost, 1)]));
}

/// A member that writes what it likes into its streams.
#[tokio::test]
async fn whatever_a_member_writes_the_node_lives() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    assert!(echo(&one, 2, "").await.is_ok());
    let line = one.shared.links.line((NodeId(2), Class::Feed)).unwrap();
    let heads: [&[u8]; 7] = [
        b"",
        b"\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x04abc",
        b"\0\0\0\x04\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\0\x02\x08\x28",
    ];
    for head in heads {
        let (mut send, mut receive) = line.connection.open_bi().await.unwrap();
        send.write_all(head).await.unwrap();
        send.finish().unwrap();
        // Cut off or refused, but not left open.
        let _ = tokio::time::timeout(LONG, receive.read_to_end(1000)).await.unwrap();
    }
    for datagram in [&b""[..], &[0xff; 1000]] {
        line.connection.send_datagram(Bytes::copy_from_slice(datagram)).unwrap();
    }
    assert_eq!(echo(&one, 2, "alive").await.unwrap(), "alive");
    assert_eq!(line.connection.close_reason(), None);
    assert!(errors(&two, Class::Feed)[&Reason::Malformed] >= 3);
}

#[tokio::test]
async fn garbage_at_the_port_changes_nothing() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    assert!(echo(&one, 2, "").await.is_ok());
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for round in 0..400_usize {
        let mut packet = crate::mint::random::<1400>();
        // Long headers of QUIC 1, short headers, and anything.
        match round % 4 {
            0 => packet[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 8]),
            1 => packet[0] = 0x40,
            2 => packet[..5].copy_from_slice(&[0xc0, 0, 0, 0, 0]),
            _ => {}
        }
        let size = if round % 3 == 0 { 1200 } else { 1 + round * 3 };
        socket.send_to(&packet[..size], two.address()).await.unwrap();
    }
    assert_eq!(echo(&one, 2, "alive").await.unwrap(), "alive");
    assert_eq!(echo(&two, 1, "alive").await.unwrap(), "alive");
}

#[tokio::test]
async fn half_an_answer_never_looks_whole() {
    struct Half;
    #[async_trait]
    impl Service for Half {
        async fn serve(&self, _from: Caller, call: Incoming) {
            let mut stream = call.accept_flow().await.unwrap();
            stream.send.send(&pb::Chunk { bytes: Bytes::from_static(b"first") }).await.unwrap();
            let length = stream.receive.next_bytes(100).await;
            assert_eq!(length, Ok(None), "the caller has finished");
        }
    }
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    two.serve(Services::from([(Method::Tail, Arc::new(Half) as Arc<dyn Service>)]));
    let mut stream = one.open(NodeId(2), Method::Tail, LONG).await.unwrap();
    assert_eq!(&stream.receive.next::<pb::Chunk>(100).await.unwrap().unwrap().bytes[..], b"first");
    stream.send.finish().unwrap();
    let cut = stream.receive.next::<pb::Chunk>(100).await;
    assert_eq!(cut, Err(FrameError::Reset { code: StreamCode::Abandoned }));
}
