//! What the first request to a worker costs, and what an idle isolate weighs.
//!
//! **Owns** both figures, from one fleet of distinct workers. **Must not know** how isolates are made. **Enter at**
//! [`measure`].

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::process::memory_bytes;
use crate::{
    api::{Api, Worker},
    node::{DOMAIN, Node},
    visitor::Visitor,
};

/// What a fleet of distinct workers showed.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    /// First byte of a worker's first request less that of its second, median, in milliseconds.
    pub p50_ms: f64,
    /// The same, 99 of 100.
    pub p99_ms: f64,
    /// Memory that each idle isolate added to the node, in MB.
    pub isolate_mb: f64,
}

/// Deploys `count` distinct workers, asks each of them twice, and weighs the node before and after.
///
/// # Errors
/// When a deploy or a request fails.
pub async fn measure(node: &Node, api: &Api, count: usize) -> Result<Cold> {
    let deploys = stream::iter(0..count).map(|place| async move {
        let source = format!("export default {{ fetch() {{ return new Response('worker {place}') }} }}");
        api.deploy(&name(place), "production", &Worker::module(&source)).await.done()
    });
    deploys.buffer_unordered(8).try_collect::<Vec<_>>().await?;

    let mut visitor = Visitor::connect(node.addresses.http).await?;
    let before = memory_bytes(node.pid()?)?;
    let mut extra = Vec::with_capacity(count);
    for place in 0..count {
        let host = format!("{}.{DOMAIN}", name(place));
        let cold = visitor.get(&host, "/").await?;
        ensure!(cold.body == format!("worker {place}"), "{host} answered {cold:?}");
        let warm = visitor.get(&host, "/").await?;
        extra.push(cold.first_byte.saturating_sub(warm.first_byte));
    }
    let after = memory_bytes(node.pid()?)?;
    extra.sort();
    let isolates = f64::from(u32::try_from(count)?);
    Ok(Cold {
        p50_ms: milliseconds(extra[count / 2]),
        p99_ms: milliseconds(extra[count * 99 / 100]),
        isolate_mb: f64::from(u32::try_from(after.saturating_sub(before) / 1024)?) / 1024.0 / isolates,
    })
}

fn name(place: usize) -> String {
    format!("cold-{place}")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
