//! Live logs: what a listener is sent, wherever it happens.
//!
//! **Owns** the door to a node's own events, and which of them are wanted. **Must not know** how they come to be, or how they
//! travel. **Enter at** [`Tails`].

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::broadcast;

use crate::catalog::EnvironmentKey;

mod filter;

pub(crate) use self::filter::{FILTER_BYTES_MAX, Filter, RawFilter};

/// The events of one node.
pub trait Tails: Send + Sync {
    /// The events of one environment from now on, each in the shape of Cloudflare's `trace-v1`: `{outcome, scriptName,
    /// scriptVersion, event, eventTimestamp, logs, exceptions, ...}`. A receiver that falls behind loses the oldest.
    fn subscribe(&self, environment: &EnvironmentKey) -> broadcast::Receiver<Arc<Value>>;
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An event, JSON text.
    Event(String),
    /// So many were left out, because the listener or the way to it is too slow.
    Lost(u64),
}

/// The wanted ones of a node's own events, one after the other; `None` once there will be no more.
pub(crate) async fn wanted(events: &mut broadcast::Receiver<Arc<Value>>, filter: &Filter) -> Option<Heard> {
    loop {
        match events.recv().await {
            Ok(event) if filter.wants(&event, draw()) => return Some(Heard::Event(event.to_string())),
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(count)) => return Some(Heard::Lost(count)),
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

/// A random number from 0 to 1.
fn draw() -> f64 {
    f64::from(u32::from_be_bytes(crate::mint::random())) / f64::from(u32::MAX)
}
