//! Calls, flows and datagrams between members that behave.

use super::*;

#[tokio::test]
async fn three_nodes_call_each_other_and_themselves() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2), world.node(3)];
    for from in &nodes {
        for to in 1..=3 {
            assert_eq!(echo(from, to, "hello").await.unwrap(), "hello");
        }
        let status = from.peers().into_iter().find(|peer| peer.node == NodeId(2)).unwrap();
        assert_eq!((status.class, status.calls, status.errors), (Class::Feed, 1, BTreeMap::new()));
        assert!(status.rtt.is_some());
    }
}

#[tokio::test]
async fn a_call_carries_its_trace() {
    struct Trace;
    #[async_trait]
    impl Service for Trace {
        async fn serve(&self, from: Caller, call: Incoming) {
            assert_eq!(from, Caller::Node(NodeId(2)));
            let trace = call.traceparent().unwrap_or("none").to_owned();
            call.refuse(pb::refusal::Code::NotFound, &trace).await.unwrap();
        }
    }
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    one.serve(Services::from([(Method::Renew, Arc::new(Trace) as Arc<dyn Service>)]));
    let message = |result: Result<String, CallError>| match result {
        Err(CallError::Refused { code: pb::refusal::Code::NotFound, message, .. }) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(message(echo(&two, 1, "").await), "none");
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(message(echo(&two.traced(traceparent), 1, "").await), traceparent);
}

/// Sends every chunk back until the other side has finished.
struct Mirror;

#[async_trait]
impl Service for Mirror {
    async fn serve(&self, _from: Caller, mut call: Incoming) {
        let wanted: pb::BundleGet = call.request(100).await.unwrap();
        if wanted.hash.is_empty() {
            return call.refuse(pb::refusal::Code::NotFound, "no such bundle").await.unwrap();
        }
        let mut stream = call.accept_flow().await.unwrap();
        while let Some(chunk) = stream.receive.next_bytes(1 << 20).await.unwrap() {
            stream.send.send_bytes(chunk).await.unwrap();
        }
        stream.send.finish().unwrap();
    }
}

#[tokio::test]
async fn a_flow_goes_both_ways_and_ends_on_both_sides() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    two.serve(Services::from([(Method::BundleGet, Arc::new(Mirror) as Arc<dyn Service>)]));
    let mut stream = one.open(NodeId(2), Method::BundleGet, LONG).await.unwrap();
    stream.send.send(&pb::BundleGet { hash: vec![7; 32].into() }).await.unwrap();
    stream.receive.accepted().await.unwrap();
    for size in [0, 1, 1000, 900_000] {
        let chunk = pb::Chunk { bytes: vec![size as u8; size].into() };
        stream.send.send(&chunk).await.unwrap();
        assert_eq!(stream.receive.next::<pb::Chunk>(1 << 20).await.unwrap(), Some(chunk));
    }
    stream.send.finish().unwrap();
    assert_eq!(stream.receive.next::<pb::Chunk>(1 << 20).await.unwrap(), None);
    assert!(stream.send.send(&pb::Chunk::default()).await.is_err(), "nothing follows the end");
}

#[tokio::test]
async fn a_flow_is_refused_after_its_request_was_read() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    two.serve(Services::from([(Method::BundleGet, Arc::new(Mirror) as Arc<dyn Service>)]));
    let mut stream = one.open(NodeId(2), Method::BundleGet, LONG).await.unwrap();
    stream.send.send(&pb::BundleGet::default()).await.unwrap();
    let refused = stream.receive.next::<pb::Chunk>(1 << 20).await.unwrap_err();
    let (code, message) = (pb::refusal::Code::NotFound, "no such bundle".to_owned());
    assert_eq!(refused, FrameError::Refused { code, message });
}

#[tokio::test]
async fn what_is_not_served_is_refused_and_says_why() {
    let world = World::new();
    let one = world.node(1);
    let starting = Mesh::build(config(), world.identity(2), Arc::<Book>::clone(&world.book)).unwrap();
    world.book.put(2, starting.address());
    let code = |result: Result<String, CallError>| match result {
        Err(CallError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(echo(&one, 2, "").await), pb::refusal::Code::Unavailable);
    starting.serve(Services::from([(Method::BundleGet, Arc::new(Mirror) as Arc<dyn Service>)]));
    assert_eq!(code(echo(&one, 2, "").await), pb::refusal::Code::UnknownMethod);
    assert!(unsent(one.call(NodeId(2), &pb::Join::default(), LONG).await).contains("not called between members"));
}

#[tokio::test]
async fn nobody_there_is_unsent_and_no_answer_is_lost() {
    let world = World::new();
    let one = world.start(MeshConfig { dial_timeout: Duration::from_millis(100), ..config() }, world.identity(1));
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    world.book.put(2, nobody.local_addr().unwrap());
    assert!(unsent(echo(&one, 2, "").await).contains("does not answer within"));
    assert!(unsent(echo(&one, 2, "").await).contains("does not answer within"), "the second does not wait");
    assert!(unsent(echo(&one, 4, "").await).contains("no member"));

    let (three, slow) = (world.node(3), Arc::new(Slow::default()));
    three.serve(Services::from([(Method::Renew, Arc::<Slow>::clone(&slow) as Arc<dyn Service>)]));
    let renew = pb::Renew::default();
    let call = one.call(NodeId(3), &renew, Duration::from_millis(500));
    let (lost, ()) = tokio::join!(call, slow.reached.notified());
    assert!(matches!(lost, Err(CallError::Lost { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_service_that_gives_up_leaves_its_caller_in_doubt() {
    struct Panics;
    #[async_trait]
    impl Service for Panics {
        async fn serve(&self, _from: Caller, _call: Incoming) {
            panic!("a bug");
        }
    }
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    two.serve(Services::from([(Method::Renew, Arc::new(Panics) as Arc<dyn Service>)]));
    assert!(matches!(echo(&one, 2, "").await, Err(CallError::Lost { .. })));
    two.serve(Services::from([(Method::Renew, Arc::new(Echo) as Arc<dyn Service>)]));
    assert_eq!(echo(&one, 2, "still there").await.unwrap(), "still there");
}

#[tokio::test]
async fn a_node_that_stops_finishes_what_it_answers() {
    let world = World::new();
    let (one, two, slow) = (world.node(1), world.node(2), Arc::new(Slow::default()));
    two.serve(Services::from([(Method::Renew, Arc::<Slow>::clone(&slow) as Arc<dyn Service>)]));
    let running = async { echo(&one, 2, "answered").await };
    let stopping = async {
        slow.reached.notified().await;
        let late = async {
            until("new calls are refused", || async { two.shared.closing.is_cancelled() }).await;
            let late = echo(&one, 2, "late").await;
            slow.go_on.notify_one();
            late
        };
        tokio::join!(two.close(LONG), late).1
    };
    let (running, late) = tokio::join!(running, stopping);
    assert_eq!(running.unwrap(), "answered");
    let busy = pb::refusal::Code::Unavailable;
    assert!(matches!(late, Err(CallError::Refused { code, .. }) if code == busy), "{late:?}");
    assert!(unsent(echo(&two, 1, "").await).contains("stopping"));
}

#[tokio::test]
async fn datagrams_go_both_ways_over_one_connection() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    let (mut at_one, mut attwo) = (one.datagrams(), two.datagrams());
    let sent = Bytes::from_static(b"ping");
    // The first are dropped while the connection is made.
    assert!(matches!(one.send_datagram(NodeId(2), sent.clone()), Err(DatagramError::NotConnected { .. })));
    until("a datagram is sent", || async { one.send_datagram(NodeId(2), sent.clone()).is_ok() }).await;
    let received = tokio::time::timeout(LONG, attwo.recv()).await.unwrap();
    assert_eq!(received, Some((NodeId(1), sent)));
    two.send_datagram(NodeId(1), Bytes::from_static(b"pong")).unwrap();
    let received = tokio::time::timeout(LONG, at_one.recv()).await.unwrap();
    assert_eq!(received, Some((NodeId(2), Bytes::from_static(b"pong"))));
    assert!(two.shared.links.line((NodeId(1), Class::Feed)).is_none(), "it needs no connection of its own");
    let most = Bytes::from(vec![0; crate::limits::DATAGRAM_BYTES_MAX]);
    assert_eq!(one.send_datagram(NodeId(2), most), Ok(()));
    let more = one.send_datagram(NodeId(2), Bytes::from(vec![0; 2000]));
    assert!(matches!(more, Err(DatagramError::TooLarge { .. })), "{more:?}");
}

#[tokio::test]
async fn a_node_that_was_killed_is_found_again_as_soon_as_it_is_back() {
    let world = World::new();
    let patient = MeshConfig { idle_timeout: Duration::from_secs(3600), ..config() };
    let one = world.start(patient.clone(), world.identity(1));
    let identity = world.identity(2);
    let machine = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let killed = {
        let _inside = machine.enter();
        world.start(patient.clone(), identity.clone())
    };
    assert_eq!(echo(&one, 2, "before").await.unwrap(), "before");
    // Its tasks and its socket are gone from one moment to the next, as after kill -9.
    let address = killed.address();
    machine.shutdown_background();
    drop(killed);
    let listening = MeshConfig { listen: address, ..patient };
    let mut back = None;
    until("the port is free", || {
        back = Mesh::build(listening.clone(), identity.clone(), Arc::<Book>::clone(&world.book)).ok();
        std::future::ready(back.is_some())
    })
    .await;
    let back = back.unwrap();
    back.serve(Services::from([(Method::Renew, Arc::new(Echo) as Arc<dyn Service>)]));
    until("it answers", || async { echo(&one, 2, "after").await.is_ok() }).await;
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_and_made_again() {
    let world = World::new();
    let briefly = MeshConfig { unused_after: Duration::from_millis(50), ..config() };
    let (one, two) = (world.start(briefly, world.identity(1)), world.node(2));
    let slow = Arc::new(Slow::default());
    two.serve(Services::from([(Method::Renew, Arc::<Slow>::clone(&slow) as Arc<dyn Service>)]));
    for _ in 0..2 {
        let used = async {
            slow.reached.notified().await;
            let line = one.shared.links.line((NodeId(2), Class::Feed)).unwrap();
            let connection = line.connection.clone();
            drop(line);
            // Longer than it may be unused: the call keeps it.
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(connection.close_reason(), None);
            slow.go_on.notify_one();
            connection
        };
        let (answer, connection) = tokio::join!(echo(&one, 2, "hello"), used);
        assert_eq!(answer.unwrap(), "hello");
        until("it is closed", || async { connection.close_reason().is_some() }).await;
    }
    assert_eq!(one.peers()[0].errors, BTreeMap::new());
}

#[tokio::test]
async fn a_node_is_dialled_by_name_and_over_both_families() {
    let world = World::new();
    let Ok(wildcard) = UdpSocket::bind("[::]:0") else { return };
    drop(wildcard);
    let everywhere = MeshConfig { listen: "[::]:0".parse().unwrap(), ..config() };
    let (one, two) = (world.start(everywhere.clone(), world.identity(1)), world.start(everywhere, world.identity(2)));
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        world.book.0.lock().unwrap().insert(NodeId(2), format!("{host}:{}", two.address().port()));
        let line = || one.shared.links.line((NodeId(2), Class::Feed));
        until(host, || async {
            echo(&one, 2, "").await.is_ok() && line().is_some_and(|line| line.address.starts_with(host))
        })
        .await;
    }
}
