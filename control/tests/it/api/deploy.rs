//! Deploying, configuring and rolling back.

use serde_json::{Value, json};

use super::node::{Form, HELLO, Node};

const APP: &str = "/accounts/:a/workers/services/app/environments/production";

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_first_deploy_makes_service_environment_certificate_and_version_at_once() {
    let node = Node::start().await;
    let before = node.control.catalog().revision();
    let reply = node.deploy("app", "staging", HELLO, json!({})).await;
    assert_eq!(reply.status, 201);
    let made = reply.ok();
    assert_eq!(made["version_number"], 1);
    assert_eq!(made["hostnames"], json!(["staging.app.workers.localhost"]));
    assert_eq!(made["handlers"], json!(["fetch"]));
    assert_eq!(made["startup_time_ms"], 2);
    let revision = made["revision"].as_u64().unwrap();
    assert_eq!(reply.headers["skerry-revision"], revision.to_string());
    assert!(revision > before.0);
    let catalog = node.control.catalog();
    assert!(catalog.certificates().any(|certificate| certificate.covers("staging.app.workers.localhost")));
    assert_eq!(node.deploy("app", "staging", HELLO, json!({})).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_changes_nothing() {
    let node = Node::start().await;
    let before = node.control.catalog().revision();
    let path = format!("{APP}?dry_run=true");
    let made = node.upload("PUT", &path, HELLO, json!({})).await.ok();
    assert_eq!(made["dry_run"], true);
    assert_eq!(made["hostnames"], json!(["app.workers.localhost"]));
    node.upload("PUT", &path, "throws", json!({})).await.fails(400, 10021, "index.js:3:7");
    let message =
        "the upload can not be validated now: too many uploads are being tried out; nothing was changed, try again";
    node.upload("PUT", &path, "waits", json!({})).await.fails(503, 10997, message);
    assert_eq!(node.control.catalog().revision(), before);
}

#[tokio::test]
async fn a_stale_writer_gets_412_and_changes_nothing() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let seen = node.call("GET", APP).await.etag();
    node.json("PATCH", &format!("{APP}/vars"), json!({ "vars": { "A": "1" } })).await.ok();

    let body = json!({ "vars": { "A": "2" } }).to_string();
    let stale = || node.request("PATCH", &format!("{APP}/vars")).header("if-match", &seen);
    let reply = node.send(stale().body(body.clone().into()).unwrap()).await;
    reply.fails(412, 10412, "app/production");
    assert_eq!(node.get(&format!("{APP}/vars")).await[0]["text"], "1");

    let fresh = node.call("GET", APP).await.etag();
    let request = node.request("PATCH", &format!("{APP}/vars")).header("if-match", &fresh);
    node.send(request.body(body.into()).unwrap()).await.ok();
    assert_eq!(node.get(&format!("{APP}/vars")).await[0]["text"], "2");

    let request = node.request("DELETE", APP.trim_end_matches("/environments/production")).header("if-match", &fresh);
    node.send(request.body(axum::body::Body::empty()).unwrap()).await.fails(412, 10412, "app");
    let request = node.request("GET", APP).header("if-match", "nonsense").method("DELETE");
    node.send(request.body(axum::body::Body::empty()).unwrap()).await.fails(400, 10001, "If-Match");
}

#[tokio::test]
async fn if_none_match_makes_only_what_does_not_exist() {
    let node = Node::start().await;
    let put = || {
        let form = Form::new().metadata(&json!({ "main_module": "index.js" }));
        let form = form.part("index.js", "application/javascript+module", HELLO.as_bytes());
        let request = node.request("PUT", APP).header("content-type", Form::CONTENT_TYPE).header("if-none-match", "*");
        node.send(request.body(form.finish().into()).unwrap())
    };
    put().await.ok();
    put().await.fails(412, 10412, "app/production");
}

#[tokio::test]
async fn a_repeated_deploy_answers_with_the_first_ones_version() {
    let node = Node::start().await;
    let put = |code: &'static str| {
        let form = Form::new().metadata(&json!({ "main_module": "index.js" }));
        let form = form.part("index.js", "application/javascript+module", code.as_bytes());
        let request =
            node.request("PUT", APP).header("content-type", Form::CONTENT_TYPE).header("idempotency-key", "d");
        node.send(request.body(form.finish().into()).unwrap())
    };
    let first = put(HELLO).await.ok();
    let second = put(HELLO).await.ok();
    assert_eq!(first["version_id"], second["version_id"]);
    assert_eq!(first["deployment"], second["deployment"]);
    put("export default { other() {} }").await.fails(409, 10042, "d");
}

#[tokio::test]
async fn the_same_idempotency_key_does_a_write_once() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let write = |value: &str| {
        let body = json!({ "vars": { "A": value } }).to_string();
        let request = node.request("PATCH", &format!("{APP}/vars")).header("idempotency-key", "k1");
        node.send(request.body(body.into()).unwrap())
    };
    let first = write("1").await;
    let second = write("1").await;
    assert_eq!(first.ok(), second.ok());
    assert_eq!(first.headers["skerry-revision"], second.headers["skerry-revision"]);
    assert_eq!(node.get(APP).await["version_count"], 2);
    write("2").await.fails(409, 10042, "k1");

    let token = |key: &'static str| {
        let body = json!({ "name": "ci", "scopes": ["kv:read"] }).to_string();
        let request = node.request("POST", "/accounts/:a/tokens").header("idempotency-key", key);
        node.send(request.body(body.into()).unwrap())
    };
    token("t").await.ok();
    token("t").await.fails(409, 10040, "Idempotency-Key");
}

#[tokio::test]
async fn variables_and_secrets_are_versions_and_roll_back_together() {
    let node = Node::start().await;
    let bindings = json!([{ "type": "plain_text", "name": "GREETING", "text": "hi" }]);
    node.deploy("app", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let secret = json!({ "name": "KEY", "text": "hush-hush", "type": "secret_text" });
    node.json("PUT", &format!("{APP}/secrets"), secret).await.ok();
    node.json("PATCH", &format!("{APP}/vars"), json!({ "vars": { "GREETING": null, "JSON": [1] } })).await.ok();
    assert_eq!(names(&node.get(&format!("{APP}/vars")).await), ["JSON"]);
    assert_eq!(node.get(APP).await["script"]["version_number"], 3);

    let back = node.call("POST", &format!("{APP}/rollback")).await.ok();
    assert_eq!(back["versions"][0]["number"], 2);
    assert_eq!(names(&node.get(&format!("{APP}/vars")).await), ["GREETING"]);
    assert_eq!(names(&node.get(&format!("{APP}/secrets")).await), ["KEY"]);

    node.json("POST", &format!("{APP}/rollback"), json!({ "version": 1 })).await.ok();
    assert_eq!(node.get(&format!("{APP}/secrets")).await, json!([]));
    node.json("POST", &format!("{APP}/rollback"), json!({ "version": 77 })).await.fails(404, 10100, "77");
}

#[tokio::test]
async fn a_rollout_is_rolled_back_to_what_was_whole_before_it() {
    let node = Node::start().await;
    let mut versions = Vec::new();
    for code in [HELLO, "export default { two() {} }"] {
        versions.push(node.deploy("app", "production", code, json!({})).await.ok()["version_id"].clone());
    }
    let three = node.upload("POST", &format!("{APP}/versions"), "export default { three() {} }", json!({})).await.ok();
    let share = |id: &Value, percentage: u8| json!({ "version_id": id, "percentage": percentage });
    let rollout = json!({ "strategy": "percentage", "versions": [share(&versions[1], 90), share(&three["id"], 10)] });
    node.json("POST", &format!("{APP}/deployments"), rollout).await.ok();

    node.json(
        "POST",
        "/accounts/:a/workers/services/app/environments",
        json!({ "name": "twin", "clone_from": "production" }),
    )
    .await
    .ok();
    let diff = node.get(&format!("{APP}/diff?against=twin")).await;
    let entry = diff["code"].as_array().unwrap().iter().find(|entry| entry["field"] == "versions").unwrap().clone();
    assert!(
        entry["source"].to_string().contains("at 90 %") && entry["target"].to_string().contains("at 100 %"),
        "{entry}"
    );
    assert_eq!(diff["identical"], false);

    let back = node.call("POST", &format!("{APP}/rollback")).await.ok();
    assert_eq!((&back["versions"][0]["number"], &back["versions"][1]), (&json!(2), &Value::Null));
    let back = node.call("POST", &format!("{APP}/rollback")).await.ok();
    assert_eq!(back["versions"][0]["number"], 1);
}

#[tokio::test]
async fn a_secrets_value_is_never_given_back() {
    let node = Node::start().await;
    let bindings = json!([{ "type": "secret_text", "name": "KEY", "text": "hush-hush" }]);
    let made = node.deploy("app", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    assert!(!made.to_string().contains("hush"));
    for path in ["", "/config", "/settings", "/secrets", "/versions", "/bindings", "/deployments"] {
        let shown = node.get(&format!("{APP}{path}")).await.to_string();
        assert!(!shown.contains("hush"), "{path}: {shown}");
    }
    assert!(!node.get("/accounts/:a/audit_logs").await.to_string().contains("hush"));
    // A deploy that does not send it keeps it, as on Cloudflare; one that says what it keeps does not.
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    assert_eq!(names(&node.get(&format!("{APP}/secrets")).await), ["KEY"]);
    node.deploy("app", "production", HELLO, json!({ "keep_bindings": [] })).await.ok();
    assert_eq!(node.get(&format!("{APP}/secrets")).await, json!([]));
}

#[tokio::test]
async fn secrets_set_before_the_first_upload_wait_for_it() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    node.json("POST", "/accounts/:a/workers/services/app/environments", json!({ "name": "pr-1" })).await.ok();
    let env = "/accounts/:a/workers/services/app/environments/pr-1";
    node.json("PATCH", &format!("{env}/secrets-bulk"), json!({ "secrets": { "A": "1", "B": "2" } })).await.ok();
    assert_eq!(names(&node.get(&format!("{env}/secrets")).await), ["A", "B"]);
    node.upload("PUT", env, HELLO, json!({})).await.ok();
    assert_eq!(names(&node.get(&format!("{env}/secrets")).await), ["A", "B"]);
}

#[tokio::test]
async fn a_version_can_wait_and_share_the_traffic() {
    let node = Node::start().await;
    let first = node.deploy("app", "production", HELLO, json!({})).await.ok();
    let path = format!("{APP}/versions");
    let waiting = node.upload("POST", &path, HELLO, json!({ "annotations": { "workers/tag": "v2" } })).await.ok();
    assert_eq!(waiting["number"], 2);
    assert_eq!(waiting["annotations"]["workers/tag"], "v2");
    assert_eq!(node.get(APP).await["script"]["version_number"], 1);

    let deployments = format!("{APP}/deployments");
    let share = |percentage: [f64; 2]| {
        json!({ "strategy": "percentage", "versions": [
            { "version_id": first["version_id"], "percentage": percentage[0] },
            { "version_id": waiting["id"], "percentage": percentage[1] },
        ] })
    };
    let made = node.json("POST", &deployments, share([90.0, 10.0])).await.ok();
    assert_eq!(made["versions"][1]["percentage"], 10.0);
    node.json("POST", &deployments, share([90.0, 20.0])).await.fails(400, 10001, "versions");
    node.json("POST", &deployments, share([101.0, -1.0])).await.fails(400, 10001, "percentage");
    node.json("POST", &deployments, json!({ "versions": [] })).await.fails(400, 10001, "versions");
    let listed = node.get(&deployments).await;
    assert_eq!(listed["deployments"][0]["id"], made["id"]);
    assert_eq!(listed["deployments"].as_array().unwrap().len(), 2);
    node.call("GET", &format!("{path}/nope")).await.fails(404, 10100, "nope");
}

#[tokio::test]
async fn code_comes_back_as_it_was_sent() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let reply = node.call("GET", &format!("{APP}/content/v2")).await;
    assert_eq!(reply.headers["cf-entrypoint"], "index.js");
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains(HELLO) && text.contains("application/javascript+module"), "{text}");
    let main = node.call("GET", &format!("{APP}/content")).await;
    assert_eq!(main.body, HELLO.as_bytes());
}

#[tokio::test]
async fn triggers_are_set_and_bad_ones_named() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let crons = json!([{ "cron": "*/5 * * * *" }]);
    node.json("PUT", &format!("{APP}/schedules"), crons).await.ok();
    assert_eq!(node.get(&format!("{APP}/schedules")).await["schedules"][0]["cron"], "*/5 * * * *");
    node.json("PUT", &format!("{APP}/schedules"), json!([{ "cron": "61 * * * *" }]))
        .await
        .fails(400, 10001, "[0].cron");

    let routes = format!("{APP}/routes");
    let made =
        node.json("PUT", &routes, json!([{ "pattern": "example.com/*" }, { "pattern": "*.example.com/a" }])).await;
    assert_eq!(made.ok().as_array().unwrap().len(), 2);
    let made = node.json("POST", &routes, json!({ "pattern": "example.org/" })).await.ok();
    node.call("DELETE", &format!("{routes}/{}", made["id"].as_str().unwrap())).await.ok();
    node.json("POST", &routes, json!({ "pattern": "exa*mple.com/" })).await.fails(400, 10001, "pattern");
    node.json("PUT", &routes, json!([{ "pattern": "a.com/*.jpg" }])).await.fails(400, 10001, "[0].pattern");

    let off = node.json("POST", &format!("{APP}/subdomain"), json!({ "enabled": false })).await.ok();
    assert_eq!(off, json!({ "enabled": false, "previews_enabled": false }));
    assert_eq!(node.get(APP).await["hostnames"], json!([]));
}
