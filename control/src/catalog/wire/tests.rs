use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::catalog::{
    Account, Admission, Annotations, Base, BindingKind, Certificate, CertificateIssuer, Change, Cluster, ConfigEdit,
    Expectation, Exposure, Guard, Idempotency, JoinToken, Keep, LimitsConfig, Namespace, Node, NodeRole, NodeState,
    Pipeline, Scope, SealScope, Sealed, Token, TokenHash, WhenBound, WhenShared, WhenVoter,
    testing::{Lab, authority, hex_id, set, text},
};
use skerry_proto::id::{CertificateId, DomainId, Hostname, NamespaceId, NodeId, RouteId, ServiceName, TokenId};

fn resources(lab: &mut Lab) -> Vec<Change> {
    let (account, environment) = (lab.account.clone(), lab.environment("shop", "production"));
    let hostname = Hostname::new("shop.example").unwrap();
    let (route, namespace) = (hex_id(RouteId::new, 1), hex_id(NamespaceId::new, 2));
    let (certificate, token) = (hex_id(CertificateId::new, 3), hex_id(TokenId::new, 4));
    let key = Sealed { scope: SealScope::certificate(&certificate), bytes: vec![1].into() };
    let label = Some(ServiceName::new("tenant").unwrap());
    vec![
        Change::SetCluster(lab.catalog.cluster().unwrap().as_ref().clone()),
        Change::CreateAccount(Account { id: account.clone(), name: "a".to_owned(), label, created_at_ms: 5 }),
        lab.put_route("https://*.example.com/a*", Some(environment.clone())),
        lab.put_route("example.com/none", None),
        Change::DeleteRoute { account: account.clone(), id: route.clone() },
        Change::ReplaceRoutes {
            environment: environment.clone(),
            routes: vec![(route, "a.example/*".parse().unwrap())],
        },
        Change::PutDomain { id: hex_id(DomainId::new, 5), hostname: hostname.clone(), environment },
        Change::DeleteDomain { account: account.clone(), hostname },
        lab.create_namespace("cache").1,
        Change::CreateNamespace {
            account: account.clone(),
            id: namespace.clone(),
            title: "far".to_owned(),
            home: NodeId(7),
        },
        Change::RenameNamespace { account: account.clone(), id: namespace.clone(), title: "t".to_owned() },
        Change::DeleteNamespace { account: account.clone(), id: namespace },
        Change::CreateToken(Token {
            id: token.clone(),
            account: Some(account.clone()),
            name: "ci".to_owned(),
            scopes: ["workers:write".parse().unwrap(), Scope::ADMIN].into(),
            hash: TokenHash::of("text"),
            created_at_ms: 1,
            expires_at_ms: Some(2),
        }),
        Change::RevokeToken { account: Some(account.clone()), id: token },
        Change::PutCertificate(Certificate {
            id: certificate.clone(),
            account: Some(account),
            names: vec!["*.example".to_owned()],
            chain: vec![vec![1, 2].into()],
            key,
            not_before_ms: -1,
            not_after_ms: 1,
            issuer: CertificateIssuer::Acme,
        }),
        Change::RemoveCertificate { id: certificate },
    ]
}

fn services(lab: &mut Lab) -> Vec<Change> {
    let (service, environment) = (lab.service("shop"), lab.environment("shop", "production"));
    let stages = vec![environment.environment.clone(), lab.environment("shop", "qa").environment];
    let (mut clone, version) = (lab.clone_of("production"), lab.version_id());
    clone.annotations = Annotations::of(Annotations::MESSAGE, "why");
    let mut upload = lab.new_version(&[("A", text("1"))]);
    upload.keep = Keep { kinds: BindingKind::ALL.into(), names: ["B".to_owned()].into() };
    upload.base = Base::Version(version.clone());
    let limits = LimitsConfig { cpu_ms: Some(1), subrequests: None };
    let (unset, remove) = (ConfigEdit::Unset { name: "U".to_owned() }, ConfigEdit::Remove { name: "R".to_owned() });
    let mut promote = lab.promote("shop", "qa", "production");
    if let Change::Promote { guard, .. } = &mut promote {
        *guard = Guard::Skip;
    }
    let mut careful = lab.configure("shop", "production", vec![set("A", text("1"))]);
    if let Change::Configure { shared, .. } = &mut careful {
        *shared = WhenShared::Refuse;
    }
    vec![
        lab.create_service("shop"),
        Change::RenameService { service: service.clone(), to: service.name.clone() },
        Change::DeleteService { service: service.clone(), bound: WhenBound::Delete },
        Change::SetPipeline { service: service.clone(), pipeline: Some(Pipeline { stages }) },
        Change::SetPipeline { service, pipeline: None },
        lab.create_environment("shop", "qa", Some(clone)),
        Change::RenameEnvironment { environment: environment.clone(), to: environment.environment.clone() },
        Change::DeleteEnvironment { environment: environment.clone(), bound: WhenBound::Delete },
        Change::DeleteEnvironment { environment: environment.clone(), bound: WhenBound::Refuse },
        Change::MoveService { service: lab.service("shop-qa"), to: lab.environment("shop", "qa") },
        Change::SetParent { environment: environment.clone(), parent: environment.environment.clone() },
        Change::SetExposure {
            environment: environment.clone(),
            workers_dev: Some(Exposure::Hidden),
            preview_urls: None,
        },
        Change::SetCrons { environment: environment.clone(), crons: vec!["0 0 L * *".parse().unwrap()] },
        Change::SetTags { environment: environment.clone(), tags: vec!["a".to_owned()] },
        Change::UploadVersion { environment: environment.clone(), version: upload },
        lab.deploy_change(&environment, &version),
        lab.configure("shop", "production", vec![set("A", text("1")), unset, remove, ConfigEdit::Limits(limits)]),
        careful,
        promote,
    ]
}

fn nodes(lab: &mut Lab) -> Vec<Change> {
    let (id, token) = (NodeId(7), hex_id(TokenId::new, 4));
    let with_mesh = |cluster: &Cluster| {
        let (id, mesh_authorities) = ("f".repeat(32), vec![authority("a"), authority("b")]);
        Change::SetCluster(Cluster { id, mesh_authorities, feature_level: 3, ..cluster.clone() })
    };
    vec![
        with_mesh(lab.catalog.cluster().unwrap()),
        lab.new_node("n1", Admission::Founder),
        lab.new_node("n1", Admission::Token(TokenHash::of("text"))),
        Change::UpdateNode(lab.node_update(id, u64::MAX)),
        Change::SetNodeRole { id, role: NodeRole::Voter },
        Change::SetNodeRole { id, role: NodeRole::Edge },
        Change::SetNodeState { id, state: NodeState::Active },
        Change::SetNodeState { id, state: NodeState::Draining },
        Change::RemoveNode { id, voter: WhenVoter::Refuse },
        Change::RemoveNode { id, voter: WhenVoter::Remove },
        lab.new_join_token(None, 1, 1),
        lab.new_join_token(Some(NodeRole::Voter), 1, 1),
        lab.new_join_token(Some(NodeRole::Edge), 1, 1),
        Change::RevokeJoinToken { id: token },
        Change::SetMeshAuthorities { authorities: vec![authority("a"), authority("b")], replaces: Vec::new() },
        Change::SetMeshAuthorities {
            authorities: vec![authority("b"), authority("a")],
            replaces: vec![authority("a").fingerprint(), authority("b").fingerprint()],
        },
        Change::SetFeatureLevel { level: 2 },
    ]
}

#[test]
fn every_change_is_read_back_as_it_was_written() {
    let mut lab = Lab::new();
    for change in resources(&mut lab).into_iter().chain(services(&mut lab)).chain(nodes(&mut lab)) {
        let environment = lab.environment("shop", "production");
        let mut command = lab.command(vec![change]).expecting(Expectation::Present { environment });
        command.idempotency = Some(Idempotency { key: "k".to_owned(), fingerprint: [1; 32] });
        assert_eq!(decode_command(&encode_command(&command)).unwrap(), command);
    }
}

#[test]
fn a_field_that_breaks_its_rule_is_named() {
    let mut message = pb::Command::default();
    let key = pb::ServiceKey { account: "not hexadecimal".to_owned(), name: "shop".to_owned() };
    let delete = pb::DeleteService { service: Some(key), although_bound: false };
    message.changes.push(pb::Change { kind: Some(pb::change::Kind::DeleteService(delete)) });
    let error = Command::try_from(message).unwrap_err().to_string();
    assert!(error.contains("service.account"), "{error}");
}

/// A catalog as it was stored before there were nodes; proto's golden tests pin the bytes.
const BEFORE_NODES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/tests/golden/catalog_before_nodes.hex"));

#[test]
fn a_cluster_from_before_there_were_nodes_is_read_and_gets_an_identity_that_stays() {
    let catalog = decode_catalog(&hex::decode(BEFORE_NODES.trim()).unwrap()).unwrap();
    let cluster = catalog.cluster().unwrap();
    assert_eq!(cluster.domain.as_str(), "workers.localhost");
    assert_eq!(cluster.id, hex::encode(&blake3::hash(&cluster.ca_certificate).as_bytes()[..16]));
    assert_eq!((cluster.feature_level, cluster.mesh_authorities.len(), catalog.nodes().count()), (1, 0, 0));
    // Stored again, it keeps its identity whatever becomes of the CA.
    let stored = Cluster { ca_certificate: Bytes::from_static(b"another"), ..cluster.as_ref().clone() };
    assert_eq!(Cluster::try_from(pb::Cluster::from(&stored)).unwrap().id, cluster.id);
}

#[test]
fn a_namespace_from_before_there_were_several_nodes_lives_on_the_first_and_stays_as_it_was() {
    let mut lab = Lab::new();
    let create = lab.create_namespace("cache").1;
    lab.run(vec![create]).unwrap();
    let account = lab.account.clone();
    let stored = pb::Namespace::from(lab.catalog.namespaces(&account).next().unwrap().as_ref());
    assert_eq!(stored.home, 0, "as if nothing were said");
    let read = Namespace::try_from(stored.clone()).unwrap();
    assert_eq!(read.home, NodeId(1));
    assert_eq!(pb::Namespace::from(&Namespace { home: NodeId(7), ..read }), pb::Namespace { home: 7, ..stored });
}

#[test]
fn a_nodes_wrong_fields_are_named() {
    let mut lab = Lab::new();
    let (founder, token) = (lab.new_node("n1", Admission::Founder), lab.new_join_token(None, 1, 9));
    lab.run(vec![founder, token]).unwrap();
    let good = pb::Node::from(lab.catalog.nodes().next().unwrap().as_ref());
    for (field, wrong) in [
        ("node.id", pb::Node { id: 0, ..good.clone() }),
        ("node.role", pb::Node { role: 9, ..good.clone() }),
        ("node.state", pb::Node { state: 0, ..good.clone() }),
        ("node.public_key", pb::Node { public_key: vec![1; 31].into(), ..good.clone() }),
        ("node.admitted_by", pb::Node { admitted_by: Some(vec![1].into()), ..good.clone() }),
    ] {
        let error = Node::try_from(wrong).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
    let good = pb::JoinToken::from(lab.catalog.join_tokens().next().unwrap().as_ref());
    let error = JoinToken::try_from(pb::JoinToken { role: 3, ..good }).unwrap_err().to_string();
    assert!(error.contains("join_token.role"), "a role that is not known here must not admit every role: {error}");
    let mut cluster = pb::Cluster::from(lab.catalog.cluster().unwrap().as_ref());
    cluster.id = "F".repeat(32);
    let error = Cluster::try_from(cluster).unwrap_err().to_string();
    assert!(error.contains("cluster.id"), "{error}");
}

#[test]
fn a_missing_field_is_named() {
    let message = pb::Command { changes: vec![pb::Change { kind: None }], ..pb::Command::default() };
    let error = Command::try_from(message).unwrap_err().to_string();
    assert!(error.contains("change.kind of the stored message is missing"), "{error}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_command(&bytes);
        let _ = decode_catalog(&bytes);
        if let Ok(message) = pb::Command::decode(&bytes[..]) {
            let _ = Command::try_from(message);
        }
        if let Ok(message) = pb::Catalog::decode(&bytes[..]) {
            let _ = Catalog::try_from(message);
        }
    }

    #[test]
    fn a_damaged_record_is_never_taken_for_a_whole_one(at in any::<usize>(), bit in 0..8_u32) {
        let mut bytes = encode_catalog(&Lab::new().catalog);
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode_catalog(&bytes).is_err());
    }
}
