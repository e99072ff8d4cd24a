//! What commands promise, one by one; what holds after any sequence of them is in [`laws`].
//!
//! **Owns** the catalog's promises as tests. **Must not know** raft and storage. **Enter at** [`shop`], a service to try
//! things on.

use skerry_proto::id::TokenId;

use super::*;
use crate::catalog::{
    Base, Binding, ConfigEdit, Expectation, Guard, Idempotency, Keep, Noun, Origin, Percentage, Pipeline, Scope,
    ServiceBinding, Share, Token, TokenHash, WhenBound, resolve_service, testing::*,
};

mod guards;
mod history;
mod laws;
mod nodes;

fn shop() -> Lab {
    let mut lab = Lab::new();
    let create = lab.create_service("shop");
    lab.run(vec![create]).unwrap();
    lab
}

fn value(lab: &Lab, environment: &str, name: &str) -> Option<Binding> {
    lab.effective("shop", environment).bindings.get(name).map(|entry| entry.binding.clone())
}

#[test]
fn numbers_count_per_environment_and_a_variable_makes_a_version() {
    let mut lab = shop();
    lab.ship("shop", "production", &[]);
    let create = lab.create_environment("shop", "staging", None);
    lab.run(vec![create]).unwrap();
    lab.ship("shop", "staging", &[]);
    let edit = lab.configure("shop", "production", vec![set("A", text("1"))]);
    let applied = lab.run(vec![edit]).unwrap();
    assert_eq!(applied.versions[0].number.0, 2);
    assert_eq!(lab.found("shop", "staging").latest_version().unwrap().number.0, 1);
}

#[test]
fn promotion_moves_code_and_leaves_the_targets_configuration() {
    let mut lab = shop();
    lab.ship("shop", "production", &[("URL", text("live"))]);
    let create = lab.create_environment("shop", "staging", None);
    lab.run(vec![create]).unwrap();
    lab.ship("shop", "staging", &[("URL", text("test")), ("ONLY", text("staging"))]);
    let promote = lab.promote("shop", "staging", "production");
    lab.run(vec![promote]).unwrap();
    let (staging, production) = (lab.found("shop", "staging"), lab.found("shop", "production"));
    assert_eq!(production.live_version().unwrap().code, staging.live_version().unwrap().code);
    assert_eq!(value(&lab, "production", "URL"), Some(text("live")));
    assert_eq!(value(&lab, "production", "ONLY"), None);
}

#[test]
fn several_services_are_promoted_together_or_not_at_all() {
    let mut lab = shop();
    let create = lab.create_service("cart");
    lab.run(vec![create]).unwrap();
    for service in ["shop", "cart"] {
        let create = lab.create_environment(service, "staging", None);
        lab.run(vec![create]).unwrap();
    }
    lab.ship("shop", "staging", &[]);
    let (first, second) = (lab.promote("shop", "staging", "production"), lab.promote("cart", "staging", "production"));
    let before = lab.catalog.clone();
    let rejection = lab.run(vec![first.clone(), second.clone()]).unwrap_err();
    assert!(matches!(rejection, Rejection::Invalid { .. }), "cart has nothing to promote: {rejection}");
    assert_eq!(lab.catalog, before);
    lab.ship("cart", "staging", &[]);
    let applied = lab.run(vec![first, second]).unwrap();
    assert_eq!(applied.deployments.len(), 2);
}

#[test]
fn a_pipeline_is_kept_unless_skipped_openly() {
    let mut lab = shop();
    for name in ["staging", "dev"] {
        let create = lab.create_environment("shop", name, None);
        lab.run(vec![create]).unwrap();
        lab.ship("shop", name, &[]);
    }
    let stages = ["dev", "staging", "production"].map(|name| lab.environment("shop", name).environment).to_vec();
    let service = lab.service("shop");
    lab.run(vec![Change::SetPipeline { service, pipeline: Some(Pipeline { stages }) }]).unwrap();
    let mut jump = lab.promote("shop", "dev", "production");
    let rejection = lab.run(vec![jump.clone()]).unwrap_err().to_string();
    assert!(rejection.contains("only from staging"), "{rejection}");
    if let Change::Promote { guard, .. } = &mut jump {
        *guard = Guard::Skip;
    }
    lab.run(vec![jump]).unwrap();
    let entry = lab.catalog.audit().next_back().unwrap();
    assert!(entry.actions[0].detail.contains(&("pipeline".to_owned(), "skipped".to_owned())));
    let step = lab.promote("shop", "dev", "staging");
    lab.run(vec![step]).unwrap();
}

#[test]
fn rollback_brings_back_the_variables_and_secrets_of_its_version() {
    let mut lab = shop();
    let old = lab.secret("shop", "production", "KEY", "old");
    let first = lab.ship("shop", "production", &[("URL", text("1")), ("KEY", old.clone())]);
    let new = lab.secret("shop", "production", "KEY", "new");
    let edit = lab.configure("shop", "production", vec![set("URL", text("2")), set("KEY", new.clone())]);
    lab.run(vec![edit]).unwrap();
    assert_eq!((value(&lab, "production", "URL"), value(&lab, "production", "KEY")), (Some(text("2")), Some(new)));
    let key = lab.environment("shop", "production");
    let rollback = lab.deploy_change(&key, &first);
    lab.run(vec![rollback]).unwrap();
    assert_eq!((value(&lab, "production", "URL"), value(&lab, "production", "KEY")), (Some(text("1")), Some(old)));
    assert_eq!(lab.found("shop", "production").versions.len(), 2);
}

#[test]
fn rollback_to_a_version_whose_namespace_is_gone_is_refused() {
    let mut lab = shop();
    let (id, create) = lab.create_namespace("cache");
    lab.run(vec![create]).unwrap();
    let first = lab.ship("shop", "production", &[("CACHE", Binding::KvNamespace(id.clone()))]);
    let delete = Change::DeleteNamespace { account: lab.account.clone(), id };
    assert!(matches!(lab.run(vec![delete.clone()]), Err(Rejection::InUse { .. })));
    lab.ship("shop", "production", &[]);
    lab.run(vec![delete]).unwrap();
    let key = lab.environment("shop", "production");
    let rollback = lab.deploy_change(&key, &first);
    assert!(matches!(lab.run(vec![rollback]), Err(Rejection::NotFound { noun: Noun::Namespace, .. })));
}

#[test]
fn children_inherit_live_and_show_where_from_but_never_secrets() {
    let mut lab = shop();
    let (id, create) = lab.create_namespace("cache");
    lab.run(vec![create]).unwrap();
    let secret = lab.secret("shop", "production", "KEY", "s");
    let bindings = [("A", text("1")), ("B", text("1")), ("CACHE", Binding::KvNamespace(id)), ("KEY", secret)];
    lab.ship("shop", "production", &bindings);
    let create = lab.create_environment("shop", "staging", None);
    lab.run(vec![create]).unwrap();
    lab.ship("shop", "staging", &[("B", text("own"))]);
    let effective = lab.effective("shop", "staging");
    assert_eq!(effective.bindings["A"].origin, Origin::Inherited(lab.environment("shop", "production").environment));
    assert_eq!(effective.bindings["B"].origin, Origin::Own);
    assert!(!effective.bindings.contains_key("KEY"));
    assert_eq!(effective.shared["CACHE"].with.len(), 1);
    let edit = lab.configure("shop", "production", vec![set("A", text("2"))]);
    let hide = lab.configure("shop", "staging", vec![ConfigEdit::Remove { name: "CACHE".to_owned() }]);
    lab.run(vec![edit, hide]).unwrap();
    assert_eq!(value(&lab, "staging", "A"), Some(text("2")));
    assert_eq!(value(&lab, "staging", "CACHE"), None);
    let show = lab.configure("shop", "staging", vec![ConfigEdit::Unset { name: "CACHE".to_owned() }]);
    lab.run(vec![show]).unwrap();
    assert!(value(&lab, "staging", "CACHE").is_some());
}

#[test]
fn variables_set_before_the_first_version_belong_to_it() {
    let mut lab = shop();
    let secret = lab.secret("shop", "production", "KEY", "s");
    let edit = lab.configure("shop", "production", vec![set("KEY", secret.clone())]);
    assert!(lab.run(vec![edit]).unwrap().versions.is_empty());
    lab.ship("shop", "production", &[("A", text("1"))]);
    assert_eq!(value(&lab, "production", "KEY"), Some(secret));
    assert!(lab.found("shop", "production").draft.bindings.is_empty());
}

#[test]
fn an_upload_keeps_what_it_says_and_nothing_else() {
    let mut lab = shop();
    let secret = lab.secret("shop", "production", "KEY", "s");
    lab.ship("shop", "production", &[("A", text("1")), ("B", text("1")), ("KEY", secret.clone())]);
    let mut version = lab.new_version(&[("B", text("2"))]);
    version.keep = Keep { kinds: [crate::catalog::BindingKind::Secret].into(), names: ["B".to_owned()].into() };
    let (key, id) = (lab.environment("shop", "production"), version.id.clone());
    lab.run(vec![Change::UploadVersion { environment: key, version }]).unwrap();
    let bindings = &lab.found("shop", "production").version(&id).unwrap().config.bindings;
    assert_eq!(bindings.get("KEY"), Some(&secret));
    assert_eq!((bindings.get("A"), bindings.get("B")), (None, Some(&text("2"))));
    let mut version = lab.new_version(&[]);
    version.keep.names.insert("NOPE".to_owned());
    let key = lab.environment("shop", "production");
    let rejection = lab.run(vec![Change::UploadVersion { environment: key, version }]).unwrap_err();
    assert!(matches!(rejection, Rejection::NotFound { noun: Noun::Binding, .. }), "{rejection}");
}

#[test]
fn a_secret_that_was_sealed_for_another_place_is_refused() {
    let mut lab = shop();
    let create = lab.create_environment("shop", "staging", None);
    lab.run(vec![create]).unwrap();
    let secret = lab.secret("shop", "staging", "KEY", "s");
    let edit = lab.configure("shop", "production", vec![set("KEY", secret)]);
    assert!(lab.run(vec![edit]).unwrap_err().to_string().contains("bindings.KEY"));
}

#[test]
fn a_clone_runs_with_what_its_source_runs_with_except_secrets() {
    let mut lab = shop();
    let secret = lab.secret("shop", "production", "KEY", "s");
    lab.ship("shop", "production", &[("A", text("1")), ("KEY", secret)]);
    let create = lab.create_environment("shop", "staging", None);
    lab.run(vec![create]).unwrap();
    lab.ship("shop", "staging", &[("B", text("2"))]);
    let clone = lab.clone_of("staging");
    let create = lab.create_environment("shop", "preview", Some(clone));
    lab.run(vec![create]).unwrap();
    let values = |lab: &Lab, name: &str| -> Vec<(String, Binding)> {
        lab.effective("shop", name).bindings.into_iter().map(|(name, entry)| (name, entry.binding)).collect()
    };
    assert_eq!(values(&lab, "preview"), values(&lab, "staging"));
    let code = |lab: &Lab, name: &str| lab.found("shop", name).live_version().unwrap().code.clone();
    assert_eq!(code(&lab, "preview"), code(&lab, "staging"));
    let own = &lab.found("shop", "preview").live_version().unwrap().config;
    assert!(!own.bindings.contains_key("A"), "what comes from the parent is not repeated");
}

#[test]
fn renaming_keeps_history_routes_children_and_secrets() {
    let mut lab = shop();
    let create = lab.create_environment("shop", "staging", None);
    lab.run(vec![create]).unwrap();
    let secret = lab.secret("shop", "staging", "KEY", "s");
    lab.ship("shop", "staging", &[("KEY", secret)]);
    let key = lab.environment("shop", "staging");
    let route = lab.put_route("example.com/*", Some(key.clone()));
    let mut child = lab.create_environment("shop", "child", None);
    if let Change::CreateEnvironment { parent, .. } = &mut child {
        *parent = Some(key.environment.clone());
    }
    lab.run(vec![route, child]).unwrap();
    let before = lab.found("shop", "staging").clone();
    let to = lab.environment("shop", "qa").environment;
    lab.run(vec![Change::RenameEnvironment { environment: key.clone(), to: to.clone() }]).unwrap();
    let after = lab.found("shop", "qa");
    assert_eq!((&after.id, &after.versions, &after.deployments), (&before.id, &before.versions, &before.deployments));
    assert!(lab.catalog.environment(&key).is_none());
    assert_eq!(lab.catalog.routes_of(&lab.environment("shop", "qa")).count(), 1);
    assert_eq!(lab.found("shop", "child").parent, Some(to));
    let service = lab.service("shop");
    lab.run(vec![Change::RenameService { service, to: lab.service("store").name }]).unwrap();
    assert_eq!(lab.catalog.routes_of(&lab.environment("store", "qa")).count(), 1);
    let edit = lab.configure("store", "qa", vec![set("A", text("1"))]);
    lab.run(vec![edit]).unwrap();
}

#[test]
fn what_is_needed_is_not_deleted() {
    let mut lab = shop();
    let create = lab.create_service("caller");
    lab.run(vec![create]).unwrap();
    let bound = Binding::Service(ServiceBinding {
        service: lab.service("shop").name,
        environment: None,
        entrypoint: None,
        props: None,
    });
    lab.ship("caller", "production", &[("SHOP", bound)]);
    let delete = |bound| Change::DeleteService { service: lab.service("shop"), bound };
    let (refuse, force) = (delete(WhenBound::Refuse), delete(WhenBound::Delete));
    let rejection = lab.run(vec![refuse]).unwrap_err().to_string();
    assert!(rejection.contains("caller/production"), "{rejection}");
    let environment = lab.environment("shop", "production");
    assert!(lab.run(vec![Change::DeleteEnvironment { environment, bound: WhenBound::Delete }]).is_err());
    lab.run(vec![force]).unwrap();
}

#[test]
fn stale_writers_are_refused_and_told_what_they_missed() {
    let mut lab = shop();
    let first = lab.ship("shop", "production", &[]);
    let environment = lab.environment("shop", "production");
    let revision = lab.found("shop", "production").revision;
    lab.ship("shop", "production", &[]);
    let deploy = lab.deploy_change(&environment, &first);
    let expectations = [
        Expectation::Unchanged { environment: environment.clone(), revision },
        Expectation::ServiceUnchanged { service: environment.service.clone(), revision },
        Expectation::Live { environment: environment.clone(), version: Some(first) },
        Expectation::Absent { environment: environment.clone() },
    ];
    for expectation in expectations {
        let command = lab.command(vec![deploy.clone()]).expecting(expectation);
        let before = lab.catalog.clone();
        let rejection = lab.apply(&command).unwrap_err();
        assert!(matches!(&rejection, Rejection::Stale { expected, found, .. } if expected != found), "{rejection}");
        assert_eq!(lab.catalog, before);
    }
    let revision = lab.found("shop", "production").revision;
    let command = lab.command(vec![deploy]).expecting(Expectation::Unchanged { environment, revision });
    lab.apply(&command).unwrap();
}

#[test]
fn a_repeated_command_gives_the_first_answer_and_changes_nothing() {
    let mut lab = Lab::new();
    let create = lab.create_service("shop");
    let mut command = lab.command(vec![create]);
    command.idempotency = Some(Idempotency { key: "once".to_owned(), fingerprint: [1; 32] });
    let first = lab.apply(&command).unwrap();
    let before = lab.catalog.clone();
    let again = lab.apply(&command).unwrap();
    assert_eq!((again.revision, again.repeated), (first.revision, Repeated::Yes));
    assert_eq!(lab.catalog, before);
    command.idempotency = Some(Idempotency { key: "once".to_owned(), fingerprint: [2; 32] });
    assert!(matches!(lab.apply(&command), Err(Rejection::KeyReused { .. })));
}

#[test]
fn deployments_share_exactly_one_hundred_percent() {
    let mut lab = shop();
    let (one, two) = (lab.ship("shop", "production", &[]), lab.ship("shop", "production", &[]));
    let environment = lab.environment("shop", "production");
    let share = |version: &VersionId, percent: f64| Share {
        version: version.clone(),
        percentage: Percentage::from_percent(percent).unwrap(),
    };
    for (shares, fits) in [
        (vec![], false),
        (vec![share(&one, 99.99)], false),
        (vec![share(&one, 50.0), share(&one, 50.0)], false),
        (vec![share(&one, 90.0), share(&two, 10.01)], false),
        (vec![share(&one, 0.0), share(&two, 100.0)], true),
        (vec![share(&one, 0.01), share(&two, 99.99)], true),
    ] {
        let mut deploy = lab.deploy_change(&environment, &one);
        if let Change::Deploy { deployment, .. } = &mut deploy {
            deployment.shares = shares.clone();
        }
        assert_eq!(lab.run(vec![deploy]).is_ok(), fits, "{shares:?}");
    }
    assert_eq!(lab.found("shop", "production").live_version().unwrap().id, two);
}

#[test]
fn a_fresh_service_moves_into_an_environment_of_another_in_one_command() {
    let mut lab = shop();
    let create = lab.create_service("shop-staging");
    lab.run(vec![create]).unwrap();
    let secret = lab.secret("shop-staging", "production", "KEY", "s");
    let id = lab.ship("shop-staging", "production", &[("KEY", secret.clone())]);
    let moved = lab.found("shop-staging", "production").clone();
    let old = moved.version(&id).unwrap();
    let key = lab.environment("shop", "staging");
    let mut create = lab.create_environment("shop", "staging", None);
    if let Change::CreateEnvironment { id, .. } = &mut create {
        *id = moved.id.clone();
    }
    let mut version = lab.new_version(&[("KEY", secret.clone())]);
    (version.id, version.code, version.base) = (id.clone(), old.code.clone(), Base::Live);
    let deploy = lab.deploy_change(&key, &id);
    let delete = Change::DeleteService { service: lab.service("shop-staging"), bound: WhenBound::Delete };
    lab.run(vec![delete, create, Change::UploadVersion { environment: key, version }, deploy]).unwrap();
    assert_eq!(value(&lab, "staging", "KEY"), Some(secret));
}

#[test]
fn the_last_token_that_may_do_everything_stays() {
    let mut lab = Lab::new();
    let token = |number: u64, scope: Scope| Token {
        id: hex_id(TokenId::new, number),
        account: None,
        name: "admin".to_owned(),
        scopes: [scope].into(),
        hash: TokenHash::of(&number.to_string()),
        created_at_ms: 1,
        expires_at_ms: None,
    };
    let (one, two) = (token(1, Scope::ADMIN), token(2, Scope::ADMIN));
    let reader = token(3, "all:read".parse().unwrap());
    lab.run(vec![Change::CreateToken(one.clone()), Change::CreateToken(reader)]).unwrap();
    let revoke = Change::RevokeToken { account: None, id: one.id };
    assert!(matches!(lab.run(vec![revoke.clone()]), Err(Rejection::InUse { noun: Noun::Token, .. })));
    lab.run(vec![Change::CreateToken(two), revoke]).unwrap();
    assert!(lab.catalog.token_by_hash(&one.hash).is_none());
}

#[test]
fn an_accounts_label_and_the_first_accounts_services_share_their_names() {
    let mut lab = shop();
    let account = |label: &str| {
        let label = Some(lab.service(label).name);
        Account { id: hex_id(AccountId::new, 7), name: "tenant".to_owned(), label, created_at_ms: 1 }
    };
    let (taken, free) = (Change::CreateAccount(account("shop")), Change::CreateAccount(account("tenant")));
    assert!(matches!(lab.run(vec![taken]), Err(Rejection::Exists { noun: Noun::Account, .. })));
    lab.run(vec![free]).unwrap();
    let create = lab.create_service("tenant");
    assert!(matches!(lab.run(vec![create]), Err(Rejection::Exists { noun: Noun::Service, .. })));
}

#[test]
fn a_command_is_about_one_account() {
    let mut lab = Lab::new();
    let label = Some(lab.service("other").name);
    let other = Account { id: hex_id(AccountId::new, 7), name: "other".to_owned(), label, created_at_ms: 1 };
    let create = lab.create_service("shop");
    assert!(lab.run(vec![create, Change::CreateAccount(other)]).is_err());
}

#[test]
fn a_binding_without_an_environment_means_the_one_of_the_same_name() {
    let mut lab = shop();
    let create = lab.create_service("cart");
    lab.run(vec![create]).unwrap();
    let create = lab.create_environment("cart", "staging", None);
    lab.run(vec![create]).unwrap();
    let binding = |environment: Option<&str>| ServiceBinding {
        service: lab.service("cart").name,
        environment: environment.map(|name| lab.environment("cart", name).environment),
        entrypoint: None,
        props: None,
    };
    let found = |caller: &str, environment: Option<&str>| {
        resolve_service(&lab.catalog, &lab.environment("shop", caller), &binding(environment))
    };
    assert_eq!(found("staging", None), Some(lab.environment("cart", "staging")));
    assert_eq!(found("dev", None), Some(lab.environment("cart", "production")));
    assert_eq!(found("production", Some("staging")), Some(lab.environment("cart", "staging")));
    assert_eq!(found("production", Some("gone")), None);
}

#[test]
fn names_that_read_like_previews_are_refused() {
    let mut lab = Lab::new();
    let create = lab.create_service("0123abcd-shop");
    assert!(lab.run(vec![create]).unwrap_err().to_string().contains("hexadecimal"));
}

#[test]
fn the_clusters_own_domain_takes_no_routes() {
    let mut lab = shop();
    for pattern in ["shop.workers.test/*", "*.workers.test/*", "workers.test/"] {
        let put = lab.put_route(pattern, None);
        assert!(lab.run(vec![put]).is_err(), "{pattern}");
    }
    let put = lab.put_route("*.test/*", None);
    lab.run(vec![put.clone()]).unwrap();
    let again = lab.put_route("*.test/*", None);
    assert!(matches!(lab.run(vec![again]), Err(Rejection::Exists { noun: Noun::Route, .. })));
}

#[test]
fn every_command_is_one_audit_entry_without_values_of_secrets() {
    let mut lab = shop();
    lab.ship("shop", "production", &[]);
    let secret = lab.secret("shop", "production", "KEY", "hunter2");
    let before = lab.catalog.audit().count();
    let edit = lab.configure("shop", "production", vec![set("KEY", secret)]);
    lab.run(vec![edit]).unwrap();
    let entry = lab.catalog.audit().next_back().unwrap();
    assert_eq!(lab.catalog.audit().count(), before + 1);
    assert_eq!((entry.actions[0].action.as_str(), entry.actor.name.as_str()), ("secret.put", "tester"));
    assert_eq!(entry.account.as_ref(), Some(&lab.account));
    assert!(!format!("{entry:?}").contains("hunter2"));
}
