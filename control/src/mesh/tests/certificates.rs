//! Certificates that end, begin and are replaced.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn an_ended_certificate_is_refused_on_both_sides_with_both_times() {
    let world = World::new();
    let one = world.node(1);
    let late = world.start(config(), world.identity_at(2, clock::unix_ms() - 2 * HOUR_MS, HOUR));
    let name = format!("the certificate of n2.{}.skerry-mesh ended at", world.cluster);
    for refused in [unsent(echo(&one, 2, "").await), unsent(echo(&late, 1, "").await)] {
        assert!(refused.contains(&name) && refused.contains("this machine's clock says"), "{refused}");
    }
    until_refused_for_its_certificate(&one).await;
}

#[tokio::test]
async fn a_certificate_of_the_future_is_refused_as_a_matter_of_clocks() {
    let world = World::new();
    let one = world.node(1);
    let early = world.start(config(), world.identity_at(2, clock::unix_ms() + 3 * HOUR_MS, HOUR));
    for refused in [unsent(echo(&one, 2, "").await), unsent(echo(&early, 1, "").await)] {
        assert!(refused.contains("begins at") && refused.contains("set the clocks of both machines"), "{refused}");
    }
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificates() {
    let world = World::new();
    let one = world.node(1);
    let short = world.start(config(), world.identity_at(2, clock::unix_ms(), Duration::from_secs(3)));
    assert!(echo(&one, 2, "").await.is_ok());
    assert!(echo(&short, 1, "").await.is_ok());
    until("both are closed", || async {
        let guest = one.shared.guests.newest(NodeId(2), Class::Feed).is_some();
        !guest && one.shared.links.line((NodeId(2), Class::Feed)).is_none()
    })
    .await;
    until("a new one is refused", || async {
        matches!(echo(&one, 2, "").await, Err(CallError::Unsent { reason, .. }) if reason.contains("ended at"))
    })
    .await;
}

#[tokio::test]
async fn no_call_fails_while_certificates_are_replaced() {
    let world = World::new();
    let (one, two) = (world.node(1), world.node(2));
    let (done, is_done) = tokio::sync::watch::channel(false);
    let calls = (0..8_u64).map(|number| {
        let (from, to) = if number % 2 == 0 { (one.clone(), 2) } else { (two.clone(), 1) };
        let is_done = is_done.clone();
        task::spawn("test calls", async move {
            let mut count = 0;
            while !*is_done.borrow() || count < 10 {
                echo(&from, to, "hello").await.unwrap();
                count += 1;
            }
            count
        })
    });
    let calls: Vec<_> = calls.collect();
    for _ in 0..3 {
        for (mesh, node, peer) in [(&one, 1, 2), (&two, 2, 1)] {
            let old = mesh.shared.credentials.load_full();
            mesh.replace_identity(world.identity(node)).unwrap();
            until("a new connection is in use", || async {
                let line = mesh.shared.links.line((NodeId(peer), Class::Feed));
                line.is_some_and(|line| !Arc::ptr_eq(&line.credentials, &old))
            })
            .await;
        }
    }
    done.send_replace(true);
    for call in calls {
        assert!(call.await.unwrap() >= 10);
    }
}

#[tokio::test]
async fn a_call_that_runs_while_the_certificate_is_replaced_ends_where_it_began() {
    let world = World::new();
    let (one, two, slow) = (world.node(1), world.node(2), Arc::new(Slow::default()));
    two.serve(Services::from([(Method::Renew, Arc::<Slow>::clone(&slow) as Arc<dyn Service>)]));
    let call = async { echo(&one, 2, "hello").await };
    let replacing = async {
        slow.reached.notified().await;
        let old = one.shared.links.line((NodeId(2), Class::Feed)).unwrap();
        one.replace_identity(world.identity(1)).unwrap();
        until("there is a new connection", || async {
            let line = one.shared.links.line((NodeId(2), Class::Feed)).unwrap();
            line.connection.stable_id() != old.connection.stable_id()
        })
        .await;
        slow.go_on.notify_one();
    };
    assert_eq!(tokio::join!(call, replacing).0.unwrap(), "hello");
}

#[tokio::test]
async fn a_node_does_not_become_another() {
    let world = World::new();
    let one = world.node(1);
    let other = one.replace_identity(world.identity(2));
    assert!(matches!(other, Err(MeshBuildError::OtherNode { .. })), "{other:?}");
    let foreign = NodeIdentity { key: new_key().unwrap(), ..world.identity(1) };
    assert!(matches!(one.replace_identity(foreign), Err(MeshBuildError::Tls(_))));
    let two = world.node(2);
    assert!(echo(&two, 1, "").await.is_ok(), "nothing was changed");
}

#[tokio::test]
async fn nodes_under_two_authorities_believe_each_other_while_both_are_listed() {
    let (old, mut new) = (World::new(), World::new());
    new.cluster.clone_from(&old.cluster);
    new.book = Arc::<Book>::clone(&old.book);
    let authorities = vec![new.authority.certificate.clone(), old.authority.certificate.clone()];
    let both = |identity: NodeIdentity| NodeIdentity { authorities: authorities.clone(), ..identity };
    let one = old.start(config(), both(old.identity(1)));
    let two = new.start(config(), both(new.identity(2)));
    assert!(echo(&one, 2, "").await.is_ok());
    assert!(echo(&two, 1, "").await.is_ok());
}
