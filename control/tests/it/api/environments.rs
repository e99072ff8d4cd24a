//! Environments: cloning, inheriting, comparing, promoting.

use serde_json::{Value, json};

use super::node::{HELLO, Node};

const SERVICE: &str = "/accounts/:a/workers/services/app";

async fn app_with(node: &Node, bindings: Value) {
    node.deploy("app", "production", HELLO, json!({ "bindings": bindings })).await.ok();
}

#[tokio::test]
async fn a_clone_has_code_and_configuration_and_its_own_history() {
    let node = Node::start().await;
    let bindings = json!([
        { "type": "plain_text", "name": "COLOR", "text": "red" },
        { "type": "secret_text", "name": "KEY", "text": "x" },
    ]);
    app_with(&node, bindings).await;
    let path = format!("{SERVICE}/environments");
    let made = node.json("POST", &path, json!({ "name": "staging", "clone_from": "production" })).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.ok()["script"]["version_number"], 1);
    assert_eq!(made.ok()["hostnames"], json!(["staging.app.workers.localhost"]));
    assert_eq!(node.get(&format!("{path}/staging/secrets")).await, json!([]));

    let body = json!({ "name": "twin", "clone_from": "production", "include_secrets": true });
    node.json("POST", &path, body).await.ok();
    assert_eq!(node.get(&format!("{path}/twin/secrets")).await[0]["name"], "KEY");

    let (name, source, message) = ("fair", "production", "for the fair");
    let body = json!({ "name": name, "clone_from": source, "message": message });
    let reply = node.json("POST", &path, body).await;
    assert_eq!(reply.ok()["live"]["annotations"]["workers/message"], message);
    assert_eq!(reply.envelope()["messages"], json!(["app/fair lacks secrets of its source: KEY."]));
    node.json("POST", &path, json!({ "name": "x", "message": message })).await.fails(400, 10001, "message");

    node.json("POST", &path, json!({ "name": "staging" })).await.fails(409, 10040, "staging");
    node.json("POST", &path, json!({ "name": "No Good" })).await.fails(400, 10016, "environment name");
    node.json("POST", &path, json!({ "name": "x", "clone_from": "gone" })).await.fails(404, 10092, "gone");
    node.json("POST", &path, json!({ "name": "x", "include_secrets": true })).await.fails(
        400,
        10001,
        "include_secrets",
    );
}

#[tokio::test]
async fn the_effective_configuration_says_where_everything_comes_from() {
    let node = Node::start().await;
    let space = node.json("POST", "/accounts/:a/storage/kv/namespaces", json!({ "title": "cache" })).await.ok();
    let bindings = json!([
        { "type": "plain_text", "name": "COLOR", "text": "red" },
        { "type": "plain_text", "name": "SIZE", "text": "1" },
        { "type": "kv_namespace", "name": "CACHE", "namespace_id": space["id"] },
        { "type": "secret_text", "name": "KEY", "text": "x" },
    ]);
    app_with(&node, bindings).await;
    let own = json!([{ "type": "plain_text", "name": "COLOR", "text": "blue" }]);
    let metadata = json!({ "bindings": own, "removed_bindings": ["SIZE"] });
    node.deploy("app", "staging", HELLO, metadata).await.ok();
    let config = node.get(&format!("{SERVICE}/environments/staging/config")).await;
    let bindings = config["bindings"].as_array().unwrap();
    let find = |name: &str| bindings.iter().find(|binding| binding["name"] == name);
    assert_eq!(find("COLOR").unwrap()["origin"], "own");
    assert_eq!(find("CACHE").unwrap()["origin"], "inherited");
    assert_eq!(find("CACHE").unwrap()["from"], "production");
    assert!(find("SIZE").is_none() && find("KEY").is_none(), "{config}");
    assert_eq!(config["removed"], json!(["SIZE"]));
    assert_eq!(config["shared_state"][0]["with"], json!(["production"]));

    // Removing an inherited variable hides it; removing an own one shows the parent's again.
    let vars = format!("{SERVICE}/environments/staging/vars");
    let shown = node.json("PATCH", &vars, json!({ "vars": { "COLOR": null } })).await.ok();
    assert_eq!(
        shown,
        json!([{ "name": "COLOR", "type": "plain_text", "text": "red", "origin": "inherited",
        "from": "production" }])
    );
    assert_eq!(node.json("PATCH", &vars, json!({ "vars": { "COLOR": null } })).await.ok(), json!([]));
    node.json("PATCH", &vars, json!({ "vars": { "NOPE": null } })).await.fails(404, 10056, "NOPE");
    node.json("PATCH", &vars, json!({ "vars": {} })).await.fails(400, 10001, "vars");
}

#[tokio::test]
async fn a_diff_shows_what_a_promotion_would_change_and_what_not() {
    let node = Node::start().await;
    app_with(&node, json!([{ "type": "plain_text", "name": "COLOR", "text": "red" }])).await;
    let bindings = json!([{ "type": "plain_text", "name": "COLOR", "text": "blue" }]);
    let code = format!("{HELLO} // new");
    node.deploy("app", "staging", &code, json!({ "bindings": bindings })).await.ok();
    let diff = node.get(&format!("{SERVICE}/environments/staging/diff?against=production")).await;
    assert_eq!(diff["code"][0]["field"], "bundle");
    assert_eq!(diff["config"][0]["field"], "bindings.COLOR");
    assert_eq!(diff["identical"], false);
    let path = format!("{SERVICE}/environments/staging/diff");
    node.call("GET", &path).await.fails(400, 10001, "against");
    node.call("GET", &format!("{path}?against=gone")).await.fails(404, 10092, "gone");
}

#[tokio::test]
async fn a_promotion_is_shown_first_and_moves_code_only() {
    let node = Node::start().await;
    app_with(&node, json!([{ "type": "plain_text", "name": "COLOR", "text": "red" }])).await;
    let bindings = json!([{ "type": "plain_text", "name": "COLOR", "text": "blue" }]);
    let staged =
        node.deploy("app", "staging", "export default { /* v2 */ }", json!({ "bindings": bindings })).await.ok();
    let promotion = json!({ "service": "app", "source": "staging", "target": "production" });
    let path = "/accounts/:a/workers/promotions";
    let before = node.control.catalog().revision();
    let plan = node.json("POST", path, json!({ "promotions": [promotion], "dry_run": true })).await.ok();
    assert_eq!(plan["dry_run"], true);
    assert_eq!(plan["promotions"][0]["changes"][0]["field"], "bundle");
    assert_eq!(node.control.catalog().revision(), before);

    assert_eq!(plan["promotions"][0]["source_version_id"], staged["version_id"]);
    let mut exact = promotion.clone();
    exact["version"] = plan["promotions"][0]["source_version_id"].clone();
    exact["if_match"] = plan["promotions"][0]["if_match"].clone();
    let done = node.json("POST", path, json!({ "promotions": [exact.clone()], "message": "ship" })).await.ok();
    assert_eq!(done["promotions"][0]["version_number"], 2);
    assert_eq!(done["promotions"][0]["changes"], plan["promotions"][0]["changes"]);
    let live = node.get(&format!("{SERVICE}/environments/production")).await;
    assert_eq!(live["script"]["etag"], staged["etag"]);
    assert_eq!(node.get(&format!("{SERVICE}/environments/production/vars")).await[0]["text"], "red");
    node.json("POST", path, json!({ "promotions": [exact] })).await.fails(412, 10412, "app/production");

    let twice = json!({ "promotions": [promotion, promotion] });
    node.json("POST", path, twice).await.fails(400, 10001, "promotions[1].target");
    node.json("POST", path, json!({ "promotions": [] })).await.fails(400, 10001, "promotions");
}

#[tokio::test]
async fn several_services_are_promoted_together_or_not_at_all() {
    let node = Node::start().await;
    for service in ["one", "two"] {
        node.deploy(service, "production", HELLO, json!({})).await.ok();
        node.deploy(service, "staging", "export default { v2() {} }", json!({})).await.ok();
    }
    let promote = |services: &[&str]| {
        let list: Vec<_> = services
            .iter()
            .map(|service| json!({ "service": service, "source": "staging", "target": "production" }))
            .collect();
        node.json("POST", "/accounts/:a/workers/promotions", json!({ "promotions": list }))
    };
    promote(&["one", "gone"]).await.fails(404, 10092, "gone");
    let one = "/accounts/:a/workers/services/one/environments/production";
    assert_eq!(node.get(one).await["script"]["version_number"], 1);
    let done = promote(&["one", "two"]).await.ok();
    assert_eq!(done["promotions"].as_array().unwrap().len(), 2);
    assert_eq!(node.get(one).await["script"]["version_number"], 2);
}

#[tokio::test]
async fn a_pipeline_orders_the_stages() {
    let node = Node::start().await;
    app_with(&node, json!([])).await;
    node.deploy("app", "staging", "export default { v2() {} }", json!({})).await.ok();
    node.deploy("app", "dev", "export default { v3() {} }", json!({})).await.ok();
    let path = format!("{SERVICE}/pipeline");
    let stages =
        json!({ "stages": [{ "environment": "dev" }, { "environment": "staging" }, { "environment": "production" }] });
    let set = node.json("PUT", &path, stages).await.ok();
    assert_eq!(set["stages"][2], json!({ "environment": "production", "requires": "staging" }));
    let jump = json!({ "promotions": [{ "service": "app", "source": "dev", "target": "production" }] });
    node.json("POST", "/accounts/:a/workers/promotions", jump.clone()).await.fails(400, 10001, "pipeline");
    let run = node.json("POST", &format!("{path}/run"), json!({ "from": "dev" })).await.ok();
    assert_eq!(run["promotions"][0]["target"], "staging");
    let plan = node.json("POST", &format!("{path}/run"), json!({ "from": "staging", "dry_run": true })).await.ok();
    let (version, etag) = (&plan["promotions"][0]["source_version_id"], &plan["promotions"][0]["if_match"]);
    let seen = json!({ "from": "staging", "version": version, "if_match": etag });
    // Whatever comes into the stage meanwhile stays there.
    node.deploy("app", "staging", "export default { v4() {} }", json!({})).await.ok();
    let run = node.json("POST", &format!("{path}/run"), seen.clone()).await.ok();
    assert_eq!(&run["promotions"][0]["source_version_id"], version);
    let live = node.get(&format!("{SERVICE}/environments/production")).await;
    let shown = node.get(&format!("{SERVICE}/environments/dev")).await;
    assert_eq!(live["script"]["etag"], shown["script"]["etag"], "dev's code went to staging and from there on");
    node.json("POST", &format!("{path}/run"), seen).await.fails(412, 10412, "app/production");
    node.json("POST", &format!("{path}/run"), json!({ "from": "production" })).await.fails(400, 10001, "from");
    let mut skip = jump;
    skip["skip_pipeline"] = json!(true);
    node.json("POST", "/accounts/:a/workers/promotions", skip).await.ok();
}

#[tokio::test]
async fn an_environment_is_renamed_and_removed_but_not_production() {
    let node = Node::start().await;
    app_with(&node, json!([])).await;
    node.deploy("app", "staging", HELLO, json!({})).await.ok();
    let path = format!("{SERVICE}/environments");
    let renamed = node.json("PATCH", &format!("{path}/staging"), json!({ "name": "preview" })).await.ok();
    assert_eq!(renamed["hostnames"], json!(["preview.app.workers.localhost"]));
    node.call("GET", &format!("{path}/staging")).await.fails(404, 10092, "staging");
    node.json("PATCH", &format!("{path}/preview"), json!({})).await.fails(400, 10001, "name");
    node.json("PATCH", &format!("{path}/preview"), json!({ "parent": "gone" })).await.fails(404, 10092, "gone");
    node.call("DELETE", &format!("{path}/preview")).await.ok();
    assert_eq!(node.get(&path).await.as_array().unwrap().len(), 1);
    let (status, _, _) = node.call("DELETE", &format!("{path}/production")).await.failure();
    assert_eq!(status, 400);
    node.call("DELETE", SERVICE).await.ok();
    node.call("GET", SERVICE).await.fails(404, 10090, "app");
    node.call("GET", &format!("{path}/production")).await.fails(404, 10090, "app");
}

#[tokio::test]
async fn a_service_that_others_bind_goes_only_by_force() {
    let node = Node::start().await;
    app_with(&node, json!([])).await;
    let bindings = json!([{ "type": "service", "name": "APP", "service": "app" }]);
    node.deploy("gate", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let references = node.get(&format!("{SERVICE}/references")).await;
    assert_eq!(references["services"]["incoming"][0]["service"], "gate");
    node.call("DELETE", SERVICE).await.fails(409, 10064, "gate");
    node.call("DELETE", &format!("{SERVICE}?force=true")).await.ok();
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_and_can_be_filtered() {
    let node = Node::start().await;
    app_with(&node, json!([])).await;
    node.deploy("app", "staging", HELLO, json!({})).await.ok();
    node.deploy("other", "production", HELLO, json!({})).await.ok();
    let uploads = node.get("/accounts/:a/audit_logs?action=version.upload&service=app").await;
    let subjects: Vec<_> = uploads.as_array().unwrap().iter().map(|line| &line["resource"]["id"]).collect();
    assert_eq!(subjects, ["app/staging", "app/production"]);
    assert_eq!(uploads[0]["actor"]["name"], "admin");
    let staging = node.get("/accounts/:a/audit_logs?environment=staging&direction=asc").await;
    assert_eq!(staging[0]["action"]["type"], "environment.create");
    assert_eq!(node.get("/accounts/:a/audit_logs?before=2001-01-01T00:00:00Z").await, json!([]));
    node.call("GET", "/accounts/:a/audit_logs?since=yesterday").await.fails(400, 10001, "since");
}
