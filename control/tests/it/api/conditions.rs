//! Conditional and repeated writes.

use serde_json::{Value, json};

use super::node::{Form, HELLO, Node, Reply};

const SERVICE: &str = "/accounts/:a/workers/services/app";
const APP: &str = "/accounts/:a/workers/services/app/environments/production";
const STAGING: &str = "/accounts/:a/workers/services/app/environments/staging";

async fn app() -> Node {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    node.deploy("app", "staging", HELLO, json!({})).await.ok();
    node
}

/// The same request twice under one key, with the ETag that was true before the first.
async fn twice(node: &Node, method: &str, path: &str, etag: Option<&str>, body: &Value) -> (Reply, Reply) {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let key = format!("{method} {path}");
    let mut headers = vec![("idempotency-key", key.as_str())];
    headers.extend(etag.map(|etag| ("if-match", etag)));
    (node.with(method, path, &headers, &text).await, node.with(method, path, &headers, &text).await)
}

fn same(replies: &(Reply, Reply)) {
    let (first, second) = replies;
    first.ok();
    second.ok();
    assert_eq!(first.headers["skerry-revision"], second.headers["skerry-revision"]);
}

#[tokio::test]
async fn a_repeated_conditional_deploy_gets_the_first_answer() {
    let node = app().await;
    let etag = node.call("GET", APP).await.etag();
    let put = || {
        let form = Form::new().metadata(&json!({ "main_module": "index.js" }));
        let form = form.part("index.js", "application/javascript+module", b"export default { two() {} }");
        let request = node.request("PUT", APP).header("content-type", Form::CONTENT_TYPE).header("if-match", &etag);
        node.send(request.header("idempotency-key", "d").body(form.finish().into()).unwrap())
    };
    let (first, second) = (put().await, put().await);
    assert_eq!(first.ok()["version_id"], second.ok()["version_id"]);
    assert_eq!(first.headers["skerry-revision"], second.headers["skerry-revision"]);
    assert_eq!(node.get(APP).await["version_count"], 2);
}

#[tokio::test]
async fn a_repeated_promotion_gets_the_first_answer() {
    let node = app().await;
    node.deploy("app", "staging", "export default { two() {} }", json!({})).await.ok();
    let etag = node.call("GET", APP).await.etag();
    let promotion = json!({ "service": "app", "source": "staging", "target": "production", "if_match": etag });
    let body = json!({ "promotions": [promotion] });
    let replies = twice(&node, "POST", "/accounts/:a/workers/promotions", None, &body).await;
    same(&replies);
    assert_eq!(replies.0.ok()["promotions"][0]["version_id"], replies.1.ok()["promotions"][0]["version_id"]);
}

#[tokio::test]
async fn a_repeated_removal_or_renaming_gets_the_first_answer() {
    let node = app().await;
    let etag = node.call("GET", STAGING).await.etag();
    same(&twice(&node, "PATCH", STAGING, Some(&etag), &json!({ "name": "qa" })).await);
    let qa = format!("{SERVICE}/environments/qa");
    let etag = node.call("GET", &qa).await.etag();
    same(&twice(&node, "DELETE", &qa, Some(&etag), &Value::Null).await);

    node.json("PUT", &format!("{APP}/secrets"), json!({ "name": "KEY", "text": "x" })).await.ok();
    same(&twice(&node, "DELETE", &format!("{APP}/secrets/KEY"), None, &Value::Null).await);
    let route = node.json("POST", &format!("{APP}/routes"), json!({ "pattern": "example.com/*" })).await.ok();
    let path = format!("{APP}/routes/{}", route["id"].as_str().unwrap());
    same(&twice(&node, "DELETE", &path, None, &Value::Null).await);
    let domains = "/accounts/:a/workers/domains";
    let domain = node.json("PUT", domains, json!({ "hostname": "shop.example", "service": "app" })).await.ok();
    let path = format!("{domains}/{}", domain["id"].as_str().unwrap());
    same(&twice(&node, "DELETE", &path, None, &Value::Null).await);
    let token = node.json("POST", "/accounts/:a/tokens", json!({ "name": "ci", "scopes": ["kv:read"] })).await.ok();
    let path = format!("/accounts/:a/tokens/{}", token["id"].as_str().unwrap());
    same(&twice(&node, "DELETE", &path, None, &Value::Null).await);
    same(&twice(&node, "PATCH", SERVICE, None, &json!({ "name": "store" })).await);
    same(&twice(&node, "DELETE", "/accounts/:a/workers/services/store", None, &Value::Null).await);
}

#[tokio::test]
async fn a_namespaces_removal_that_was_cut_off_is_finished_by_its_repetition() {
    let node = Node::start().await;
    let made = node.json("POST", "/accounts/:a/storage/kv/namespaces", json!({ "title": "cache" })).await.ok();
    let path = format!("/accounts/:a/storage/kv/namespaces/{}", made["id"].as_str().unwrap());
    node.with("PUT", &format!("{path}/values/k"), &[], "v").await.ok();
    node.kv.is_down.store(true, std::sync::atomic::Ordering::Relaxed);
    let key = [("idempotency-key", "gone")];
    node.with("DELETE", &path, &key, "").await.fails(504, 10998, "unknown");
    node.kv.is_down.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(node.kv.namespaces().len(), 1);
    node.with("DELETE", &path, &key, "").await.ok();
    assert_eq!(node.kv.namespaces().len(), 0);
}

#[tokio::test]
async fn a_star_means_that_it_must_exist() {
    let node = Node::start().await;
    let put = || {
        let form = Form::new().metadata(&json!({ "main_module": "index.js" }));
        let form = form.part("index.js", "application/javascript+module", HELLO.as_bytes());
        let request = node.request("PUT", APP).header("content-type", Form::CONTENT_TYPE).header("if-match", "*");
        node.send(request.body(form.finish().into()).unwrap())
    };
    put().await.fails(412, 10412, "app/production");
    assert!(node.control.catalog().all_services().next().is_none());
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    put().await.ok();
    let stages = json!({ "stages": [] }).to_string();
    node.with("PUT", &format!("{SERVICE}/pipeline"), &[("if-match", "*")], &stages).await.ok();
}

#[tokio::test]
async fn a_condition_that_a_call_does_not_keep_is_refused() {
    let node = app().await;
    let promotion = json!({ "promotions": [{ "service": "app", "source": "staging", "target": "production" }] });
    let promotion = promotion.to_string();
    let refused = [
        ("POST", "/accounts/:a/workers/promotions", promotion.as_str()),
        ("POST", "/accounts/:a/tokens", r#"{"name":"x","scopes":["kv:read"]}"#),
        ("POST", "/accounts/:a/storage/kv/namespaces", r#"{"title":"x"}"#),
        ("DELETE", "/accounts/:a/workers/domains/x", ""),
        ("DELETE", "/zones/x/workers/routes/x", ""),
    ];
    let before = node.control.catalog().revision();
    for (method, path, body) in refused {
        node.with(method, path, &[("if-match", "\"1\"")], body).await.fails(400, 10001, "If-Match");
    }
    node.with("DELETE", SERVICE, &[("if-none-match", "*")], "").await.fails(400, 10001, "If-None-Match");
    assert_eq!(node.control.catalog().revision(), before);
    // On a read it means caching.
    node.with("GET", APP, &[("if-none-match", "\"1\"")], "").await.ok();
}

#[tokio::test]
async fn a_writes_etag_is_good_for_the_next_one() {
    let node = app().await;
    let writes = [
        ("PATCH", format!("{APP}/vars"), json!({ "vars": { "A": "1" } })),
        ("PUT", format!("{APP}/secrets"), json!({ "name": "KEY", "text": "x" })),
        ("PATCH", format!("{APP}/secrets-bulk"), json!({ "secrets": { "B": "y" } })),
        ("PUT", format!("{APP}/schedules"), json!([{ "cron": "* * * * *" }])),
        ("POST", format!("{APP}/subdomain"), json!({ "enabled": false })),
        ("PUT", format!("{APP}/routes"), json!([{ "pattern": "example.com/*" }])),
        ("PATCH", format!("{APP}/settings"), json!({ "tags": ["a"] })),
        ("PATCH", format!("{APP}/script-settings"), json!({ "tags": ["b"] })),
        ("POST", format!("{APP}/rollback"), json!({ "version": 1 })),
    ];
    let mut etag = node.deploy("app", "production", HELLO, json!({})).await.etag();
    for (method, path, body) in writes {
        let reply = node.with(method, &path, &[("if-match", &etag)], &body.to_string()).await;
        reply.ok();
        assert_eq!(reply.etag(), node.call("GET", APP).await.etag(), "{path}");
        etag = reply.etag();
    }
}

#[tokio::test]
async fn settings_are_changed_together_or_not_at_all() {
    let node = app().await;
    let path = format!("{APP}/settings");
    let before = node.call("GET", APP).await.etag();
    let bindings = json!([{ "type": "plain_text", "name": "A", "text": "1" }]);
    let bad = json!({ "bindings": bindings, "tags": ["a,b"] });
    node.json("PATCH", &path, bad).await.fails(400, 10021, "tags");
    assert_eq!(node.call("GET", APP).await.etag(), before);

    node.with("PATCH", &path, &[("if-match", "\"1\"")], r#"{"tags":["a"]}"#).await.fails(412, 10412, "app/production");
    let good = json!({ "bindings": bindings, "tags": ["a"] });
    let key = [("idempotency-key", "s"), ("if-match", before.as_str())];
    let entries = node.control.catalog().audit().count();
    let done = node.with("PATCH", &path, &key, &good.to_string()).await;
    assert_eq!(done.ok()["tags"], json!(["a"]));
    assert_eq!(node.control.catalog().audit().count(), entries + 1, "it is one change");
    assert_eq!(node.with("PATCH", &path, &key, &good.to_string()).await.ok(), done.ok());
}

#[tokio::test]
async fn the_description_says_which_calls_keep_conditions() {
    let node = Node::start().await;
    let document: Value = serde_json::from_slice(&node.call("GET", "/openapi.json").await.body).unwrap();
    let environment = "/accounts/{account}/workers/services/{service}/environments/{environment}";
    let call = |path: &str, method: &str| document["paths"][path][method].clone();
    let headers = |call: &Value| -> Vec<String> {
        let all = call["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "header");
        all.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let deploy = call(environment, "put");
    assert_eq!(headers(&deploy), ["If-Match", "If-None-Match", "Idempotency-Key"]);
    assert!(deploy["responses"]["412"].is_object() && deploy["responses"]["409"].is_object());
    assert_eq!(
        headers(&call("/accounts/{account}/workers/services/{service}", "delete")),
        ["If-Match", "Idempotency-Key"]
    );
    assert_eq!(headers(&call("/accounts/{account}/workers/promotions", "post")), ["Idempotency-Key"]);
    assert!(headers(&call(environment, "get")).is_empty());
}

#[tokio::test]
async fn who_saw_an_environment_before_a_route_or_domain_of_it_changed_is_stale() {
    let node = app().await;
    let routes = format!("{APP}/routes");
    let domain = json!({ "hostname": "shop.example", "service": "app", "environment": "production" });
    let mut seen = node.call("GET", APP).await.etag();
    let mut added = Value::Null;
    for step in ["add a route", "remove it", "add a domain", "move it"] {
        match step {
            "add a route" => added = node.json("POST", &routes, json!({ "pattern": "example.com/*" })).await.ok(),
            "remove it" => {
                node.call("DELETE", &format!("{routes}/{}", added["id"].as_str().unwrap())).await.ok();
            }
            "add a domain" => {
                node.json("PUT", "/accounts/:a/workers/domains", domain.clone()).await.ok();
            }
            _ => {
                let mut moved = domain.clone();
                moved["environment"] = json!("staging");
                moved["override_existing_origin"] = json!(true);
                node.json("PUT", "/accounts/:a/workers/domains", moved).await.ok();
            }
        }
        let stale = [("if-match", seen.as_str()), ("content-type", "application/json")];
        node.with("PUT", &routes, &stale, "[]").await.fails(412, 10412, "app/production");
        let now = node.call("GET", APP).await.etag();
        assert_ne!(now, seen, "{step}");
        seen = now;
    }
}
