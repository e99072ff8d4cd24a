//! What a service binding costs.
//!
//! **Owns** the figure: a chain of workers against a single one. **Must not know** how a binding is served. **Enter at**
//! [`microseconds_per_hop`].

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    api::{Api, Worker},
    node::{DOMAIN, Node},
    visitor::Visitor,
};

/// Workers in the chain behind the first.
const HOPS: usize = 8;

/// Requests to each end of the chain.
const REQUESTS: usize = 2000;

/// The median of a request through [`HOPS`] bindings less that of one without, per hop.
///
/// # Errors
/// When a deploy or a request fails.
pub async fn microseconds_per_hop(node: &Node, api: &Api) -> Result<f64> {
    let last = Worker::module("export default { fetch() { return new Response('end') } }");
    api.deploy("hop-0", "production", &last).await.done()?;
    for hop in 1..=HOPS {
        let binding = json!({ "type": "service", "name": "NEXT", "service": format!("hop-{}", hop - 1) });
        let worker = Worker::module("export default { fetch(request, env) { return env.NEXT.fetch(request) } }");
        api.deploy(&format!("hop-{hop}"), "production", &worker.bind(binding)).await.done()?;
    }
    let mut visitor = Visitor::connect(node.addresses.http).await?;
    let direct = median_us(&mut visitor, 0).await?;
    let through = median_us(&mut visitor, HOPS).await?;
    Ok((through - direct) / f64::from(u32::try_from(HOPS)?))
}

async fn median_us(visitor: &mut Visitor, hop: usize) -> Result<f64> {
    let host = format!("hop-{hop}.{DOMAIN}");
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let visit = visitor.get(&host, "/").await?;
        ensure!(visit.body == "end", "{host} answered {visit:?}");
        times.push(visit.first_byte);
    }
    times.sort();
    Ok(times[REQUESTS / 2].as_secs_f64() * 1e6)
}
