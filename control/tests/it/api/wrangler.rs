//! The calls of the stock wrangler, in its order and spelling. `docs/004-wrangler-surface.md` says how they were found.

use serde_json::{Value, json};

use super::node::{Form, HELLO, Node};

const SCRIPT: &str = "/accounts/:a/workers/scripts";

/// What `wrangler deploy --env staging` sends for the first time.
async fn deploy_env(node: &Node, script: &str, service: &str, environment: &str) -> Value {
    node.call("GET", &format!("/accounts/:a/workers/services/{script}")).await.fails(404, 10090, script);
    let path = format!("{SCRIPT}/{script}?excludeScript=true&bindings_inherit=strict");
    let made =
        node.upload("PUT", &path, HELLO, json!({ "bindings": [{ "type": "secret_text", "name": "K", "text": "x" }] }));
    let made = made.await.ok();
    let tags = json!({ "tags": [format!("cf:service={service}"), format!("cf:environment={environment}")] });
    node.json("PATCH", &format!("{SCRIPT}/{script}/script-settings"), tags).await.ok();
    made
}

#[tokio::test]
async fn a_tagged_script_becomes_an_environment_of_its_service() {
    let node = Node::start().await;
    node.upload("PUT", &format!("{SCRIPT}/app"), HELLO, json!({})).await.ok();
    let made = deploy_env(&node, "app-staging", "app", "staging").await;
    let staging = node.get("/accounts/:a/workers/services/app/environments/staging").await;
    assert_eq!(staging["script"]["version_id"], made["version_id"]);
    assert_eq!(staging["hostnames"], json!(["staging.app.workers.localhost"]));
    assert_eq!(staging["parent"], "production");
    assert_eq!(node.get("/accounts/:a/workers/services").await.as_array().unwrap().len(), 1);

    // Later calls for the script mean the environment, in both spellings.
    let service = node.get("/accounts/:a/workers/services/app-staging").await;
    assert_eq!(service["default_environment"]["script"]["tags"], json!(["cf:service=app", "cf:environment=staging"]));
    assert_eq!(node.get(&format!("{SCRIPT}/app-staging/secrets")).await[0]["name"], "K");
    let second = node.upload("POST", &format!("{SCRIPT}/app-staging/versions"), HELLO, json!({})).await.ok();
    assert_eq!(second["number"], 2);
    let secrets: Vec<_> = second["resources"]["bindings"].as_array().unwrap().iter().map(|b| &b["name"]).collect();
    assert_eq!(secrets, ["K"]);
    node.call("DELETE", "/accounts/:a/workers/services/app-staging?force=false").await.ok();
    assert_eq!(node.get("/accounts/:a/workers/services/app/environments").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_others_rely_on_is_not_moved_and_what_is_moved_keeps_its_history() {
    let node = Node::start().await;
    node.upload("PUT", &format!("{SCRIPT}/app"), HELLO, json!({})).await.ok();
    let script = format!("{SCRIPT}/app-staging");
    for code in ["export default { one() {} }", "export default { two() {} }"] {
        node.upload("PUT", &script, code, json!({ "annotations": { "workers/message": code } })).await.ok();
    }
    let before = node.get(&format!("{script}/versions")).await;
    let tags = json!({ "tags": ["cf:service=app", "cf:environment=staging"] });
    let settings = format!("{script}/script-settings");
    let tag = || node.json("PATCH", &settings, tags.clone());
    let routes = format!("{script}/routes");
    node.json("PUT", &routes, json!([{ "pattern": "example.com/*" }])).await.ok();
    tag().await.ok();
    assert_eq!(node.get("/accounts/:a/workers/services").await.as_array().unwrap().len(), 2);
    node.json("PUT", &routes, json!([])).await.ok();
    node.json("PUT", &format!("{script}/schedules"), json!([{ "cron": "* * * * *" }])).await.ok();
    tag().await.ok();
    assert_eq!(node.get("/accounts/:a/workers/services").await.as_array().unwrap().len(), 2);
    node.json("PUT", &format!("{script}/schedules"), json!([])).await.ok();
    tag().await.ok();
    assert_eq!(node.get("/accounts/:a/workers/services").await.as_array().unwrap().len(), 1);
    let after = node.get("/accounts/:a/workers/services/app/environments/staging/versions").await;
    let history = |list: &Value| -> Vec<Value> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| json!([item["id"], item["number"], item["annotations"], item["metadata"]["created_on"]]))
            .collect()
    };
    assert_eq!(history(&after), history(&before));
}

#[tokio::test]
async fn an_environment_may_come_before_its_production() {
    let node = Node::start().await;
    deploy_env(&node, "app-staging", "app", "staging").await;
    let app = node.get("/accounts/:a/workers/services/app").await;
    assert_eq!(app["environments"].as_array().unwrap().len(), 2);
    node.upload("PUT", &format!("{SCRIPT}/app"), HELLO, json!({})).await.ok();
}

#[tokio::test]
async fn an_untagged_script_stays_a_service_of_its_own() {
    let node = Node::start().await;
    node.upload("PUT", &format!("{SCRIPT}/api"), HELLO, json!({})).await.ok();
    node.upload("PUT", &format!("{SCRIPT}/api-gateway"), HELLO, json!({})).await.ok();
    let tags = json!({ "tags": ["cf:service=api-gateway"] });
    node.json("PATCH", &format!("{SCRIPT}/api-gateway/script-settings"), tags).await.ok();
    assert_eq!(node.get("/accounts/:a/workers/services").await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_name_with_two_meanings_is_refused_with_both() {
    let node = Node::start().await;
    node.deploy("a", "b-c", HELLO, json!({})).await.ok();
    node.deploy("a-b", "c", HELLO, json!({})).await.ok();
    let reply = node.call("GET", &format!("{SCRIPT}/a-b-c/versions")).await;
    reply.fails(409, 10040, "a/b-c");
    reply.fails(409, 10040, "a-b/c");
}

#[tokio::test]
async fn bulk_secrets_go_through_settings_and_keep_the_rest() {
    let node = Node::start().await;
    let bindings = json!([{ "type": "plain_text", "name": "V", "text": "1" }, { "type": "secret_text", "name": "A", "text": "x" }]);
    node.upload("PUT", &format!("{SCRIPT}/app"), HELLO, json!({ "bindings": bindings })).await.ok();
    let path = format!("{SCRIPT}/app/settings");
    assert_eq!(node.get(&path).await["bindings"].as_array().unwrap().len(), 2);
    let settings = json!({ "bindings": [
        { "type": "plain_text", "name": "V" },
        { "type": "secret_text", "name": "A" },
        { "type": "secret_text", "name": "B", "text": "y" },
    ] });
    let form = Form::new().part("settings", "application/json", settings.to_string().as_bytes());
    node.form("PATCH", &path, form).await.ok();
    let names: Vec<_> = node.get(&format!("{SCRIPT}/app/secrets")).await.as_array().unwrap().clone();
    assert_eq!(names.len(), 2);
    assert_eq!(node.get(&format!("{SCRIPT}/app/vars")).await[0]["text"], "1");
    let settings = json!({ "bindings": [{ "type": "secret_text", "name": "NEVER" }] });
    let form = Form::new().part("settings", "application/json", settings.to_string().as_bytes());
    node.form("PATCH", &path, form).await.fails(400, 10057, "NEVER");
}

#[tokio::test]
async fn a_service_binding_to_a_script_name_means_its_environment() {
    let node = Node::start().await;
    node.deploy("auth", "production", HELLO, json!({})).await.ok();
    node.deploy("auth", "staging", HELLO, json!({})).await.ok();
    let bindings = json!([{ "type": "service", "name": "AUTH", "service": "auth-staging" }]);
    node.deploy("gate", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let config = node.get("/accounts/:a/workers/services/gate/environments/production/config").await;
    assert_eq!(config["bindings"][0]["service"], "auth");
    assert_eq!(config["bindings"][0]["environment"], "staging");
}

#[tokio::test]
async fn zones_are_found_by_any_hostname_and_hold_its_routes() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let zone = node.get("/zones?name=example.com").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(node.get("/zones?name=com").await, json!([]));
    let path = format!("/zones/{zone}/workers/routes");
    let made = node.json("POST", &path, json!({ "pattern": "shop.example.com/*", "script": "app" })).await.ok();
    assert_eq!(node.get(&path).await[0]["script"], "app");
    node.json("POST", &path, json!({ "pattern": "other.org/*", "script": "app" })).await.fails(400, 10001, "pattern");
    node.json("POST", &path, json!({ "pattern": "x.example.com/", "script": "gone" })).await.fails(404, 10007, "gone");
    node.call("DELETE", &format!("{path}/{}", made["id"].as_str().unwrap())).await.ok();
    assert_eq!(node.get(&path).await, json!([]));
}

#[tokio::test]
async fn custom_domains_get_a_certificate_and_change_hands_only_when_asked() {
    let node = Node::start().await;
    for service in ["one", "two"] {
        node.upload("PUT", &format!("{SCRIPT}/{service}"), HELLO, json!({})).await.ok();
    }
    let records = |force: bool| {
        json!({ "override_scope": true, "override_existing_origin": force, "override_existing_dns_record": force,
            "origins": [{ "hostname": "shop.example.com" }] })
    };
    node.json("PUT", &format!("{SCRIPT}/one/domains/records"), records(false)).await.ok();
    assert!(node.control.catalog().certificates().any(|certificate| certificate.covers("shop.example.com")));
    node.json("PUT", &format!("{SCRIPT}/two/domains/records"), records(false)).await.fails(
        409,
        10040,
        "one/production",
    );
    let changeset = format!("{SCRIPT}/two/domains/changeset?replace_state=true");
    let plan = node.json("POST", &changeset, json!([{ "hostname": "shop.example.com" }])).await.ok();
    assert_eq!(plan["updated"][0]["modified"], true);
    node.json("PUT", &format!("{SCRIPT}/two/domains/records"), records(true)).await.ok();
    let list = node.get("/accounts/:a/workers/domains").await;
    assert_eq!(list[0]["service"], "two");
    node.call("DELETE", &format!("/accounts/:a/workers/domains/{}", list[0]["id"].as_str().unwrap())).await.ok();
    let wildcard = json!({ "hostname": "*.example.com", "service": "one" });
    node.json("PUT", "/accounts/:a/workers/domains", wildcard).await.fails(400, 10001, "hostname");
}
