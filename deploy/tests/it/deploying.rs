//! What `deploy` sends and shows.

use serde_json::{Value, json};

use crate::fake::{Fake, Recorded, Reply};
use crate::run::Workspace;

const PROJECT: &str = "name = \"shop\"\nmain = \"src/index.ts\"\ncompatibility_date = \"2026-01-31\"\n[vars]\nCOLOR = \"blue\"\n\
    [[kv_namespaces]]\nbinding = \"CART\"\n[env.staging.vars]\nCOLOR = \"green\"\n";
const CODE: &str = "export default { async fetch(request: Request) { return new Response(\"hi\"); } };";
const FILES: [(&str, &str); 2] = [("wrangler.toml", PROJECT), ("src/index.ts", CODE)];

fn deployed() -> Value {
    json!({
        "version_id": "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b", "version_number": 7, "startup_time_ms": 3,
        "hostnames": ["staging.shop.workers.localhost"],
        "config": {
            "parent": "production",
            "bindings": [
                { "name": "COLOR", "type": "plain_text", "text": "green", "origin": "own" },
                { "name": "CART", "type": "kv_namespace", "namespace_id": "ab", "origin": "inherited", "from": "production" },
                { "name": "TOKEN", "type": "secret_text", "origin": "own" },
            ],
            "shared_state": [{ "type": "kv_namespace", "name": "CART", "namespace_id": "ab", "with": ["production"] }],
        },
    })
}

fn cluster(call: &Recorded) -> Option<Reply> {
    Some(match call.what().as_str() {
        "GET /workers/services/shop/environments/staging" => {
            Reply::Tagged(json!({ "name": "staging", "parent": "production" }), "\"41\"")
        }
        "GET /workers/services/shop/environments/staging/config" => Reply::Result(
            json!({ "bindings": [{ "name": "BY_HAND", "type": "plain_text", "text": "x", "origin": "own" }] }),
        ),
        "GET /workers/services/shop/environments/production/config" => Reply::Result(
            json!({ "bindings": [{ "name": "COLOR", "type": "plain_text", "text": "blue", "origin": "own" }] }),
        ),
        "GET /storage/kv/namespaces" => Reply::Result(json!([{ "id": "cd".repeat(16), "title": "other" }])),
        "POST /storage/kv/namespaces" => Reply::Result(json!({ "id": "ef".repeat(16), "title": "shop-cart" })),
        what if what.starts_with("PUT /workers/services/shop/environments/") => Reply::Result(deployed()),
        _ => return None,
    })
}

#[test]
fn a_deploy_uploads_only_the_differences_and_says_what_is_inherited() {
    let fake = Fake::start(cluster);
    let outcome =
        Workspace::talking_to(&fake.url, &FILES).run(&["deploy", "--env", "staging", "--message", "try"]).ok();
    let upload = fake.call("PUT /workers/services/shop/environments/staging");
    let metadata: Value = serde_json::from_str(&upload.part("metadata").unwrap()).unwrap();
    assert_eq!(metadata["bindings"], json!([{ "type": "plain_text", "name": "COLOR", "text": "green" }]));
    assert_eq!(metadata["annotations"]["workers/message"], "try");
    assert_eq!(metadata["main_module"], "index.js");
    assert!(upload.part("index.js").unwrap().contains("new Response(\"hi\")"));
    assert!(upload.part("index.js.map").unwrap().contains("index.ts"));
    assert_eq!(upload.header("if-match"), Some("\"41\""));
    assert_eq!(upload.header("authorization"), Some("Bearer test-token"));
    for text in [
        "Deployed shop to staging: version 7",
        "inherited from production",
        "own, overrides production",
        "(hidden)",
        "Shared state: kv_namespace CART ab is also used by production",
        "https://staging.shop.workers.localhost:8443/",
        "http://staging.shop.workers.localhost:8080/",
        "gzip",
    ] {
        assert!(outcome.stdout.contains(text), "{text:?} in\n{}", outcome.stdout);
    }
    assert!(outcome.stderr.contains("BY_HAND (plain_text, was \"x\") is gone"), "{}", outcome.stderr);
}

#[test]
fn a_namespace_without_an_id_is_made_at_the_first_deploy() {
    let fake = Fake::start(cluster);
    Workspace::talking_to(&fake.url, &FILES).run(&["deploy"]).ok();
    assert_eq!(fake.call("POST /storage/kv/namespaces").json(), json!({ "title": "shop-cart" }));
    let upload = fake.call("PUT /workers/services/shop/environments/production");
    let metadata: Value = serde_json::from_str(&upload.part("metadata").unwrap()).unwrap();
    assert_eq!(
        metadata["bindings"][1],
        json!({ "type": "kv_namespace", "name": "CART", "namespace_id": "ef".repeat(16) })
    );
    // There is nothing yet that the upload could overwrite.
    assert_eq!(upload.header("if-match"), None);
}

#[test]
fn a_dry_run_changes_nothing() {
    let fake = Fake::start(cluster);
    let outcome = Workspace::talking_to(&fake.url, &FILES).run(&["deploy", "--dry-run"]).ok();
    assert_eq!(fake.writes(), ["PUT /workers/services/shop/environments/production"]);
    assert_eq!(fake.call("PUT /workers/services/shop/environments/production").query, "dry_run=true");
    assert!(outcome.stdout.contains("nothing was changed"));
}

#[test]
fn routes_domains_and_crons_are_set_after_the_upload_when_the_file_names_them() {
    let fake = Fake::start(cluster);
    let project = format!(
        "routes = [\"a.example.com/*\", {{ pattern = \"b.example.com\", custom_domain = true }}]\nworkers_dev = false\n{PROJECT}\
         [triggers]\ncrons = [\"*/5 * * * *\"]\n"
    );
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", &project), ("src/index.ts", CODE)]);
    workspace.run(&["deploy"]).ok();
    let base = "/workers/services/shop/environments/production";
    assert_eq!(
        fake.writes()[1..],
        [
            format!("PUT {base}"),
            format!("PUT {base}/routes"),
            "PUT /workers/domains".to_owned(),
            format!("PUT {base}/schedules"),
            format!("POST {base}/subdomain"),
        ]
    );
    assert_eq!(fake.call(&format!("PUT {base}/routes")).json(), json!([{ "pattern": "a.example.com/*" }]));
    assert_eq!(fake.call("PUT /workers/domains").json()["hostname"], "b.example.com");
    assert_eq!(fake.call(&format!("PUT {base}/schedules")).json(), json!([{ "cron": "*/5 * * * *" }]));
    assert_eq!(fake.call(&format!("POST {base}/subdomain")).json(), json!({ "enabled": false }));
}

#[test]
fn a_missing_required_secret_stops_the_deploy_before_the_upload() {
    let fake = Fake::start(cluster);
    let project = format!("{PROJECT}[secrets]\nrequired = [\"KEY\"]\n");
    let workspace = Workspace::talking_to(
        &fake.url,
        &[("wrangler.toml", &project), ("src/index.ts", CODE), ("secrets.env", "KEY=x")],
    );
    workspace.run(&["deploy"]).fails(1, "secrets.required: KEY is missing in production");
    assert_eq!(fake.writes(), Vec::<String>::new());
    workspace.run(&["deploy", "--secrets-file", "secrets.env"]).ok();
    let upload = fake.call("PUT /workers/services/shop/environments/production").part("metadata").unwrap();
    assert!(upload.contains("\"secret_text\""), "{upload}");
}

#[test]
fn an_environment_with_another_parent_gets_it() {
    let fake = Fake::start(cluster);
    let project = format!("{PROJECT}[env.staging.skerry]\nparent = \"canary\"\n");
    Workspace::talking_to(&fake.url, &[("wrangler.toml", &project), ("src/index.ts", CODE)])
        .run(&["deploy", "-e", "staging"])
        .ok();
    let base = "/workers/services/shop/environments/staging";
    assert_eq!(fake.writes(), [format!("PATCH {base}"), format!("PUT {base}")]);
    assert_eq!(fake.call(&format!("PATCH {base}")).json(), json!({ "parent": "canary" }));
}

#[test]
fn a_version_can_be_uploaded_without_becoming_live() {
    let fake = Fake::start(|call| match call.what().as_str() {
        "POST /workers/services/shop/environments/production/versions" => {
            Some(Reply::Result(json!({ "id": "v", "number": 8, "urls": ["https://v-shop.workers.localhost"] })))
        }
        _ => cluster(call),
    });
    let outcome = Workspace::talking_to(&fake.url, &FILES).run(&["versions", "upload", "--tag", "v1"]).ok();
    assert!(
        outcome.stdout.contains("Uploaded version 8") && outcome.stdout.contains("https://v-shop"),
        "{}",
        outcome.stdout
    );
    assert_eq!(
        fake.writes(),
        ["POST /storage/kv/namespaces", "POST /workers/services/shop/environments/production/versions"]
    );
}

#[test]
fn a_mistake_in_the_code_or_the_project_file_sends_nothing() {
    let fake = Fake::start(cluster);
    let broken = Workspace::talking_to(&fake.url, &[("wrangler.toml", PROJECT), ("src/index.ts", "export default {")]);
    broken.run(&["deploy"]).fails(1, "src/index.ts:1");
    let unknown = Workspace::talking_to(&fake.url, &[("wrangler.toml", "name = \"shop\"\nmian = \"x\"")]);
    unknown.run(&["deploy"]).fails(1, "wrangler.toml:2: mian: unknown key; did you mean \"main\"?");
    assert!(fake.calls().is_empty());
}
