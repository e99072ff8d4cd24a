//! What workers see of each other's requests.

use serde_json::{Value, json};

use crate::harness::{Node, says};

/// Tells what it sees of a request.
const SEES: &str = r#"export default { fetch(request) {
    const of = (name) => request.headers.get(name);
    return Response.json({ ip: of("cf-connecting-ip"), for: of("x-forwarded-for"), real: of("x-real-ip"),
        proto: of("x-forwarded-proto"), host: of("host"), own: of("x-own") });
} };"#;

/// Claims that its request comes from somewhere else.
const CLAIMS: &str = r#"export default { fetch() {
    const headers = { "cf-connecting-ip": "10.0.0.1", "x-forwarded-for": "10.0.0.1", "x-real-ip": "10.0.0.1",
        "x-forwarded-proto": "https", host: "other.test", "x-own": "kept" };
    return fetch("http://admin.workers.test/", { headers });
} };"#;

async fn seen(node: &Node, host: &str) -> Value {
    serde_json::from_str(&node.text(host, "/").await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_can_not_claim_an_address_towards_another_account() {
    let mut node = Node::start().await;
    node.deploy("admin", "production", SEES, json!([])).await;
    node.deploy("claims", "production", CLAIMS, json!([])).await;
    node.tenant("tenant").await;
    node.deploy("claims", "production", CLAIMS, json!([])).await;
    let worker = "2a06:98c0:3600::103";
    assert_eq!(
        seen(&node, "claims.tenant.workers.test").await,
        json!({ "ip": worker, "for": worker, "real": null, "proto": "http", "host": "admin.workers.test",
            "own": "kept" })
    );
    // Workers of one account trust each other.
    let own = seen(&node, "claims.workers.test").await;
    assert_eq!((&own["ip"], &own["real"], &own["proto"]), (&json!("10.0.0.1"), &json!("10.0.0.1"), &json!("https")));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_that_a_request_reaches_sees_its_cf() {
    let node = Node::start().await;
    let code = "export default { fetch(request) { return new Response(request.cf.httpProtocol) } };";
    node.deploy("api", "production", code, json!([])).await;
    let code = r#"export default { fetch(request, env) {
        const { pathname } = new URL(request.url);
        if (pathname === "/same") return env.API.fetch(request);
        if (pathname === "/new") return env.API.fetch("http://api/");
        if (pathname === "/far") return env.SELF.fetch("http://gate/same");
        return fetch("http://api.workers.test/");
    } };"#;
    let bindings = json!([
        { "type": "service", "name": "API", "service": "api" },
        { "type": "service", "name": "SELF", "service": "gate" },
    ]);
    node.deploy("gate", "production", code, bindings).await;
    for path in ["/same", "/new", "/far", "/fetch"] {
        assert_eq!(node.text("gate.workers.test", path).await, "HTTP/1.1", "{path}");
    }
    // It is that of the end user's request, not one that the node makes up.
    let client = reqwest::Client::builder().http2_prior_knowledge().resolve("gate.workers.test", node.http());
    let client = client.build().unwrap();
    for path in ["/same", "/new", "/far", "/fetch"] {
        let url = format!("http://gate.workers.test:{}{path}", node.http().port());
        assert_eq!(client.get(url).send().await.unwrap().text().await.unwrap(), "HTTP/2", "{path}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_its_final_dot_is_the_same_name_to_a_worker() {
    let node = Node::start().await;
    let code = "export default { fetch() { return fetch('http://other.workers.test./') } };";
    node.deploy("app", "production", code, json!([])).await;
    node.deploy("other", "production", &says("other"), json!([])).await;
    assert_eq!(node.text("app.workers.test", "/").await, "other");
    node.stop().await;
}
