use bytes::Bytes;
use skerry_proto::id::{CertificateId, DomainId, Hostname, Revision, ServiceName};

use super::*;
use crate::{
    catalog::{Account, Cluster, SealScope, Sealed, ServiceKey},
    mint,
};

const NOW_MS: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 86_400_000;

fn apply(catalog: &mut Catalog, changes: Vec<Change>) {
    let revision = Revision(catalog.revision().0 + 1);
    catalog.apply(revision, &Command::new(Actor::node("test"), NOW_MS, changes)).unwrap();
}

/// A cluster with service `shop`, which has the custom domain shop.example.
fn shop() -> (Catalog, ServiceKey) {
    let mut catalog = Catalog::default();
    let key = Sealed { scope: SealScope::cluster_ca(), bytes: Bytes::from_static(b"key") };
    let cluster = Cluster::new(Hostname::new("workers.test").unwrap(), Bytes::from_static(b"ca"), key, 1);
    let account = Account { id: mint::account_id(), name: "default".to_owned(), label: None, created_at_ms: 1 };
    let service = ServiceKey { account: account.id.clone(), name: ServiceName::new("shop").unwrap() };
    let create =
        Change::CreateService { service: service.clone(), id: mint::service_id(), production: mint::environment_id() };
    apply(&mut catalog, vec![Change::SetCluster(cluster), Change::CreateAccount(account), create]);
    let put = put_domain(&service, "shop.example");
    apply(&mut catalog, vec![put]);
    (catalog, service)
}

fn put_domain(service: &ServiceKey, host: &str) -> Change {
    let id: DomainId = mint::domain_id();
    Change::PutDomain { id, hostname: Hostname::new(host).unwrap(), environment: service.production() }
}

fn certificate(names: &[String], account: &AccountId, issuer: CertificateIssuer, days: i64) -> Certificate {
    let id: CertificateId = mint::certificate_id();
    Certificate {
        key: Sealed { scope: SealScope::certificate(&id), bytes: Bytes::from_static(b"key") },
        id,
        account: Some(account.clone()),
        names: names.to_vec(),
        chain: vec![Bytes::from_static(b"leaf")],
        not_before_ms: NOW_MS + (days - 90) * DAY_MS,
        not_after_ms: NOW_MS + days * DAY_MS,
        issuer,
    }
}

/// Carries out a plan.
fn settle(catalog: &mut Catalog) {
    let Plan { issue, remove } = plan(catalog, NOW_MS);
    let issued = issue.iter().map(|wanted| {
        let mut made = certificate(&wanted.names, &wanted.account, CertificateIssuer::ClusterCa, 90);
        if let Some(id) = &wanted.renews {
            (made.key.scope, made.id) = (SealScope::certificate(id), id.clone());
        }
        Change::PutCertificate(made)
    });
    let removed = remove.into_iter().map(|id| Change::RemoveCertificate { id });
    let changes: Vec<Change> = issued.chain(removed).collect();
    apply(catalog, changes);
    assert_eq!(plan(catalog, NOW_MS), Plan::default());
}

#[test]
fn accounts_services_and_custom_domains_get_one_certificate_each() {
    let (mut catalog, _) = shop();
    assert_eq!(plan(&catalog, NOW_MS).issue.len(), 3);
    settle(&mut catalog);
    assert!(catalog.certificates().any(|found| found.covers("shop.example")));
}

#[test]
fn a_custom_domains_certificate_is_renewed_before_it_is_over() {
    let (mut catalog, _) = shop();
    settle(&mut catalog);
    let later_ms = NOW_MS + 61 * DAY_MS;
    let due = plan(&catalog, later_ms).issue;
    let domain = due.iter().find(|wanted| wanted.names == ["shop.example"]).unwrap();
    let old = catalog.certificates().find(|found| found.covers("shop.example")).unwrap();
    assert_eq!(domain.renews.as_ref(), Some(&old.id));
}

#[test]
fn a_certificate_goes_with_its_name_and_a_second_one_of_the_same_names() {
    let (mut catalog, service) = shop();
    settle(&mut catalog);
    let account = &service.account;
    let twin = certificate(&["shop.example".to_owned()], account, CertificateIssuer::ClusterCa, 20);
    let twin_id = twin.id.clone();
    apply(&mut catalog, vec![Change::PutCertificate(twin)]);
    assert_eq!(plan(&catalog, NOW_MS), Plan { issue: Vec::new(), remove: vec![twin_id] });
    settle(&mut catalog);
    let hostname = Hostname::new("shop.example").unwrap();
    apply(&mut catalog, vec![Change::DeleteDomain { account: account.clone(), hostname }]);
    settle(&mut catalog);
    assert!(!catalog.certificates().any(|found| found.covers("shop.example")));
}

#[test]
fn what_the_operator_brought_stays_and_is_enough() {
    let (mut catalog, service) = shop();
    settle(&mut catalog);
    let brought = certificate(&["*.example".to_owned()], &service.account, CertificateIssuer::Operator, 30);
    apply(&mut catalog, vec![Change::PutCertificate(brought)]);
    settle(&mut catalog);
    let left: Vec<_> = catalog.certificates().filter(|found| found.covers("shop.example")).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].issuer, CertificateIssuer::Operator);
}

#[test]
fn new_accounts_services_and_domains_are_noticed() {
    let (catalog, service) = shop();
    let mut now = catalog.clone();
    apply(&mut now, vec![put_domain(&service, "other.example")]);
    assert!(needs_look(&catalog, &now));
    let mut now = catalog.clone();
    let label = Some(ServiceName::new("tenant").unwrap());
    let account = Account { id: mint::account_id(), name: "tenant".to_owned(), label, created_at_ms: 1 };
    apply(&mut now, vec![Change::CreateAccount(account)]);
    assert!(needs_look(&catalog, &now));
    let mut now = catalog.clone();
    let tag = Change::SetTags { environment: service.production(), tags: vec!["a".to_owned()] };
    apply(&mut now, vec![tag]);
    assert!(!needs_look(&catalog, &now));
}
