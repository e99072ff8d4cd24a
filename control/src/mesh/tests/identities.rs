//! What is signed, and what a node keeps.

use std::{fs, os::unix::fs::PermissionsExt};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::*;

fn names(certificate: &[u8]) -> Vec<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(alternative) = extension.parsed_extension() {
            names.extend(alternative.general_names.iter().map(GeneralName::to_string));
        }
    }
    names
}

#[test]
fn a_request_gets_our_name_and_nothing_that_it_asks_for() {
    let (world, key) = (World::new(), KeyPair::generate().unwrap());
    let mut greedy = CertificateParams::new(vec!["n1.other.skerry-mesh".to_owned(), "example.com".to_owned()]).unwrap();
    greedy.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    greedy.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let request = greedy.serialize_request(&key).unwrap();
    let now_ms = clock::unix_ms();
    let chain = world.authority.issue(request.der(), &world.cluster, NodeId(7), now_ms, NODE_CERTIFICATE_LIFE).unwrap();
    assert_eq!(names(&chain[0]), [format!("DNSName(n7.{}.skerry-mesh)", world.cluster)]);
    assert_eq!(chain[1], world.authority.certificate);
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(!leaf.is_ca());
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.code_signing && !usage.any);
    let (begins, ends) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    assert_eq!((now_ms / 1000 - begins, ends - now_ms / 1000), (3600, 7 * 24 * 3600));
    assert_eq!(not_after(&chain), ends * 1000);
}

#[test]
fn a_request_that_does_not_hold_its_key_is_refused() {
    let world = World::new();
    let issue = |request: &[u8]| {
        world.authority.issue(request, &world.cluster, NodeId(7), clock::unix_ms(), NODE_CERTIFICATE_LIFE)
    };
    let good = certificate_request(&new_key().unwrap()).unwrap();
    assert!(issue(&good).is_ok());
    let mut forged = good.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let large = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let large = CertificateParams::default().serialize_request(&large).unwrap();
    for request in [&forged[..], large.der(), &good[1..], &good[..100], b"", &[0x30; 9000]] {
        assert!(matches!(issue(request), Err(SignError::Request { .. })));
    }
    let no_cluster = world.authority.issue(&good, "example.com", NodeId(7), 0, NODE_CERTIFICATE_LIFE);
    assert!(matches!(no_cluster, Err(SignError::Cluster { .. })));
}

#[test]
fn two_certificates_are_never_the_same_and_an_authority_signs_no_authority() {
    let world = World::new();
    assert_ne!(world.identity(1).chain[0], world.identity(1).chain[0]);
    let (_, authority) = X509Certificate::from_der(&world.authority.certificate).unwrap();
    let constraints = authority.basic_constraints().unwrap().unwrap().value;
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
    assert!(!format!("{:?}", world.authority).contains(&hex::encode(&world.authority.key[40..60])));
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
    let (world, now_ms) = (World::new(), 1_800_000_000_000);
    let identity = world.identity_at(1, now_ms, Duration::from_secs(5 * 3600));
    // It begins an hour before: six hours, two of them are left after three.
    let hours = |hours: i64| now_ms + hours * 3_600_000;
    assert!(!identity.renewal_due(hours(3)));
    assert!(identity.renewal_due(hours(3) + 1));
    assert_eq!(identity.not_after_ms(), hours(5));
    assert!(renewal_due(&[], now_ms) && renewal_due(&[Bytes::from_static(b"x")], now_ms));
}

#[test]
fn a_node_is_itself_again_after_a_restart() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    assert!(NodeIdentity::open(folder.path()).unwrap().is_none());
    let member = pb::Member { node_id: 2, name: "b".to_owned(), address: "b:1".to_owned(), role: "edge".to_owned() };
    let identity = NodeIdentity { members: vec![member], ..world.identity(1) };
    identity.save(folder.path()).unwrap();
    assert_eq!(NodeIdentity::open(folder.path()).unwrap(), Some(identity.clone()));
    let path = folder.path().join("node.identity");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!format!("{identity:?}").contains(&hex::encode(&identity.key[..8])));
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(NodeIdentity::open(folder.path()), Err(IdentityError::Decode { .. })));
}

#[test]
fn an_identity_whose_parts_do_not_fit_is_refused_by_name() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let good = world.identity(1);
    let refused = |identity: NodeIdentity| identity.save(folder.path()).unwrap_err().to_string();
    assert!(refused(NodeIdentity { node: NodeId(2), ..good.clone() }).contains("its certificate is for n1."));
    assert!(refused(NodeIdentity { cluster: "x".to_owned(), ..good.clone() }).contains("not a cluster's id"));
    assert!(refused(NodeIdentity { chain: Vec::new(), ..good.clone() }).contains("no certificate"));
    assert!(refused(NodeIdentity { authorities: Vec::new(), ..good.clone() }).contains("no authority"));
    let garbage = vec![Bytes::from_static(b"garbage")];
    assert!(refused(NodeIdentity { chain: garbage, ..good }).contains("no X.509 certificate"));
    assert!(NodeIdentity::open(folder.path()).unwrap().is_none(), "nothing was written");
}
