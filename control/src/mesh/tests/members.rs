//! Who is let in.

use super::*;

#[tokio::test]
async fn the_nodes_of_another_cluster_are_refused_both_ways() {
    let (ours, theirs) = (World::new(), World::new());
    let (one, foreign) = (ours.node(1), theirs.node(2));
    ours.book.put(2, foreign.address());
    theirs.book.put(1, one.address());
    let refused = unsent(echo(&one, 2, "").await);
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    let refused = unsent(echo(&foreign, 1, "").await);
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    assert!(one.peers().iter().all(|peer| peer.served == 0));
}

/// A client that believes the other cluster still shows the wrong certificate.
#[tokio::test]
async fn a_certificate_of_another_authority_opens_nothing() {
    let (ours, theirs) = (World::new(), World::new());
    let one = ours.node(1);
    let gullible = NodeIdentity { authorities: vec![ours.authority.certificate.clone()], ..theirs.identity(2) };
    let gullible = NodeIdentity { cluster: theirs.cluster.clone(), ..gullible };
    let credentials = Credentials::new(&config(), gullible).unwrap();
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let name = name::NodeName::new(NodeId(1), &ours.cluster).to_string();
    let client = credentials.client(Class::Feed);
    let dialling = outgoing::Dialling { endpoint: &endpoint, client, name, within: LONG };
    let refused = dialling.any_of(&one.address().to_string()).await.unwrap_err();
    assert!(refused.text.contains("the peer refuses this node"), "{refused}");
    until_refused_for_its_certificate(&one).await;
}

#[tokio::test]
async fn a_node_in_the_place_of_another_is_not_called() {
    let world = World::new();
    let (one, three) = (world.node(1), world.node(3));
    world.book.put(2, three.address());
    let refused = unsent(echo(&one, 2, "").await);
    assert!(refused.contains(&format!("n2.{}.skerry-mesh", world.cluster)), "{refused}");
    assert_eq!(three.peers().iter().map(|peer| peer.served).sum::<u64>(), 0);
}

#[tokio::test]
async fn a_removed_node_is_refused_and_its_connections_are_closed() {
    let (world, removing) = (World::new(), Arc::new(Book::default()));
    let slowly = MeshConfig { sweep_interval: Duration::from_secs(3600), ..config() };
    let two = world.node(2);
    removing.put(2, two.address());
    let connected = |mesh: &Mesh| mesh.shared.guests.newest(NodeId(2), Class::Feed).is_some();
    let mut ones = Vec::new();
    for config in [slowly, config()] {
        let one = Mesh::build(config, world.identity(1), Arc::<Book>::clone(&removing)).unwrap();
        one.serve(Services::from([(Method::Renew, Arc::new(Echo) as Arc<dyn Service>)]));
        world.book.put(1, one.address());
        until("a call succeeds", || async { echo(&two, 1, "").await.is_ok() && connected(&one) }).await;
        ones.push(one);
    }
    // The connection to the first is of an outdated address; dial it again for a stable one.
    world.book.put(1, ones[0].address());
    until("the first is called", || async { echo(&two, 1, "").await.is_ok() && connected(&ones[0]) }).await;
    removing.remove(2);
    let refused = echo(&two, 1, "").await;
    assert!(matches!(refused, Err(CallError::Refused { code: pb::refusal::Code::Forbidden, .. })), "{refused:?}");
    until("the sweep closes it", || async { !connected(&ones[1]) }).await;
    world.book.put(1, ones[1].address());
    until("a new connection is refused", || async {
        matches!(echo(&two, 1, "").await, Err(CallError::Unsent { reason, .. }) if reason.contains("no member"))
    })
    .await;
}

/// Knows that there are others and not where: its catalog is older than they are.
struct Outdated;

impl Directory for Outdated {
    fn address(&self, _node: NodeId) -> Option<String> {
        None
    }

    fn is_member(&self, _node: NodeId) -> bool {
        true
    }
}

#[tokio::test]
async fn a_member_that_called_is_reached_where_it_called_from() {
    let world = World::new();
    let one = world.node(1);
    let two = Mesh::build(config(), world.identity(2), Arc::new(Outdated)).unwrap();
    two.serve(Services::from([(Method::Renew, Arc::new(Echo) as Arc<dyn Service>)]));
    world.book.put(2, two.address());
    assert!(unsent(echo(&two, 1, "").await).contains("no address of node 1"));
    assert!(echo(&one, 2, "").await.is_ok());
    assert_eq!(two.callers(), [NodeId(1)].into());
    assert_eq!(echo(&two, 1, "hello").await, Ok("hello".to_owned()));
}

/// A caller that renews makes new connections by itself; one that does not might keep an old one for days.
#[tokio::test]
async fn a_connection_goes_with_the_authority_that_made_its_certificate() {
    let world = World::new();
    let (identity, two) = (world.identity(1), world.node(2));
    let one = world.start(config(), identity.clone());
    assert!(echo(&two, 1, "").await.is_ok());
    let connection = one.shared.guests.newest(NodeId(2), Class::Feed).unwrap();
    let new = new_authority(&world.cluster, clock::unix_ms()).unwrap().certificate;
    let trusting = |authorities| NodeIdentity { authorities, ..identity.clone() };
    let both = trusting(vec![new.clone(), world.authority.certificate.clone()]);
    assert!(Credentials::new(&config(), both.clone()).unwrap().believes(&connection));
    one.replace_identity(both).unwrap();
    assert!(echo(&two, 1, "").await.is_ok());
    one.replace_identity(trusting(vec![new])).unwrap();
    until("it is closed", || std::future::ready(connection.close_reason().is_some())).await;
    assert!(one.shared.guests.newest(NodeId(2), Class::Feed).is_none());
}

#[tokio::test]
async fn a_node_that_was_removed_here_is_not_kept_connected() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    assert!(echo(&one, 2, "").await.is_ok());
    let line = one.shared.links.line((NodeId(2), Class::Feed)).unwrap();
    world.book.remove(2);
    assert!(unsent(echo(&one, 2, "").await).contains("no member"));
    until("it is closed", || async { line.connection.close_reason().is_some() }).await;
    until("it is forgotten", || async { one.peers().is_empty() }).await;
    drop(two);
}

#[tokio::test]
async fn without_a_certificate_nothing_but_joining_is_served() {
    let world = World::new();
    let one = world.node(1);
    for class in [Class::Raft, Class::Objects, Class::Feed, Class::Bulk] {
        let refused = Stranger::new(&world, 1, class).connect(&one).await.unwrap_err();
        assert!(refused.text.contains(CloseCode::NoCertificate.text()), "{class}: {refused}");
    }
    let stranger = Stranger::new(&world, 1, Class::Join);
    let connection = stranger.connect(&one).await.unwrap();
    let mut stream = Stream::calling(connection.open_bi().await.unwrap(), Arc::new(Counters::new(String::new())), None);
    stream.send.send(&CallHead { method: Method::Renew.into(), traceparent: String::new() }).await.unwrap();
    let refused = stream.receive.accepted().await.unwrap_err();
    assert!(matches!(refused, FrameError::Refused { code: pb::refusal::Code::Forbidden, .. }), "{refused}");
    assert!(one.peers().is_empty());
}

#[tokio::test]
async fn strangers_have_limited_room() {
    let world = World::new();
    let one = world.node(1);
    let stranger = Stranger::new(&world, 1, Class::Join);
    let mut connections = Vec::new();
    for _ in 0..crate::limits::JOIN_CONNECTIONS_MAX {
        connections.push(stranger.connect(&one).await.unwrap());
    }
    let refused = stranger.connect(&one).await.unwrap_err();
    assert!(refused.text.contains("too many connections"), "{refused}");
    connections.pop().unwrap().close(0_u32.into(), b"");
    until("there is room again", || async { stranger.connect(&one).await.is_ok() }).await;
    let two = world.node(2);
    assert!(echo(&two, 1, "").await.is_ok(), "members do not notice");
}
