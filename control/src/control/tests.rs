use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use skerry_proto::id::{Hostname, ServiceName};

use super::*;
use crate::{
    catalog::{Actor, Change, Scope, SealScope, ServiceKey, TokenHash, service_certificate_names},
    config::Bootstrap,
    mint,
    seal::{KeyFile, WhenMissing},
};

fn config(folder: &Path, bootstrap: Bootstrap) -> ControlConfig {
    let domain = Hostname::new("workers.localhost").unwrap();
    ControlConfig::new(folder.to_path_buf(), "test".to_owned(), domain, bootstrap)
}

fn create_service(catalog: &Catalog, name: &str) -> Command {
    let account = catalog.first_account().unwrap().clone();
    let service = ServiceKey { account, name: ServiceName::new(name).unwrap() };
    let change = Change::CreateService { service, id: mint::service_id(), production: mint::environment_id() };
    Command::new(Actor::node("test"), 1, vec![change])
}

async fn until(control: &Control, holds: impl Fn(&Catalog) -> bool) {
    let mut states = control.watch();
    let wait = states.wait_for(|catalog| holds(catalog));
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("in time").expect("the node runs");
}

#[tokio::test]
async fn bootstrap_leaves_a_token_that_opens_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let control = build(config(folder.path(), Bootstrap::IfEmpty)).await.unwrap();
    let text = fs::read_to_string(folder.path().join("admin.token")).unwrap();
    let catalog = control.catalog();
    let token = catalog.token_by_hash(&TokenHash::of(text.trim())).unwrap();
    assert!(token.allows(0, catalog.first_account(), Scope::ADMIN));
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("admin.token"), mode("cluster.key"), mode("ca.pem")), (0o600, 0o600, 0o644));
    assert!(catalog.certificates().any(|found| found.covers("anything.workers.localhost")));
    control.shutdown().await;
}

#[tokio::test]
async fn without_permission_no_cluster_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let error = build(config(folder.path(), Bootstrap::Never)).await.unwrap_err();
    assert!(matches!(error, BuildError::NotBootstrapped { .. }), "{error}");
}

#[tokio::test]
async fn every_service_gets_a_certificate_for_its_hostnames() {
    let folder = tempfile::tempdir().unwrap();
    let control = build(config(folder.path(), Bootstrap::IfEmpty)).await.unwrap();
    let command = create_service(&control.catalog(), "shop");
    control.propose(command).await.unwrap();
    let key = control.catalog().all_services().next().unwrap().key.clone();
    let names = service_certificate_names(&control.catalog(), &key);
    until(&control, |catalog| catalog.certificates().any(|found| found.names == names)).await;
    let catalog = control.catalog();
    let found = catalog.certificates().find(|found| found.covers("staging.shop.workers.localhost")).unwrap();
    assert!(!control.sealer().open(&found.key).unwrap().is_empty());
    control.shutdown().await;
}

#[tokio::test]
async fn a_second_start_finds_everything_again() {
    let folder = tempfile::tempdir().unwrap();
    let control = build(config(folder.path(), Bootstrap::IfEmpty)).await.unwrap();
    let command = create_service(&control.catalog(), "shop");
    control.propose(command).await.unwrap();
    let service = control.catalog().all_services().next().unwrap().key.clone();
    let sealed = control.sealer().seal(SealScope::cluster_ca(), b"kept");
    let token = fs::read(folder.path().join("admin.token")).unwrap();
    control.shutdown().await;
    drop(control);
    let again = build(config(folder.path(), Bootstrap::Never)).await.unwrap();
    assert!(again.catalog().service(&service).is_some());
    assert_eq!(again.sealer().open(&sealed).unwrap(), b"kept");
    assert_eq!(fs::read(folder.path().join("admin.token")).unwrap(), token);
    again.shutdown().await;
}

#[tokio::test]
async fn a_bootstrap_that_was_cut_off_is_finished_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    // Cut off after the key and the token were written, before anything was agreed.
    Sealer::open_key(folder.path(), KeyFile::Cluster, WhenMissing::Create).unwrap();
    let hash = found::admin_token(folder.path()).unwrap();
    let control = build(config(folder.path(), Bootstrap::IfEmpty)).await.unwrap();
    assert!(control.catalog().token_by_hash(&hash).is_some());
    control.shutdown().await;
}

#[tokio::test]
async fn a_lost_key_is_an_error_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let control = build(config(folder.path(), Bootstrap::IfEmpty)).await.unwrap();
    control.shutdown().await;
    drop(control);
    fs::remove_file(folder.path().join("cluster.key")).unwrap();
    let error = build(config(folder.path(), Bootstrap::IfEmpty)).await.unwrap_err();
    assert!(matches!(error, BuildError::Key(_)), "{error}");
    assert!(!folder.path().join("cluster.key").exists());
}

#[tokio::test]
async fn another_domain_gives_every_hostname_a_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let control = build(config(folder.path(), Bootstrap::IfEmpty)).await.unwrap();
    let command = create_service(&control.catalog(), "shop");
    control.propose(command).await.unwrap();
    control.shutdown().await;
    drop(control);
    let domain = Hostname::new("example.test").unwrap();
    let moved = ControlConfig { domain, ..config(folder.path(), Bootstrap::Never) };
    let control = build(moved).await.unwrap();
    let covered = |name: &str| control.catalog().certificates().any(|found| found.covers(name));
    assert!(covered("shop.example.test") && covered("staging.shop.example.test"));
    control.shutdown().await;
}
