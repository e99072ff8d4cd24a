//! Exit codes, refusals, and what happens when answers do not come.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::fake::{Fake, Reply};
use crate::run::Workspace;

#[test]
fn a_write_without_an_answer_is_unknown_and_a_read_without_one_has_failed() {
    let fake = Fake::start(|call| match call.what().as_str() {
        "GET /accounts" | "GET /cluster" => None,
        _ => Some(Reply::Silence),
    });
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace
        .run(&["kv", "namespace", "create", "x", "--timeout", "0.3"])
        .fails(3, "the outcome of POST /accounts/")
        .fails(3, "no answer within 0.3 s");
    workspace.run(&["kv", "namespace", "list", "--timeout", "0.3"]).fails(1, "was cut off");
}

#[test]
fn an_outcome_that_the_node_does_not_know_is_unknown_here_too() {
    let fake =
        Fake::start(|call| (call.method == "POST").then_some(Reply::Error(504, 10998, "the leader did not answer")));
    Workspace::talking_to(&fake.url, &[])
        .run(&["kv", "namespace", "create", "x"])
        .fails(3, "the leader did not answer");
}

#[test]
fn a_node_that_could_not_begin_is_asked_again_with_the_same_key() {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    let fake = Fake::start(|call| {
        (call.method == "POST").then(|| match TRIES.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Reply::Error(503, 10997, "no leader"),
            _ => Reply::Result(json!({ "id": "i", "title": "x" })),
        })
    });
    Workspace::talking_to(&fake.url, &[]).run(&["kv", "namespace", "create", "x"]).ok();
    let keys: Vec<_> =
        fake.calls().iter().filter_map(|call| call.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn a_refusal_shows_the_reason_its_code_and_what_to_do() {
    let fake = Fake::start(|_| Some(Reply::Error(401, 10000, "Authentication error")));
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["service", "list"]).fails(1, "Authentication error [code 10000]; give a token with --token");
    let stale = Fake::start(|call| match call.method.as_str() {
        "GET" if call.path.contains("environments") => Some(Reply::Tagged(json!({ "name": "production" }), "\"3\"")),
        "POST" => Some(Reply::Error(412, 10412, "the environment changed")),
        _ => None,
    });
    let workspace = Workspace::talking_to(&stale.url, &[]);
    workspace.run(&["rollback", "3", "--service", "a", "--yes"]).fails(1, "somebody else changed it meanwhile");
    let rollback = stale.call("POST /workers/services/a/environments/production/rollback");
    assert_eq!(rollback.header("if-match"), Some("\"3\""));
}

#[test]
fn something_that_is_not_the_api_is_told_apart() {
    let fake = Fake::start(|_| Some(Reply::Raw(200, "<html>a router's login page</html>")));
    Workspace::talking_to(&fake.url, &[]).run(&["service", "list"]).fails(1, "not Skerry's API (200): <html>");
    // Nothing listens on port 1, so the connection is refused at once.
    Workspace::talking_to("http://127.0.0.1:1", &[])
        .run(&["service", "list"])
        .fails(1, "is skerry-node running there?");
}

/// A proxy between the command line and the node may have passed a write on before it answers with a page of its own.
#[test]
fn a_proxys_page_leaves_a_write_unknown_unless_it_turned_the_request_away() {
    for (status, code) in [(502, 3), (504, 3), (200, 3), (408, 3), (413, 1), (404, 1)] {
        let fake = Fake::start(move |call| (call.method == "POST").then_some(Reply::Raw(status, "<html>proxy</html>")));
        let outcome = Workspace::talking_to(&fake.url, &[]).run(&["kv", "namespace", "create", "x"]);
        outcome.fails(code, "not Skerry's API").fails(code, "<html>proxy");
    }
}

#[test]
fn a_token_is_never_sent_in_clear_to_another_machine() {
    let workspace = Workspace::new(&[]);
    // Nothing is sent, so that nobody answers at this address does not matter.
    for api in ["http://192.0.2.1:8700", "http://cluster.example", "http://[2001:db8::1]:8700"] {
        workspace.run(&["service", "list", "--api", api, "--token", "t"]).fails(2, "in clear to another machine");
    }
    for api in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://node.localhost:1"] {
        workspace.run(&["service", "list", "--api", api, "--token", "t"]).fails(1, "is skerry-node running there?");
    }
}

#[test]
fn the_project_files_account_is_taken_if_the_token_sees_it() {
    let (first, second) = ("1".repeat(32), "2".repeat(32));
    let accounts = json!([{ "id": first }, { "id": second }]);
    let fake = Fake::start(move |call| match call.path.as_str() {
        "/accounts" => Some(Reply::Result(accounts.clone())),
        _ => Some(Reply::Result(json!({ "id": "i", "title": "x" }))),
    });
    for (named, taken) in [(&second, &second), (&"3".repeat(32), &first)] {
        let project = format!("name = \"a\"\naccount_id = \"{named}\"\n");
        Workspace::talking_to(&fake.url, &[("wrangler.toml", &project)]).run(&["kv", "namespace", "create", "x"]).ok();
        assert_eq!(fake.calls().last().unwrap().path, format!("/accounts/{taken}/storage/kv/namespaces"));
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let fake = Fake::start(|_| None);
    let workspace = Workspace::talking_to(&fake.url, &[]);
    workspace.run(&["frobnicate"]).fails(2, "unrecognized subcommand");
    workspace.run(&["deploy"]).fails(2, "no wrangler.toml or wrangler.jsonc here");
    workspace.run(&["env", "list"]).fails(2, "no service: give --service NAME");
    workspace.run(&["env", "list", "--service", "Shop"]).fails(2, "--service: service name \"Shop\" is invalid");
    workspace.run(&["service", "list", "--api", "ftp://x"]).fails(2, "must be http://HOST:PORT");
    workspace.run(&["service", "list", "--token-file", "absent"]).fails(2, "token file absent");
    workspace.run(&["service", "list", "--ca", "absent.pem"]).fails(2, "--ca absent.pem");
    workspace.run(&["kv", "key", "get", "k"]).fails(2, "--namespace-id");
}

#[test]
fn what_destroys_asks_first_and_where_nobody_can_be_asked_it_needs_yes() {
    let fake = Fake::start(|call| match (call.method.as_str(), call.path.contains("/environments")) {
        ("GET", true) => Some(Reply::Tagged(json!({ "name": "staging", "version_count": 3 }), "\"9\"")),
        ("GET", false) if call.path.contains("/services/") => {
            Some(Reply::Tagged(json!({ "id": "a", "environments": [{ "environment": "production" }] }), "\"9\""))
        }
        _ => None,
    });
    let workspace = Workspace::talking_to(&fake.url, &[("wrangler.toml", "name = \"a\"")]);
    for command in [["delete", "--json"], ["rollback", "3"], ["delete", "--env=staging"]] {
        workspace.run(&command).fails(2, "There is nobody to ask: give --yes");
    }
    workspace.run(&["secret", "delete", "X"]).fails(2, "give --yes");
    assert_eq!(fake.writes(), Vec::<String>::new());
    workspace.run(&["delete", "--yes"]).ok();
    assert_eq!(fake.call("DELETE /workers/services/a").header("if-match"), Some("\"9\""));
    workspace.run(&["-y", "delete", "-e", "staging"]).ok();
    assert_eq!(fake.writes()[1], "DELETE /workers/services/a/environments/staging");
}

#[test]
fn settings_come_from_flags_then_the_environment_then_the_users_file() {
    let fake = Fake::start(|_| None);
    let mut workspace = Workspace::new(&[("token", "from-file\n")]);
    let settings = format!("api = \"{}\"\ntoken = \"from-settings\"\n", fake.url);
    workspace.write(".config/skerry/config.toml", &settings);
    workspace.run(&["status"]).ok();
    workspace.set("SKERRY_TOKEN", "from-variable");
    workspace.run(&["status"]).ok();
    workspace.run(&["status", "--token-file", "token"]).ok();
    workspace.run(&["--token", "from-flag", "status"]).ok();
    let mut tokens: Vec<_> = fake.calls().iter().map(|call| call.header("authorization").unwrap().to_owned()).collect();
    tokens.dedup();
    assert_eq!(tokens, ["Bearer from-settings", "Bearer from-variable", "Bearer from-file", "Bearer from-flag"]);
    workspace.write(".config/skerry/config.toml", "apii = 1\ntoken = hunter2");
    let wrong = workspace.run(&["status"]).fails(2, "config.toml: line 2");
    assert!(!wrong.stderr.contains("hunter2"), "{}", wrong.stderr);
    workspace.write(".config/skerry/config.toml", "apii = 1");
    workspace.run(&["status"]).fails(2, "line 1: apii: unknown key; did you mean \"api\"?");
}

#[test]
fn a_change_asks_before_it_ends_a_gradual_rollout() {
    let fake = Fake::start(|call| {
        (call.method == "PATCH").then(|| match call.query.as_str() {
            "force=true" => Reply::Result(json!([])),
            _ => Reply::Error(409, 10064, "two versions are live"),
        })
    });
    let workspace = Workspace::talking_to(&fake.url, &[]);
    let set = ["var", "set", "A=1", "--service", "a", "--env", "production"];
    workspace.run(&set).fails(2, "End the gradual rollout?");
    assert_eq!(fake.calls().iter().filter(|call| call.query == "force=true").count(), 0);
    workspace.run(&[&set[..], &["--yes"]].concat()).ok();
    assert_eq!(fake.calls().iter().filter(|call| call.query == "force=true").count(), 1);
}
