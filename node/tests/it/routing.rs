//! What hostnames, routes, domains and splits promise.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Node, says};

#[tokio::test(flavor = "multi_thread")]
async fn environments_and_versions_answer_on_their_own_hostnames() {
    let node = Node::start().await;
    let first = node.deploy("app", "production", &says("one"), json!([])).await;
    let second = node.deploy("app", "production", &says("two"), json!([])).await;
    node.deploy("app", "staging", &says("staging"), json!([])).await;
    assert_eq!(node.text("app.workers.test", "/").await, "two");
    assert_eq!(node.text("staging.app.workers.test", "/").await, "staging");
    assert_eq!(node.text(&format!("{}-app.workers.test", &first[..8]), "/").await, "one");
    assert_eq!(node.text(&format!("{}-app.workers.test", &second[..8]), "/").await, "two");
    for nobody in ["workers.test", "production.app.workers.test", "00000000-app.workers.test", "app.other.test"] {
        assert_eq!(node.get(nobody, "/").send().await.unwrap().status(), 404, "{nobody}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostname_can_be_switched_off() {
    let node = Node::start().await;
    node.deploy("app", "production", &says("x"), json!([])).await;
    let path = "/accounts/ACCOUNT/workers/services/app/environments/production/subdomain";
    node.call(Method::POST, path, json!({ "enabled": false })).await;
    assert_eq!(node.get("app.workers.test", "/").send().await.unwrap().status(), 404);
    node.call(Method::POST, path, json!({ "enabled": true })).await;
    assert_eq!(node.text("app.workers.test", "/").await, "x");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_route_wins_over_a_custom_domain() {
    let node = Node::start().await;
    node.deploy("site", "production", &says("site"), json!([])).await;
    node.deploy("api", "production", &says("api"), json!([])).await;
    let domain = json!({ "hostname": "example.com", "service": "site" });
    node.call(Method::PUT, "/accounts/ACCOUNT/workers/domains", domain).await;
    for pattern in ["example.com/api/*", "*.example.com/*"] {
        let path = "/accounts/ACCOUNT/workers/services/api/environments/production/routes";
        node.call(Method::POST, path, json!({ "pattern": pattern })).await;
    }
    assert_eq!(node.text("example.com", "/").await, "site");
    assert_eq!(node.text("example.com", "/api/x?y").await, "api");
    assert_eq!(node.text("www.example.com", "/").await, "api");
    assert_eq!(node.get("example.org", "/").send().await.unwrap().status(), 404);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_route_takes_no_name_of_the_cluster_and_no_domain_of_another_account() {
    let mut node = Node::start().await;
    let version = node.deploy("app", "production", &says("app"), json!([])).await;
    node.deploy("app", "staging", &says("staging"), json!([])).await;
    let domain = json!({ "hostname": "example.com", "service": "app" });
    node.call(Method::PUT, "/accounts/ACCOUNT/workers/domains", domain).await;
    node.tenant("tenant").await;
    node.deploy("greedy", "production", &says("greedy"), json!([])).await;
    for pattern in ["*/*", "*.test/*", "*example.com/*"] {
        let path = "/accounts/ACCOUNT/workers/services/greedy/environments/production/routes";
        node.call(Method::POST, path, json!({ "pattern": pattern })).await;
    }
    let preview = format!("{}-app.workers.test", &version[..8]);
    for (host, answer) in [
        ("app.workers.test", "app"),
        ("staging.app.workers.test", "staging"),
        (&*preview, "app"),
        ("example.com", "app"),
        ("www.example.com", "greedy"),
        ("shop.test", "greedy"),
    ] {
        assert_eq!(node.text(host, "/").await, answer, "{host}");
    }
    for nobody in ["workers.test", "nobody.workers.test", "00000000-app.workers.test"] {
        assert_eq!(node.get(nobody, "/").send().await.unwrap().status(), 404, "{nobody}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_split_by_percentage_key_and_override() {
    let node = Node::start().await;
    let old = node.deploy("app", "production", &says("old"), json!([])).await;
    let new = node.upload("app", &says("new")).await;
    let unused = node.upload("app", &says("unused")).await;
    node.split("app", &[(&new, 50), (&old, 50)]).await;

    let mut seen = HashMap::new();
    for _ in 0..200 {
        *seen.entry(node.text("app.workers.test", "/").await).or_insert(0) += 1;
    }
    // 200 fair coins fall outside of this about once in 10^11 runs.
    assert!(seen["old"] > 50 && seen["new"] > 50, "{seen:?}");

    let header = async |name: &str, value: String| {
        node.get("app.workers.test", "/").header(name, value).send().await.unwrap().text().await.unwrap()
    };
    for user in ["ann", "bob", "carla"] {
        let first = header("cloudflare-workers-version-key", user.into()).await;
        for _ in 0..5 {
            assert_eq!(header("cloudflare-workers-version-key", user.into()).await, first);
        }
    }
    for _ in 0..10 {
        let wanted = |id: &str| format!("other=\"x\", app=\"{id}\"");
        assert_eq!(header("cloudflare-workers-version-overrides", wanted(&new)).await, "new");
        assert_ne!(header("cloudflare-workers-version-overrides", wanted(&unused)).await, "unused");
    }

    node.split("app", &[(&old, 100), (&unused, 0)]).await;
    assert_eq!(node.text("app.workers.test", "/").await, "old");
    assert_eq!(header("cloudflare-workers-version-overrides", format!("app=\"{unused}\"")).await, "unused");
    node.stop().await;
}
