//! The figures of other parts, for Prometheus.
//!
//! **Owns** their names. **Must not know** how they are counted. **Enter at** [`metrics`].

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use skerry_control::control::{BUCKETS_MS, Control};

use crate::{
    runtime::Runtime,
    telemetry::{Metrics, Process, otlp::SpanFigures},
};

/// Everything that this node counts.
pub(super) fn metrics(runtime: &Runtime, control: &Control, spans: SpanFigures) -> Metrics {
    let parts: Vec<Box<dyn Process>> =
        vec![Box::new(RuntimeFigures(runtime.clone())), Box::new(ControlFigures(control.clone()))];
    Metrics::new(parts, vec![Box::new(MeshFigures(control.clone())), Box::new(spans)])
}

/// What the runtime counts.
struct RuntimeFigures(Runtime);

impl fmt::Debug for RuntimeFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RuntimeFigures")
    }
}

impl Process for RuntimeFigures {
    fn gauges(&self) -> Vec<(&'static str, &'static str, i64)> {
        let stats = self.0.stats();
        vec![
            ("workers", "Workers that have an isolate", number(stats.workers)),
            ("isolates", "JavaScript isolates", number(stats.isolates)),
            ("events", "Events that isolates have or that wait for one", number(stats.events)),
            ("isolate_memory_bytes", "Linear memory of all isolates", number(stats.memory_bytes)),
        ]
    }
}

/// What the control plane counts.
#[derive(Debug)]
struct ControlFigures(Control);

impl Process for ControlFigures {
    fn gauges(&self) -> Vec<(&'static str, &'static str, i64)> {
        let control = &self.0;
        let catalog = control.catalog();
        let mut gauges = vec![
            ("catalog_revision", "The newest revision that this node knows", number(catalog.revision().0)),
            ("nodes", "Nodes of the cluster", number(catalog.nodes().count())),
            ("bundle_bytes", "Code on this node's disk", number(control.bundles().size_bytes())),
        ];
        if let Some(raft) = control.status() {
            gauges.extend([
                ("raft_term", "Raft's term", number(raft.term)),
                ("raft_is_leader", "Whether this node leads", i64::from(raft.leads())),
                ("raft_voters", "Voters", number(raft.voters.len())),
                ("raft_last_log_index", "The last log entry on this node's disk", index(raft.last_log_index)),
                ("raft_applied_index", "The last log entry that this node has applied", index(raft.applied_index)),
                ("raft_snapshot_index", "The last log entry in the newest snapshot", index(raft.snapshot_index)),
            ]);
        }
        if let Some(feed) = control.feed_status() {
            let depth = feed.depth.map_or(-1, i64::from);
            let age_ms = feed.age.map_or(-1, |age| number(age.as_millis()));
            gauges.extend([
                ("feed_served_revision", "The newest revision that this node serves", number(feed.revision.0)),
                ("feed_lag_entries", "Log entries that an upstream is ahead", number(feed.lag)),
                ("feed_depth", "Steps to a voter; -1 without a way to one", depth),
                ("feed_age_milliseconds", "How old this node's state may be; -1 when not known", age_ms),
                ("feed_upstreams", "Nodes that this one takes states from", number(feed.upstreams.len())),
                ("feed_subscribers", "Nodes that take states from this one", number(feed.subscribers.len())),
            ]);
        }
        if let Some(members) = control.members() {
            let alive = members.iter().filter(|(node, _)| members.is_active(*node)).count();
            gauges.push(("gossip_alive", "Nodes that gossip takes to be alive, this one included", number(alive)));
        }
        gauges
    }
}

/// What is told of each peer, and how long changes take to every node.
#[derive(Debug)]
struct MeshFigures(Control);

impl Collector for MeshFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let peers = self.0.peers();
        let gauge = MetricType::Gauge;
        let help = "Round trip to a peer";
        let mut family = encoder.encode_descriptor("mesh_rtt", help, Some(&Unit::Seconds), gauge)?;
        for peer in &peers {
            let Some(rtt) = peer.rtt else { continue };
            let labels = [("peer", peer.node.to_string()), ("class", format!("{:?}", peer.class).to_lowercase())];
            ConstGauge::new(rtt.as_secs_f64()).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "mesh_errors",
            "Calls that failed, by peer and reason",
            None,
            MetricType::Counter,
        )?;
        for peer in &peers {
            for (reason, count) in &peer.errors {
                let labels = [("peer", peer.node.to_string()), ("reason", format!("{reason:?}").to_lowercase())];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        self.live(encoder)
    }
}

impl MeshFigures {
    fn live(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let live = self.0.live_times().histogram();
        let seconds = |bound_ms: &u64| f64::from(u32::try_from(*bound_ms).unwrap_or(u32::MAX)) / 1000.0;
        let bounds = BUCKETS_MS.iter().map(seconds).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(live.counts).collect();
        let help = "From the commit of a change until every node serves it, measured by the leader";
        let mut metric =
            encoder.encode_descriptor("commit_to_live", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(live.sum.as_secs_f64(), live.counts.iter().sum(), &buckets, None)
    }
}

fn number<T>(value: T) -> i64
where
    i64: TryFrom<T>,
{
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn index(value: Option<u64>) -> i64 {
    value.map_or(-1, number)
}
