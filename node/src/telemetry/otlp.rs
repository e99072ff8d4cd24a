//! Sends spans to a collector: OTLP over HTTP, protobuf.
//!
//! **Owns** batches, retries, and the count of what did not arrive. **Must not know** what spans mean. **Enter at**
//! [`Exporter`] and [`run`].
//!
//! Nobody waits for the collector: spans come through a bounded queue, and while a batch is on its way the queue fills and then
//! drops. A stop sends what is left, once.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};
use prost::Message;
use skerry_control::trace::{Finished, Tracer};
use skerry_proto::otlp::{
    AnyValue, ExportTraceServiceRequest, ExportTraceServiceResponse, InstrumentationScope, KeyValue, Resource,
    ResourceSpans, ScopeSpans, Span, any_value::Value,
};
use tokio_util::sync::CancellationToken;

use super::chain;
use crate::config::Otlp;

/// BOUND: spans of one request; some hundred KiB.
const BATCH_MAX: usize = 512;
/// How long spans wait for more of them.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// BOUND: how long the collector may take for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// BOUND: how long a stop waits for the last spans; tasks have 5 s in all.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it waits before each further try, where the collector says that one may help.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// BOUND: bytes of the collector's answer that are looked at.
const ANSWER_BYTES_MAX: usize = 64 << 10;

type Connector = HttpsConnector<HttpConnector>;

/// Spans on their way to a collector.
pub struct Exporter {
    client: Client<Connector, Full<Bytes>>,
    collector: Otlp,
    resource: Resource,
    finished: Finished,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
}

/// What became of spans, for Prometheus.
#[derive(Debug)]
pub struct SpanFigures {
    tracer: Tracer,
    counts: Arc<Counts>,
}

/// What came of one request.
enum Sent {
    /// The collector took all but this many.
    Taken { rejected: u64 },
    /// It may take them later.
    NotNow(String),
    /// It will not take them.
    Never(String),
}

/// Sends until told to stop, and then what is left; nothing without an exporter.
pub async fn run(exporter: Option<Exporter>, stopping: CancellationToken) {
    if let Some(exporter) = exporter {
        exporter.run(stopping).await;
    }
}

impl Exporter {
    /// What makes spans, what sends them, and what counts them. Without a collector nothing is made.
    #[must_use]
    pub fn build(collector: Option<Otlp>, node: &str) -> (Tracer, Option<Self>, SpanFigures) {
        let counts = Arc::new(Counts::default());
        let Some(collector) = collector else {
            return (Tracer::default(), None, SpanFigures { tracer: Tracer::default(), counts });
        };
        let (tracer, finished) = Tracer::new(collector.sample_ratio);
        let provider = rustls::crypto::ring::default_provider();
        let tls = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
        let connector = tls.expect("ring offers the default protocol versions").https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let figures = SpanFigures { tracer: tracer.clone(), counts: Arc::clone(&counts) };
        (tracer, Some(Self { client, collector, resource: resource(node), finished, counts }), figures)
    }

    async fn run(mut self, stopping: CancellationToken) {
        let mut spans = Vec::with_capacity(BATCH_MAX);
        loop {
            let gathered = async {
                self.finished.recv_many(&mut spans, BATCH_MAX).await;
                let more = async {
                    while spans.len() < BATCH_MAX {
                        let room = BATCH_MAX - spans.len();
                        if self.finished.recv_many(&mut spans, room).await == 0 {
                            break;
                        }
                    }
                };
                // Too few in time are a batch too.
                let _ = tokio::time::timeout(BATCH_WAIT, more).await;
            };
            tokio::select! {
                () = gathered => {}
                () = stopping.cancelled() => break,
            }
            if spans.is_empty() {
                break;
            }
            tokio::select! {
                () = self.deliver(&mut spans) => {}
                () = stopping.cancelled() => break,
            }
        }
        // What takes longer is lost: the node ends.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, self.flush(spans)).await;
    }

    /// Sends a batch, or counts it as failed; empty afterwards.
    async fn deliver(&self, spans: &mut Vec<Span>) {
        let body = self.body(spans.clone());
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.post(body.clone()).await {
                Sent::NotNow(reason) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => break self.lose(spans.len() as u64, &reason),
                },
                sent => break self.count(spans.len() as u64, sent),
            }
        }
        spans.clear();
    }

    async fn flush(&mut self, mut spans: Vec<Span>) {
        self.finished.close();
        while let Ok(span) = self.finished.try_recv() {
            spans.push(span);
        }
        for batch in spans.chunks(BATCH_MAX) {
            let sent = self.post(self.body(batch.to_vec())).await;
            self.count(batch.len() as u64, sent);
        }
    }

    fn count(&self, spans: u64, sent: Sent) {
        match sent {
            Sent::Taken { rejected } => {
                self.counts.sent.fetch_add(spans.saturating_sub(rejected), Ordering::Relaxed);
                self.counts.failed.fetch_add(rejected, Ordering::Relaxed);
            }
            Sent::NotNow(reason) | Sent::Never(reason) => self.lose(spans, &reason),
        }
    }

    fn lose(&self, spans: u64, reason: &str) {
        tracing::warn!(spans, reason, collector = %self.collector.url, "the collector does not take spans");
        self.counts.failed.fetch_add(spans, Ordering::Relaxed);
    }

    fn body(&self, spans: Vec<Span>) -> Bytes {
        let (name, version) = (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let scope = Some(InstrumentationScope { name, version });
        let (resource, schema_url) = (Some(self.resource.clone()), String::new());
        let of_node = ResourceSpans { resource, scope_spans: vec![ScopeSpans { scope, spans }], schema_url };
        ExportTraceServiceRequest { resource_spans: vec![of_node] }.encode_to_vec().into()
    }

    async fn post(&self, body: Bytes) -> Sent {
        let mut request = Request::post(self.collector.url.clone()).body(Full::new(body)).expect("a URL and a body");
        let headers = request.headers_mut();
        headers.extend(self.collector.headers.iter().cloned());
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/x-protobuf"));
        let asking = async {
            let response = self.client.request(request).await.map_err(|error| chain(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok::<_, String>((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
        };
        match tokio::time::timeout(TIMEOUT, asking).await {
            Ok(Ok((status, body))) => judged(status, &body),
            Ok(Err(reason)) => Sent::NotNow(reason),
            Err(_) => Sent::NotNow(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }
}

/// What an answer means, by the OTLP specification's sections on HTTP.
fn judged(status: StatusCode, body: &[u8]) -> Sent {
    match status {
        _ if status.is_success() => {
            let partial = ExportTraceServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
            let rejected = partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok());
            Sent::Taken { rejected: rejected.unwrap_or(0) }
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Sent::NotNow(status.to_string()),
        _ => Sent::Never(status.to_string()),
    }
}

/// Who speaks, in OpenTelemetry's names.
fn resource(node: &str) -> Resource {
    let text = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
    };
    let version = env!("CARGO_PKG_VERSION");
    let attributes = vec![
        text("service.name", "skerry"),
        text("service.version", version),
        text("service.instance.id", node),
        text("skerry.node", node),
    ];
    Resource { attributes }
}

impl Collector for SpanFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Spans that the collector took";
        let sent = ConstCounter::new(self.counts.sent.load(Ordering::Relaxed));
        sent.encode(encoder.encode_descriptor("trace_spans_sent", help, None, sent.metric_type())?)?;
        let help = "Spans that were left out: the queue was full, or the collector did not take them";
        let counter = ConstCounter::<u64>::new(0);
        let mut family = encoder.encode_descriptor("trace_spans_dropped", help, None, counter.metric_type())?;
        let failed = self.counts.failed.load(Ordering::Relaxed);
        for (reason, count) in [("queue_full", self.tracer.dropped()), ("not_taken", failed)] {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_help_is_tried_again() {
        let partial = [0x0a, 0x02, 0x08, 0x03];
        assert!(matches!(judged(StatusCode::OK, &partial), Sent::Taken { rejected: 3 }));
        assert!(matches!(judged(StatusCode::OK, b""), Sent::Taken { rejected: 0 }));
        assert!(matches!(judged(StatusCode::SERVICE_UNAVAILABLE, b""), Sent::NotNow(_)));
        assert!(matches!(judged(StatusCode::BAD_REQUEST, b""), Sent::Never(_)));
    }
}
