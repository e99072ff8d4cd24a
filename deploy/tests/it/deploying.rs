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
        "GET /workers/domains" => Reply::Result(json!([])),
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

const PRODUCTION: &str = "PUT /workers/services/shop/environments/production";

fn binding(upload: &Recorded, name: &str) -> Value {
    let metadata: Value = serde_json::from_str(&upload.part("metadata").unwrap()).unwrap();
    metadata["bindings"].as_array().unwrap().iter().find(|binding| binding["name"] == name).unwrap().clone()
}

#[test]
fn a_namespace_without_an_id_is_made_at_the_first_deploy_once_the_upload_is_checked() {
    let fake = Fake::start(cluster);
    Workspace::talking_to(&fake.url, &FILES).run(&["deploy"]).ok();
    assert_eq!(fake.writes(), [PRODUCTION, "POST /storage/kv/namespaces", PRODUCTION]);
    let uploads: Vec<Recorded> = fake.calls().into_iter().filter(|call| call.what() == PRODUCTION).collect();
    assert_eq!([uploads[0].query.as_str(), uploads[1].query.as_str()], ["dry_run=true", ""]);
    assert_eq!(binding(&uploads[0], "CART"), json!({ "type": "kv_namespace", "name": "CART", "title": "shop-cart" }));
    assert_eq!(fake.call("POST /storage/kv/namespaces").json(), json!({ "title": "shop-cart" }));
    let made = json!({ "type": "kv_namespace", "name": "CART", "namespace_id": "ef".repeat(16) });
    assert_eq!(binding(&uploads[1], "CART"), made);
    // There is nothing yet that the upload could overwrite.
    assert_eq!(uploads[1].header("if-match"), None);
}

#[test]
fn an_upload_that_is_refused_has_made_nothing() {
    let fake = Fake::start(|call| match call.method.as_str() {
        "PUT" => Some(Reply::Error(400, 10021, "SyntaxError in index.js")),
        _ => cluster(call),
    });
    let project = format!("{PROJECT}[env.preview.skerry]\nparent = \"staging\"\nisolate = true\n");
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", &project), ("src/index.ts", CODE)]);
    workspace.run(&["deploy", "--env", "preview"]).fails(1, "SyntaxError");
    assert_eq!(fake.writes(), ["PUT /workers/services/shop/environments/preview"]);
    assert_eq!(fake.calls().last().unwrap().query, "dry_run=true");
}

#[test]
fn an_account_of_another_cluster_is_told() {
    let fake = Fake::start(cluster);
    let project = format!("account_id = \"{}\"\n{PROJECT}", "f".repeat(32));
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", &project), ("src/index.ts", CODE)]);
    let outcome = workspace.run(&["deploy"]).ok();
    assert!(outcome.stderr.contains("ffff is not used, this goes to account 0123"), "{}", outcome.stderr);
}

#[test]
fn a_dry_run_changes_nothing() {
    let fake = Fake::start(cluster);
    let outcome = Workspace::talking_to(&fake.url, &FILES).run(&["deploy", "--dry-run"]).ok();
    assert_eq!(fake.writes(), [PRODUCTION]);
    assert_eq!(fake.call(PRODUCTION).query, "dry_run=true");
    assert!(outcome.stderr.contains("would create KV namespace \"shop-cart\" for CART"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("nothing was changed"));
}

const TRIGGERS: &str =
    "routes = [\"a.example.com/*\", { pattern = \"B.example.com\", custom_domain = true }]\nworkers_dev = false\n";

fn with_triggers() -> String {
    format!("{TRIGGERS}{PROJECT}[triggers]\ncrons = [\"*/5 * * * *\"]\n")
}

#[test]
fn routes_domains_and_crons_are_set_after_the_upload_when_the_file_names_them() {
    let fake = Fake::start(cluster);
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", &with_triggers()), ("src/index.ts", CODE)]);
    workspace.run(&["deploy"]).ok();
    let base = "/workers/services/shop/environments/production";
    assert_eq!(
        fake.writes()[2..],
        [
            format!("PUT {base}"),
            format!("PUT {base}/routes"),
            format!("PUT {base}/domains/records"),
            format!("PUT {base}/schedules"),
            format!("POST {base}/subdomain"),
        ]
    );
    assert_eq!(fake.call(&format!("PUT {base}/routes")).json(), json!([{ "pattern": "a.example.com/*" }]));
    let domains = json!({ "override_existing_origin": false, "origins": [{ "hostname": "b.example.com" }] });
    assert_eq!(fake.call(&format!("PUT {base}/domains/records")).json(), domains);
    assert_eq!(fake.call(&format!("PUT {base}/schedules")).json(), json!([{ "cron": "*/5 * * * *" }]));
    assert_eq!(fake.call(&format!("POST {base}/subdomain")).json(), json!({ "enabled": false }));
}

#[test]
fn a_domain_of_another_environment_is_taken_only_after_a_question() {
    let fake = Fake::start(|call| match call.what().as_str() {
        // On its second page, where the first is full.
        "GET /workers/domains" if call.query.starts_with("page=1&") => {
            Some(Reply::Result(Value::Array(vec![json!({ "hostname": "x.example.com" }); 100])))
        }
        "GET /workers/domains" => Some(Reply::Result(
            json!([{ "id": "d", "hostname": "b.example.com", "service": "old", "environment": "qa" }]),
        )),
        _ => cluster(call),
    });
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", &with_triggers()), ("src/index.ts", CODE)]);
    workspace.run(&["deploy"]).fails(2, "b.example.com reaches old qa today. Replace this?");
    workspace.run(&["domain", "add", "B.Example.com"]).fails(2, "b.example.com reaches old qa today.");
    assert_eq!(fake.writes(), Vec::<String>::new());
    let records = "PUT /workers/services/shop/environments/production/domains/records";
    workspace.run(&["deploy", "--yes"]).ok();
    assert_eq!(fake.call(records).json()["override_existing_origin"], true);
    workspace.run(&["domain", "add", "B.Example.com", "--yes"]).ok();
    let added = fake.call("PUT /workers/domains").json();
    assert_eq!((&added["hostname"], &added["override_existing_origin"]), (&json!("b.example.com"), &json!(true)));
    workspace.run(&["domain", "delete", "B.example.com", "--yes"]).ok();
    fake.call("DELETE /workers/domains/d");
}

#[test]
fn a_trigger_that_is_refused_names_the_version_that_is_live() {
    let fake = Fake::start(|call| match call.path.ends_with("/schedules") {
        true => Some(Reply::Error(400, 10001, "crons: too many")),
        false => cluster(call),
    });
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", &with_triggers()), ("src/index.ts", CODE)]);
    workspace
        .run(&["deploy"])
        .fails(1, "version 7 of shop production is live, but")
        .fails(1, "triggers.crons: crons: too many");
}

#[test]
fn a_preview_setting_alone_does_not_show_a_hidden_hostname() {
    let fake = Fake::start(cluster);
    let project = format!("preview_urls = true\n{PROJECT}");
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", &project), ("src/index.ts", CODE)]);
    workspace.run(&["deploy"]).ok();
    let subdomain = fake.call("POST /workers/services/shop/environments/production/subdomain");
    assert_eq!(subdomain.json(), json!({ "previews_enabled": true }));
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
    let upload = fake.last(PRODUCTION).part("metadata").unwrap();
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
    assert_eq!(fake.writes(), [format!("PUT {base}"), format!("PATCH {base}"), format!("PUT {base}")]);
    assert_eq!(fake.calls().iter().find(|call| call.method == "PUT").unwrap().query, "dry_run=true");
    assert_eq!(fake.call(&format!("PATCH {base}")).json(), json!({ "parent": "canary" }));
}

#[test]
fn a_parent_that_does_not_exist_stops_the_deploy() {
    let project = format!("{PROJECT}[env.preview.skerry]\nparent = \"canary\"\n");
    let files = [("wrangler.toml", project.as_str()), ("src/index.ts", CODE)];
    let refusals = [
        (10092, "environment shop/canary not found", "env.preview.skerry.parent: environment shop/canary not found"),
        (10090, "service shop not found", "shop has no environment canary yet; `skerry deploy --env canary` makes it"),
    ];
    for (code, text, shown) in refusals {
        let fake = Fake::start(move |call| match call.what().as_str() {
            "GET /workers/services/shop/environments/preview" => Some(Reply::Error(404, 10092, "not found")),
            "POST /workers/services/shop/environments" => Some(Reply::Error(404, code, text)),
            _ => cluster(call),
        });
        Workspace::talking_to(&fake.url, &files).run(&["deploy", "--env", "preview"]).fails(1, shown);
        let base = "/workers/services/shop/environments";
        assert_eq!(fake.writes(), [format!("PUT {base}/preview"), format!("POST {base}")]);
        assert_eq!(fake.last(&format!("PUT {base}/preview")).query, "dry_run=true");
    }
}

#[test]
fn a_version_can_be_uploaded_without_becoming_live() {
    let fake = Fake::start(|call| match call.what().as_str() {
        "GET /workers/services/shop/environments/production" => Some(Reply::Result(json!({ "name": "production" }))),
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
    let base = "/workers/services/shop/environments/production";
    let writes = [format!("PUT {base}"), "POST /storage/kv/namespaces".to_owned(), format!("POST {base}/versions")];
    assert_eq!(fake.writes(), writes);
    assert_eq!(fake.last(&writes[0]).query, "dry_run=true");

    let nothing = Fake::start(cluster);
    let upload = Workspace::talking_to(&nothing.url, &FILES);
    upload.run(&["versions", "upload"]).fails(1, "shop production does not exist yet; `skerry deploy` makes it");
    assert_eq!(nothing.writes(), Vec::<String>::new());
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
