//! Who may call, and what a caller is told when it may not.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::json;
use skerry_proto::id::Revision;

use super::node::{HELLO, Node};

async fn with_token(node: &Node, token: &str, method: &str, path: &str) -> super::node::Reply {
    let path = path.replace(":a", &node.account);
    let request = Request::builder()
        .method(method)
        .uri(format!("/client/v4{path}"))
        .header("authorization", format!("Bearer {token}"));
    node.send(request.body(Body::empty()).unwrap()).await
}

async fn token(node: &Node, scopes: serde_json::Value) -> serde_json::Value {
    node.json("POST", "/accounts/:a/tokens", json!({ "name": "ci", "scopes": scopes })).await.ok()
}

#[tokio::test]
async fn a_call_without_a_good_token_is_refused() {
    let node = Node::start().await;
    let bare = Request::builder().uri("/client/v4/user").body(Body::empty()).unwrap();
    node.send(bare).await.fails(401, 10000, "Authorization: Bearer");
    with_token(&node, "wrong", "GET", "/user").await.fails(401, 10000, "unknown");
    let basic = Request::builder().uri("/client/v4/user").header("authorization", "Basic eDp5").body(Body::empty());
    node.send(basic.unwrap()).await.fails(401, 10000, "Bearer");
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_no_more() {
    let node = Node::start().await;
    let made = token(&node, json!(["workers:read", "kv:write"])).await;
    let text = made["value"].as_str().unwrap();
    with_token(&node, text, "GET", "/accounts/:a/workers/services").await.ok();
    with_token(&node, text, "GET", "/accounts/:a/storage/kv/namespaces").await.ok();
    with_token(&node, text, "GET", "/user").await.ok();
    with_token(&node, text, "DELETE", "/accounts/:a/workers/services/x").await.fails(403, 9109, "workers:write");
    with_token(&node, text, "GET", "/accounts/:a/audit_logs").await.fails(403, 9109, "audit:read");
    with_token(&node, text, "GET", "/accounts/0123456789abcdef0123456789abcdef/workers/services").await.fails(
        403,
        9109,
        "not for account",
    );
}

#[tokio::test]
async fn nobody_makes_a_token_stronger_than_the_one_it_holds() {
    let node = Node::start().await;
    let made = token(&node, json!(["tokens:write", "kv:read"])).await;
    let text = made["value"].as_str().unwrap();
    let body = json!({ "name": "more", "scopes": ["kv:write"] }).to_string();
    let request = Request::builder()
        .method("POST")
        .uri(format!("/client/v4/accounts/{}/tokens", node.account))
        .header("authorization", format!("Bearer {text}"));
    node.send(request.body(Body::from(body)).unwrap()).await.fails(403, 9109, "kv:write");
}

#[tokio::test]
async fn a_token_stops_working_when_it_is_revoked_or_expires() {
    let node = Node::start().await;
    let made = token(&node, json!(["all:read"])).await;
    let (id, text) = (made["id"].as_str().unwrap(), made["value"].as_str().unwrap());
    assert_eq!(with_token(&node, text, "GET", "/user/tokens/verify").await.ok()["id"], id);
    node.call("DELETE", &format!("/accounts/:a/tokens/{id}")).await.ok();
    with_token(&node, text, "GET", "/user").await.fails(401, 10000, "revoked");

    let at = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let body = json!({ "name": "short", "scopes": ["all:read"], "expires_on": at });
    let made = node.json("POST", "/accounts/:a/tokens", body).await.ok();
    with_token(&node, made["value"].as_str().unwrap(), "GET", "/user").await.ok();
    node.advance(2 * 3_600_000);
    with_token(&node, made["value"].as_str().unwrap(), "GET", "/user").await.fails(401, 10000, "expired");
}

#[tokio::test]
async fn a_token_does_not_outlive_the_one_that_made_it() {
    let node = Node::start().await;
    let at = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let body = json!({ "name": "short", "scopes": ["tokens:write"], "expires_on": at });
    let maker = node.json("POST", "/accounts/:a/tokens", body).await.ok();
    let make = |body: serde_json::Value| {
        let request = Request::builder()
            .method("POST")
            .uri(format!("/client/v4/accounts/{}/tokens", node.account))
            .header("authorization", format!("Bearer {}", maker["value"].as_str().unwrap()));
        node.send(request.body(Body::from(body.to_string())).unwrap())
    };
    let child = make(json!({ "name": "child", "scopes": ["tokens:read"] })).await.ok();
    assert_eq!(child["expires_on"], maker["expires_on"]);
    let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2)).to_string();
    let body = json!({ "name": "child", "scopes": ["tokens:read"], "expires_on": later });
    make(body).await.fails(400, 10001, "expires_on");
    let body = json!({ "name": "child", "scopes": ["tokens:read"], "account": null });
    make(body).await.fails(400, 10001, "account");
}

#[tokio::test]
async fn the_admin_token_can_be_replaced() {
    let node = Node::start().await;
    let tokens = node.get("/accounts/:a/tokens").await;
    let old = format!("/accounts/:a/tokens/{}", tokens[0]["id"].as_str().unwrap());
    node.call("DELETE", &old).await.fails(409, 10064, "create another first");
    let body = json!({ "name": "admin 2", "scopes": ["admin"], "account": null });
    let made = node.json("POST", "/accounts/:a/tokens", body).await.ok();
    assert_eq!(made["account"], serde_json::Value::Null);
    node.call("DELETE", &old).await.ok();
    with_token(&node, made["value"].as_str().unwrap(), "GET", "/accounts/:a/workers/services").await.ok();
}

#[tokio::test]
async fn an_account_is_made_by_who_may_use_all_of_them() {
    let node = Node::start().await;
    let made = node.json("POST", "/accounts", json!({ "name": "Tenant", "label": "tenant" })).await;
    assert_eq!(made.status, 201);
    let id = made.ok()["id"].as_str().unwrap().to_owned();
    let path = format!("/accounts/{id}/workers/services/shop/environments/production");
    let shop = node.upload("PUT", &path, HELLO, json!({})).await.ok();
    assert_eq!(shop["hostnames"], json!(["shop.tenant.workers.localhost"]));
    node.json("POST", "/accounts", json!({ "name": "Twin", "label": "tenant" })).await.fails(409, 10040, "tenant");
    node.json("POST", "/accounts", json!({ "name": "", "label": "x" })).await.fails(400, 10001, "name");
    node.json("POST", "/accounts", json!({ "name": "x", "label": "No Good" })).await.fails(400, 10016, "service name");
    let own = token(&node, json!(["admin"])).await;
    let request = Request::builder()
        .method("POST")
        .uri("/client/v4/accounts")
        .header("authorization", format!("Bearer {}", own["value"].as_str().unwrap()));
    let body = json!({ "name": "x", "label": "x" }).to_string();
    node.send(request.body(Body::from(body)).unwrap()).await.fails(403, 9109, "for all accounts");
}

#[tokio::test]
async fn a_service_is_renamed_unless_others_count_on_its_name() {
    let node = Node::start().await;
    node.deploy("app", "production", HELLO, json!({})).await.ok();
    let bindings = json!([{ "type": "service", "name": "APP", "service": "app" }]);
    node.deploy("gate", "production", HELLO, json!({ "bindings": bindings })).await.ok();
    let path = "/accounts/:a/workers/services/app";
    node.json("PATCH", path, json!({ "name": "store" })).await.fails(409, 10040, "gate/production");
    let renamed = node.json("PATCH", &format!("{path}?force=true"), json!({ "name": "store" })).await.ok();
    assert_eq!(renamed["environments"][0]["hostnames"], json!(["store.workers.localhost"]));
    assert!(node.control.catalog().certificates().any(|found| found.covers("staging.store.workers.localhost")));
    node.call("GET", path).await.fails(404, 10090, "app");
    node.json("PATCH", path, json!({ "name": "other" })).await.fails(404, 10090, "app");
}

#[tokio::test]
async fn a_tokens_text_is_shown_once() {
    let node = Node::start().await;
    let made = token(&node, json!(["admin"])).await;
    let list = node.get("/accounts/:a/tokens").await.to_string();
    assert!(!list.contains(made["value"].as_str().unwrap()), "{list}");
    assert!(list.contains("all:write"), "{list}");
    let audit = node.get("/accounts/:a/audit_logs").await.to_string();
    assert!(!audit.contains(made["value"].as_str().unwrap()), "{audit}");
}

#[tokio::test]
async fn a_token_in_clear_from_another_machine_is_refused() {
    let mut node = Node::start().await;
    node.connect_from("192.0.2.7:5000", false);
    node.call("GET", "/user").await.fails(403, 9106, "https");
    node.connect_from("192.0.2.7:5000", true);
    node.call("GET", "/user").await.ok();
    node.connect_from("[::ffff:127.0.0.1]:5000", false);
    node.call("GET", "/user").await.ok();
}

#[tokio::test]
async fn bad_tokens_bodies_name_their_field() {
    let node = Node::start().await;
    let post = |body| node.json("POST", "/accounts/:a/tokens", body);
    post(json!({ "name": "x", "scopes": ["workers:fly"] })).await.fails(400, 10001, "scopes[0]");
    post(json!({ "name": "x", "scopes": [] })).await.fails(400, 10001, "scopes");
    post(json!({ "name": "x", "scopes": ["kv:read"], "expires_on": "soon" })).await.fails(400, 10001, "expires_on");
    post(json!({ "name": "x", "scopes": ["kv:read"], "expires_on": "2001-01-01T00:00:00Z" })).await.fails(
        400,
        10001,
        "expires_on",
    );
    post(json!({ "name": "x", "scopes": ["kv:read"], "extra": 1 })).await.fails(400, 10001, "extra");
    post(json!({ "scopes": ["kv:read"] })).await.fails(400, 10001, "name");
    post(json!("x")).await.fails(400, 10001, "body");
}

#[tokio::test]
async fn lists_are_paged() {
    let node = Node::start().await;
    for name in ["a", "b", "c"] {
        node.deploy(name, "production", HELLO, json!({})).await.ok();
    }
    let reply = node.call("GET", "/accounts/:a/workers/services?page=2&per_page=2").await;
    let envelope = reply.envelope();
    assert_eq!(envelope["result"][0]["id"], "c");
    assert_eq!(
        envelope["result_info"],
        json!({ "page": 2, "per_page": 2, "count": 1, "total_count": 3, "total_pages": 2 })
    );
    // As `wrangler init --from-dash` asks for the first one.
    let first = node.call("GET", "/accounts/:a/workers/services?page=0&per_page=2").await.envelope();
    assert_eq!((&first["result"][0]["id"], &first["result_info"]["page"]), (&json!("a"), &json!(1)));
    node.call("GET", "/accounts/:a/workers/services?page=-1").await.fails(400, 10001, "page");
    node.call("GET", "/accounts/:a/workers/services?per_page=x").await.fails(400, 10001, "per_page");
}

#[tokio::test]
async fn scripts_and_domains_are_listed_whole_unless_a_page_is_asked_for() {
    let node = Node::start().await;
    for number in 0..21 {
        node.deploy(&format!("app-{number}"), "production", HELLO, json!({})).await.ok();
    }
    let origins: Vec<serde_json::Value> =
        (0..21).map(|number| json!({ "hostname": format!("h{number}.example") })).collect();
    let records = "/accounts/:a/workers/services/app-0/environments/production/domains/records";
    node.json("PUT", records, json!({ "origins": origins })).await.ok();
    for path in ["/accounts/:a/workers/scripts", "/accounts/:a/workers/domains"] {
        let whole = node.call("GET", path).await.envelope();
        assert_eq!(whole["result"].as_array().unwrap().len(), 21);
        let info = json!({ "page": 1, "per_page": 21, "count": 21, "total_count": 21, "total_pages": 1 });
        assert_eq!(whole["result_info"], info);
        let second = node.call("GET", &format!("{path}?page=2")).await.envelope();
        let info = json!({ "page": 2, "per_page": 20, "count": 1, "total_count": 21, "total_pages": 2 });
        assert_eq!(second["result_info"], info);
        let few = node.call("GET", &format!("{path}?per_page=5")).await.envelope();
        assert_eq!((&few["result_info"]["count"], &few["result_info"]["total_pages"]), (&json!(5), &json!(5)));
    }
    // What `wrangler init --from-dash` asks for.
    let found = node.get("/accounts/:a/workers/domains/records?page=0&per_page=5&service=app-0&environment=production");
    assert_eq!(found.await.as_array().unwrap().len(), 5);
    let none = node.call("GET", "/accounts/:a/workers/domains?hostname=none.example").await.envelope();
    assert_eq!((&none["result"], &none["result_info"]["total_count"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn what_is_done_to_the_cluster_is_logged_for_tokens_for_all_accounts() {
    let node = Node::start().await;
    let make = |name: &str, scope: &str| {
        node.json("POST", "/accounts/:a/tokens", json!({ "name": name, "scopes": [scope], "account": null }))
    };
    let reader = make("reader", "cluster:read").await.ok();
    let auditor = make("auditor", "audit:read").await.ok();
    let tenant = token(&node, json!(["admin"])).await;
    let text = auditor["value"].as_str().unwrap();
    let names = |log: &serde_json::Value| -> Vec<String> {
        let lines = log.as_array().unwrap().iter();
        lines.map(|line| line["resource"]["id"].as_str().unwrap().to_owned()).collect()
    };

    let log = with_token(&node, text, "GET", "/cluster/audit_logs?action=token.create").await.ok();
    assert_eq!(names(&log), ["auditor", "reader"]);
    assert_eq!((&log[0]["actor"]["name"], &log[0]["metadata"]["id"]), (&json!("admin"), &auditor["id"]));
    let page = with_token(&node, text, "GET", "/cluster/audit_logs?direction=asc&page=2&per_page=1").await.envelope();
    assert_eq!(names(&page["result"]), ["auditor"]);
    assert_eq!((&page["result_info"]["count"], &page["result_info"]["total_count"]), (&json!(1), &json!(2)));
    let own = node.get("/accounts/:a/audit_logs?action=token.create").await;
    assert_eq!(names(&own), ["ci", "admin"], "an account's log is about the account");

    let refused = [(&tenant, "for all accounts"), (&reader, "audit:read")];
    for (token, words) in refused {
        let text = token["value"].as_str().unwrap();
        with_token(&node, text, "GET", "/cluster/audit_logs").await.fails(403, 9109, words);
    }
}

#[tokio::test]
async fn how_far_a_revision_of_the_cluster_is_is_for_tokens_for_all_accounts() {
    let node = Node::start().await;
    let tenant = token(&node, json!(["admin"])).await;
    let text = tenant["value"].as_str().unwrap();
    with_token(&node, text, "GET", "/cluster/propagation").await.fails(403, 9109, "for all accounts");
    with_token(&node, text, "GET", "/cluster/propagation?revision=1").await.fails(403, 9109, "for all accounts");
    assert_eq!(node.get("/cluster/propagation").await["total"], 1);
}

/// The node does not serve a revision, and knows it.
async fn refuse(node: &Node, revision: Revision, reason: &str) {
    node.control.refused(revision, reason);
    let is_known = || node.control.propagation(revision).refused.iter().any(|(_, known)| known == reason);
    let known = async {
        while !is_known() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), known).await.expect("the node hears of what it refuses");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_hears_why_its_own_deployment_is_not_served_and_nothing_of_others() {
    let node = Node::start_meshed().await;
    let made = node.deploy("app", "production", HELLO, json!({})).await.ok();
    let tenant = token(&node, json!(["workers:read"])).await;
    let text = tenant["value"].as_str().unwrap();
    let (deployment, version) = (made["deployment"].as_str().unwrap(), made["version_id"].as_str().unwrap());
    let app = "/accounts/:a/workers/services/app/environments/production";
    let path = format!("{app}/deployments/{deployment}/propagation");
    let revision = Revision(node.get(&path).await["revision"].as_u64().unwrap());

    let own = format!("app/production: the code of version {version} can not be had: the disk is full");
    let another = "0b2f1a52-6a0e-4a57-9c1d-3f0a4d5e6f70";
    let elsewhere = "the node does not serve this revision yet: another part of it failed there";
    for (reason, heard) in [
        (own.clone(), own.as_str()),
        // Another account has the same names.
        (format!("app/production: the secret KEY of version {another} can not be opened"), elsewhere),
        (format!("shop/production: the code of version {version} can not be had"), elsewhere),
        ("the node crashed twice after it".to_owned(), elsewhere),
    ] {
        refuse(&node, revision, &reason).await;
        assert_eq!(node.get(&path).await["refused"][0]["reason"], reason);
        let seen = with_token(&node, text, "GET", &path).await.ok();
        assert_eq!(seen["refused"][0]["reason"], heard);
        assert_eq!(seen["refused"][0]["name"], "n1");
    }
    node.control.shutdown().await;
}
