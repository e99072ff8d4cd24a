//! What a node weighs that serves many services, of which some are asked for.
//!
//! **Owns** the services and when the weight is steady. **Must not know** what takes the memory. **Enter at** [`measure`].

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

use super::{fleet::Fleet, text};
use crate::{
    api::Worker,
    bench::process::{memory_bytes, resident_bytes},
    node::DOMAIN,
    visitor::Visitor,
};

/// Requests to each warm service.
const VISITS: usize = 50;
/// Between two weighings.
const PAUSE: Duration = Duration::from_secs(2);
/// Weighings in a row that must agree.
const STEADY: usize = 5;
/// Bytes by which they may differ, of a hundred.
const TOLERANCE: u64 = 2;
/// BOUND: weighings; a weight that still moves after two minutes is no steady one.
const WEIGHINGS_MAX: usize = 60;

/// A node's steady weight.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// With all of every page that it shares with the other nodes of this machine.
    pub resident_mb: f64,
    /// With its share of those.
    pub proportional_mb: f64,
}

/// Deploys `services` distinct workers, asks the node at a place for `warm` of them, and weighs it once its weight is steady.
///
/// # Errors
/// When a deploy or a request fails, or the weight does not become steady.
pub async fn measure(fleet: &Fleet, at: usize, services: usize, warm: usize) -> Result<Weight> {
    let api = fleet.api(0)?;
    let deploys = stream::iter(0..services).map(|place| async move {
        let source = format!("export default {{ fetch() {{ return new Response('service {place}') }} }}");
        api.deploy(&name(place), "production", &Worker::module(&source)).await.done()
    });
    deploys.buffer_unordered(8).try_collect::<Vec<_>>().await?;
    fleet.settle().await?;

    let node = fleet.node(at)?;
    let mut visitor = Visitor::connect(node.addresses.http).await?;
    for _ in 0..VISITS {
        // Spread over all of them, so that it is no matter which were deployed first.
        for place in (0..warm).map(|place| place * services / warm) {
            let visit = visitor.get(&format!("{}.{DOMAIN}", name(place)), "/").await?;
            ensure!(text(&visit)? == format!("service {place}"), "{} answered {visit:?}", name(place));
        }
    }
    let resident = steady(|| resident_bytes(node.pid()?)).await?;
    Ok(Weight { resident_mb: megabytes(resident)?, proportional_mb: megabytes(memory_bytes(node.pid()?)?)? })
}

async fn steady(weigh: impl Fn() -> Result<u64>) -> Result<u64> {
    let mut weights = Vec::new();
    for _ in 0..WEIGHINGS_MAX {
        weights.push(weigh()?);
        let last = &weights[weights.len().saturating_sub(STEADY)..];
        let (least, most) = (last.iter().min().copied().unwrap_or(0), last.iter().max().copied().unwrap_or(0));
        if last.len() == STEADY && (most - least) * 100 <= least * TOLERANCE {
            return Ok(most);
        }
        sleep(PAUSE).await;
    }
    anyhow::bail!("the weight does not become steady: {weights:?}")
}

fn name(place: usize) -> String {
    format!("service-{place}")
}

fn megabytes(bytes: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(bytes / 1024)?) / 1024.0)
}
