//! Laws that hold after any sequence of commands.

use std::collections::BTreeMap;

use proptest::prelude::*;
use skerry_proto::id::{EnvironmentName, VersionNumber};

use super::*;
use crate::catalog::{
    BindingKind, EnvironmentKey, Service, effective, find_host, hostname, preview_hostname,
    wire::{decode_catalog, decode_command, encode_catalog, encode_command},
};

const SERVICES: [&str; 3] = ["shop", "cart", "tenant"];
const ENVIRONMENTS: [&str; 4] = ["production", "staging", "dev", "shop"];

/// What a step does, and three choices within it.
type Choice = (u8, usize, usize, usize);

fn choices() -> impl Strategy<Value = Vec<Vec<Choice>>> {
    let choice = (0..19_u8, 0..SERVICES.len(), 0..ENVIRONMENTS.len(), 0..ENVIRONMENTS.len());
    prop::collection::vec(prop::collection::vec(choice, 1..3), 0..40)
}

fn change(lab: &mut Lab, (what, service, environment, other): Choice) -> Change {
    let (name, at, to) = (SERVICES[service], ENVIRONMENTS[environment], ENVIRONMENTS[other]);
    let key = lab.environment(name, at);
    let live = lab.catalog.environment(&key).and_then(|found| found.latest_version()).map(|found| found.id.clone());
    let sealed = |lab: &Lab| match lab.catalog.environment(&key) {
        Some(_) => lab.secret(name, at, "KEY", "s"),
        None => text("none"),
    };
    match what {
        0 | 1 => lab.create_service(name),
        2 => Change::RenameService { service: lab.service(name), to: lab.service(SERVICES[other % 3]).name },
        3 => Change::DeleteService { service: lab.service(name), bound: WhenBound::Refuse },
        4 | 5 => lab.create_environment(name, at, None),
        6 => {
            let clone = lab.clone_of(to);
            lab.create_environment(name, at, Some(clone))
        }
        7 => Change::RenameEnvironment { environment: key, to: lab.environment(name, to).environment },
        8 => Change::DeleteEnvironment {
            environment: key,
            bound: if other == 0 { WhenBound::Delete } else { WhenBound::Refuse },
        },
        9 => Change::SetParent { environment: key, parent: EnvironmentName::new(to).unwrap() },
        10 | 11 => {
            let version = lab.new_version(&[("A", text(at)), (to, text(to)), ("KEY", sealed(lab))]);
            Change::UploadVersion { environment: key, version }
        }
        12 | 13 => {
            let version = live.unwrap_or_else(|| lab.version_id());
            lab.deploy_change(&key, &version)
        }
        14 => lab.configure(name, at, vec![set(to, text(at)), ConfigEdit::Remove { name: at.to_owned() }]),
        15 => lab.promote(name, at, to),
        16 => lab.put_route(&format!("{to}.example/{at}*"), Some(key)),
        17 => lab.create_namespace(to).1,
        _ => Change::MoveService { service: lab.service(SERVICES[other % 3]), to: key },
    }
}

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
    prop_assert_eq!(decode_catalog(&encode_catalog(&lab.catalog)).unwrap(), lab.catalog.clone());
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
    fn every_sequence_keeps_the_laws_and_gives_the_same_bytes_again(steps in choices()) {
        let mut lab = Lab::new();
        let mut twin = lab.catalog.clone();
        for step in steps {
            let changes = step.into_iter().map(|choice| change(&mut lab, choice)).collect();
            let command = lab.command(changes);
            prop_assert_eq!(&decode_command(&encode_command(&command)).unwrap(), &command);
            let before = lab.catalog.clone();
            let revision = Revision(before.revision().0 + 1);
            let applied = lab.catalog.apply(revision, &command);
            if applied.is_err() {
                prop_assert_eq!(&lab.catalog, &before, "a refusal changed something");
            }
            prop_assert_eq!(twin.apply(revision, &command), applied);
        }
        prop_assert_eq!(encode_catalog(&twin), encode_catalog(&lab.catalog));
        check(&lab)?;
    }
}
