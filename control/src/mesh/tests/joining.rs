//! Joining with a token.

use super::*;

/// Makes everybody a member, and counts them.
struct Porter {
    cluster: String,
    asked: AtomicUsize,
}

#[async_trait]
impl Service for Porter {
    async fn serve(&self, from: Caller, mut call: Incoming) {
        assert!(matches!(from, Caller::Stranger(_)));
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Ok(request) = call.request::<pb::Join>(1 << 16).await else { return };
        if request.token != "secret" {
            return call.refuse(pb::refusal::Code::Forbidden, "the token is not valid").await.unwrap();
        }
        let joined = pb::Joined { node_id: 9, cluster: self.cluster.clone(), ..pb::Joined::default() };
        call.answer(&joined).await.unwrap();
    }
}

fn porter(world: &World, cluster: &str) -> (Mesh, Arc<Porter>) {
    let (node, porter) = (world.node(1), Porter { cluster: cluster.to_owned(), asked: AtomicUsize::new(0) });
    let porter = Arc::new(porter);
    node.serve(Services::from([(Method::Join, Arc::<Porter>::clone(&porter) as Arc<dyn Service>)]));
    (node, porter)
}

fn request(token: &str) -> pb::Join {
    pb::Join { token: token.to_owned(), ..pb::Join::default() }
}

#[tokio::test]
async fn a_node_joins_the_cluster_that_its_token_names() {
    let world = World::new();
    let (node, porter) = porter(&world, &world.cluster);
    let authority = authority_fingerprint(&world.authority.certificate);
    let address = node.address().to_string();
    let joined = join(&address, authority, &request("secret"), LONG).await.unwrap();
    assert_eq!((joined.node_id, joined.cluster), (9, world.cluster.clone()));
    let refused = join(&address, authority, &request("other"), LONG).await.unwrap_err();
    let (code, message) = (pb::refusal::Code::Forbidden, "the token is not valid".to_owned());
    assert_eq!(refused, JoinError::Refused { address, code, message });
    assert_eq!(porter.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_of_another_cluster_is_not_shown_to_this_one() {
    let (world, other) = (World::new(), World::new());
    let (node, porter) = porter(&world, &world.cluster);
    let authority = authority_fingerprint(&other.authority.certificate);
    let refused = join(&node.address().to_string(), authority, &request("secret"), LONG).await.unwrap_err();
    assert!(matches!(refused, JoinError::Authority { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&hex::encode(authority)), "{refused}");
    assert_eq!(porter.asked.load(Ordering::Relaxed), 0);
    until_refused_for_its_certificate(&node).await;
}

#[tokio::test]
async fn one_address_of_a_name_that_is_not_believed_says_nothing_about_the_next() {
    let (world, other) = (World::new(), World::new());
    let (good, foreign) = (world.node(1), other.node(1));
    let joining = join::Joining::new("both", authority_fingerprint(&world.authority.certificate));
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let (client, name) = (joining.client(&config()).unwrap(), "join.skerry-mesh".to_owned());
    let dialling = outgoing::Dialling { endpoint: &endpoint, client, name, within: LONG };
    let connected = dialling.first_of("both", vec![foreign.address(), good.address()]).await;
    assert_eq!(connected.unwrap().remote_address(), good.address());
    assert!(joining.is_of(&world.cluster));
}

/// Whoever knows the public certificate of the authority can show it, but has nothing that it signed.
#[tokio::test]
async fn an_authority_that_is_only_shown_is_not_believed() {
    let (world, imposter) = (World::new(), World::new());
    let mut identity = imposter.identity(1);
    identity.chain.push(world.authority.certificate.clone());
    let node = imposter.start(config(), identity);
    let porter = Arc::new(Porter { cluster: imposter.cluster.clone(), asked: AtomicUsize::new(0) });
    node.serve(Services::from([(Method::Join, Arc::<Porter>::clone(&porter) as Arc<dyn Service>)]));
    let authority = authority_fingerprint(&world.authority.certificate);
    let refused = join(&node.address().to_string(), authority, &request("secret"), LONG).await.unwrap_err();
    assert!(matches!(refused, JoinError::Authority { .. }), "{refused:?}");
    assert_eq!(porter.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_answer_for_another_cluster_is_not_taken() {
    let world = World::new();
    let (node, _) = porter(&world, &"0".repeat(32));
    let authority = authority_fingerprint(&world.authority.certificate);
    let wrong = join(&node.address().to_string(), authority, &request("secret"), LONG).await.unwrap_err();
    assert!(matches!(wrong, JoinError::Malformed { .. }), "{wrong:?}");
}

#[tokio::test]
async fn nobody_at_the_address_changes_nothing() {
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for address in [nobody.local_addr().unwrap().to_string(), "no.such.host.invalid:1".to_owned(), "x".to_owned()] {
        let refused = join(&address, [0; 32], &request("secret"), Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(refused, JoinError::Unreachable { .. }), "{refused:?}");
    }
}
