//! Environments, versions, secrets, KV: what each command sends and shows.

use serde_json::{Value, json};

use crate::fake::{Fake, Recorded, Reply};
use crate::run::Workspace;

const BASE: &str = "/workers/services/shop/environments";

fn changes() -> Value {
    json!([
        { "field": "bundle", "change": "changed", "source": { "value": "aa" }, "target": { "value": "bb" } },
        { "field": "bindings.COLOR", "change": "changed", "source": { "value": "green" },
          "target": { "value": "blue", "inherited_from": "production" } },
        { "field": "routes", "change": "removed", "source": { "value": "a/*" }, "target": null },
    ])
}

fn shop(call: &Recorded) -> Option<Reply> {
    let what = call.what();
    Some(Reply::Result(match what.strip_prefix("GET ").unwrap_or(&what) {
        "/workers/services" => {
            json!([{ "id": "shop", "name": "shop", "modified_on": "2026-01-31T10:00:00.123Z", "environments": [{ "environment": "production" }, { "environment": "staging" }] }])
        }
        path if path == format!("{BASE}/production") => {
            return Some(Reply::Tagged(json!({ "name": "production" }), "\"12\""));
        }
        path if path == format!("{BASE}/staging/diff") => {
            json!({ "source": "shop/staging", "target": "shop/production", "code": changes(), "config": [], "triggers": [], "identical": false })
        }
        path if path == format!("{BASE}/production/versions/4") => json!({ "id": "four", "number": 4 }),
        path if path == format!("{BASE}/production/versions/2") => json!({ "id": "two", "number": 2 }),
        path if path == format!("{BASE}/production/config") => {
            json!({ "bindings": [{ "name": "CART", "type": "kv_namespace", "namespace_id": "ab" }] })
        }
        "POST /workers/promotions" | "POST /workers/services/shop/pipeline/run" => {
            let dry_run = call.json()["dry_run"] == true;
            let version = if dry_run { Value::Null } else { json!(5) };
            json!({ "promotions": [{ "service": "shop", "source": "staging", "target": "production", "changes": changes(), "if_match": "12", "source_version_id": "nine", "version_number": version }] })
        }
        path if path == format!("{BASE}/production/secrets") => json!([{ "name": "KEY" }, { "name": "TOKEN" }]),
        path if path == format!("{BASE}/production/deployments") => {
            let live = |id: &str, number: u64| json!({ "id": id, "versions": [{ "version_id": id, "percentage": 100, "number": number }] });
            json!({ "deployments": [live("four", 4), live("four", 4), live("two", 2)] })
        }
        path if path == format!("POST {BASE}/production/rollback") => json!({ "id": "d" }),
        path if path == format!("POST {BASE}/production/deployments") => {
            json!({ "id": "d", "versions": [{ "version_id": "four", "percentage": 90.0, "number": 4 }, { "version_id": "two", "percentage": 10.0, "number": 2 }] })
        }
        path if path == format!("POST {BASE}") => {
            json!({ "name": "staging", "hostnames": ["staging.shop.workers.localhost"] })
        }
        _ => return None,
    }))
}

fn workspace(fake: &Fake) -> Workspace {
    Workspace::talking_to(&fake.url, &[("wrangler.jsonc", "{ \"name\": \"shop\" }")])
}

#[test]
fn flags_are_taken_before_and_after_the_command_and_json_is_one_document() {
    let fake = Fake::start(shop);
    let workspace = workspace(&fake);
    let before = workspace.run(&["--json", "service", "list"]).ok().json();
    assert_eq!(before, workspace.run(&["service", "list", "--json"]).ok().json());
    assert_eq!(before[0]["name"], "shop");
    let table = workspace.run(&["service", "list"]).ok().stdout;
    assert!(table.contains("production, staging") && table.contains("2026-01-31 10:00:00"), "{table}");
}

#[test]
fn clone_makes_an_environment_from_another() {
    let fake = Fake::start(shop);
    let whole = workspace(&fake).run(&["env", "clone", "production", "staging", "--include-secrets"]).ok();
    let without = workspace(&fake).run(&["clone", "production", "staging", "--message", "try"]).ok();
    let bodies: Vec<Value> = fake.calls().iter().filter(|call| call.method == "POST").map(Recorded::json).collect();
    assert_eq!(bodies[0], json!({ "name": "staging", "clone_from": "production", "include_secrets": true }));
    assert_eq!((&bodies[1]["include_secrets"], &bodies[1]["message"]), (&json!(false), &json!("try")));
    assert!(!whole.stderr.contains("lacks"), "{}", whole.stderr);
    assert!(without.stderr.contains("staging lacks production's secrets KEY, TOKEN;"), "{}", without.stderr);
}

#[test]
fn a_difference_shows_both_sides_and_what_is_inherited() {
    let fake = Fake::start(shop);
    let outcome = workspace(&fake).run(&["diff", "staging", "production"]).ok();
    assert_eq!(fake.calls().last().unwrap().query, "against=production");
    for text in ["STAGING", "bindings.COLOR", "green", "blue (from production)"] {
        assert!(outcome.stdout.contains(text), "{text:?} in {}", outcome.stdout);
    }
}

#[test]
fn promote_shows_the_difference_first_and_is_refused_if_the_target_moves_meanwhile() {
    let fake = Fake::start(shop);
    let workspace = workspace(&fake);
    workspace.run(&["promote", "staging", "production"]).fails(2, "give --yes");
    assert_eq!(fake.calls().last().unwrap().json()["dry_run"], true);
    let outcome = workspace.run(&["env", "promote", "staging", "production", "--yes", "-m", "ship"]).ok();
    let sent = fake.calls().last().unwrap().json();
    assert_eq!(sent["dry_run"], false);
    assert_eq!(sent["message"], "ship");
    assert_eq!(
        sent["promotions"][0],
        json!({ "service": "shop", "source": "staging", "target": "production", "if_match": "12", "version": "nine" })
    );
    assert!(outcome.stdout.contains("COLOR") && outcome.stdout.contains("version 5 is live"), "{}", outcome.stdout);
}

#[test]
fn a_step_of_a_pipeline_moves_what_was_shown() {
    let fake = Fake::start(shop);
    workspace(&fake).run(&["pipeline", "run", "--from", "staging", "--yes"]).ok();
    let sent: Vec<Value> = fake.calls().iter().filter(|call| call.method == "POST").map(Recorded::json).collect();
    let step = json!({ "from": "staging", "dry_run": false, "version": "nine", "if_match": "12" });
    assert_eq!(sent, [json!({ "from": "staging", "dry_run": true }), step]);
}

#[test]
fn a_rollback_names_the_version_it_goes_back_to_and_asks_for_that_one() {
    let fake = Fake::start(shop);
    workspace(&fake).run(&["rollback"]).fails(2, "by #2 in shop production?");
    workspace(&fake).run(&["rollback", "--yes"]).ok();
    assert_eq!(fake.call(&format!("POST {BASE}/production/rollback")).json(), json!({ "version": "two" }));
}

#[test]
fn two_versions_are_live_by_percentage() {
    let fake = Fake::start(shop);
    let outcome = workspace(&fake).run(&["versions", "deploy", "4@90", "2", "--yes"]).ok();
    let sent = fake.call(&format!("POST {BASE}/production/deployments"));
    assert_eq!(
        sent.json()["versions"],
        json!([{ "version_id": "four", "percentage": 90.0 }, { "version_id": "two", "percentage": 10.0 }])
    );
    assert_eq!(sent.header("if-match"), Some("\"12\""));
    assert!(outcome.stdout.contains("#4 90%, #2 10%"), "{}", outcome.stdout);
}

#[test]
fn a_secret_is_read_from_standard_input_and_never_shown() {
    let fake = Fake::start(shop);
    let outcome = workspace(&fake).run_with(&["secret", "put", "KEY"], b"hunter2\n").ok();
    let sent = fake.call(&format!("PUT {BASE}/production/secrets")).json();
    assert_eq!(sent, json!({ "name": "KEY", "text": "hunter2", "type": "secret_text" }));
    assert!(!outcome.stdout.contains("hunter2") && !outcome.stderr.contains("hunter2"));
    workspace(&fake).run_with(&["secret", "bulk"], b"A=1\nB=2\n").ok();
    workspace(&fake).run_with(&["secret", "bulk"], b"{\"A\": null}").fails(2, "Delete secrets A of shop production?");
    let mixed = workspace(&fake).run_with(&["secret", "bulk", "--yes"], b"{\"A\": null, \"B\": \"2\"}").ok();
    assert!(mixed.stdout.contains("Set 1 secrets and deleted 1"), "{}", mixed.stdout);
    let wrong = workspace(&fake).run_with(&["secret", "bulk"], b"{\"A\": 777777}").fails(2, "A: must be a text");
    assert!(!wrong.stderr.contains("777777"), "{}", wrong.stderr);
    let bulk: Vec<Value> = fake.calls().iter().filter(|call| call.method == "PATCH").map(Recorded::json).collect();
    assert_eq!(bulk, [json!({ "secrets": { "A": "1", "B": "2" } }), json!({ "secrets": { "A": null, "B": "2" } })]);
}

#[test]
fn a_secret_that_waits_for_a_deployment_says_so() {
    let remarked = r#"{"success":true,"errors":[],"messages":["version 2 has the change, deploy it."],"result":{}}"#;
    let fake = Fake::start(move |call| (call.method == "PUT").then_some(Reply::Raw(200, remarked)));
    let outcome = workspace(&fake).run_with(&["secret", "put", "KEY"], b"hunter2\n").ok();
    assert!(outcome.stderr.contains("version 2 has the change, deploy it."), "{}", outcome.stderr);
}

#[test]
fn an_environment_is_renamed_by_force_only_when_told() {
    let fake = Fake::start(|call| {
        let is_staging = call.path.ends_with("/environments/staging");
        is_staging.then(|| Reply::Tagged(json!({ "name": "stage" }), "\"12\""))
    });
    workspace(&fake).run(&["env", "rename", "staging", "stage", "--yes"]).ok();
    workspace(&fake).run(&["env", "rename", "staging", "stage", "--yes", "--force"]).ok();
    let calls = fake.calls();
    let queries: Vec<&str> =
        calls.iter().filter(|call| call.method == "PATCH").map(|call| call.query.as_str()).collect();
    assert_eq!(queries, ["", "force=true"]);
}

#[test]
fn variables_are_texts_unless_they_are_said_to_be_json() {
    let fake = Fake::start(|call| (call.method == "PATCH").then(|| Reply::Result(json!([]))));
    workspace(&fake).run(&["var", "set", "A=1", "B=x"]).ok();
    workspace(&fake).run(&["var", "set", "--as-json", "A=[1]"]).ok();
    workspace(&fake).run(&["var", "delete", "A", "--yes"]).ok();
    let sent: Vec<Value> =
        fake.calls().iter().filter(|call| call.method == "PATCH").map(|call| call.json()["vars"].clone()).collect();
    assert_eq!(sent, [json!({ "A": "1", "B": "x" }), json!({ "A": [1] }), json!({ "A": null })]);
}

#[test]
fn kv_finds_a_namespace_by_its_binding_and_escapes_keys() {
    let fake = Fake::start(shop);
    let workspace = workspace(&fake);
    workspace.run_with(&["kv", "key", "put", "a/b ?", "--binding", "CART", "--ttl", "60"], b"value").ok();
    let sent = fake.call("PUT /storage/kv/namespaces/ab/values/a%2Fb%20%3F");
    assert_eq!((sent.body.as_slice(), sent.query.as_str()), (b"value".as_slice(), "expiration_ttl=60"));
    workspace.run(&["kv", "key", "put", "a\n\t%2F..", "v", "--binding", "CART"]).ok();
    fake.call("PUT /storage/kv/namespaces/ab/values/a%0A%09%252F..");
    workspace.run(&["kv", "key", "put", "..", "v", "--binding", "CART"]).fails(2, "no key may have this name");
    workspace.run(&["kv", "key", "put", "k", "v", "--namespace-id", "ab", "--metadata", "{\"a\":1}"]).ok();
    let sent = fake.call("PUT /storage/kv/namespaces/ab/values/k");
    assert_eq!((sent.part("value").unwrap(), sent.part("metadata").unwrap()), ("v".to_owned(), "{\"a\":1}".to_owned()));
    workspace.run(&["kv", "key", "put", "k", "v", "--binding", "NONE"]).fails(2, "has no KV binding \"NONE\"");
}

#[test]
fn a_kv_list_follows_its_cursor() {
    let fake = Fake::start(|call| match (call.path.ends_with("/keys"), call.query.contains("cursor=next")) {
        (true, false) => Some(Reply::Raw(
            200,
            r#"{"success":true,"errors":[],"result":[{"name":"a"}],"result_info":{"count":1,"cursor":"next"}}"#,
        )),
        (true, true) => Some(Reply::Raw(
            200,
            r#"{"success":true,"errors":[],"result":[{"name":"b","expiration":9}],"result_info":{"count":1,"cursor":""}}"#,
        )),
        _ => None,
    });
    let found = workspace(&fake).run(&["kv", "key", "list", "--namespace-id", "ab", "--json"]).ok().json();
    assert_eq!(found, json!([{ "name": "a" }, { "name": "b", "expiration": 9 }]));
}
