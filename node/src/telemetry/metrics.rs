//! What is counted, and its text for Prometheus.
//!
//! **Owns** the names of metrics. **Must not know** who counts. **Enter at** [`Metrics`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::Latency;

/// What came of a request, as far as operators tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeClass {
    /// The worker answered.
    Answered,
    /// The worker threw, was cut off, or can not run.
    Failed,
    /// Refused because too much is going on.
    Overloaded,
    /// No worker answers there.
    Unknown,
    /// The request itself was refused: too large, too slow, malformed.
    Refused,
}

impl OutcomeClass {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Answered, "answered"),
        (Self::Failed, "failed"),
        (Self::Overloaded, "overloaded"),
        (Self::Unknown, "unknown_host"),
        (Self::Refused, "refused"),
    ];
}

/// The node's counters. Each is one atomic addition.
#[derive(Debug)]
pub struct Metrics {
    outcomes: Arc<[AtomicU64; OutcomeClass::ALL.len()]>,
    latency: Arc<Latency>,
    /// Connections of end users that are open.
    pub connections: Gauge,
    /// TLS handshakes that failed.
    pub tls_failures: Counter,
    /// Lines that workers logged.
    pub worker_lines: Counter,
    /// Outgoing requests of workers to the Internet.
    pub egress_requests: Counter,
    /// Scheduled events that did not run when they were due.
    pub skipped_triggers: Counter,
    registry: Registry,
}

/// What another part counts by itself, read when metrics are asked for.
pub trait Process: Send + Sync + std::fmt::Debug + 'static {
    /// Names (without prefix), what they mean, and their values now.
    fn gauges(&self) -> Vec<(&'static str, &'static str, i64)>;
}

impl Metrics {
    /// Counters at 0. `parts` and `families` are read when the text is made.
    #[must_use]
    pub fn new(parts: Vec<Box<dyn Process>>, families: Vec<Box<dyn Collector>>) -> Self {
        let mut registry = Registry::with_prefix("skerry");
        let outcomes = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        let latency = Arc::new(Latency::default());
        let (connections, tls_failures) = (Gauge::default(), Counter::default());
        let (worker_lines, egress_requests) = (Counter::default(), Counter::default());
        let skipped_triggers = Counter::default();
        registry.register("connections", "Open connections of end users", connections.clone());
        registry.register("tls_handshake_failures", "TLS handshakes that failed", tls_failures.clone());
        registry.register("worker_log_lines", "Lines that workers logged", worker_lines.clone());
        registry.register("egress_requests", "Requests of workers to the Internet", egress_requests.clone());
        let help = "Scheduled events that were due and did not run";
        registry.register("skipped_triggers", help, skipped_triggers.clone());
        registry
            .register_collector(Box::new(Requests { outcomes: Arc::clone(&outcomes), latency: Arc::clone(&latency) }));
        registry.register_collector(Box::new(Parts(parts)));
        families.into_iter().for_each(|family| registry.register_collector(family));
        Self { outcomes, latency, connections, tls_failures, worker_lines, egress_requests, skipped_triggers, registry }
    }

    /// Counts one finished request.
    pub fn request(&self, outcome: OutcomeClass, elapsed: Duration) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.latency.observe(elapsed);
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing into a String does not fail");
        text
    }
}

#[derive(Debug)]
struct Requests {
    outcomes: Arc<[AtomicU64; OutcomeClass::ALL.len()]>,
    latency: Arc<Latency>,
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counter = ConstCounter::<u64>::new(0);
        let help = "Requests of end users, by outcome";
        let mut family = encoder.encode_descriptor("requests", help, None, counter.metric_type())?;
        for (class, name) in OutcomeClass::ALL {
            let count = ConstCounter::new(self.outcomes[class as usize].load(Ordering::Relaxed));
            count.encode(family.encode_family(&[("outcome", name)])?)?;
        }
        let help = "From a request's headers to its answer's headers";
        let latency =
            encoder.encode_descriptor("request_duration", help, Some(&Unit::Seconds), self.latency.metric_type())?;
        self.latency.encode(latency)
    }
}

#[derive(Debug)]
struct Parts(Vec<Box<dyn Process>>);

impl Collector for Parts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        for (name, help, value) in self.0.iter().flat_map(|part| part.gauges()) {
            let gauge = prometheus_client::metrics::gauge::ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_outcome_and_duration() {
        let metrics = Metrics::new(Vec::new(), Vec::new());
        metrics.request(OutcomeClass::Answered, Duration::from_micros(80));
        metrics.request(OutcomeClass::Answered, Duration::from_secs(100));
        metrics.request(OutcomeClass::Unknown, Duration::from_micros(10));
        let text = metrics.text();
        assert!(text.contains("skerry_requests_total{outcome=\"answered\"} 2"), "{text}");
        assert!(text.contains("skerry_requests_total{outcome=\"unknown_host\"} 1"), "{text}");
        assert!(text.contains("skerry_request_duration_seconds_count 3"), "{text}");
        assert!(text.contains("skerry_request_duration_seconds_bucket{le=\"0.0001\"} 2"), "{text}");
    }
}
