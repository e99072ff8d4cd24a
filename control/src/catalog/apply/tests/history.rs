//! How much of its history an environment keeps.

use super::*;

fn numbers(lab: &Lab) -> Vec<u64> {
    lab.found("shop", "production").versions.keys().map(|number| number.0).collect()
}

fn upload(lab: &mut Lab, count: usize) {
    for _ in 0..count {
        let version = lab.new_version(&[]);
        let environment = lab.environment("shop", "production");
        lab.run(vec![Change::UploadVersion { environment, version }]).unwrap();
    }
}

#[test]
fn the_newest_hundred_versions_stay_and_those_that_deployments_name() {
    let mut lab = shop();
    let first = lab.ship("shop", "production", &[]);
    let second = lab.ship("shop", "production", &[]);
    upload(&mut lab, 3);
    let key = lab.environment("shop", "production");
    let back = lab.deploy_change(&key, &first);
    lab.run(vec![back]).unwrap();
    upload(&mut lab, limits::VERSIONS_KEPT);
    let found = lab.found("shop", "production");
    assert_eq!(found.live_version().unwrap().id, first);
    assert!(found.version(&second).is_some(), "an old deployment can still be rolled back to");
    let expected: Vec<u64> = [1, 2].into_iter().chain(6..=105).collect();
    assert_eq!(numbers(&lab), expected);
    assert_eq!(lab.found("shop", "production").version_numbers.len(), 102);
}

#[test]
fn the_newest_hundred_deployments_stay() {
    let mut lab = shop();
    let first = lab.ship("shop", "production", &[]);
    for _ in 0..limits::DEPLOYMENTS_KEPT {
        lab.ship("shop", "production", &[]);
    }
    let found = lab.found("shop", "production");
    assert_eq!(found.deployments.len(), limits::DEPLOYMENTS_KEPT);
    assert!(found.version(&first).is_none(), "no deployment names it any more");
    assert_eq!(found.latest_version().unwrap().number.0, 101);
    assert_eq!(found.versions.len(), limits::VERSIONS_KEPT);
}
