//! Traces, as a collector sees them.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing};
use prost::Message;
use reqwest::Method;
use serde_json::json;
use skerry_node::config::Settings;
use skerry_proto::otlp::{
    ExportTraceServiceRequest, KeyValue, Span, any_value::Value as Any, span::SpanKind, status::StatusCode,
};

use crate::harness::{Node, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const OWN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const FRONT: &str = r#"export default { async fetch(request, env) {
    const echo = request.headers.get("x-echo");
    const ask = async (headers) => (await fetch(echo, { headers })).text();
    return Response.json({
        seen: request.headers.get("traceparent"),
        back: await (await env.BACK.fetch(request)).text(),
        fetched: await ask({}),
        own: await ask({ traceparent: request.headers.get("x-own") }),
    });
} };"#;
const BACK: &str = r#"export default { async fetch(request, env) {
    return new Response(`${request.headers.get("traceparent")} ${await env.KV.get("key")}`);
} };"#;

/// A collector on a port of its own, and a server that echoes `traceparent`.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.clone());
    match found.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-api-key"], "0123");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_node in request.resource_spans {
        let node = text(&of_node.resource.unwrap().attributes, "skerry.node");
        let spans = of_node.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.0.lock().unwrap().extend(spans.map(|span| (node.clone(), span)));
    }
}

async fn echo(headers: HeaderMap) -> String {
    headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let router = Router::new().route("/v1/traces", routing::post(take)).route("/echo", routing::get(echo));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = axum::serve(listener, router.with_state(collector.clone())).into_future();
        let _ends_with_the_test = skerry_node::task::spawn("collector", serving);
        (collector, url)
    }

    /// The span of a name on a node under a parent, once it has come.
    async fn span(&self, node: &str, name: &str, parent: &[u8]) -> Span {
        let what = format!("{name} of {node} under {}", hex::encode(parent));
        until(&what, async || {
            let spans = self.0.lock().unwrap();
            let found =
                spans.iter().find(|(at, span)| at == node && span.name == name && span.parent_span_id == parent);
            found.map(|(_, span)| span.clone())
        })
        .await
    }
}

fn traced(url: &str) -> Settings {
    Settings {
        mesh: Some("127.0.0.1:0".into()),
        otlp_endpoint: Some(url.to_owned()),
        otlp_headers: Some(vec!["x-api-key=0123".into()]),
        otlp_sample_ratio: Some(0.0),
        egress_allow: Some(vec!["127.0.0.0/8".into()]),
        ..Settings::default()
    }
}

async fn two_nodes(url: &str) -> (Node, Node) {
    let first = Node::start_with(Settings { node_name: Some("first".into()), ..traced(url) }).await;
    let second = first.joined_with("second", "edge", traced(url)).await;
    let namespace = first.namespace("things").await;
    let kv = json!([{ "type": "kv_namespace", "name": "KV", "namespace_id": namespace }]);
    first.deploy("back", "production", BACK, kv).await;
    let binding = json!([{ "type": "service", "name": "BACK", "service": "back" }]);
    first.deploy("front", "production", FRONT, binding).await;
    until("the second node serves", async || {
        let answer = second.get("front.workers.test", "/").header("x-echo", format!("{url}/echo"));
        (answer.send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_trace_through_a_binding_the_internet_and_another_node() {
    let (collector, url) = Collector::start().await;
    let (first, second) = two_nodes(&url).await;
    let request = second.get("front.workers.test", "/path?secret").header("x-echo", format!("{url}/echo"));
    let request = request.header("x-own", OWN).header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    let seen: serde_json::Value = request.header("tracestate", "a=1").send().await.unwrap().json().await.unwrap();
    second.stop().await;

    let name = |span: &Span| format!("00-{}-{}-01", hex::encode(&span.trace_id), hex::encode(&span.span_id));
    let server = collector.span("second", "GET", &hex::decode(CALLER).unwrap()).await;
    assert_eq!((server.kind(), server.trace_state.as_str()), (SpanKind::Server, "a=1"));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/path"),
        ("http.response.status_code", "200"),
        ("skerry.service", "front"),
        ("skerry.environment", "production"),
    ] {
        assert_eq!(text(&server.attributes, key), value, "{key}");
    }
    assert!(!text(&server.attributes, "skerry.version").is_empty());
    assert_eq!(seen["seen"], name(&server), "a worker sees its own span");
    let spans = collector.0.lock().unwrap().clone();
    let trace_id = &server.trace_id;
    let below = |kind| spans.iter().filter(move |(_, span)| span.kind() == kind && span.trace_id == *trace_id);
    let (_, back) = below(SpanKind::Internal).next().expect("the binding's span");
    assert_eq!((&back.parent_span_id, text(&back.attributes, "skerry.service").as_str()), (&server.span_id, "back"));
    assert_eq!(text(&back.attributes, "skerry.binding"), "BACK");
    assert_eq!(seen["back"], format!("{} null", name(back)));
    let asking = collector.span("second", "kv get", &back.span_id).await;
    let home = collector.span("first", "kv get", &asking.span_id).await;
    assert_eq!((asking.kind(), home.kind()), (SpanKind::Client, SpanKind::Server));
    assert_eq!(hex::encode(&home.trace_id), TRACE);
    let fetched = below(SpanKind::Client).find(|(_, span)| seen["fetched"] == name(span)).map(|(_, span)| span);
    assert_eq!(fetched.expect("the fetch's span").parent_span_id, server.span_id);
    assert_eq!(seen["own"], OWN, "a worker's own word goes out as it is");
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_carried_to_the_leader_is_one_trace() {
    let (collector, url) = Collector::start().await;
    let (first, second) = two_nodes(&url).await;
    let path = "/accounts/ACCOUNT/storage/kv/namespaces";
    let request = second.api(Method::POST, path).header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    assert!(request.json(&json!({ "title": "more" })).send().await.unwrap().status().is_success());
    let name = "POST /client/v4/accounts/{account}/storage/kv/namespaces";
    let asked = collector.span("second", name, &hex::decode(CALLER).unwrap()).await;
    let carried = collector.span("second", "api carry", &asked.span_id).await;
    let answered = collector.span("first", name, &carried.span_id).await;
    assert_eq!(hex::encode(&answered.trace_id), TRACE);
    assert_ne!(answered.status.unwrap_or_default().code(), StatusCode::Error);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_traces_that_somebody_keeps_are_sent() {
    let (collector, url) = Collector::start().await;
    let (first, second) = two_nodes(&url).await;
    for parent in ["00-nonsense", &format!("00-{}-{CALLER}-00", "ab".repeat(16))] {
        let request = second.get("front.workers.test", "/").header("x-echo", format!("{url}/echo"));
        assert_eq!(request.header("traceparent", parent).send().await.unwrap().status(), 200);
    }
    let metrics = format!("http://{}/metrics", second.addresses.metrics.unwrap());
    let metrics = second.client.get(metrics).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("skerry_trace_spans_dropped_total{reason=\"queue_full\"} 0"), "{metrics}");
    second.stop().await;
    first.stop().await;
    assert!(collector.0.lock().unwrap().is_empty(), "the ratio is 0, and nobody else asked");
}
