//! Keeps dispatch and TLS up to date with the catalog.
//!
//! **Owns** the order: certificates first, so that a host that is routed can be reached. **Must not know** what either does.
//! **Enter at** [`start`].

use std::{future::Future, sync::Arc, time::Duration};

use axum::{Router, extract::Request, middleware::Next, response::Response};
use http::Method;
use skerry_control::{
    catalog::{Catalog, EnvironmentKey},
    control::Control,
};
use skerry_proto::id::Revision;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{dispatch::Dispatch, ingress::Certificates};

/// BOUND: how long an answer of the API waits for this node to show what was changed. It is milliseconds unless code can
/// not be read; the change itself is durable either way.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it is tried again to make a version ready whose code could not be had.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// Which revision this node shows, and which it knows.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    shown: watch::Receiver<Revision>,
    known: watch::Receiver<Arc<Catalog>>,
}

/// Shows the newest catalog now, and each later one in the future that it returns, until that is told to stop.
pub(super) async fn start(
    control: &Control,
    dispatch: &Dispatch,
    certificates: &Arc<Certificates>,
    stopping: CancellationToken,
) -> (Shown, impl Future<Output = ()> + Send + use<>) {
    let mut known = control.watch();
    let first = Arc::clone(&known.borrow_and_update());
    certificates.show(&first);
    let mut unready = dispatch.show(&first).await;
    let (sender, shown) = watch::channel(first.revision());
    let handle = Shown { shown, known: known.clone() };
    let (control, dispatch, certificates) = (control.clone(), dispatch.clone(), Arc::clone(certificates));
    let follow = async move {
        let mut revision = first.revision();
        loop {
            report(&control, &dispatch, revision, &mut unready).await;
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = known.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY_EVERY), if !unready.is_empty() => continue,
            }
            let catalog = Arc::clone(&known.borrow_and_update());
            certificates.show(&catalog);
            unready.extend(dispatch.show(&catalog).await);
            revision = catalog.revision();
            sender.send_replace(revision);
        }
    };
    (handle, follow)
}

/// Tells the cluster that this node serves a revision, or why it does not; what is not ready is tried once more.
async fn report(control: &Control, dispatch: &Dispatch, revision: Revision, unready: &mut Vec<EnvironmentKey>) {
    unready.dedup();
    match dispatch.make_ready(unready).await {
        None => {
            unready.clear();
            control.shown(revision);
        }
        Some(reason) => control.refused(revision, &reason),
    }
}

impl Shown {
    /// The API, whose answers to changes wait until this node shows them: whoever deploys and then asks, gets the new code.
    pub(super) fn settle(self, router: Router) -> Router {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let shown = self.clone();
            async move { shown.answer(request, next).await }
        }))
    }

    async fn answer(mut self, request: Request, next: Next) -> Response {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let response = next.run(request).await;
        if !reads {
            let revision = self.known.borrow().revision();
            let settled = self.shown.wait_for(|shown| *shown >= revision);
            if tokio::time::timeout(SETTLE_TIMEOUT, settled).await.is_err() {
                tracing::warn!(%revision, "this node does not show a change yet");
            }
        }
        response
    }
}
