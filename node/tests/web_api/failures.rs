//! What goes wrong in a worker, and what its author hears of it.

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::stage::{Stage, request};

const NOT_A_RESPONSE: &str = "TypeError: Incorrect type for Promise: the Promise did not resolve to 'Response'.";

#[tokio::test]
async fn an_exception_fails_the_request_with_the_workers_own_positions() {
    let stage = Stage::routes();
    let (message, stack) = stage.failure("throws").await;
    assert_eq!(message, "RangeError: thrown");
    assert!(stack.contains("index.js:") && !stack.contains("skerry:"), "{stack}");
    assert_eq!(stage.failure("rejects").await.0, "TypeError: rejected");
    assert!(stage.failure("throwsString").await.0.contains("just text"));
    assert_eq!(stage.text("text").await, "plain");
}

#[tokio::test]
async fn what_is_not_a_response_fails_in_workerds_words() {
    let stage = Stage::routes();
    for route in ["nothing", "asyncNothing", "wrong"] {
        assert_eq!(stage.failure(route).await.0, NOT_A_RESPONSE, "{route}");
    }
    assert!(stage.failure("errorResponse").await.0.starts_with("TypeError"));
    assert!(stage.failure("used").await.0.contains("already been used"));
}

#[tokio::test]
async fn a_body_that_fails_half_way_is_cut_off_and_reported() {
    let stage = Stage::routes();
    let response = stage.send(request("halfBody", &[], Bytes::new())).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    stage.reports("RangeError: half way").await;
}

#[tokio::test]
async fn wait_until_outlives_the_answer_and_its_failures_are_reported() {
    let stage = Stage::routes();
    assert_eq!(stage.text("waitUntil").await, "answered");
    stage.logs("background done").await;
    stage.reports("Error: background failed").await;
}

#[tokio::test]
async fn unhandled_rejections_and_timer_errors_are_reported() {
    let stage = Stage::routes();
    assert_eq!(stage.text("unhandled").await, "ok");
    stage.reports("RangeError: nobody cares").await;
    assert_eq!(stage.text("timerError").await, "ok");
    stage.reports("Error: in a timer").await;
}

#[tokio::test]
async fn a_listener_can_keep_a_rejection_out_of_the_log() {
    let stage = Stage::routes();
    assert_eq!(stage.text("prevented").await, "caught by listener");
    assert_eq!(stage.messages(), Vec::<String>::new());
}

#[tokio::test]
async fn the_console_reaches_the_log_with_levels_and_positions() {
    let stage = Stage::routes();
    assert_eq!(stage.text("logs").await, "ok");
    let records = stage.records();
    assert_eq!(records.len(), 5);
    assert_eq!(records[1].message, "i { a: 1 }");
    assert_eq!(records[2].message, "l x");
    assert!(records[4].message.starts_with("Error: e"));
    assert!(records[2].position.as_deref().is_some_and(|position| position.starts_with("index.js:")), "{records:?}");
}

#[tokio::test]
async fn the_callers_departure_aborts_the_requests_signal() {
    let stage = Stage::routes();
    {
        let call = stage.send(request("aborted", &[], Bytes::new()));
        tokio::pin!(call);
        // Polled until the handler waits, then dropped, as a server does when its client goes away.
        tokio::select! {
            _ = &mut call => panic!("the handler answered"),
            () = stage.logs("waiting") => {}
        }
    }
    stage.logs("caller gone: AbortError").await;
}
