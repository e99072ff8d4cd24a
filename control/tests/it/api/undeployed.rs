//! Code that was uploaded and never deployed: nothing but a deployment makes it live, and its configuration counts.

use serde_json::{Value, json};

use super::node::{HELLO, Node};

const SERVICE: &str = "/accounts/:a/workers/services/app";
const APP: &str = "/accounts/:a/workers/services/app/environments/production";
const PROMOTIONS: &str = "/accounts/:a/workers/promotions";

/// A service whose staging is live and whose production has a version with a variable, and a secret that was there before.
async fn uploaded() -> (Node, Value) {
    let node = Node::start().await;
    let staged = node.deploy("app", "staging", "export default { /* v2 */ }", json!({})).await.ok();
    node.json("PUT", &format!("{APP}/secrets"), json!({ "name": "KEY", "text": "x" })).await.ok();
    let bindings = json!([{ "type": "plain_text", "name": "COLOR", "text": "red" }]);
    node.upload("POST", &format!("{APP}/versions"), HELLO, json!({ "bindings": bindings })).await.ok();
    (node, staged)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_secret_or_variable_does_not_make_code_live() {
    let (node, _) = uploaded().await;
    let calls = [
        ("PUT", "secrets", json!({ "name": "TOKEN", "text": "x" })),
        ("PATCH", "secrets-bulk", json!({ "secrets": { "OTHER": "x" } })),
        ("PATCH", "vars", json!({ "vars": { "SIZE": "1" } })),
        ("PATCH", "settings", json!({ "limits": { "cpu_ms": 10 } })),
        ("DELETE", "secrets/OTHER", Value::Null),
    ];
    for (place, (method, path, body)) in calls.into_iter().enumerate() {
        let path = format!("{APP}/{path}");
        let reply = if body.is_null() { node.call(method, &path).await } else { node.json(method, &path, body).await };
        reply.ok();
        let remark = reply.envelope()["messages"][0].as_str().unwrap().to_owned();
        let version = format!("Nothing is deployed in app/production: version {} has", place + 2);
        assert!(remark.starts_with(&version), "{path}: {remark}");
        assert_eq!(node.get(APP).await["live"], Value::Null, "{path}");
    }

    let newest = node.get(&format!("{APP}/versions/6")).await;
    let whole = json!({ "versions": [{ "version_id": newest["id"], "percentage": 100 }] });
    node.json("POST", &format!("{APP}/deployments"), whole).await.ok();
    assert_eq!(names(&node.get(&format!("{APP}/secrets")).await), ["KEY", "TOKEN"]);
    assert_eq!(names(&node.get(&format!("{APP}/vars")).await), ["COLOR", "SIZE"]);
    let reply = node.json("PATCH", &format!("{APP}/vars"), json!({ "vars": { "SIZE": "2" } })).await;
    reply.ok();
    assert_eq!(reply.envelope()["messages"], json!([]));
    assert_eq!(node.get(APP).await["live"]["versions"][0]["number"], 7);
}

#[tokio::test]
async fn a_promotion_keeps_the_configuration_of_a_target_that_was_never_deployed() {
    let (node, staged) = uploaded().await;
    let promotion = json!({ "service": "app", "source": "staging", "target": "production" });
    let plan = node.json("POST", PROMOTIONS, json!({ "promotions": [promotion], "dry_run": true })).await.ok();
    assert_eq!(node.get(APP).await["live"], Value::Null);
    let mut seen = promotion.clone();
    seen["if_match"] = plan["promotions"][0]["if_match"].clone();
    let done = node.json("POST", PROMOTIONS, json!({ "promotions": [seen] })).await.ok();
    assert_eq!(done["promotions"][0]["version_number"], 2);
    assert!(done["promotions"][0]["deployment_id"].is_string(), "{done}");
    let live = node.get(APP).await;
    assert_eq!(live["script"]["etag"], staged["etag"]);
    assert_eq!(live["live"]["annotations"]["workers/triggered_by"], "promote");
    assert_eq!(node.get(&format!("{APP}/vars")).await[0]["text"], "red");
    assert_eq!(names(&node.get(&format!("{APP}/secrets")).await), ["KEY"]);
}

#[tokio::test]
async fn a_pipeline_holds_for_a_target_that_was_never_deployed() {
    let (node, _) = uploaded().await;
    node.json("POST", &format!("{SERVICE}/environments"), json!({ "name": "dev" })).await.ok();
    let stages = json!({ "stages": [{ "environment": "dev" }, { "environment": "production" }] });
    node.json("PUT", &format!("{SERVICE}/pipeline"), stages).await.ok();
    let mut jump = json!({ "promotions": [{ "service": "app", "source": "staging", "target": "production" }] });
    node.json("POST", PROMOTIONS, jump.clone()).await.fails(400, 10001, "pipeline");
    jump["skip_pipeline"] = json!(true);
    node.json("POST", PROMOTIONS, jump).await.ok();
    assert_eq!(names(&node.get(&format!("{APP}/secrets")).await), ["KEY"]);
    let catalog = node.control.catalog();
    let entry = format!("{:?}", catalog.audit().next_back().unwrap());
    assert!(entry.contains("Promoted staging@1 (the pipeline's order was skipped)"), "{entry}");
}

#[tokio::test]
async fn a_clone_has_the_configuration_of_code_that_was_never_deployed_and_not_the_code() {
    let node = Node::start().await;
    let text = |name: &str, text: &str| json!({ "type": "plain_text", "name": name, "text": text });
    let bindings = json!([text("COLOR", "red"), text("SIZE", "1"), text("SAME", "1")]);
    node.deploy("app", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let all = format!("{SERVICE}/environments");
    node.json("POST", &all, json!({ "name": "staging" })).await.ok();
    let secret = json!({ "type": "secret_text", "name": "KEY", "text": "x" });
    let metadata = json!({
        "bindings": [text("COLOR", "blue"), text("SAME", "1"), secret],
        "removed_bindings": ["SIZE"],
        "limits": { "cpu_ms": 7 },
    });
    node.upload("POST", &format!("{all}/staging/versions"), HELLO, metadata).await.ok();

    let body = json!({ "name": "twin", "clone_from": "staging", "include_secrets": true });
    let twin = node.json("POST", &all, body).await.ok();
    assert_eq!((&twin["live"], &twin["version_count"]), (&Value::Null, &json!(0)));
    node.deploy("app", "twin", HELLO, json!({})).await.ok();
    let config = node.get(&format!("{all}/twin/config")).await;
    let own = config["bindings"].as_array().unwrap().iter().filter(|binding| binding["origin"] == "own");
    let own: Vec<&str> = own.map(|binding| binding["name"].as_str().unwrap()).collect();
    assert_eq!(own, ["COLOR", "KEY"], "what comes from the parent is not repeated: {config}");
    assert_eq!(config["removed"], json!(["SIZE"]));
    assert_eq!(names(&node.get(&format!("{all}/twin/secrets")).await), ["KEY"]);

    let reply = node.json("POST", &all, json!({ "name": "bare", "clone_from": "staging" })).await;
    reply.ok();
    assert_eq!(reply.envelope()["messages"], json!(["app/bare lacks secrets of its source: KEY."]));
    let vars = node.get(&format!("{all}/bare/vars")).await;
    assert_eq!((names(&vars), &vars[0]["text"]), (vec!["COLOR", "SAME"], &json!("blue")));
    assert_eq!(node.get(&format!("{all}/bare/secrets")).await, json!([]));
}
