//! `deploy --wait`: what it asks, says and ends with.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::fake::{Fake, Recorded, Reply};
use crate::run::Workspace;

const FILES: [(&str, &str); 2] =
    [("wrangler.toml", "name = \"shop\"\nmain = \"index.js\"\n"), ("index.js", "export default {};")];
const VERSION: &str = "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b";

/// A cluster in which the deployment is the second newest, and its propagation what `propagation` says at each look.
fn cluster(propagation: impl Fn(u32) -> Reply + Send + Sync + 'static) -> Fake {
    let looks = AtomicU32::new(0);
    Fake::start(move |call: &Recorded| {
        let below = call.what().replace("/workers/services/shop/environments/production", "");
        Some(match below.as_str() {
            "PUT " => Reply::Result(json!({ "version_id": VERSION, "version_number": 7 })),
            "GET /deployments" => Reply::Result(json!({ "deployments": [
                { "id": "later", "versions": [{ "version_id": "another", "percentage": 100 }] },
                { "id": "ours", "versions": [{ "version_id": VERSION, "percentage": 100 }] },
                { "id": "earlier", "versions": [{ "version_id": VERSION, "percentage": 100 }] },
            ] })),
            "GET /deployments/ours/propagation" => propagation(looks.fetch_add(1, Ordering::SeqCst)),
            _ => return None,
        })
    })
}

fn seen(acknowledged: u64, waiting: Value, refused: Value, live_ms: Value) -> Reply {
    Reply::Result(json!({
        "revision": 41, "total": 3, "acknowledged": acknowledged, "waiting": waiting, "refused": refused, "live_ms": live_ms,
    }))
}

fn everywhere() -> Reply {
    seen(3, json!([]), json!([]), json!(84))
}

const LOOK: &str = "GET /workers/services/shop/environments/production/deployments/ours/propagation";

#[test]
fn a_deploy_without_wait_does_not_look() {
    let fake = cluster(|_| everywhere());
    Workspace::talking_to(&fake.url, &FILES).run(&["deploy"]).ok();
    assert!(!fake.calls().iter().any(|call| call.what() == LOOK));
}

#[test]
fn a_deploy_waits_until_every_node_serves_it() {
    let fake = cluster(|look| match look {
        0 => Reply::Error(503, 10997, "try again"),
        1 => seen(1, json!([{ "id": 5, "name": "n2" }, { "id": 9, "name": "n3" }]), json!([]), json!(null)),
        _ => everywhere(),
    });
    let outcome = Workspace::talking_to(&fake.url, &FILES).run(&["deploy", "--wait"]).ok();
    assert!(outcome.stdout.ends_with("\nlive on 3 of 3 nodes after 84 ms\n"), "{}", outcome.stdout);
    let document = Workspace::talking_to(&fake.url, &FILES).run(&["deploy", "--wait=5", "--json"]).ok().json();
    assert_eq!((&document["version_number"], &document["propagation"]["live_ms"]), (&json!(7), &json!(84)));
}

#[test]
fn a_node_that_has_not_said_is_named_and_the_outcome_there_is_unknown() {
    let fake = cluster(|_| seen(2, json!([{ "id": 9, "name": "n3" }]), json!([]), json!(null)));
    let workspace = Workspace::talking_to(&fake.url, &FILES);
    let outcome = workspace.run(&["deploy", "--wait=0.3"]);
    let outcome = outcome.fails(3, "error: live on 2 of 3 nodes; no word within 0.3 s from n3");
    assert!(outcome.stdout.contains("Deployed shop to production: version 7"), "{}", outcome.stdout);
    let outcome = workspace.run(&["deploy", "--wait=0.3", "--json"]).fails(3, "n3");
    assert_eq!(outcome.json()["propagation"]["waiting"][0]["name"], "n3");
}

#[test]
fn a_node_that_refuses_is_named_with_its_reason() {
    let refused = json!([{ "id": 5, "name": "n2", "reason": "its digest differs" }]);
    let fake = cluster(move |look| match look {
        0 => seen(1, json!([{ "id": 9, "name": "n3" }]), refused.clone(), json!(null)),
        _ => seen(2, json!([]), refused.clone(), json!(null)),
    });
    let outcome = Workspace::talking_to(&fake.url, &FILES).run(&["deploy", "--wait"]);
    outcome.fails(1, "error: live on 2 of 3 nodes; n2 refuses it: its digest differs");
}

#[test]
fn where_nobody_can_tell_the_deploy_is_still_reported_as_made() {
    for reply in [Reply::Error(404, 7003, "no such call"), Reply::Raw(502, "bad gateway"), Reply::Silence] {
        let fake = cluster(move |_| reply.clone());
        let outcome = Workspace::talking_to(&fake.url, &FILES).run(&["deploy", "--wait=0.5"]);
        let outcome = outcome.fails(3, "error: the deployment was made; which nodes serve it is not known");
        assert!(outcome.stdout.contains("Deployed shop to production: version 7"), "{}", outcome.stdout);
    }
}

#[test]
fn a_wait_that_makes_no_sense_is_refused_before_anything_is_sent() {
    let fake = cluster(|_| everywhere());
    let workspace = Workspace::talking_to(&fake.url, &FILES);
    workspace.run(&["deploy", "--wait=soon"]).fails(2, "use seconds, 0 to 3600");
    workspace.run(&["deploy", "--wait=-1"]).fails(2, "use seconds, 0 to 3600");
    workspace.run(&["deploy", "--wait", "--dry-run"]).fails(2, "--dry-run");
    assert!(fake.calls().is_empty());
}
