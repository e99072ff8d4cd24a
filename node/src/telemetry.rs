//! What the node says about itself: log lines, metrics and traces.
//!
//! **Owns** how lines are written, what is counted, and where spans are sent. **Must not know** what the parts do. **Enter at** [`start`],
//! [`Metrics`] and [`otlp::Exporter`].

mod latency;
mod metrics;
pub mod otlp;
mod writer;

use std::{error::Error, io::IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use self::writer::LineWriter;
pub use self::{
    latency::Latency,
    metrics::{Metrics, OutcomeClass, Process},
    writer::FlushGuard,
};
use crate::config::LogFormat;

/// Why logging did not start. State: unchanged. Retry: no.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one. State: unchanged. Retry: no.
    #[error("log is {filter:?}: {message}")]
    Filter {
        /// The filter given.
        filter: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Sends log lines to standard error, until the guard is dropped with the last of them. Call it once; a second call in one process changes nothing.
pub fn start(format: LogFormat, filter: &str) -> Result<FlushGuard, TelemetryError> {
    let wrong = |error: tracing_subscriber::filter::ParseError| TelemetryError::Filter {
        filter: filter.to_owned(),
        message: error.to_string(),
    };
    let filter = EnvFilter::builder().parse(filter).map_err(wrong)?;
    let writer = LineWriter::start();
    let guard = writer.guard();
    let lines = match format {
        LogFormat::Text => fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(writer).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
    };
    // Several nodes in one test process share the first one's lines.
    let _already = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    Ok(guard)
}

/// The whole chain of an error in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push_str(": ");
        text.push_str(&current.to_string());
        cause = current.source();
    }
    text
}
