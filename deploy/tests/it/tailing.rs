//! Logs as they happen.

use std::io::{BufRead as _, BufReader};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::fake::{Fake, Reply};
use crate::run::{Workspace, end, follow, send, until};

/// A node whose tails have this id. Where it says that they are is nowhere: the command line knows better.
fn node(id: &'static str, then: Reply) -> Fake {
    let opened = AtomicU32::new(0);
    Fake::start(move |call| match (call.method.as_str(), call.path.ends_with("/tails")) {
        ("POST", true) if opened.fetch_add(1, Ordering::SeqCst) == 0 => {
            Some(Reply::Result(json!({ "id": id, "url": "ws://127.0.0.1:1/elsewhere" })))
        }
        ("POST", true) => Some(then.clone()),
        _ => None,
    })
}

fn shop(fake: &Fake) -> Workspace {
    Workspace::talking_to(&fake.url, &[("wrangler.toml", "name = \"shop\"")])
}

fn first_lines(args: &[&str], count: usize) -> (Vec<String>, Fake) {
    let fake = node("one", Reply::Silence);
    let shop = shop(&fake);
    let mut child = shop.command(args).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.take(count).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    (found, fake)
}

#[test]
fn tail_prints_events_while_they_happen() {
    let (lines, fake) = first_lines(&["tail", "--status", "error", "--search", "hello"], 2);
    assert!(lines[0].ends_with("GET http://shop.workers.localhost/ 200 - ok"), "{lines:?}");
    assert!(lines[1].ends_with("[log] hello 1"), "{lines:?}");
    let sent = fake.call("POST /workers/services/shop/environments/production/tails").json();
    assert_eq!(sent["filters"][1], json!({ "query": "hello" }));
    assert_eq!(sent["filters"][0]["outcome"][0], "exception");
}

#[test]
fn tail_of_errors_asks_for_every_word_that_a_node_has_for_them() {
    let door = concat!(env!("CARGO_MANIFEST_DIR"), "/../node/src/dispatch/door.rs");
    let door = std::fs::read_to_string(door).unwrap();
    let words = door.split_once("fn outcome_word").expect("the node's words are there").1;
    let words = words.split_once("\n}").expect("the function ends").0;
    let words: Vec<&str> = words.split('"').skip(1).step_by(2).collect();
    assert!(words.contains(&"exception") && words.contains(&"exceededWallTime"), "{words:?}");
    let (_, fake) = first_lines(&["tail", "--status", "error"], 1);
    let sent = fake.call("POST /workers/services/shop/environments/production/tails").json();
    let asked = sent["filters"][0]["outcome"].as_array().unwrap();
    for word in words {
        assert!(asked.contains(&json!(word)), "{word} is not among {asked:?}");
    }
}

#[test]
fn tail_prints_json_lines_for_programs() {
    let (lines, _) = first_lines(&["tail", "--json"], 1);
    let event: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(event["outcome"], "ok");
}

#[test]
fn a_tails_socket_is_opened_at_the_node_and_without_the_token() {
    let (_, fake) = first_lines(&["tail"], 1);
    let socket = fake.call("GET /tails/one");
    assert_eq!(socket.header("authorization"), None);
    assert_eq!(socket.header("sec-websocket-protocol"), Some("trace-v1"));
}

#[test]
fn tail_ends_when_nobody_reads_any_more() {
    let fake = node("many", Reply::Silence);
    let shop = shop(&fake);
    let mut child = shop.command(&["tail"]).spawn().unwrap();
    drop(child.stdout.take());
    assert!(end(&mut child).success());
}

#[test]
fn ctrl_c_ends_a_tail_whose_node_is_away() {
    for signal in ["-INT", "-TERM"] {
        let fake = node("gone", Reply::Silence);
        let shop = shop(&fake);
        let mut child = shop.command(&["tail"]).spawn().unwrap();
        let notes = follow(child.stderr.take().unwrap());
        until(&notes, |line| line.contains("The connection broke"));
        send(&child, signal);
        assert!(end(&mut child).success());
    }
}

#[test]
fn a_tail_that_is_refused_is_not_tried_for_ever() {
    let fake = node("gone", Reply::Error(401, 10000, "Authentication error"));
    shop(&fake).run(&["tail"]).fails(1, "Authentication error [code 10000]");
}
