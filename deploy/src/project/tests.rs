use std::path::Path;

use proptest::prelude::*;
use skerry_proto::id::EnvironmentName;

use super::plan::PlanError;
use super::*;

fn toml(text: &str) -> Result<File, String> {
    read(text, Path::new("wrangler.toml")).map(|(file, _)| file).map_err(|error| error.to_string())
}

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::new(name).unwrap()
}

const SHOP: &str = r#"
name = "shop"
main = "src/index.ts"
compatibility_date = "2026-01-31"
routes = ["shop.example.com/*"]
[vars]
COLOR = "blue"
[define]
LEVEL = "1"
[[kv_namespaces]]
binding = "CART"
[[services]]
binding = "AUTH"
service = "auth"
[triggers]
crons = ["*/5 * * * *"]
[env.staging]
vars = { COLOR = "green" }
[env.staging.define]
FLAG = "true"
[env.preview.skerry]
parent = "staging"
isolate = true
remove = ["AUTH"]
"#;

#[test]
fn an_environment_holds_only_its_differences() {
    let plan = Plan::of(&toml(SHOP).unwrap(), None, &environment("staging")).unwrap();
    assert_eq!(plan.main.as_deref(), Some("src/index.ts"));
    assert_eq!(plan.compatibility_date.as_deref(), Some("2026-01-31"));
    assert_eq!(plan.vars["COLOR"], "green");
    assert!(plan.kv_namespaces.is_empty() && plan.services.is_empty());
    assert_eq!(plan.build.define.len(), 2);
}

#[test]
fn routes_and_crons_stay_with_the_environment_that_names_them() {
    let file = toml(SHOP).unwrap();
    let production = Plan::of(&file, None, &EnvironmentName::production()).unwrap();
    assert_eq!(production.routes.unwrap()[0].pattern, "shop.example.com/*");
    assert_eq!(production.crons.unwrap(), ["*/5 * * * *"]);
    let staging = Plan::of(&file, None, &environment("staging")).unwrap();
    assert_eq!((staging.routes, staging.crons), (None, None));
}

#[test]
fn isolate_gives_an_environment_its_own_namespaces() {
    let plan = Plan::of(&toml(SHOP).unwrap(), None, &environment("preview")).unwrap();
    assert_eq!(plan.parent, Some(environment("staging")));
    assert_eq!(plan.removed, Some(vec!["AUTH".to_owned()]));
    assert_eq!(plan.kv_namespaces[0].binding, "CART");
    assert_eq!(plan.kv_namespaces[0].namespace, NamespacePlan::Titled("shop-preview-cart".to_owned()));
    assert_eq!(plan.build.define["FLAG"], "true");
}

#[test]
fn a_node_of_ones_own_is_asked_for_namespaces_by_title() {
    let id = "ab".repeat(16);
    let text = format!(
        "name = \"shop\"\nkv_namespaces = [{{ binding = \"CART\", id = \"{id}\" }}, {{ binding = \"SAME\", id = \"{id}\" }}, \
         {{ binding = \"OTHER\" }}]"
    );
    let mut plan = Plan::of(&toml(&text).unwrap(), None, &EnvironmentName::production()).unwrap();
    plan.name_namespaces_by_title();
    let titles: Vec<_> = plan.kv_namespaces.into_iter().map(|kv| kv.namespace).collect();
    let titled = |title: &str| NamespacePlan::Titled(title.to_owned());
    assert_eq!(titles, [titled("shop-cart"), titled("shop-cart"), titled("shop-other")]);
}

#[test]
fn an_environment_that_the_file_does_not_mention_runs_the_same_code() {
    let plan = Plan::of(&toml(SHOP).unwrap(), None, &environment("pr-7")).unwrap();
    assert_eq!(plan.main.as_deref(), Some("src/index.ts"));
    assert!(plan.vars.is_empty());
}

#[test]
fn parents_in_a_circle_are_refused() {
    let file = toml("name = \"a\"\n[env.x.skerry]\nparent = \"y\"\n[env.y.skerry]\nparent = \"x\"").unwrap();
    assert_eq!(Plan::of(&file, None, &environment("x")), Err(PlanError::Circle(environment("x"))));
}

#[test]
fn where_no_parent_is_live_an_environment_has_everything_itself() {
    let file = toml(
        "name = \"shop\"\n[vars]\nA = \"top\"\nB = \"top\"\nC = \"top\"\n[limits]\ncpu_ms = 7\n[[kv_namespaces]]\nbinding = \"CACHE\"\n\
         [[services]]\nbinding = \"AUTH\"\nservice = \"auth\"\n[env.staging.vars]\nB = \"staging\"\n[env.staging.skerry]\nremove = [\"C\"]\n\
         [env.preview.vars]\nC = \"again\"\n[env.preview.skerry]\nparent = \"staging\"\nremove = [\"AUTH\"]",
    )
    .unwrap();
    let plan = Plan::alone(&file, None, &environment("preview")).unwrap();
    let vars: Vec<_> = plan.vars.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    assert_eq!(vars, [("A", "top"), ("B", "staging"), ("C", "again")]);
    assert_eq!((plan.services.len(), plan.limits.cpu_ms, plan.parent), (0, Some(7), None));
    assert_eq!(plan.kv_namespaces[0].binding, "CACHE");
}

#[test]
fn every_mistake_is_named_with_its_line_and_key() {
    let error = toml(
        "name = \"Shop\"\ncompatability_date = \"2026-01-01\"\n[vars]\nA = 1\n[[kv_namespaces]]\nbinding = \"A\"\nid = \"x\"\n\
         [env.staging]\nname = \"b\"\n[[env.staging.services]]\nbinding = \"S\"\n[env.staging.skery]\n[[r2_buckets]]",
    )
    .unwrap_err();
    let found: Vec<&str> = error.lines().collect();
    assert!(found[0].starts_with("wrangler.toml:1: name: service name \"Shop\" is invalid"), "{error}");
    assert_eq!(found[1], "wrangler.toml:2: compatability_date: unknown key; did you mean \"compatibility_date\"?");
    let rest = [
        ":7: kv_namespaces[0].id: namespace id \"x\" is invalid",
        ":9: env.staging.name: belongs to the whole service",
        ":10: env.staging.services[0].service: is required",
        ":12: env.staging.skery: unknown key; did you mean \"skerry\"?",
        ":13: r2_buckets: is not offered",
    ];
    for expected in rest {
        assert!(error.contains(expected), "{expected} in\n{error}");
    }
}

#[test]
fn a_name_is_bound_once() {
    let error = toml("name = \"a\"\n[vars]\nX = 1\n[[kv_namespaces]]\nbinding = \"X\"").unwrap_err();
    assert!(error.contains("kv_namespaces: \"X\" is bound twice"), "{error}");
}

#[test]
fn keys_without_effect_are_told_and_accepted() {
    let text = "{ \"$schema\": \"x\", \"name\": \"a\", \"observability\": { \"enabled\": true } }";
    let (_, notices) = read(text, Path::new("wrangler.jsonc")).unwrap();
    assert_eq!(notices[0].key, "observability");
    let (file, notices) = read("compatibility_flags = [\"nodejs_compat\"]", Path::new("wrangler.toml")).unwrap();
    assert_eq!(file.base.compatibility_flags, Some(vec!["nodejs_compat".to_owned()]));
    assert_eq!(
        notices[0].text,
        "\"nodejs_compat\" has no effect in this version of Skerry: there are no Node.js modules"
    );
}

#[test]
fn routes_domains_and_crons_are_checked_with_their_lines() {
    let error = toml(
        "routes = [\n\"ftp://a.b/\",\n{ pattern = \"*.a.b\", custom_domain = true },\n{ pattern = \"a.*.b\" } ]\n\
         [triggers]\ncrons = [\"0 0 * * *\",\n\"60 * * * *\",\n\"0 0 * * *\"]",
    )
    .unwrap_err();
    let rest = [
        ":2: routes[0]: route pattern \"ftp://a.b/\" is invalid: the scheme is",
        ":3: routes[1].pattern: hostname \"*.a.b\" is invalid",
        ":4: routes[2].pattern: route pattern \"a.*.b\" is invalid: the host is",
        ":7: triggers.crons[1]: cron \"60 * * * *\" is invalid: minute \"60\"",
        ":8: triggers.crons[2]: \"0 0 * * *\" is given twice",
    ];
    for expected in rest {
        assert!(error.contains(expected), "{expected} in\n{error}");
    }
}

#[test]
fn dates_and_limits_are_checked() {
    assert!(toml("compatibility_date = \"2026-02-30\"").unwrap_err().contains("is not a date"));
    assert!(toml("[limits]\ncpu_ms = 40000").unwrap_err().contains("1 to 30000"));
    assert!(toml("[limits]\nsubrequests = 40000").unwrap_err().contains("limits.subrequests: must be 0 to 10000"));
    assert!(toml("[[rules]]\ntype = \"Txt\"\nglobs = []").unwrap_err().contains("must be one of"));
}

/// A tree of plausible keys with values of any kind: what people write, and what they write wrong.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a-z*/.:-]{0,12}".prop_map(Into::into),
    ];
    let key = prop_oneof![
        Just("name"),
        Just("main"),
        Just("vars"),
        Just("env"),
        Just("routes"),
        Just("route"),
        Just("rules"),
        Just("kv_namespaces"),
        Just("services"),
        Just("binding"),
        Just("service"),
        Just("build"),
        Just("watch_dir"),
        Just("triggers"),
        Just("crons"),
        Just("limits"),
        Just("cpu_ms"),
        Just("skerry"),
        Just("define"),
        Just("type"),
        Just("globs"),
        Just("staging"),
        Just("version_metadata"),
        Just("secrets"),
        Just("mian"),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_tree_is_understood_or_refused_by_line_and_key(value in value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let lines = text.lines().count();
        match read(&text, Path::new("wrangler.jsonc")) {
            Ok((file, _)) => {
                for name in ["production", "staging"] {
                    let _ = Plan::of(&file, None, &environment(name));
                }
            }
            Err(ProjectError::Keys { problems, .. }) => {
                for problem in problems {
                    prop_assert!(problem.line >= 1 && problem.line <= lines);
                    prop_assert!(!problem.text.is_empty());
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
