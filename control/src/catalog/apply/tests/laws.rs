//! Laws that hold after any sequence of commands.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use skerry_proto::id::{NodeId, VersionNumber};

use super::*;
use crate::catalog::{
    BindingKind, EnvironmentKey, NodeRole, Service, effective, find_host, hostname, preview_hostname,
    wire::{decode_catalog, decode_command, encode_catalog, encode_command},
};

fn check(lab: &Lab) -> Result<(), TestCaseError> {
    let mut hosts = BTreeMap::new();
    for service in lab.catalog.all_services() {
        prop_assert!(service.environments.contains_key(&service.default_environment));
        for environment in service.environments.values() {
            let key = service.key.environment(environment.name.clone());
            check_environment(service, environment)?;
            check_hosts(lab, &key)?;
            let host = hostname(&lab.catalog, &key).unwrap();
            prop_assert_eq!(hosts.insert(host, key.clone()), None, "two environments share a name");
            for version in environment.versions.values() {
                check_secrets(lab, &key, &effective(&lab.catalog, &key, version))?;
            }
        }
    }
    for route in lab.catalog.routes() {
        prop_assert!(route.target.as_ref().is_none_or(|target| lab.catalog.environment(target).is_some()));
    }
    check_nodes(lab)?;
    prop_assert_eq!(decode_catalog(&encode_catalog(&lab.catalog)).unwrap(), lab.catalog.clone());
    Ok(())
}

fn check_nodes(lab: &Lab) -> Result<(), TestCaseError> {
    let nodes: Vec<_> = lab.catalog.nodes().collect();
    let names: BTreeSet<_> = nodes.iter().map(|node| &node.name).collect();
    prop_assert_eq!(names.len(), nodes.len(), "two nodes have one name");
    for node in &nodes {
        prop_assert_eq!(lab.catalog.node_by_key(&node.public_key).map(|found| found.id), Some(node.id));
        prop_assert!(node.feature_level >= lab.catalog.feature_level(), "{} is behind the cluster", node.name);
    }
    let founded = lab.catalog.audit().any(|entry| entry.actions.iter().any(|action| action.action == "node.admit"));
    prop_assert_eq!(founded, nodes.iter().any(|node| node.role == NodeRole::Voter), "the last voter went");
    prop_assert!(lab.catalog.join_tokens().all(|token| token.uses_left > 0), "a spent token stayed");
    Ok(())
}

fn check_environment(service: &Service, environment: &Environment) -> Result<(), TestCaseError> {
    let parent = environment.parent.as_ref();
    prop_assert_eq!(parent.is_none(), environment.name.is_production());
    prop_assert!(parent.is_none_or(|parent| service.environments.contains_key(parent)));
    let numbers: Vec<VersionNumber> = environment.versions.keys().copied().collect();
    prop_assert!(numbers.iter().all(|number| *number < environment.next_number));
    prop_assert_eq!(environment.version_numbers.len(), environment.versions.len());
    for deployment in &environment.deployments {
        let sum: u32 = deployment.shares.iter().map(|share| share.percentage.hundredths()).sum();
        prop_assert_eq!(sum, 10_000);
        prop_assert!(deployment.shares.iter().all(|share| environment.version(&share.version).is_some()));
    }
    Ok(())
}

fn check_hosts(lab: &Lab, key: &EnvironmentKey) -> Result<(), TestCaseError> {
    let host = hostname(&lab.catalog, key).unwrap();
    let found = find_host(&lab.catalog, host.as_str()).unwrap();
    prop_assert_eq!((&found.environment, found.preview), (key, None));
    let environment = lab.catalog.environment(key).unwrap();
    for version in environment.versions.values() {
        let host = preview_hostname(&lab.catalog, key, &version.id).unwrap();
        let found = find_host(&lab.catalog, host.as_str()).unwrap();
        prop_assert_eq!((&found.environment, found.preview.as_ref()), (key, Some(&version.id)));
    }
    Ok(())
}

fn check_secrets(lab: &Lab, key: &EnvironmentKey, found: &crate::catalog::Effective) -> Result<(), TestCaseError> {
    for entry in found.bindings.values().filter(|entry| entry.binding.kind() == BindingKind::Secret) {
        prop_assert_eq!(&entry.origin, &Origin::Own, "a secret of {} comes from elsewhere", key);
    }
    prop_assert!(lab.catalog.environment(key).is_some());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_sequence_keeps_the_laws_and_gives_the_same_bytes_again(steps in steps()) {
        let mut lab = Lab::new();
        let mut twin = lab.catalog.clone();
        let (mut ids, mut level): (BTreeSet<NodeId>, u32) = (BTreeSet::new(), 0);
        for step in steps {
            let changes = step.into_iter().map(|choice| lab.choose(choice)).collect();
            let command = lab.command(changes);
            prop_assert_eq!(&decode_command(&encode_command(&command)).unwrap(), &command);
            let before = lab.catalog.clone();
            let revision = Revision(before.revision().0 + 1);
            let applied = lab.catalog.apply(revision, &command);
            if applied.is_err() {
                prop_assert_eq!(&lab.catalog, &before, "a refusal changed something");
            }
            prop_assert_eq!(twin.apply(revision, &command), applied);
            for node in lab.catalog.nodes().filter(|node| before.node(node.id).is_none()) {
                prop_assert!(ids.insert(node.id), "node {} is there a second time", node.id);
            }
            prop_assert!(lab.catalog.feature_level() >= level, "the feature level went back");
            level = lab.catalog.feature_level();
        }
        prop_assert_eq!(encode_catalog(&twin), encode_catalog(&lab.catalog));
        check(&lab)?;
    }
}
