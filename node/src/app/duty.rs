//! Whether the cluster wants this node to take requests.
//!
//! **Owns** that readiness follows the node's own state in the catalog. **Must not know** what becomes of those who come
//! nevertheless. **Enter at** [`start`].

use std::future::Future;

use skerry_control::{
    catalog::{Catalog, NodeState},
    control::Control,
};
use skerry_proto::id::NodeId;
use tokio_util::sync::CancellationToken;

use crate::ingress::Readiness;

/// Follows the newest catalog now, and each later one in the future that it returns, until that is told to stop.
pub(super) fn start(
    control: &Control,
    readiness: &Readiness,
    stopping: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let (node, readiness, mut known) = (control.node(), readiness.clone(), control.watch());
    follow(&readiness, &known.borrow_and_update(), node);
    async move {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = known.changed() => if changed.is_err() { return },
            }
            follow(&readiness, &known.borrow_and_update(), node);
        }
    }
}

fn follow(readiness: &Readiness, catalog: &Catalog, node: NodeId) {
    let drains = catalog.node(node).is_some_and(|node| node.state == NodeState::Draining);
    if readiness.set_draining(drains) {
        match drains {
            true => tracing::info!("the cluster drains this node: it is not ready, and goes on answering"),
            false => tracing::info!("the cluster gives this node work again"),
        }
    }
}
