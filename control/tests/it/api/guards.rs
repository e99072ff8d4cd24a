//! What is not done by accident, and what is not said by accident.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::node::{HELLO, Node};

const SERVICES: &str = "/accounts/:a/workers/services";
const APP: &str = "/accounts/:a/workers/services/app/environments/production";
/// A binding's name stands for something else already.
const NAME_TAKEN: u64 = 10053;

#[tokio::test]
async fn a_services_path_means_what_it_says() {
    let node = Node::start().await;
    node.deploy("shop", "production", HELLO, json!({})).await.ok();
    node.deploy("shop", "api", HELLO, json!({})).await.ok();
    let before = node.call("GET", &format!("{SERVICES}/shop/environments/api")).await.etag();
    let made = node.deploy("shop-api", "production", HELLO, json!({})).await;
    assert_eq!((made.status.as_u16(), &made.ok()["hostnames"]), (201, &json!(["shop-api.workers.localhost"])));
    assert_eq!(node.call("GET", &format!("{SERVICES}/shop/environments/api")).await.etag(), before);
    node.call("DELETE", &format!("{SERVICES}/shop-api")).await.ok();
    let path = format!("{SERVICES}/shop-api/environments/production/vars");
    node.json("PATCH", &path, json!({ "vars": { "A": "1" } })).await.fails(404, 10090, "shop-api");
    node.call("GET", &path).await.fails(404, 10090, "shop-api");
    // Wrangler reads back in this spelling what it deployed as a script.
    let wrangler = [("user-agent", "wrangler/4.86.0")];
    node.with("GET", &path, &wrangler, "").await.ok();
    node.with("PATCH", &path, &wrangler, r#"{"vars":{"A":"1"}}"#).await.fails(404, 10090, "shop-api");
}

#[tokio::test]
async fn the_etag_of_a_name_is_that_of_what_its_removal_removes() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    node.deploy("app", "staging", HELLO, json!({})).await.ok();
    node.json("PATCH", &format!("{APP}/vars"), json!({ "vars": { "A": "1" } })).await.ok();
    let path = format!("{SERVICES}/app-staging");
    let etag = node.call("GET", &path).await.etag();
    let reply = node.with("DELETE", &path, &[("if-match", &etag)], "").await;
    reply.ok();
    assert_eq!(reply.envelope()["messages"], json!(["Removed environment app/staging."]));
    let etag = node.call("GET", &format!("{SERVICES}/app")).await.etag();
    node.with("DELETE", &format!("{SERVICES}/app"), &[("if-match", &etag)], "").await.ok();
}

#[tokio::test]
async fn a_service_with_environments_and_a_bound_environment_go_only_by_force() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    node.deploy("app", "staging", HELLO, json!({})).await.ok();
    let bindings = json!([{ "type": "service", "name": "APP", "service": "app", "environment": "staging" }]);
    node.deploy("gate", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let references = node.get(&format!("{SERVICES}/app/references")).await;
    assert_eq!(references["environments"], json!(["staging"]));
    let lines = references["services"]["incoming"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["service"] == "app" && line["environment"] == "staging"), "{references}");
    let references = node.get("/accounts/:a/workers/scripts/app-staging/references").await;
    assert_eq!(references["services"]["incoming"][0]["service"], "gate");

    let staging = format!("{SERVICES}/app/environments/staging");
    node.call("DELETE", &staging).await.fails(409, 10064, "gate/production");
    node.call("DELETE", &format!("{staging}?force=true")).await.ok();
    node.deploy("gate", "production", HELLO, json!({})).await.ok();
    node.deploy("app", "staging", HELLO, json!({})).await.ok();
    let script = "/accounts/:a/workers/scripts/app";
    node.call("DELETE", script).await.fails(409, 10064, "staging");
    node.call("DELETE", &format!("{script}?force=true")).await.ok();
}

#[tokio::test]
async fn an_environment_that_others_call_is_renamed_only_by_force() {
    let node = Node::start().await;
    node.deploy("auth", "production", HELLO, json!({})).await.ok();
    node.deploy("auth", "staging", HELLO, json!({})).await.ok();
    let binding = |more: Value| {
        let mut binding = json!({ "type": "service", "name": "AUTH", "service": "auth" });
        binding.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "bindings": [binding] })
    };
    // Without an environment, it leads to the one of the caller's name.
    node.deploy("gate", "staging", HELLO, binding(json!({}))).await.ok();
    let auth = format!("{SERVICES}/auth/environments");
    let staging = format!("{auth}/staging");
    node.json("PATCH", &staging, json!({ "name": "stage" })).await.fails(409, 10064, "gate/staging");
    node.json("PATCH", &staging, json!({ "parent": "production" })).await.ok();
    node.json("PATCH", &format!("{staging}?force=true"), json!({ "name": "stage" })).await.ok();

    node.deploy("gate", "staging", HELLO, binding(json!({ "environment": "stage" }))).await.ok();
    let stage = format!("{auth}/stage");
    node.json("PATCH", &stage, json!({ "name": "staging" })).await.fails(409, 10064, "gate/staging");
    node.deploy("gate", "staging", HELLO, json!({})).await.ok();
    node.json("PATCH", &stage, json!({ "name": "staging" })).await.ok();
}

#[tokio::test]
async fn a_service_that_only_the_smaller_share_binds_is_bound() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let gate = format!("{SERVICES}/gate/environments/production");
    let first = node.deploy("gate", "production", HELLO, json!({})).await.ok();
    let bindings = json!([{ "type": "service", "name": "APP", "service": "app" }]);
    let second = node.upload("POST", &format!("{gate}/versions"), HELLO, json!({ "bindings": bindings })).await.ok();
    let share = |id: &Value, percentage: u32| json!({ "version_id": id, "percentage": percentage });
    let shares = json!({ "versions": [share(&first["version_id"], 90), share(&second["id"], 10)] });
    node.json("POST", &format!("{gate}/deployments"), shares).await.ok();
    let app = format!("{SERVICES}/app");
    let references = node.get(&format!("{app}/references")).await;
    assert_eq!(references["services"]["incoming"][0]["service"], "gate", "{references}");
    node.call("DELETE", &app).await.fails(409, 10064, "gate/production");
    node.json("PATCH", &app, json!({ "name": "store" })).await.fails(409, 10040, "gate/production");
    node.call("DELETE", &format!("{app}?force=true")).await.ok();
}

#[tokio::test]
async fn a_custom_domain_changes_hands_only_when_asked() {
    let node = Node::start().await;
    node.deploy("one", "production", HELLO, json!({})).await.ok();
    node.deploy("two", "production", HELLO, json!({})).await.ok();
    let put = |service: &str, host: &str, extra: Value| {
        let mut body = json!({ "hostname": host, "service": service });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        node.json("PUT", "/accounts/:a/workers/domains", body)
    };
    put("one", "shop.example", json!({})).await.ok();
    put("one", "Shop.Example", json!({})).await.ok();
    put("two", "SHOP.example", json!({})).await.fails(409, 10040, "one/production");
    assert_eq!(node.get("/accounts/:a/workers/domains").await[0]["service"], "one");
    put("two", "shop.example", json!({ "override_existing_origin": true })).await.ok();
    assert_eq!(node.get("/accounts/:a/workers/domains").await[0]["service"], "two");
}

#[tokio::test]
async fn a_host_with_routes_of_another_account_becomes_no_custom_domain() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let tenant = node.json("POST", "/accounts", json!({ "name": "Tenant", "label": "tenant" })).await.ok();
    let shop = format!("/accounts/{}/workers/services/shop/environments/production", tenant["id"].as_str().unwrap());
    node.upload("PUT", &shop, HELLO, json!({})).await.ok();
    let routes = format!("{shop}/routes");
    node.json("PUT", &routes, json!([{ "pattern": "shop.example/cart*" }, { "pattern": "*example/*" }])).await.ok();
    let put = |host: &str| {
        let body = json!({ "hostname": host, "service": "app", "override_existing_origin": true });
        node.json("PUT", "/accounts/:a/workers/domains", body)
    };
    put("Shop.example").await.fails(409, 10040, "hostname: another account has routes on shop.example");
    let origins = json!([{ "hostname": "www.example" }, { "hostname": "shop.example" }]);
    let records = node.json("PUT", &format!("{APP}/domains/records"), json!({ "origins": origins })).await;
    records.fails(409, 10040, "origins[1].hostname: ");
    put("www.example").await.ok();
    node.json("PUT", &routes, json!([])).await.ok();
    put("shop.example").await.ok();
    // From now on it is the first account's, whatever routes others make.
    node.json("PUT", &routes, json!([{ "pattern": "shop.example/*" }])).await.ok();
    put("shop.example").await.ok();
}

#[tokio::test]
async fn a_new_variable_or_secret_ends_a_rollout_only_by_force() {
    let node = Node::start().await;
    let first = node.deploy("app", "production", HELLO, json!({})).await.ok();
    let second = node.upload("POST", &format!("{APP}/versions"), HELLO, json!({})).await.ok();
    let share = |id: &Value, percentage: u32| json!({ "version_id": id, "percentage": percentage });
    let shares = json!({ "versions": [share(&first["version_id"], 90), share(&second["id"], 10)] });
    node.json("POST", &format!("{APP}/deployments"), shares).await.ok();
    let calls = [
        ("PATCH", "vars", json!({ "vars": { "A": "1" } })),
        ("PUT", "secrets", json!({ "name": "KEY", "text": "x" })),
        ("PATCH", "secrets-bulk", json!({ "secrets": { "KEY": "x" } })),
        ("PATCH", "settings", json!({ "limits": { "cpu_ms": 10 } })),
    ];
    for (method, path, body) in calls {
        node.json(method, &format!("{APP}/{path}"), body).await.fails(409, 10064, "versions 1 and 2 are live");
    }
    node.json("PATCH", &format!("{APP}/vars?force=true"), json!({ "vars": { "A": "1" } })).await.ok();
    assert_eq!(node.get(APP).await["live"]["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_secret_of_the_wrong_type_is_not_repeated() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let calls = [
        ("PUT", "secrets", json!({ "name": "KEY", "text": 987654 }), "text"),
        ("PUT", "secrets", json!("987654"), "body"),
        ("PATCH", "secrets-bulk", json!({ "secrets": { "KEY": 987654 } }), "secrets"),
        ("PATCH", "secrets-bulk", json!({ "secrets": "987654" }), "secrets"),
    ];
    for (method, path, body, field) in calls {
        let reply = node.json(method, &format!("{APP}/{path}"), body).await;
        reply.fails(400, 10001, field);
        assert!(!String::from_utf8_lossy(&reply.body).contains("987654"), "{}", reply.envelope());
    }
    let bindings = json!([{ "type": "secret_text", "name": "KEY", "text": 987654 }]);
    let reply = node.deploy("app", "production", HELLO, json!({ "bindings": bindings })).await;
    reply.fails(400, 10021, "bindings.KEY");
    assert!(!String::from_utf8_lossy(&reply.body).contains("987654"));
}

#[tokio::test]
async fn a_dry_run_takes_the_title_of_a_namespace_that_does_not_exist_yet() {
    let node = Node::start().await;
    let bindings = json!([
        { "type": "kv_namespace", "name": "ONE", "title": "app-cache" },
        { "type": "kv_namespace", "name": "SAME", "title": "app-cache" },
    ]);
    let metadata = json!({ "bindings": bindings });
    let before = node.control.catalog().revision();
    let made = node.upload("PUT", &format!("{APP}?dry_run=true"), HELLO, metadata.clone()).await.ok();
    let shown = made["config"]["bindings"].as_array().unwrap();
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0]["namespace_id"], shown[1]["namespace_id"]);
    assert_eq!(node.control.catalog().revision(), before);
    node.upload("PUT", APP, HELLO, metadata.clone()).await.fails(400, 10021, "bindings.ONE: namespace_id");

    let real = node.json("POST", "/accounts/:a/storage/kv/namespaces", json!({ "title": "app-cache" })).await.ok();
    let made = node.upload("PUT", &format!("{APP}?dry_run=true"), HELLO, metadata).await.ok();
    assert_eq!(made["config"]["bindings"][0]["namespace_id"], real["id"]);
}

#[tokio::test]
async fn a_secret_takes_the_name_of_no_other_binding() {
    let node = Node::start().await;
    let cache = node.json("POST", "/accounts/:a/storage/kv/namespaces", json!({ "title": "cache" })).await.ok();
    let bindings = json!([
        { "type": "kv_namespace", "name": "CACHE", "namespace_id": cache["id"] },
        { "type": "service", "name": "AUTH", "service": "auth" },
        { "type": "plain_text", "name": "COLOR", "text": "red" },
        { "type": "secret_text", "name": "KEY", "text": "x" },
    ]);
    node.deploy("app", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let before = node.call("GET", APP).await.etag();
    let (one, many) = (format!("{APP}/secrets"), format!("{APP}/secrets-bulk"));
    for name in ["CACHE", "AUTH", "COLOR"] {
        let words = format!("Binding name '{name}' already in use. Please use a different name and try again.");
        node.json("PUT", &one, json!({ "name": name, "text": "y" })).await.fails(400, NAME_TAKEN, &words);
        let bulk = json!({ "secrets": { "NEW": "x", name: "y" } });
        node.json("PATCH", &many, bulk).await.fails(400, NAME_TAKEN, &words);
    }
    assert_eq!(node.call("GET", APP).await.etag(), before);
    node.json("PUT", &one, json!({ "name": "KEY", "text": "y" })).await.ok();
    node.json("PATCH", &many, json!({ "secrets": { "KEY": "z", "NEW": "x" } })).await.ok();

    // What comes from the parent is no binding of its own.
    node.json("POST", &format!("{SERVICES}/app/environments"), json!({ "name": "staging" })).await.ok();
    let staging = format!("{SERVICES}/app/environments/staging");
    node.json("PUT", &format!("{staging}/secrets"), json!({ "name": "COLOR", "text": "x" })).await.ok();
    // A variable that waits for the first upload is one.
    node.json("PATCH", &format!("{staging}/vars"), json!({ "vars": { "SIZE": "1" } })).await.ok();
    let put = node.json("PUT", &format!("{staging}/secrets"), json!({ "name": "SIZE", "text": "x" })).await;
    put.fails(400, NAME_TAKEN, "Binding name 'SIZE' already in use");
}

#[tokio::test]
async fn secrets_that_are_set_at_the_same_time_are_all_set() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let path = format!("{APP}/secrets");
    let set = (0..10).map(|number| node.json("PUT", &path, json!({ "name": format!("KEY_{number}"), "text": "x" })));
    for reply in join_all(set).await {
        reply.ok();
    }
    assert_eq!(node.get(&path).await.as_array().unwrap().len(), 10);
    assert_eq!(node.get(APP).await["version_count"], 11);
}

#[tokio::test]
async fn settings_name_each_binding_once_and_put_no_secret_in_anothers_place() {
    let node = Node::start().await;
    let bindings = json!([
        { "type": "plain_text", "name": "COLOR", "text": "red" },
        { "type": "secret_text", "name": "KEY", "text": "x" },
        { "type": "version_metadata", "name": "META" },
    ]);
    node.deploy("app", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let path = format!("{APP}/settings");
    let patch = |bindings: Value| node.json("PATCH", &path, json!({ "bindings": bindings }));
    let entry = |kind: &str, name: &str| json!({ "type": kind, "name": name });
    let secret = |name: &str| json!({ "type": "secret_text", "name": name, "text": "y" });
    let (color, key) = (entry("plain_text", "COLOR"), entry("secret_text", "KEY"));
    let meta = entry("version_metadata", "META");
    let before = node.call("GET", APP).await.etag();
    let words = |name: &str| format!("Binding name '{name}' already in use");
    // `wrangler secret bulk` with a secret that has the name of a variable.
    patch(json!([color, key, meta, secret("COLOR")])).await.fails(400, NAME_TAKEN, &words("COLOR"));
    patch(json!([key, meta, secret("COLOR")])).await.fails(400, NAME_TAKEN, &words("COLOR"));
    patch(json!([key, meta, entry("secret_text", "COLOR")])).await.fails(400, NAME_TAKEN, &words("COLOR"));
    patch(json!([color, key, secret("META")])).await.fails(400, NAME_TAKEN, &words("META"));
    patch(json!([color, meta, key, secret("KEY")])).await.fails(400, NAME_TAKEN, &words("KEY"));
    assert_eq!(node.call("GET", APP).await.etag(), before);

    patch(json!([color, meta, secret("KEY"), secret("NEW")])).await.ok();
    let kept = patch(json!([entry("inherit", "COLOR"), meta, key, entry("secret_text", "NEW")])).await.ok();
    assert_eq!(kept["bindings"].as_array().unwrap().len(), 4);
    assert_eq!(node.get(&format!("{APP}/vars")).await[0]["text"], "red");
}

#[tokio::test]
async fn settings_do_not_ignore_what_only_an_upload_can_change() {
    let node = Node::start().await;
    let metadata = json!({
        "compatibility_date": "2026-01-01",
        "compatibility_flags": ["nodejs_compat", "global_navigator"],
    });
    node.deploy("app", "production", HELLO, metadata).await.ok();
    let path = format!("{APP}/settings");
    let before = node.call("GET", APP).await.etag();
    for (field, other, words) in [
        ("compatibility_date", json!("2026-02-02"), "deploy to change it"),
        ("compatibility_flags", json!(["nodejs_compat"]), "deploy to change it"),
        ("migrations", json!({ "new_tag": "v1" }), "Durable Objects"),
        ("tail_consumers", json!([{ "service": "logs" }]), "not supported"),
    ] {
        let reply = node.json("PATCH", &path, json!({ field: other, "tags": ["a"] })).await;
        reply.fails(400, 10099, field);
        reply.fails(400, 10099, words);
    }
    assert_eq!(node.call("GET", APP).await.etag(), before);

    let same = json!({
        "compatibility_date": "2026-01-01",
        "compatibility_flags": ["global_navigator", "nodejs_compat"],
        "migrations": null,
        "tail_consumers": [],
        "tags": ["a"],
    });
    assert_eq!(node.json("PATCH", &path, same).await.ok()["tags"], json!(["a"]));
}

#[tokio::test]
async fn a_changeset_says_nothing_of_another_accounts_domain() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let tenant = node.json("POST", "/accounts", json!({ "name": "Tenant", "label": "tenant" })).await.ok();
    let account = format!("/accounts/{}/workers", tenant["id"].as_str().unwrap());
    node.upload("PUT", &format!("{account}/services/hidden/environments/production"), HELLO, json!({})).await.ok();
    let theirs = json!({ "hostname": "theirs.example", "service": "hidden" });
    let made = node.json("PUT", &format!("{account}/domains"), theirs).await.ok();

    let changeset = format!("{APP}/domains/changeset?replace_state=true");
    let wanted = json!([{ "hostname": "new.example" }, { "hostname": "theirs.example" }]);
    let plan = node.json("POST", &changeset, wanted).await;
    plan.fails(409, 10040, "theirs.example");
    let text = String::from_utf8_lossy(&plan.body).into_owned();
    assert!(!text.contains("hidden") && !text.contains(made["id"].as_str().unwrap()), "{text}");
    let records = json!({ "override_existing_origin": true, "origins": [{ "hostname": "theirs.example" }] });
    let put = node.json("PUT", &format!("{APP}/domains/records"), records).await;
    assert_eq!(put.failure(), plan.failure(), "as when it is set");
    let plan = node.json("POST", &changeset, json!([{ "hostname": "new.example" }])).await.ok();
    assert_eq!(plan["added"][0]["hostname"], "new.example");
}
