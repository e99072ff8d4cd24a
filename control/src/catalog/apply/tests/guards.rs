//! What is refused unless the caller says that it knows.

use super::*;
use crate::catalog::{Annotations, WhenShared};

fn service_binding(lab: &Lab, service: &str, environment: Option<&str>) -> Binding {
    let environment = environment.map(|name| lab.environment(service, name).environment);
    Binding::Service(ServiceBinding { service: lab.service(service).name, environment, entrypoint: None, props: None })
}

fn create(lab: &mut Lab, service: &str, environments: &[&str]) {
    let create = lab.create_service(service);
    lab.run(vec![create]).unwrap();
    for name in environments {
        let create = lab.create_environment(service, name, None);
        lab.run(vec![create]).unwrap();
    }
}

fn delete(lab: &Lab, service: &str, environment: &str, bound: WhenBound) -> Vec<Change> {
    vec![Change::DeleteEnvironment { environment: lab.environment(service, environment), bound }]
}

#[test]
fn an_environment_that_others_call_goes_only_by_force() {
    let mut lab = Lab::new();
    create(&mut lab, "auth", &["staging", "qa", "free"]);
    create(&mut lab, "shop", &["qa"]);
    let explicit = service_binding(&lab, "auth", Some("staging"));
    lab.ship("shop", "production", &[("AUTH", explicit)]);
    let refused = lab.run(delete(&lab, "auth", "staging", WhenBound::Refuse)).unwrap_err().to_string();
    assert!(refused.contains("shop/production") && refused.contains("force"), "{refused}");

    // Without an environment a binding leads to the one of the caller's name, inherited bindings too.
    let implicit = service_binding(&lab, "auth", None);
    lab.ship("shop", "production", &[("AUTH", implicit)]);
    lab.ship("shop", "qa", &[]);
    let refused = lab.run(delete(&lab, "auth", "qa", WhenBound::Refuse)).unwrap_err().to_string();
    assert!(refused.contains("shop/qa"), "{refused}");
    lab.run(delete(&lab, "auth", "free", WhenBound::Refuse)).unwrap();
    lab.run(delete(&lab, "auth", "staging", WhenBound::Refuse)).unwrap();
    lab.run(delete(&lab, "auth", "qa", WhenBound::Delete)).unwrap();
}

#[test]
fn a_service_with_more_environments_goes_only_by_force() {
    let mut lab = Lab::new();
    create(&mut lab, "shop", &["staging", "qa"]);
    let delete = |bound| vec![Change::DeleteService { service: lab.service("shop"), bound }];
    let (refuse, force) = (delete(WhenBound::Refuse), delete(WhenBound::Delete));
    let refused = lab.run(refuse).unwrap_err().to_string();
    assert!(refused.contains("qa, staging") && refused.contains("force"), "{refused}");
    lab.run(force).unwrap();
}

#[test]
fn a_change_of_configuration_ends_a_rollout_only_by_force() {
    let mut lab = shop();
    let (one, two) = (lab.ship("shop", "production", &[]), lab.ship("shop", "production", &[]));
    let key = lab.environment("shop", "production");
    let mut deploy = lab.deploy_change(&key, &one);
    if let Change::Deploy { deployment, .. } = &mut deploy {
        let share = |version: &VersionId, percent| Share {
            version: version.clone(),
            percentage: Percentage::from_percent(percent).unwrap(),
        };
        deployment.shares = vec![share(&one, 90.0), share(&two, 10.0)];
    }
    lab.run(vec![deploy]).unwrap();
    let mut edit = lab.configure("shop", "production", vec![set("A", text("1"))]);
    if let Change::Configure { shared, .. } = &mut edit {
        *shared = WhenShared::Refuse;
    }
    let before = lab.catalog.clone();
    let refused = lab.run(vec![edit.clone()]).unwrap_err().to_string();
    assert!(refused.contains("versions 1 and 2 are live") && refused.contains("force"), "{refused}");
    assert_eq!(lab.catalog, before);
    if let Change::Configure { shared, .. } = &mut edit {
        *shared = WhenShared::Replace;
    }
    lab.run(vec![edit]).unwrap();
    assert_eq!(lab.found("shop", "production").live().unwrap().shares.len(), 1);
}

#[test]
fn a_service_becomes_an_environment_with_everything_it_has() {
    let mut lab = Lab::new();
    create(&mut lab, "shop", &[]);
    create(&mut lab, "shop-staging", &[]);
    let secret = lab.secret("shop-staging", "production", "KEY", "s");
    lab.ship("shop-staging", "production", &[("KEY", secret.clone())]);
    lab.ship("shop-staging", "production", &[("KEY", secret.clone())]);
    let (from, to) = (lab.environment("shop-staging", "production"), lab.environment("shop", "staging"));
    let route = lab.put_route("example.com/*", Some(from.clone()));
    let crons = Change::SetCrons { environment: from.clone(), crons: vec!["* * * * *".parse().unwrap()] };
    lab.run(vec![route, crons]).unwrap();
    let before = lab.found("shop-staging", "production").clone();
    let move_it = Change::MoveService { service: from.service.clone(), to: to.clone() };
    lab.run(vec![move_it.clone()]).unwrap();
    let after = lab.found("shop", "staging");
    assert_eq!(
        (&after.id, &after.versions, &after.deployments, &after.crons),
        (&before.id, &before.versions, &before.deployments, &before.crons)
    );
    assert_eq!(value(&lab, "staging", "KEY"), Some(secret));
    assert_eq!(lab.catalog.routes_of(&to).count(), 1);
    assert!(lab.catalog.service(&from.service).is_none());

    create(&mut lab, "shop-staging", &["other"]);
    let refused = lab.run(vec![move_it]).unwrap_err().to_string();
    assert!(refused.contains("more environments"), "{refused}");
}

#[test]
fn a_clones_author_says_what_it_is_for() {
    let mut lab = shop();
    lab.ship("shop", "production", &[]);
    let mut clone = lab.clone_of("production");
    clone.annotations = Annotations::of(Annotations::MESSAGE, "for the fair");
    let create = lab.create_environment("shop", "fair", Some(clone));
    lab.run(vec![create]).unwrap();
    let live = lab.found("shop", "fair").live_version().unwrap();
    assert_eq!(live.annotations.text(Annotations::MESSAGE), "for the fair");
    assert_eq!(live.annotations.text(Annotations::TRIGGERED_BY), "clone");
}

#[test]
fn long_flags_tags_and_entrypoints_are_named() {
    let mut lab = shop();
    let key = lab.environment("shop", "production");
    let mut version = lab.new_version(&[]);
    version.code.compatibility_flags = vec!["f".repeat(129)];
    let upload = Change::UploadVersion { environment: key.clone(), version };
    assert!(lab.run(vec![upload]).unwrap_err().to_string().contains("compatibility_flags"));
    let long = Binding::Service(ServiceBinding {
        service: key.service.name.clone(),
        environment: None,
        entrypoint: Some("e".repeat(257)),
        props: None,
    });
    let version = lab.new_version(&[("SELF", long)]);
    let upload = Change::UploadVersion { environment: key.clone(), version };
    assert!(lab.run(vec![upload]).unwrap_err().to_string().contains("bindings.SELF"));
    let tags = |tags: Vec<String>| vec![Change::SetTags { environment: key.clone(), tags }];
    lab.run(tags(vec!["t".repeat(1024)])).unwrap();
    for wrong in [vec!["t".repeat(1025)], vec!["a,b".to_owned()], vec!["t".to_owned(); 9]] {
        assert!(lab.run(tags(wrong)).unwrap_err().to_string().contains("tags"));
    }
}

#[test]
fn what_must_exist_is_looked_for() {
    let mut lab = shop();
    let environment = lab.environment("shop", "staging");
    let create = lab.create_environment("shop", "staging", None);
    let command = lab.command(vec![create]).expecting(Expectation::Present { environment: environment.clone() });
    assert!(matches!(lab.apply(&command), Err(Rejection::Stale { .. })));
    let create = lab.create_environment("shop", "staging", None);
    lab.run(vec![create]).unwrap();
    let tag = Change::SetTags { environment: environment.clone(), tags: vec!["a".to_owned()] };
    let command = lab.command(vec![tag]).expecting(Expectation::Present { environment });
    lab.apply(&command).unwrap();
}
