//! `fetch` and its redirects.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Response;
use http_body_util::BodyExt;

use crate::{
    stage::{Stage, pieces, request, whole},
    support::read,
};

fn gzipped() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"zipped content").unwrap();
    encoder.finish().unwrap()
}

fn stage() -> Stage {
    Stage::with_origin(Some(Box::new(|head, body| {
        let see =
            |status: u16, location: &str| Response::builder().status(status).header("location", location.as_bytes());
        let response = match head.uri.path() {
            "/ok" => {
                let header = |name: &str| {
                    head.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
                };
                let text = format!("{} {} {}", head.method, String::from_utf8_lossy(&body), header("authorization"));
                Response::builder().header("x-origin", header("x-from")).body(whole(text.trim().to_owned()))
            }
            "/stream" => Response::builder().body(pieces(&["st", "ream"])),
            "/gzip" => Response::builder().header("content-encoding", "gzip").body(whole(gzipped())),
            "/302" => see(302, "/ok").body(whole("")),
            "/307" => see(307, "/ok").body(whole("")),
            "/far" => see(307, "http://other.example/ok").body(whole("")),
            "/utf8" => see(302, "/caf\u{e9}").body(whole("")),
            "/latin1" => Response::builder().status(302).header("location", &b"/caf\xe9"[..]).body(whole("")),
            "/caf%C3%A9" => Response::builder().body(whole("coffee")),
            "/empty" => Response::builder().body(whole("")),
            "/emptyStream" => Response::builder().body(pieces(&[])),
            "/emptyGzip" => Response::builder().header("content-encoding", "gzip").body(whole("")),
            "/204" => Response::builder().status(204).body(pieces(&["no", "body"])),
            "/304" => Response::builder().status(304).body(whole("")),
            "/loop" => see(302, "/loop").body(whole("")),
            "/file" => see(302, "file:///etc/passwd").body(whole("")),
            _ => return None,
        };
        Some(response.unwrap())
    })))
}

fn at(path: &str) -> String {
    format!("http://origin.example{path}")
}

#[tokio::test]
async fn a_response_of_another_server_is_read() {
    let stage = stage();
    let expected =
        r#"{"status":200,"url":"http://origin.example/ok","redirected":false,"header":"worker","text":"GET"}"#;
    assert_eq!(stage.text_for("fetch", &at("/ok")).await, expected);
    assert!(stage.text_for("fetch", &at("/stream")).await.contains(r#""text":"stream""#));
    assert_eq!(stage.text_for("fetchError", &at("/none")).await, "TypeError: connection refused");
}

#[tokio::test]
async fn compressed_responses_are_decoded_when_read_and_passed_on_as_they_are() {
    let stage = stage();
    assert!(stage.text_for("fetch", &at("/gzip")).await.contains(r#""text":"zipped content""#));
    for route in ["proxy", "reheader"] {
        let response = stage.send(request(route, &[("x-test", &at("/gzip"))], Bytes::new())).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip", "{route}");
        assert_eq!(response.headers().contains_key("x-added"), route == "reheader");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), gzipped(), "{route}");
    }
}

#[tokio::test]
async fn an_answer_has_a_body_though_there_be_nothing_in_it() {
    let stage = stage();
    for path in ["/empty", "/emptyStream", "/emptyGzip"] {
        assert_eq!(stage.text_for("content", &at(path)).await, r#"[200,true,""]"#, "{path}");
    }
    assert_eq!(stage.text_for("content", &at("/stream")).await, r#"[200,true,"stream"]"#);
    for route in ["proxy", "reheader"] {
        let response = stage.send(request(route, &[("x-test", &at("/emptyGzip"))], Bytes::new())).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip", "{route}");
        assert_eq!(read(response).await, "", "{route}: nothing is not compressed");
    }
}

#[tokio::test]
async fn an_answer_that_can_have_no_body_has_none() {
    let stage = stage();
    for status in [204, 304] {
        assert_eq!(stage.text_for("content", &at(&format!("/{status}"))).await, format!(r#"[{status},false,""]"#));
    }
    for path in ["/ok", "/stream", "/empty"] {
        let head = request("content", &[("x-test", &at(path)), ("x-method", "HEAD")], Bytes::new());
        assert_eq!(stage.text_of(head).await, r#"[200,false,""]"#, "{path}");
    }
}

#[tokio::test]
async fn a_get_with_a_body_is_passed_on_with_it() {
    let stage = stage();
    for route in ["proxy", "copied"] {
        let get = request(route, &[("x-test", &at("/ok"))], Bytes::from_static(b"payload"));
        assert_eq!(stage.text_of(get).await, "GET payload", "{route}");
    }
}

#[tokio::test]
async fn a_location_may_be_utf8() {
    let stage = stage();
    for path in ["/utf8", "/latin1"] {
        let followed =
            r#"{"status":200,"url":"http://origin.example/caf%C3%A9","redirected":true,"header":null,"text":"coffee"}"#;
        assert_eq!(stage.text_for("fetch", &at(path)).await, followed, "{path}");
    }
}

#[tokio::test]
async fn redirects_are_followed_with_the_standards_rules() {
    let stage = stage();
    let followed =
        r#"{"status":200,"url":"http://origin.example/ok","redirected":true,"header":"worker","text":"GET"}"#;
    assert_eq!(stage.text_for("fetch", &at("/302")).await, followed);
    assert_eq!(stage.text_for("post", &at("/302")).await, "GET  secret");
    assert_eq!(stage.text_for("post", &at("/307")).await, "POST payload secret");
    assert_eq!(stage.text_for("post", &at("/far")).await, "POST payload");
    assert_eq!(stage.text_for("manual", &at("/302")).await, r#"{"status":302,"location":"/ok"}"#);
    assert_eq!(stage.text_for("fetchError", &at("/loop")).await, "TypeError: Too many redirects.");
    let invalid = "TypeError: Invalid Location header; unable to follow redirect.";
    assert_eq!(stage.text_for("fetchError", &at("/file")).await, invalid);
}

#[tokio::test]
async fn a_passed_on_request_leaves_redirects_to_the_caller() {
    let stage = stage();
    let response = stage.send(request("proxy", &[("x-test", &at("/302"))], Bytes::new())).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], "/ok");
    assert_eq!(read(response).await, "");
}

#[tokio::test]
async fn a_request_body_can_be_a_stream() {
    let stage = stage();
    assert_eq!(stage.text_for("postStream", &at("/ok")).await, "POST payload");
    let again = request("postStream", &[("x-test", &at("/307"))], Bytes::new());
    assert!(stage.send(again).await.unwrap_err().to_string().contains("one-time-use body"));
}

#[tokio::test]
async fn a_long_request_body_arrives_whole_and_can_be_sent_again() {
    let stage = stage();
    assert_eq!(stage.text_for("postLong", &at("/ok")).await, "true");
    assert_eq!(stage.text_for("postLong", &at("/307")).await, "true");
}

#[tokio::test]
async fn a_signal_stops_a_fetch() {
    let stage = stage();
    assert_eq!(stage.text_for("fetchAbort", &at("/slow")).await, "AbortError true");
    assert_eq!(stage.text_for("fetchTimeout", &at("/slow")).await, "TimeoutError");
}
