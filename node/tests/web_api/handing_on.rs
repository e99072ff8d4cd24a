//! Handlers that return the promise of a `fetch`: the host hands the answer on by itself where nobody could tell.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::ext::ReasonPhrase;
use skerry_node::runtime::worker::{Body, WorkerError};

use crate::{
    stage::{Stage, pieces, request, whole},
    support::read,
};

/// Ways to return what a fetch promises; the last two need the isolate.
const WAYS: [&str; 5] = ["returned", "async", "variable", "awaited", "stored"];

const WORKER: &str = r#"
    let kept;
    const gate = Promise.withResolvers();
    const seen = [];
    const far = (request) => new Request("http://origin.example" + new URL(request.url).pathname, request);
    const ways = {
        returned: (request) => fetch(far(request)),
        async async(request) { return fetch(far(request)) },
        async variable(request) { const answer = fetch(far(request)); return answer },
        binding: (request, env) => env.SERVICE.fetch(request),
        async asyncBinding(request, env) { return env.SERVICE.fetch(request) },
        async awaitedBinding(request, env) { return await env.SERVICE.fetch(request) },
        awaited: async (request) => await fetch(far(request)),
        stored(request) { kept = fetch(far(request)); return kept },
        // Promises that somebody else sees, too.
        then(request) { const answer = fetch(far(request)); answer.then((it) => seen.push(it.status)); return answer },
        async later(request) { const answer = fetch(far(request)); queueMicrotask(async () => seen.push((await answer).status)); return answer },
        waitUntil(request, env, ctx) { const answer = fetch(far(request)); ctx.waitUntil(answer.then((it) => seen.push(it.status))); return answer },
        async outside(request) { kept = ways.async(request); return kept },
        async signal(request) { request.signal.addEventListener("abort", () => seen.push("abort")); return fetch(far(request)) },
        // What may still run in the name of the event, or of its context.
        linked(request, env) { gate.promise.then(async () => seen.push((await env.SERVICE.fetch("http://a/b")).status)); return env.SERVICE.fetch(request) },
        open() { gate.resolve(); return new Response("") },
        keepsContext(request, env, ctx) { kept = ctx; return env.SERVICE.fetch(request) },
        rejects(request, env) { Promise.reject(new Error("nobody catches it")); return env.SERVICE.fetch(request) },
        followed: (request) => fetch("http://origin.example" + new URL(request.url).pathname),
        seen: async () => { const status = (await kept)?.status; return Response.json(status === undefined ? seen : [...seen, status]) },
    };
    export default { fetch(request, env, ctx) { return ways[request.headers.get("x-test")](request, env, ctx) } };
"#;

fn stage() -> Stage {
    Stage::of_with_origin(
        WORKER,
        Box::new(|head, body| {
            let response = match head.uri.path() {
                "/whole" => Response::builder()
                    .status(202)
                    .header("set-cookie", "a=1")
                    .header("set-cookie", "b=2")
                    .body(whole(body)),
                "/reason" => {
                    Response::builder().extension(ReasonPhrase::from_static(b"Fine")).body(pieces(&["st", "ream"]))
                }
                "/nothing" => Response::builder().header("content-encoding", "gzip").body(whole("")),
                "/gzip" => Response::builder().header("content-encoding", "gzip").body(whole("not even gzip")),
                "/302" => Response::builder().status(302).header("location", "/whole").body(whole("")),
                _ => return None,
            };
            Some(response.unwrap())
        }),
    )
}

async fn ask(stage: &Stage, way: &str, path: &str) -> Response<Body> {
    stage.send(request(path, &[("x-test", way)], Bytes::new())).await.unwrap()
}

async fn seen(stage: &Stage) -> String {
    read(ask(stage, "seen", "").await).await
}

#[tokio::test]
async fn what_is_handed_on_is_what_the_isolate_would_have_sent() {
    let stage = stage();
    for way in WAYS {
        let response = ask(&stage, way, "whole").await;
        assert_eq!(response.status(), 202, "{way}");
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"], "{way}");
        let response = ask(&stage, way, "reason").await;
        assert_eq!(response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine", "{way}");
        assert_eq!(read(response).await, "stream", "{way}");
        let response = ask(&stage, way, "gzip").await;
        assert_eq!(response.headers()["content-encoding"], "gzip", "{way}");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "not even gzip", "{way}");
        let response = ask(&stage, way, "nothing").await;
        assert_eq!(response.headers()["content-encoding"], "gzip", "{way}");
        assert_eq!(read(response).await, "", "{way}");
        let response = ask(&stage, way, "302").await;
        assert_eq!(response.status(), StatusCode::FOUND, "{way}: a passed on request leaves redirects to its caller");
    }
    let response = ask(&stage, "binding", "path").await;
    assert_eq!(
        (response.status(), &response.headers()["x-service"]),
        (StatusCode::from_u16(203).unwrap(), &"yes".parse().unwrap())
    );
    assert_eq!(read(response).await, "SERVICE GET http://test.workers.localhost/path ");
    assert_eq!(ask(&stage, "followed", "302").await.status(), 202, "a request of the worker's own follows redirects");
}

#[tokio::test]
async fn its_failure_is_the_events() {
    let stage = stage();
    for way in WAYS {
        match stage.send(request("none", &[("x-test", way)], Bytes::new())).await {
            Err(WorkerError::Exception { message, .. }) => {
                assert_eq!(message, "TypeError: connection refused", "{way}")
            }
            other => panic!("{way}: {:?}", other.map(|response| response.status())),
        }
    }
}

#[tokio::test]
async fn whoever_else_sees_the_promise_gets_the_response() {
    for way in ["then", "later", "waitUntil", "outside", "stored"] {
        let stage = stage();
        assert_eq!(ask(&stage, way, "whole").await.status(), 202, "{way}");
        assert_eq!(seen(&stage).await, "[202]", "{way}");
    }
}

#[tokio::test]
async fn code_that_still_runs_for_the_event_finds_it_open() {
    let stage = stage();
    let slow = ask(&stage, "linked", "slow");
    tokio::pin!(slow);
    tokio::select! {
        _ = &mut slow => panic!("nobody answers"),
        () = stage.slow_began(1) => {}
    }
    let _opened = ask(&stage, "open", "").await;
    // The next event comes after what the gate let through has been answered.
    while seen(&stage).await != "[203]" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_handed_on_ends_with_its_caller_and_nothing_else_does() {
    let stage = stage();
    let ways = [
        ("returned", true),
        ("binding", true),
        ("asyncBinding", true),
        ("awaitedBinding", false),
        ("keepsContext", false),
        ("rejects", false),
        ("linked", false),
        ("signal", true),
    ];
    for (at, (way, ends)) in ways.into_iter().enumerate() {
        let given_up = stage.slow_are_given_up();
        tokio::select! {
            _ = ask(&stage, way, "slow") => panic!("nobody answers"),
            () = stage.slow_began(at + 1) => {}
        }
        if ends {
            stage.slow_given_up(given_up + 1).await;
        } else {
            // The isolate has not asked for the signal: it goes on, as `waitUntil` may. Its next event comes after it was told.
            assert_eq!(seen(&stage).await, "[]");
            assert_eq!(stage.slow_are_given_up(), given_up, "{way}");
        }
    }
    assert_eq!(seen(&stage).await, r#"["abort"]"#);
}
